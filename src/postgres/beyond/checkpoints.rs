//! Checkpoints under one name on every version, and what has been written since the last.
//!
//! PostgreSQL 17 moved the counters from `pg_stat_bgwriter` to `pg_stat_checkpointer`. Their milliseconds are seconds here.

use std::borrow::Cow;

use crate::exposition::{Family, Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static CHECKPOINTS: Family =
    Family::counter("pg_checkpoints_total", "Checkpoints by reason: timed ones, and those that WAL or someone asked for.");
static WRITE: Family = Family::counter("pg_checkpoint_write_seconds_total", "Time that checkpoints spent writing.");
static SYNC: Family = Family::counter("pg_checkpoint_sync_seconds_total", "Time that checkpoints spent syncing files.");

static CONTROL: [Column; 2] = [
    Column::gauge(
        "pg_checkpoint_last_timestamp_seconds",
        "extract(epoch FROM checkpoint_time)",
        "When the last checkpoint began, as a Unix time.",
    ),
    Column::gauge(
        "pg_wal_since_checkpoint_bytes",
        "pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, redo_lsn)",
        "WAL since the last checkpoint's redo point: what a restart after a crash has to read.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "checkpoints",
    enabled: Flag::switch("postgres.collector.checkpoints", true, "Checkpoints, on every version under the same names."),
    statements: &[Statement::new(sql, emit), Statement::new(control_sql, emit_control)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(if server.major >= 17 {
        "SELECT num_timed, num_requested, write_time, sync_time FROM pg_stat_checkpointer".into()
    } else {
        "SELECT checkpoints_timed, checkpoints_req, checkpoint_write_time, checkpoint_sync_time FROM pg_stat_bgwriter".into()
    })
}

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let Some(row) = table.rows().next() else { return Ok(()) };
    let mut family = out.family(&CHECKPOINTS);
    for (at, reason) in ["timed", "requested"].into_iter().enumerate() {
        row.number(at).into_iter().for_each(|count| _ = family.add([("reason", reason)], count));
    }
    for (family, at) in [(&WRITE, 2), (&SYNC, 3)] {
        row.number(at).into_iter().for_each(|millis| _ = out.family(family).add([], millis / 1_000.0));
    }
    Ok(())
}

fn control_sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(format!("SELECT {} FROM pg_control_checkpoint()", column::list(&CONTROL, server.major)).into())
}

fn emit_control(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&CONTROL, server.major, table, 0, &[Labels::new()], Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn milliseconds_become_seconds() {
        let text = text(|out| emit(&Server::default(), &Table::of(&[[Some("3"), Some("1"), Some("2500"), None]]), out));
        assert_eq!(
            text,
            "pg_checkpoint_write_seconds_total 2.5\npg_checkpoints_total{reason=\"timed\"} 3\npg_checkpoints_total{reason=\"requested\"} 1\n"
        );
    }
}
