//! `pg_stat_replication`: how far each standby is behind.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column;
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static CURRENT: Family = Family::gauge(
    "pg_stat_replication_pg_current_wal_lsn_bytes",
    "pg_current_wal_lsn(), on a cascading standby pg_last_wal_receive_lsn(), as a byte position.",
);
static BEHIND: Family = Family::gauge(
    "pg_stat_replication_pg_wal_lsn_diff",
    "Bytes of WAL from pg_stat_replication.replay_lsn to the current position.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "stat_replication",
    enabled: Flag::switch("postgres.collector.stat_replication", true, "Standbys and how far they are behind."),
    statements: &[Statement::behind(Gate::Standbys, |_| Some(SQL.into()), emit)],
};

const SQL: &str = "SELECT r.application_name, r.client_addr, r.state, s.slot_name, r.pid, pg_wal_lsn_diff(now.lsn, '0/0'), \
    pg_wal_lsn_diff(now.lsn, r.replay_lsn) FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid, \
    (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) AS now";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["application_name", "client_addr", "state", "slot_name", "pid"]);
    for (family, at) in [(&CURRENT, 5), (&BEHIND, 6)] {
        let mut rows = out.family(family);
        for (row, labels) in table.rows().zip(&labels) {
            if let Some(value) = row.number(at) {
                rows.add_to(labels, [], value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn a_standby_that_has_not_told_its_position_has_none() {
        let standby = |replay| [Some("s1"), Some("10.0.0.2"), Some("streaming"), Some("slot"), Some("42"), Some("4096"), replay];
        let labels = "{application_name=\"s1\",client_addr=\"10.0.0.2\",state=\"streaming\",slot_name=\"slot\",pid=\"42\"}";
        let of = |replay| text(|out| emit(&Server::default(), &Table::of(&[standby(replay)]), out));
        let current = format!("pg_stat_replication_pg_current_wal_lsn_bytes{labels} 4096\n");
        assert_eq!(of(None), current);
        assert_eq!(of(Some("96")), format!("{current}pg_stat_replication_pg_wal_lsn_diff{labels} 96\n"));
    }
}
