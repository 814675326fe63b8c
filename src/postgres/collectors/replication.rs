//! `pg_is_in_recovery()` and the age of the last replayed transaction.
//!
//! A lag of 0 on a standby says that all it received is replayed; whether the link still lives it does not say.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static REPLICA: Family = Family::gauge("pg_replication_is_replica", "pg_is_in_recovery(): 1 on a standby.");
static LAG: Family = Family::gauge(
    "pg_replication_lag_seconds",
    "Age of pg_last_xact_replay_timestamp() on a standby that has received more than it replayed, otherwise 0.",
);
static REPLAY: Family = Family::gauge(
    "pg_replication_last_replay_seconds",
    "Age of pg_last_xact_replay_timestamp(), 0 where nothing was ever replayed.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "replication",
    enabled: Flag::switch("postgres.collector.replication", true, "Whether the server is a standby, and its lag."),
    statements: &[Statement::new(|_| Some(SQL.into()), emit)],
};

/// Whether it is a standby, whether it is behind what it received, and the age of the last replay.
const SQL: &str = "SELECT pg_is_in_recovery()::int, (pg_is_in_recovery() AND \
    pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn())::int, \
    extract(epoch FROM now() - pg_last_xact_replay_timestamp())";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    for row in table.rows() {
        let (replica, behind) = (row.number(0).unwrap_or(0.0), row.number(1).unwrap_or(0.0));
        let age = row.number(2).unwrap_or(0.0).max(0.0);
        out.family(&REPLICA).add([], replica);
        out.family(&LAG).add([], if behind > 0.0 { age } else { 0.0 });
        out.family(&REPLAY).add([], age);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    fn of(row: [Option<&str>; 3]) -> String {
        text(|out| emit(&Server::default(), &Table::of(&[row]), out))
    }

    #[test]
    fn lag_counts_only_what_was_received() {
        let primary = "pg_replication_is_replica 0\npg_replication_lag_seconds 0\npg_replication_last_replay_seconds 0\n";
        assert_eq!(of([Some("0"), Some("0"), None]), primary);
        let idle = "pg_replication_is_replica 1\npg_replication_lag_seconds 0\npg_replication_last_replay_seconds 90.5\n";
        assert_eq!(of([Some("1"), Some("0"), Some("90.500000")]), idle);
        let behind = "pg_replication_is_replica 1\npg_replication_lag_seconds 90.5\npg_replication_last_replay_seconds 90.5\n";
        assert_eq!(of([Some("1"), Some("1"), Some("90.500000")]), behind);
        assert!(of([Some("1"), Some("1"), Some("-0.001")]).contains("lag_seconds 0\n"), "a clock that jumped");
    }
}
