//! Families that had another name; they stand there under both.

use crate::exposition::{Family, Labels, Samples};
use crate::postgres::collector::{Server, Statement};
use crate::postgres::collectors::{replication_slots, stat_user_tables, statio_user_tables};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::system::Fault;

/// The checkpoint families of `pg_stat_bgwriter`, which PostgreSQL 17 took out of that view.
pub(super) static BGWRITER_0_15: [Statement; 1] = [CHECKPOINTS];

/// The same, and the names without `_total` of 0.10 and older.
pub(super) static BGWRITER_0_11: [Statement; 2] = [
    CHECKPOINTS,
    Statement::new(
        |server| {
            let from = if server.major >= 17 { ", pg_stat_checkpointer c" } else { "" };
            Some(format!("SELECT {} FROM pg_stat_bgwriter b{from}", column::list(&BARE, server.major)).into())
        },
        |server, table, out| column::emit(&BARE, server.major, table, 0, &[Labels::new()], Null::Zero, out),
    ),
];

const CHECKPOINTS: Statement = Statement::new(
    |server| (server.major >= 17).then(|| format!("SELECT {} FROM pg_stat_checkpointer c", column::list(&FROM_17, 17)).into()),
    |server, table, out| column::emit(&FROM_17, server.major, table, 0, &[Labels::new()], Null::Zero, out),
);

static FROM_17: [Column; 5] = [
    Column::counter("pg_stat_bgwriter_checkpoints_timed_total", "c.num_timed", "pg_stat_checkpointer.num_timed."),
    Column::counter("pg_stat_bgwriter_checkpoints_req_total", "c.num_requested", "pg_stat_checkpointer.num_requested."),
    Column::counter(
        "pg_stat_bgwriter_checkpoint_write_time_total",
        "c.write_time",
        "pg_stat_checkpointer.write_time, in milliseconds.",
    ),
    Column::counter(
        "pg_stat_bgwriter_checkpoint_sync_time_total",
        "c.sync_time",
        "pg_stat_checkpointer.sync_time, in milliseconds.",
    ),
    Column::counter("pg_stat_bgwriter_buffers_checkpoint_total", "c.buffers_written", "pg_stat_checkpointer.buffers_written."),
];

const TIMED: (&str, &str) = (
    "pg_stat_bgwriter_checkpoints_timed",
    "pg_stat_bgwriter.checkpoints_timed (pg_stat_checkpointer.num_timed from PostgreSQL 17 on).",
);
const REQUESTED: (&str, &str) = (
    "pg_stat_bgwriter_checkpoints_req",
    "pg_stat_bgwriter.checkpoints_req (pg_stat_checkpointer.num_requested from PostgreSQL 17 on).",
);
const WRITE: (&str, &str) = (
    "pg_stat_bgwriter_checkpoint_write_time",
    "pg_stat_bgwriter.checkpoint_write_time (pg_stat_checkpointer.write_time from PostgreSQL 17 on), in milliseconds.",
);
const SYNC: (&str, &str) = (
    "pg_stat_bgwriter_checkpoint_sync_time",
    "pg_stat_bgwriter.checkpoint_sync_time (pg_stat_checkpointer.sync_time from PostgreSQL 17 on), in milliseconds.",
);
const WRITTEN: (&str, &str) = (
    "pg_stat_bgwriter_buffers_checkpoint",
    "pg_stat_bgwriter.buffers_checkpoint (pg_stat_checkpointer.buffers_written from PostgreSQL 17 on).",
);

static BARE: [Column; 16] = [
    Column::counter(TIMED.0, "b.checkpoints_timed", TIMED.1).before(17),
    Column::counter(TIMED.0, "c.num_timed", TIMED.1).since(17),
    Column::counter(REQUESTED.0, "b.checkpoints_req", REQUESTED.1).before(17),
    Column::counter(REQUESTED.0, "c.num_requested", REQUESTED.1).since(17),
    Column::counter(WRITE.0, "b.checkpoint_write_time", WRITE.1).before(17),
    Column::counter(WRITE.0, "c.write_time", WRITE.1).since(17),
    Column::counter(SYNC.0, "b.checkpoint_sync_time", SYNC.1).before(17),
    Column::counter(SYNC.0, "c.sync_time", SYNC.1).since(17),
    Column::counter(WRITTEN.0, "b.buffers_checkpoint", WRITTEN.1).before(17),
    Column::counter(WRITTEN.0, "c.buffers_written", WRITTEN.1).since(17),
    Column::counter("pg_stat_bgwriter_buffers_clean", "b.buffers_clean", "pg_stat_bgwriter.buffers_clean."),
    Column::counter("pg_stat_bgwriter_maxwritten_clean", "b.maxwritten_clean", "pg_stat_bgwriter.maxwritten_clean."),
    Column::counter("pg_stat_bgwriter_buffers_backend", "b.buffers_backend", "pg_stat_bgwriter.buffers_backend.").before(17),
    Column::counter(
        "pg_stat_bgwriter_buffers_backend_fsync",
        "b.buffers_backend_fsync",
        "pg_stat_bgwriter.buffers_backend_fsync.",
    )
    .before(17),
    Column::counter("pg_stat_bgwriter_buffers_alloc", "b.buffers_alloc", "pg_stat_bgwriter.buffers_alloc."),
    Column::counter(
        "pg_stat_bgwriter_stats_reset",
        "floor(extract(epoch FROM b.stats_reset))",
        "pg_stat_bgwriter.stats_reset as a Unix time, 0 for never.",
    ),
];

/// The lag of queries.yaml: it grows on a standby of an idle primary.
pub(super) static LAG: [Statement; 1] = [Statement::new(
    |_| {
        let age = "greatest(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0)";
        Some(format!("SELECT CASE WHEN pg_is_in_recovery() THEN {age} ELSE 0 END").into())
    },
    |_, table, out| {
        table.rows().filter_map(|row| row.number(0)).for_each(|lag| _ = out.family(&LAG_SECONDS).add([], lag));
        Ok(())
    },
)];

static LAG_SECONDS: Family =
    Family::gauge("pg_replication_lag", "Age of pg_last_xact_replay_timestamp() on a standby, 0 on a primary.");

/// Blocks of tables under the names of queries.yaml.
pub(super) static BLOCKS: [Statement; 1] = [Statement::new(stat_user_tables::sql, |server, table, out| {
    statio_user_tables::emit(server, table, out)?;
    let (first, labels) = (statio_user_tables::first(server), stat_user_tables::labels(table));
    column::emit(&OLD_BLOCKS, server.major, table, first, &labels, Null::Absent, out)
})];

/// In the order of the statement's columns.
static OLD_BLOCKS: [Column; 8] = [
    Column::counter("pg_statio_user_tables_heap_blks_read", "heap_blks_read", "pg_statio_user_tables.heap_blks_read."),
    Column::counter("pg_statio_user_tables_heap_blks_hit", "heap_blks_hit", "pg_statio_user_tables.heap_blks_hit."),
    Column::counter("pg_statio_user_tables_idx_blks_read", "idx_blks_read", "pg_statio_user_tables.idx_blks_read."),
    Column::counter("pg_statio_user_tables_idx_blks_hit", "idx_blks_hit", "pg_statio_user_tables.idx_blks_hit."),
    Column::counter("pg_statio_user_tables_toast_blks_read", "toast_blks_read", "pg_statio_user_tables.toast_blks_read."),
    Column::counter("pg_statio_user_tables_toast_blks_hit", "toast_blks_hit", "pg_statio_user_tables.toast_blks_hit."),
    Column::counter("pg_statio_user_tables_tidx_blks_read", "tidx_blks_read", "pg_statio_user_tables.tidx_blks_read."),
    Column::counter("pg_statio_user_tables_tidx_blks_hit", "tidx_blks_hit", "pg_statio_user_tables.tidx_blks_hit."),
];

/// Tables with one size: that of the table and its indexes together.
pub(super) static TABLES: [Statement; 2] = [
    stat_user_tables::COUNTERS,
    Statement::sizes(stat_user_tables::sizes, |server, table, out| {
        stat_user_tables::emit_sizes(server, table, out)?;
        let mut family = out.family(&WHOLE);
        for (row, labels) in table.rows().zip(&stat_user_tables::labels(table)) {
            if let (Some(own), Some(indexes)) = (row.number(3), row.number(4)) {
                family.add_to(labels, [], own + indexes);
            }
        }
        Ok(())
    }),
];

static WHOLE: Family = Family::gauge(
    "pg_stat_user_tables_size_bytes",
    "pg_table_size() and pg_indexes_size() of the table; absent while it is locked.",
);

/// Slots under their first collector's name, in the singular, and by their name alone: the label slot_type came with 0.16.
pub(super) static SLOTS: [Statement; 1] = [Statement::behind(Gate::Slots, replication_slots::sql, slots)];

static CURRENT: Family = Family::gauge(
    "pg_replication_slot_slot_current_wal_lsn",
    "pg_current_wal_lsn(), on a standby pg_last_wal_receive_lsn(), as a byte position; the same for every slot.",
);
static CONFIRMED: Family = Family::gauge(
    "pg_replication_slot_slot_confirmed_flush_lsn",
    "pg_replication_slots.confirmed_flush_lsn of an active slot as a byte position, 0 for a physical one.",
);
static IS_ACTIVE: Family =
    Family::gauge("pg_replication_slot_slot_is_active", "pg_replication_slots.active: 1 while something streams from the slot.");
static SAFE: Family = Family::gauge(
    "pg_replication_slot_safe_wal_size_bytes",
    "pg_replication_slots.safe_wal_size: how much may still be written before the slot is lost.",
);
static STATUS: Family = Family::gauge("pg_replication_slot_wal_status", "1, with pg_replication_slots.wal_status as a label.");

fn slots(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    replication_slots::emit(server, table, out)?;
    for row in table.rows() {
        let name = Labels::of(&[("slot_name", row.label(0))]);
        let kind = ("slot_type", row.label(1));
        let active = row.number(3).unwrap_or(0.0);
        out.family(&IS_ACTIVE).add_to(&name, [], active);
        let confirmed = (active > 0.0).then(|| row.number(6).unwrap_or(0.0));
        for (family, value) in [(&CURRENT, row.number(4)), (&CONFIRMED, confirmed)] {
            value.into_iter().for_each(|value| _ = out.family(family).add_to(&name, [], value));
        }
        // These two families came with 0.16, together with the label.
        row.number(7).into_iter().for_each(|size| _ = out.family(&SAFE).add_to(&name, [kind], size));
        row.text(8).into_iter().for_each(|status| _ = out.family(&STATUS).add_to(&name, [kind, ("wal_status", status)], 1u8));
    }
    Ok(())
}
