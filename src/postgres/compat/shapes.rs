//! Families whose name is the same and whose labels, type or value for NULL were others.

use crate::exposition::{Family, Labels, Samples};
use crate::postgres::collector::{Server, Statement};
use crate::postgres::collectors::{process_idle, stat_activity, stat_archiver, stat_database};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::system::Fault;

const OLDEST: [&str; 1] = ["state"];
const OLDER: [&str; 3] = ["state", "usename", "application_name"];

/// `pg_stat_activity` by database and state.
pub(super) static ACTIVITY_0_11: [Statement; 1] =
    [Statement::new(|_| Some(stat_activity::select(&OLDEST).into()), |_, table, out| stat_activity::emit(&OLDEST, table, out))];

/// `pg_stat_activity` by user and application as well.
pub(super) static ACTIVITY_0_15: [Statement; 1] =
    [Statement::new(|_| Some(stat_activity::select(&OLDER).into()), |_, table, out| stat_activity::emit(&OLDER, table, out))];

/// `pg_stat_archiver`, its age not a number before the first archive.
pub(super) static ARCHIVER: [Statement; 1] = [Statement::new(stat_archiver::sql, |server, table, out| {
    column::emit(&stat_archiver::COLUMNS, server.major, table, 0, &[Labels::new()], Null::NotANumber, out)
})];

/// Idle sessions by application alone, without those in a transaction.
pub(super) static IDLE: [Statement; 1] = [Statement::new(
    |_| Some(process_idle::select("application_name", "= 'idle'").into()),
    |_, table, out| process_idle::emit(&["application_name"], table, out),
)];

/// `pg_stat_replication`: the walsender's process stood in the label of the slot.
pub(super) static REPLICATION: [Statement; 1] = [Statement::behind(
    Gate::Standbys,
    |server| {
        let columns = column::list(&STANDBY, server.major);
        Some(
            format!(
                "SELECT r.application_name, r.client_addr, r.state, r.pid, {columns} FROM pg_stat_replication r, (SELECT CASE WHEN \
                 pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) AS now"
            )
            .into(),
        )
    },
    |server, table, out| {
        let labels = column::labels(table, ["application_name", "client_addr", "state", "slot_name"]);
        column::emit(&STANDBY, server.major, table, 4, &labels, Null::NotANumber, out)
    },
)];

static STANDBY: [Column; 3] = [
    Column::gauge(
        "pg_stat_replication_pg_current_wal_lsn_bytes",
        "pg_wal_lsn_diff(now.lsn, '0/0')",
        "pg_current_wal_lsn(), on a cascading standby pg_last_wal_receive_lsn(), as a byte position.",
    ),
    Column::gauge(
        "pg_stat_replication_pg_wal_lsn_diff",
        "pg_wal_lsn_diff(now.lsn, r.replay_lsn)",
        "Bytes of WAL from pg_stat_replication.replay_lsn to the current position.",
    ),
    Column::new(
        Family::untyped("pg_stat_replication_reply_time", "pg_stat_replication.reply_time as a Unix time."),
        "floor(extract(epoch FROM r.reply_time))",
    )
    .since(12),
];

/// `pg_stat_database` with the row of shared objects, and the columns that 0.11 did not know and showed untyped, as they stand in the view.
pub(super) static DATABASE: [Statement; 2] = [
    Statement::new(
        |server| Some(databases(&stat_database::COLUMNS, server).into()),
        |server, table, out| of_databases(&stat_database::COLUMNS, server, table, out),
    ),
    Statement::new(
        |server| (server.major >= 12).then(|| databases(&UNKNOWN, server).into()),
        |server, table, out| of_databases(&UNKNOWN, server, table, out),
    ),
];

fn databases(columns: &[Column], server: &Server) -> String {
    format!("SELECT datid, datname, {} FROM pg_stat_database", column::list(columns, server.major))
}

fn of_databases(columns: &'static [Column], server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["datid", "datname"]);
    column::emit(columns, server.major, table, 2, &labels, Null::NotANumber, out)
}

const fn unknown(name: &'static str, sql: &'static str, help: &'static str) -> Column {
    Column::new(Family::untyped(name, help), sql)
}

static UNKNOWN: [Column; 11] = [
    unknown("pg_stat_database_checksum_failures", "checksum_failures", "pg_stat_database.checksum_failures.").since(12),
    unknown(
        "pg_stat_database_checksum_last_failure",
        "floor(extract(epoch FROM checksum_last_failure))",
        "pg_stat_database.checksum_last_failure as a Unix time.",
    )
    .since(12),
    unknown("pg_stat_database_session_time", "session_time", "pg_stat_database.session_time, in milliseconds.").since(14),
    unknown("pg_stat_database_active_time", "active_time", "pg_stat_database.active_time, in milliseconds.").since(14),
    unknown(
        "pg_stat_database_idle_in_transaction_time",
        "idle_in_transaction_time",
        "pg_stat_database.idle_in_transaction_time, in milliseconds.",
    )
    .since(14),
    unknown("pg_stat_database_sessions", "sessions", "pg_stat_database.sessions.").since(14),
    unknown("pg_stat_database_sessions_abandoned", "sessions_abandoned", "pg_stat_database.sessions_abandoned.").since(14),
    unknown("pg_stat_database_sessions_fatal", "sessions_fatal", "pg_stat_database.sessions_fatal.").since(14),
    unknown("pg_stat_database_sessions_killed", "sessions_killed", "pg_stat_database.sessions_killed.").since(14),
    unknown(
        "pg_stat_database_parallel_workers_to_launch",
        "parallel_workers_to_launch",
        "pg_stat_database.parallel_workers_to_launch.",
    )
    .since(18),
    unknown(
        "pg_stat_database_parallel_workers_launched",
        "parallel_workers_launched",
        "pg_stat_database.parallel_workers_launched.",
    )
    .since(18),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn shared_objects_are_a_row_and_null_is_not_a_number() {
        let mut row = [Some("0"); 27];
        row[1] = None;
        row[18] = None;
        let of = |out: &mut Samples| of_databases(&stat_database::COLUMNS, &server(14), &Table::of(&[row]), out);
        let text = text(of);
        assert!(text.contains("pg_stat_database_stats_reset{datid=\"0\",datname=\"\"} NaN\n"), "{text}");
        assert!(text.contains("pg_stat_database_blks_hit{datid=\"0\",datname=\"\"} 0\n"), "{text}");
    }
}
