//! What keeps vacuum from removing dead rows: the oldest transaction that anybody may still want to look at, by who holds it.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
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
    statements: &[Statement::new(|_| Some(SQL.into()), emit)],
};

/// A standby shows among the walsenders; a session holds what it sees (xmin) and what it writes (xid).
const SQL: &str = "SELECT 'backend', max(greatest(age(backend_xmin), age(backend_xid))) FROM pg_stat_get_activity(NULL) \
    WHERE pid <> pg_backend_pid() AND backend_type <> 'walsender' \
    UNION ALL SELECT 'standby', max(age(backend_xmin)) FROM pg_stat_get_activity(NULL) WHERE backend_type = 'walsender' \
    UNION ALL SELECT 'slot', max(age(xmin)) FROM pg_get_replication_slots() \
    UNION ALL SELECT 'slot_catalog', max(age(catalog_xmin)) FROM pg_get_replication_slots() \
    UNION ALL SELECT 'prepared', max(age(transaction)) FROM pg_prepared_xact()";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut family = out.family(&AGE);
    for (row, age) in table.rows().filter_map(|row| Some((row, row.number(1)?))) {
        family.add([("holder", row.label(0))], age);
    }
    Ok(())
}
