//! `pg_postmaster_start_time()`.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static START: Family = Family::gauge("pg_postmaster_start_time_seconds", "pg_postmaster_start_time() as a Unix time.");

pub(super) static ENTRY: Entry = Entry {
    name: "postmaster",
    enabled: Flag::switch("postgres.collector.postmaster", false, "When the server was started."),
    statements: &[Statement::new(|_| Some("SELECT extract(epoch FROM pg_postmaster_start_time())".into()), emit)],
};

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    for start in table.rows().filter_map(|row| row.number(0)) {
        out.family(&START).add([], start);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn a_unix_time() {
        let text = text(|out| emit(&Server::default(), &Table::of(&[[Some("1795406732.856135")]]), out));
        assert_eq!(text, "pg_postmaster_start_time_seconds 1795406732.856135\n");
    }
}
