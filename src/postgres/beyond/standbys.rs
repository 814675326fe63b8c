//! How far standbys are behind, in bytes and in seconds, stage by stage.
//!
//! Two standbys of the same name from the same address are told as one, by the one that is further behind.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

/// Of `pg_stat_replication`; `now.lsn` is the position of the server that sends.
static COLUMNS: [Column; 7] = [
    Column::gauge("pg_replication_sent_lag_bytes", "max(pg_wal_lsn_diff(now.lsn, sent_lsn))", "WAL not yet sent to the standby."),
    Column::gauge(
        "pg_replication_write_lag_bytes",
        "max(pg_wal_lsn_diff(now.lsn, write_lsn))",
        "WAL that the standby has not yet written.",
    ),
    Column::gauge(
        "pg_replication_flush_lag_bytes",
        "max(pg_wal_lsn_diff(now.lsn, flush_lsn))",
        "WAL that the standby has not yet on disk.",
    ),
    Column::gauge(
        "pg_replication_replay_lag_bytes",
        "max(pg_wal_lsn_diff(now.lsn, replay_lsn))",
        "WAL that the standby has not yet replayed.",
    ),
    Column::gauge(
        "pg_replication_write_lag_seconds",
        "max(extract(epoch FROM write_lag))",
        "Time until the standby has written; none when all is said.",
    ),
    Column::gauge(
        "pg_replication_flush_lag_seconds",
        "max(extract(epoch FROM flush_lag))",
        "Time until the standby has it on disk; none when all is said.",
    ),
    Column::gauge(
        "pg_replication_replay_lag_seconds",
        "max(extract(epoch FROM replay_lag))",
        "Time until the standby shows it; none when all is said.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "standbys",
    enabled: Flag::switch("postgres.collector.standbys", true, "How far standbys are behind, in bytes and seconds."),
    statements: &[Statement::behind(Gate::Standbys, sql, emit)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let columns = column::list(&COLUMNS, server.major);
    Some(
        format!(
            "SELECT application_name, client_addr, sync_state, {columns} FROM pg_stat_replication, \
             (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) AS now \
             GROUP BY 1, 2, 3"
        )
        .into(),
    )
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["application_name", "client_addr", "sync_state"]);
    column::emit(&COLUMNS, server.major, table, 3, &labels, Null::Absent, out)
}
