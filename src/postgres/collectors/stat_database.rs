//! `pg_stat_database`: the counters of every database.
//!
//! The row of shared objects (no name, since PostgreSQL 12) is left out. The two block times are milliseconds and stay 0 unless
//! `track_io_timing` is on.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

pub(in crate::postgres) static COLUMNS: [Column; 25] = [
    Column::gauge("pg_stat_database_numbackends", "numbackends", "pg_stat_database.numbackends, our own session included."),
    Column::counter("pg_stat_database_xact_commit", "xact_commit", "pg_stat_database.xact_commit."),
    Column::counter("pg_stat_database_xact_rollback", "xact_rollback", "pg_stat_database.xact_rollback."),
    Column::counter("pg_stat_database_blks_read", "blks_read", "pg_stat_database.blks_read."),
    Column::counter("pg_stat_database_blks_hit", "blks_hit", "pg_stat_database.blks_hit."),
    Column::counter("pg_stat_database_tup_returned", "tup_returned", "pg_stat_database.tup_returned."),
    Column::counter("pg_stat_database_tup_fetched", "tup_fetched", "pg_stat_database.tup_fetched."),
    Column::counter("pg_stat_database_tup_inserted", "tup_inserted", "pg_stat_database.tup_inserted."),
    Column::counter("pg_stat_database_tup_updated", "tup_updated", "pg_stat_database.tup_updated."),
    Column::counter("pg_stat_database_tup_deleted", "tup_deleted", "pg_stat_database.tup_deleted."),
    Column::counter("pg_stat_database_conflicts", "conflicts", "pg_stat_database.conflicts: statements cancelled on a standby."),
    Column::counter("pg_stat_database_temp_files", "temp_files", "pg_stat_database.temp_files."),
    Column::counter("pg_stat_database_temp_bytes", "temp_bytes", "pg_stat_database.temp_bytes."),
    Column::counter("pg_stat_database_deadlocks", "deadlocks", "pg_stat_database.deadlocks."),
    Column::counter("pg_stat_database_blk_read_time", "blk_read_time", "pg_stat_database.blk_read_time, in milliseconds."),
    Column::counter("pg_stat_database_blk_write_time", "blk_write_time", "pg_stat_database.blk_write_time, in milliseconds."),
    Column::counter(
        "pg_stat_database_stats_reset",
        "floor(extract(epoch FROM stats_reset))",
        "pg_stat_database.stats_reset as a Unix time, 0 for never.",
    )
    .or_zero(),
    Column::counter(
        "pg_stat_database_active_time_seconds_total",
        "active_time / 1000",
        "pg_stat_database.active_time, in seconds.",
    )
    .since(14),
    // From here on, what postgres_exporter has not. Checksum failures are NULL where there are no checksums.
    Column::counter(
        "pg_stat_database_session_seconds_total",
        "session_time / 1000",
        "pg_stat_database.session_time, in seconds.",
    )
    .since(14),
    Column::counter(
        "pg_stat_database_idle_in_transaction_seconds_total",
        "idle_in_transaction_time / 1000",
        "pg_stat_database.idle_in_transaction_time, in seconds.",
    )
    .since(14),
    Column::counter("pg_stat_database_sessions_total", "sessions", "pg_stat_database.sessions: sessions begun.").since(14),
    Column::counter(
        "pg_stat_database_sessions_abandoned_total",
        "sessions_abandoned",
        "pg_stat_database.sessions_abandoned: the client was lost.",
    )
    .since(14),
    Column::counter(
        "pg_stat_database_sessions_fatal_total",
        "sessions_fatal",
        "pg_stat_database.sessions_fatal: ended by an error.",
    )
    .since(14),
    Column::counter(
        "pg_stat_database_sessions_killed_total",
        "sessions_killed",
        "pg_stat_database.sessions_killed: ended by an operator.",
    )
    .since(14),
    Column::counter(
        "pg_stat_database_checksum_failures_total",
        "checksum_failures",
        "pg_stat_database.checksum_failures: pages that were not what had been written.",
    )
    .since(12),
];

pub(super) static ENTRY: Entry = Entry {
    name: "stat_database",
    enabled: Flag::switch("postgres.collector.stat_database", true, "Counters of every database."),
    statements: &[Statement::new(sql, emit)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let columns = column::list(&COLUMNS, server.major);
    Some(format!("SELECT datid, datname, {columns} FROM pg_stat_database WHERE datid <> 0 AND datname IS NOT NULL").into())
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["datid", "datname"]);
    column::emit(&COLUMNS, server.major, table, 2, &labels, Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn active_time_came_with_14() {
        let mut row = [Some("1"); 27];
        row[0] = Some("5");
        row[1] = Some("shop");
        row[19] = Some("0.183781");
        row[26] = None;
        let text = text(|out| emit(&server(14), &Table::of(&[row]), out));
        assert_eq!(text.lines().count(), 24);
        assert!(text.contains("pg_stat_database_active_time_seconds_total{datid=\"5\",datname=\"shop\"} 0.183781\n"), "{text}");
        assert!(sql(&server(14)).unwrap().contains("active_time") && !sql(&server(13)).unwrap().contains("active_time"));
    }
}
