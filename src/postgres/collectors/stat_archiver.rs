//! `pg_stat_archiver`: archived and failed WAL files.

use std::borrow::Cow;

use crate::exposition::{Labels, Samples};
use crate::postgres::beyond::archiver;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

pub(in crate::postgres) static COLUMNS: [Column; 3] = [
    Column::counter("pg_stat_archiver_archived_count", "archived_count", "pg_stat_archiver.archived_count."),
    Column::counter("pg_stat_archiver_failed_count", "failed_count", "pg_stat_archiver.failed_count."),
    Column::gauge(
        "pg_stat_archiver_last_archive_age",
        "extract(epoch FROM now() - last_archived_time)",
        "Seconds since pg_stat_archiver.last_archived_time; absent until something was archived.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "stat_archiver",
    enabled: Flag::switch("postgres.collector.stat_archiver", true, "Archived and failed WAL files."),
    statements: &[Statement::new(sql, emit)],
};

/// What both collectors of the view read, this one's columns first.
pub(in crate::postgres) fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let columns = [&COLUMNS[..], &archiver::COLUMNS].map(|columns| column::list(columns, server.major));
    Some(format!("SELECT {} FROM pg_stat_archiver", columns.join(", ")).into())
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 0, &[Labels::new()], Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn no_age_before_the_first_archive() {
        let of = |age| text(|out| emit(&server(15), &Table::of(&[[Some("4"), Some("1"), age]]), out));
        assert_eq!(of(None), "pg_stat_archiver_archived_count 4\npg_stat_archiver_failed_count 1\n");
        assert!(of(Some("12.5")).ends_with("pg_stat_archiver_last_archive_age 12.5\n"));
    }
}
