//! How much WAL is written, on every version, and from PostgreSQL 14 on of what kind.

use std::borrow::Cow;

use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static POSITION: [Column; 1] = [Column::counter(
    "pg_wal_position_bytes",
    "pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0')",
    "Position in the WAL, where it is written or on a standby replayed; its rate is the rate of WAL.",
)];

/// Of `pg_stat_wal`.
static COLUMNS: [Column; 4] = [
    Column::counter("pg_stat_wal_records_total", "wal_records", "WAL records written."),
    Column::counter("pg_stat_wal_fpi_total", "wal_fpi", "Whole pages written to the WAL, mostly after checkpoints."),
    Column::counter("pg_stat_wal_bytes_total", "wal_bytes", "Bytes of WAL written."),
    Column::counter(
        "pg_stat_wal_buffers_full_total",
        "wal_buffers_full",
        "Times that WAL was written because wal_buffers was full.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "wal_activity",
    enabled: Flag::switch("postgres.collector.wal_activity", true, "WAL written, by position and by kind."),
    statements: &[Statement::new(position_sql, emit_position), Statement::new(sql, emit)],
};

fn position_sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(format!("SELECT {}", column::list(&POSITION, server.major)).into())
}

fn emit_position(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&POSITION, server.major, table, 0, &[Labels::new()], Null::Absent, out)
}

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    (server.major >= 14).then(|| format!("SELECT {} FROM pg_stat_wal", column::list(&COLUMNS, server.major)).into())
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 0, &[Labels::new()], Null::Absent, out)
}
