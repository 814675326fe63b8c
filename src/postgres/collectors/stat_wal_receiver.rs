//! `pg_stat_wal_receiver`: the link of a standby to its upstream.
//!
//! Positions are byte positions modulo 2^52, times are Unix times; both are typed counters: postgres_exporter has it so. A
//! receiver without a slot or whose role may not see its details shows nothing.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 9] = [
    Column::counter(
        "pg_stat_wal_receiver_receive_start_lsn",
        "pg_wal_lsn_diff(receive_start_lsn, '0/0') % 4503599627370496",
        "pg_stat_wal_receiver.receive_start_lsn as a byte position modulo 2^52.",
    ),
    Column::gauge("pg_stat_wal_receiver_receive_start_tli", "receive_start_tli", "pg_stat_wal_receiver.receive_start_tli."),
    Column::counter(
        "pg_stat_wal_receiver_flushed_lsn",
        "pg_wal_lsn_diff(flushed_lsn, '0/0') % 4503599627370496",
        "pg_stat_wal_receiver.flushed_lsn as a byte position modulo 2^52.",
    )
    .since(13),
    Column::gauge("pg_stat_wal_receiver_received_tli", "received_tli", "pg_stat_wal_receiver.received_tli."),
    Column::counter(
        "pg_stat_wal_receiver_last_msg_send_time",
        "extract(epoch FROM last_msg_send_time)",
        "pg_stat_wal_receiver.last_msg_send_time as a Unix time.",
    ),
    Column::counter(
        "pg_stat_wal_receiver_last_msg_receipt_time",
        "extract(epoch FROM last_msg_receipt_time)",
        "pg_stat_wal_receiver.last_msg_receipt_time as a Unix time.",
    ),
    Column::counter(
        "pg_stat_wal_receiver_latest_end_lsn",
        "pg_wal_lsn_diff(latest_end_lsn, '0/0') % 4503599627370496",
        "pg_stat_wal_receiver.latest_end_lsn as a byte position modulo 2^52.",
    ),
    Column::counter(
        "pg_stat_wal_receiver_latest_end_time",
        "extract(epoch FROM latest_end_time)",
        "pg_stat_wal_receiver.latest_end_time as a Unix time.",
    ),
    Column::gauge(
        "pg_stat_wal_receiver_upstream_node",
        "substring(slot_name FROM '^repmgr_slot_([0-9]+)$')",
        "The number in a pg_stat_wal_receiver.slot_name that repmgr made; absent for others.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "stat_wal_receiver",
    enabled: Flag::switch("postgres.collector.stat_wal_receiver", false, "The link of a standby to its upstream."),
    statements: &[Statement::behind(Gate::Recovery, sql, emit)],
};

/// `conninfo` reads `user=repl ... host=10.0.0.1 port=5432 ...`.
fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let columns = column::list(&COLUMNS, server.major);
    let host = "substring(conninfo FROM '(?:^|\\s)host=''?([^'' ]+)')";
    Some(
        format!("SELECT {host}, slot_name, status, {columns} FROM pg_stat_wal_receiver WHERE slot_name IS NOT NULL AND {host} IS NOT NULL")
            .into(),
    )
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["upstream_host", "slot_name", "status"]);
    column::emit(&COLUMNS, server.major, table, 3, &labels, Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn what_is_not_known_is_absent() {
        let mut row = [Some("1"); 12];
        row[..3].copy_from_slice(&[Some("10.0.0.1"), Some("s"), Some("streaming")]);
        row[11] = None;
        let text = text(|out| emit(&server(13), &Table::of(&[row]), out));
        assert_eq!(text.lines().count(), 8);
        assert!(text.contains("flushed_lsn{upstream_host=\"10.0.0.1\",slot_name=\"s\",status=\"streaming\"} 1\n"), "{text}");
        assert!(!sql(&server(12)).unwrap().contains("flushed_lsn"));
    }
}
