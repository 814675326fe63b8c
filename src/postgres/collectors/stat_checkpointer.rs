//! `pg_stat_checkpointer`, which PostgreSQL 17 split off from `pg_stat_bgwriter`. The two times are milliseconds.

use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 9] = [
    Column::counter("pg_stat_checkpointer_num_timed_total", "num_timed", "pg_stat_checkpointer.num_timed."),
    Column::counter("pg_stat_checkpointer_num_requested_total", "num_requested", "pg_stat_checkpointer.num_requested."),
    Column::counter(
        "pg_stat_checkpointer_restartpoints_timed_total",
        "restartpoints_timed",
        "pg_stat_checkpointer.restartpoints_timed.",
    ),
    Column::counter(
        "pg_stat_checkpointer_restartpoints_req_total",
        "restartpoints_req",
        "pg_stat_checkpointer.restartpoints_req.",
    ),
    Column::counter(
        "pg_stat_checkpointer_restartpoints_done_total",
        "restartpoints_done",
        "pg_stat_checkpointer.restartpoints_done.",
    ),
    Column::counter("pg_stat_checkpointer_write_time_total", "write_time", "pg_stat_checkpointer.write_time, in milliseconds."),
    Column::counter("pg_stat_checkpointer_sync_time_total", "sync_time", "pg_stat_checkpointer.sync_time, in milliseconds."),
    Column::counter("pg_stat_checkpointer_buffers_written_total", "buffers_written", "pg_stat_checkpointer.buffers_written."),
    Column::counter(
        "pg_stat_checkpointer_stats_reset_total",
        "floor(extract(epoch FROM stats_reset))",
        "pg_stat_checkpointer.stats_reset as a Unix time, 0 for never.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "stat_checkpointer",
    enabled: Flag::switch("postgres.collector.stat_checkpointer", false, "Checkpoints, from PostgreSQL 17 on."),
    statements: &[Statement::new(
        |server| (server.major >= 17).then(|| format!("SELECT {} FROM pg_stat_checkpointer", column::list(&COLUMNS, 17)).into()),
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
    fn nine_counters() {
        let row: [Option<&str>; 9] = std::array::from_fn(|at| ["0", "1", "2", "3", "4", "5", "6.5", "7", "8"].get(at).copied());
        let text = text(|out| emit(&server(17), &Table::of(&[row]), out));
        assert_eq!(text.lines().count(), 9);
        assert!(text.contains("pg_stat_checkpointer_sync_time_total 6.5\n"), "{text}");
        assert!((ENTRY.statements[0].sql)(&server(16)).is_none());
    }
}
