//! `pg_ls_waldir()`: the WAL files on disk. Needs membership in `pg_monitor`.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static SEGMENTS: Family = Family::gauge("pg_wal_segments", "WAL segments among the files of pg_ls_waldir().");
static SIZE: Family = Family::gauge("pg_wal_size_bytes", "Sum of pg_ls_waldir().size over the WAL segments.");

pub(super) static ENTRY: Entry = Entry {
    name: "wal",
    enabled: Flag::switch("postgres.collector.wal", true, "WAL files on disk."),
    statements: &[Statement::slow(|_| Some(SQL.into()), emit)],
};

/// Segments have names of 24 hexadecimal digits; history, backup and partial files have others.
const SQL: &str = "SELECT count(*), sum(size) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    for row in table.rows() {
        for (family, value) in [(&SEGMENTS, row.number(0)), (&SIZE, row.number(1))] {
            if let Some(value) = value {
                out.family(family).add([], value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn no_segments_no_size() {
        let of = |row| text(|out| emit(&Server::default(), &Table::of(&[row]), out));
        assert_eq!(of([Some("2"), Some("33554432")]), "pg_wal_segments 2\npg_wal_size_bytes 33554432\n");
        assert_eq!(of([Some("0"), None]), "pg_wal_segments 0\n");
    }
}
