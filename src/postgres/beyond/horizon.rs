//! What keeps vacuum from removing dead rows: the oldest transaction that anybody may still want to look at, by who holds it.

use super::sessions::{self, HORIZON};
use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static AGE: Family = Family::gauge(
    "pg_xmin_horizon_age_transactions",
    "How many transactions ago the oldest one began that still holds vacuum up, by holder: backend, slot, slot_catalog, prepared, standby.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "xmin_horizon",
    enabled: Flag::switch("postgres.collector.xmin_horizon", true, "Who holds vacuum up."),
    statements: &[
        Statement::new(sessions::sql, emit),
        Statement::behind(Gate::Slots, |_| Some(SLOTS.into()), |_, table, out| emit_named(["slot", "slot_catalog"], table, out)),
        Statement::behind(Gate::Prepared, |_| Some(PREPARED.into()), |_, table, out| emit_named(["prepared"], table, out)),
    ],
};

const SLOTS: &str = "SELECT max(age(xmin)), max(age(catalog_xmin)) FROM pg_get_replication_slots()";
const PREPARED: &str = "SELECT max(age(transaction)) FROM pg_prepared_xact()";

/// A standby shows among the walsenders; a session holds what it sees (xmin) and what it writes (xid).
fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let oldest = |wanted: fn(&str) -> bool| {
        let ages = table.rows().filter(|row| row.text(2).is_some_and(wanted)).filter_map(|row| row.number(HORIZON));
        ages.reduce(f64::max)
    };
    let mut family = out.family(&AGE);
    for (holder, age) in [("backend", oldest(|kind| kind != WALSENDER)), ("standby", oldest(|kind| kind == WALSENDER))] {
        age.into_iter().for_each(|age| _ = family.add([("holder", holder)], age));
    }
    Ok(())
}

const WALSENDER: &str = "walsender";

/// Writes the one row of ages, each by its holder.
fn emit_named<const N: usize>(holders: [&str; N], table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut family = out.family(&AGE);
    for row in table.rows() {
        for (at, holder) in holders.into_iter().enumerate() {
            row.number(at).into_iter().for_each(|age| _ = family.add([("holder", holder)], age));
        }
    }
    Ok(())
}
