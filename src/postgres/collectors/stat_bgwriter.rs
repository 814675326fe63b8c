//! `pg_stat_bgwriter`: what the background writer wrote, and before PostgreSQL 17 the checkpoints as well.
//!
//! The two checkpoint times are milliseconds, as the view has them.

use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 11] = [
    checkpoint("pg_stat_bgwriter_checkpoints_timed_total", "checkpoints_timed", "pg_stat_bgwriter.checkpoints_timed."),
    checkpoint("pg_stat_bgwriter_checkpoints_req_total", "checkpoints_req", "pg_stat_bgwriter.checkpoints_req."),
    checkpoint(
        "pg_stat_bgwriter_checkpoint_write_time_total",
        "checkpoint_write_time",
        "pg_stat_bgwriter.checkpoint_write_time, in milliseconds.",
    ),
    checkpoint(
        "pg_stat_bgwriter_checkpoint_sync_time_total",
        "checkpoint_sync_time",
        "pg_stat_bgwriter.checkpoint_sync_time, in milliseconds.",
    ),
    checkpoint("pg_stat_bgwriter_buffers_checkpoint_total", "buffers_checkpoint", "pg_stat_bgwriter.buffers_checkpoint."),
    Column::counter("pg_stat_bgwriter_buffers_clean_total", "buffers_clean", "pg_stat_bgwriter.buffers_clean."),
    Column::counter("pg_stat_bgwriter_maxwritten_clean_total", "maxwritten_clean", "pg_stat_bgwriter.maxwritten_clean."),
    checkpoint("pg_stat_bgwriter_buffers_backend_total", "buffers_backend", "pg_stat_bgwriter.buffers_backend."),
    checkpoint(
        "pg_stat_bgwriter_buffers_backend_fsync_total",
        "buffers_backend_fsync",
        "pg_stat_bgwriter.buffers_backend_fsync.",
    ),
    Column::counter("pg_stat_bgwriter_buffers_alloc_total", "buffers_alloc", "pg_stat_bgwriter.buffers_alloc."),
    Column::counter(
        "pg_stat_bgwriter_stats_reset_total",
        "floor(extract(epoch FROM stats_reset))",
        "pg_stat_bgwriter.stats_reset as a Unix time, 0 for never.",
    ),
];

/// A column that PostgreSQL 17 took away or moved to `pg_stat_checkpointer`.
const fn checkpoint(name: &'static str, sql: &'static str, help: &'static str) -> Column {
    Column::counter(name, sql, help).before(17)
}

pub(super) static ENTRY: Entry = Entry {
    name: "stat_bgwriter",
    enabled: Flag::switch("postgres.collector.stat_bgwriter", true, "Background writer, and checkpoints before PostgreSQL 17."),
    statements: &[Statement::new(
        |server| Some(format!("SELECT {} FROM pg_stat_bgwriter", column::list(&COLUMNS, server.major)).into()),
        emit,
    )],
};

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 0, &[Labels::new()], Null::Zero, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn checkpoints_are_elsewhere_from_17_on() {
        let table = Table::of(&[[Some("1"), Some("2"), Some("3"), None]]);
        assert_eq!(
            text(|out| emit(&server(17), &table, out)),
            "pg_stat_bgwriter_buffers_alloc_total 3\npg_stat_bgwriter_buffers_clean_total 1\n\
             pg_stat_bgwriter_maxwritten_clean_total 2\npg_stat_bgwriter_stats_reset_total 0\n"
        );
        assert!(emit(&server(16), &table, &mut Samples::new()).is_err());
    }
}
