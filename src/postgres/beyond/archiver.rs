//! When the archiver last did its work, and last failed: it is failing while the failure is the later one.

use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::collectors::stat_archiver;
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

pub(in crate::postgres) static COLUMNS: [Column; 2] = [
    Column::gauge(
        "pg_archiver_last_archived_timestamp_seconds",
        "extract(epoch FROM last_archived_time)",
        "When a WAL file was last archived, as a Unix time; none before the first.",
    ),
    Column::gauge(
        "pg_archiver_last_failed_timestamp_seconds",
        "extract(epoch FROM last_failed_time)",
        "When archiving last failed, as a Unix time; none if it never did.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "archiver",
    enabled: Flag::switch("postgres.collector.archiver", true, "When the archiver last succeeded and failed."),
    statements: &[Statement::new(stat_archiver::sql, emit)],
};

/// Behind the columns of the view's other collector.
fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let first = column::count(&stat_archiver::COLUMNS, server.major);
    column::emit(&COLUMNS, server.major, table, first, &[Labels::new()], Null::Absent, out)
}
