//! What replication slots hold back, since when nobody reads from them, and whether they are lost.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

/// Of `pg_replication_slots`.
static COLUMNS: [Column; 4] = [
    Column::gauge(
        "pg_replication_slot_retained_bytes",
        "greatest(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)",
        "WAL that the server keeps for the slot; it fills the disk where max_slot_wal_keep_size sets no bound.",
    ),
    Column::gauge(
        "pg_replication_slot_inactive_seconds",
        "extract(epoch FROM clock_timestamp() - inactive_since)",
        "How long nothing has read from the slot; none while something does.",
    )
    .since(17),
    Column::gauge(
        "pg_replication_slot_invalid",
        "(wal_status = 'lost')::int",
        "1 if the slot is lost: what reads from it has to be made anew.",
    )
    .since(13)
    .before(17),
    Column::gauge(
        "pg_replication_slot_invalid",
        "(invalidation_reason IS NOT NULL)::int",
        "1 if the slot is lost: what reads from it has to be made anew.",
    )
    .since(17),
];

/// Of `pg_stat_replication_slots`, where logical decoding tells what it had to write to disk or to stream.
static DECODING: [Column; 3] = [
    Column::counter(
        "pg_stat_replication_slots_spill_bytes_total",
        "spill_bytes",
        "Decoded changes written to disk, beyond logical_decoding_work_mem.",
    ),
    Column::counter(
        "pg_stat_replication_slots_stream_bytes_total",
        "stream_bytes",
        "Decoded changes of transactions sent before they ended.",
    ),
    Column::counter("pg_stat_replication_slots_total_bytes_total", "total_bytes", "All changes decoded for the slot."),
];

pub(super) static ENTRY: Entry = Entry {
    name: "slots",
    enabled: Flag::switch("postgres.collector.slots", true, "What replication slots hold back."),
    statements: &[Statement::behind(Gate::Slots, sql, emit), Statement::behind(Gate::Slots, decoding_sql, emit_decoding)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(
        format!("SELECT slot_name, slot_type, database, {} FROM pg_replication_slots", column::list(&COLUMNS, server.major))
            .into(),
    )
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["slot_name", "slot_type", "database"]);
    column::emit(&COLUMNS, server.major, table, 3, &labels, Null::Absent, out)
}

fn decoding_sql(server: &Server) -> Option<Cow<'static, str>> {
    let list = || column::list(&DECODING, server.major);
    (server.major >= 14).then(|| format!("SELECT slot_name, {} FROM pg_stat_replication_slots", list()).into())
}

fn emit_decoding(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["slot_name"]);
    column::emit(&DECODING, server.major, table, 1, &labels, Null::Absent, out)
}
