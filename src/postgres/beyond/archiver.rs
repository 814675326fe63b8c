//! When the archiver last did its work, and last failed: it is failing while the failure is the later one.

use std::borrow::Cow;

use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 2] = [
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
    statements: &[Statement::new(sql, emit)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(format!("SELECT {} FROM pg_stat_archiver", column::list(&COLUMNS, server.major)).into())
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 0, &[Labels::new()], Null::Absent, out)
}
