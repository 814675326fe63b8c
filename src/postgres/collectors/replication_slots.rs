//! `pg_replication_slots`: what each slot holds back.

use std::borrow::Cow;

use crate::exposition::{Family, Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::compat::Compat;
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static CURRENT: Family = Family::gauge(
    "pg_replication_slots_slot_current_wal_lsn",
    "pg_current_wal_lsn(), on a standby pg_last_wal_receive_lsn(), as a byte position; the same for every slot.",
);
static CONFIRMED: Family = Family::gauge(
    "pg_replication_slots_slot_confirmed_flush_lsn",
    "pg_replication_slots.confirmed_flush_lsn of an active slot as a byte position, 0 for a physical one.",
);
static IS_ACTIVE: Family =
    Family::gauge("pg_replication_slots_slot_is_active", "pg_replication_slots.active: 1 while something streams from the slot.");
static SAFE: Family = Family::gauge(
    "pg_replication_slots_safe_wal_size_bytes",
    "pg_replication_slots.safe_wal_size: how much may still be written before the slot is lost.",
);
static STATUS: Family = Family::gauge(
    "pg_replication_slots_wal_status",
    "1, with pg_replication_slots.wal_status (reserved, extended, unreserved, lost) as a label.",
);
static ACTIVE: Family = Family::gauge("pg_replication_slots_active", "pg_replication_slots.active, by slot and database.");
static RETAINED: Family = Family::gauge(
    "pg_replication_slots_pg_wal_lsn_diff",
    "Bytes of WAL from pg_replication_slots.restart_lsn to the current position.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "replication_slots",
    enabled: Flag::switch("postgres.collector.replication_slots", true, "Replication slots and the WAL they hold back."),
    statements: &[Statement::behind(Gate::Slots, sql, emit)],
};

pub(in crate::postgres) fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let since_13 = if server.major >= 13 { "safe_wal_size, wal_status" } else { "NULL, NULL" };
    Some(
        format!(
            "SELECT slot_name, slot_type, database, active::int, pg_wal_lsn_diff(now.lsn, '0/0'), pg_wal_lsn_diff(now.lsn, restart_lsn), \
             pg_wal_lsn_diff(confirmed_flush_lsn, '0/0'), {since_13} FROM pg_replication_slots, \
             (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) AS now"
        )
        .into(),
    )
}

pub(in crate::postgres) fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    for row in table.rows() {
        let slot = Labels::of(&[("slot_name", row.label(0)), ("slot_type", row.label(1))]);
        let mut place = Labels::of(&[("slot_name", row.label(0)), ("database", row.label(2))]);
        if server.options.compat == Compat::V0_15 {
            place.push("server", &server.address);
        }
        let active = row.number(3).unwrap_or(0.0);
        out.family(&ACTIVE).add_to(&place, [], active);
        out.family(&IS_ACTIVE).add_to(&slot, [], active);
        let confirmed = (active > 0.0).then(|| row.number(6).unwrap_or(0.0));
        for (family, labels, value) in [
            (&CURRENT, &slot, row.number(4)),
            (&RETAINED, &place, row.number(5)),
            (&CONFIRMED, &slot, confirmed),
            (&SAFE, &slot, row.number(7)),
        ] {
            if let Some(value) = value {
                out.family(family).add_to(labels, [], value);
            }
        }
        if let Some(status) = row.text(8) {
            out.family(&STATUS).add_to(&slot, [("wal_status", status)], 1u8);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn what_is_null_is_absent() {
        let physical = [Some("p"), Some("physical"), None, Some("1"), Some("4096"), None, None, None, None];
        let text = text(|out| emit(&server(15), &Table::of(&[physical]), out));
        assert_eq!(
            text,
            "pg_replication_slots_active{slot_name=\"p\",database=\"\"} 1\n\
             pg_replication_slots_slot_confirmed_flush_lsn{slot_name=\"p\",slot_type=\"physical\"} 0\n\
             pg_replication_slots_slot_current_wal_lsn{slot_name=\"p\",slot_type=\"physical\"} 4096\n\
             pg_replication_slots_slot_is_active{slot_name=\"p\",slot_type=\"physical\"} 1\n"
        );
    }

    #[test]
    fn an_inactive_slot_confirms_nothing() {
        let logical =
            [Some("l"), Some("logical"), Some("shop"), Some("0"), Some("9"), Some("5"), Some("4"), Some("7"), Some("reserved")];
        let text = text(|out| emit(&server(15), &Table::of(&[logical]), out));
        assert!(!text.contains("confirmed_flush"), "{text}");
        assert!(text.contains("pg_wal_lsn_diff{slot_name=\"l\",database=\"shop\"} 5\n"), "{text}");
        assert!(text.contains("wal_status{slot_name=\"l\",slot_type=\"logical\",wal_status=\"reserved\"} 1\n"), "{text}");
        assert!(sql(&server(12)).unwrap().contains("NULL, NULL") && sql(&server(13)).unwrap().contains("wal_status"));
    }
}
