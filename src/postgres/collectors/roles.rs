//! `pg_roles`: connection limits.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static LIMIT: Family = Family::gauge("pg_roles_connection_limit", "pg_roles.rolconnlimit; -1 is no limit.");

pub(super) static ENTRY: Entry = Entry {
    name: "roles",
    enabled: Flag::switch("postgres.collector.roles", true, "Connection limits of roles."),
    statements: &[Statement::new(|_| Some("SELECT rolname, rolconnlimit FROM pg_roles".into()), emit)],
};

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut rows = out.family(&LIMIT);
    for row in table.rows() {
        if let (Some(role), Some(limit)) = (row.text(0), row.number(1)) {
            rows.add([("rolname", role)], limit);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn roles_with_odd_names() {
        let table = Table::of(&[[Some("a \"b\""), Some("-1")], [None, Some("5")]]);
        let text = text(|out| emit(&Server::default(), &table, out));
        assert_eq!(text, "pg_roles_connection_limit{rolname=\"a \\\"b\\\"\"} -1\n");
    }
}
