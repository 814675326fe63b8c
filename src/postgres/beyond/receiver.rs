//! A standby's own view: whether it still hears from its primary. A lag of zero alone does not tell "caught up" from "cut off".

use std::borrow::Cow;

use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

/// A role without pg_monitor sees that there is a receiver, but not its status.
static COLUMNS: [Column; 3] = [
    Column::gauge(
        "pg_replication_receiver_up",
        "(r.pid IS NOT NULL AND coalesce(r.status, 'streaming') = 'streaming')::int",
        "On a standby: 1 while it receives WAL from its primary, 0 where it does not or reads from an archive.",
    ),
    Column::gauge(
        "pg_replication_last_message_age_seconds",
        "extract(epoch FROM clock_timestamp() - r.last_msg_receipt_time)",
        "On a standby: how long ago its primary was last heard of; none without a receiver.",
    ),
    Column::gauge(
        "pg_replication_receive_replay_gap_bytes",
        "pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())",
        "On a standby: WAL that it has received and not yet replayed.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "receiver",
    enabled: Flag::switch("postgres.collector.receiver", true, "On a standby: whether it hears from its primary."),
    statements: &[Statement::behind(Gate::Recovery, sql, emit)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let columns = column::list(&COLUMNS, server.major);
    Some(
        format!("SELECT {columns} FROM (SELECT 1) one LEFT JOIN pg_stat_wal_receiver r ON true WHERE pg_is_in_recovery()").into(),
    )
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 0, &[Labels::new()], Null::Absent, out)
}
