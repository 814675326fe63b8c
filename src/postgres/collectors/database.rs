//! `pg_database`: size and connection limit of every database, templates included.
//!
//! `pg_database_size()` sums up the files on disk without a lock. It raises an error for a database whose CONNECT privilege is missing
//! (unless the role may read all statistics), which would cost all others their size as well: such a database has no size here.

use std::borrow::Cow;

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::options;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static LIMIT: Family = Family::gauge("pg_database_connection_limit", "pg_database.datconnlimit; -1 is no limit.");
static SIZE: Family = Family::gauge("pg_database_size_bytes", "pg_database_size() of the database.");

pub(super) static ENTRY: Entry = Entry {
    name: "database",
    enabled: Flag::switch("postgres.collector.database", true, "Size and connection limit of every database."),
    statements: &[
        Statement::new(|server| select("datconnlimit", server), |_, table, out| emit(&LIMIT, table, out)),
        Statement::sizes(|server| select(SIZES, server), |_, table, out| emit(&SIZE, table, out)),
    ],
};

const SIZES: &str = "CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') OR has_database_privilege(oid, 'CONNECT') \
    THEN pg_database_size(oid) END";

fn select(column: &str, server: &Server) -> Option<Cow<'static, str>> {
    let wanted = options::not_in("datname", &server.options.exclude);
    Some(format!("SELECT datname, {column} FROM pg_database WHERE {wanted}").into())
}

fn emit(family: &'static Family, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut rows = out.family(family);
    for row in table.rows() {
        if let Some(value) = row.number(1) {
            rows.add([("datname", row.label(0))], value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn a_size_that_may_not_be_read_is_absent() {
        let table = Table::of(&[[Some("shop"), Some("12942695")], [Some("private"), None]]);
        assert_eq!(text(|out| emit(&SIZE, &table, out)), "pg_database_size_bytes{datname=\"shop\"} 12942695\n");
    }
}
