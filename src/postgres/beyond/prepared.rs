//! Prepared transactions: they hold locks and vacuum up without any session, and outlive a restart.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COUNT: Family =
    Family::gauge("pg_prepared_transactions", "Transactions prepared and neither committed nor rolled back, by database.");
static OLDEST: Family =
    Family::gauge("pg_prepared_transactions_oldest_age_seconds", "How long ago the oldest of them was prepared, by database.");

pub(super) static ENTRY: Entry = Entry {
    name: "prepared_transactions",
    enabled: Flag::switch("postgres.collector.prepared_transactions", true, "Transactions prepared for a two-phase commit."),
    statements: &[Statement::behind(Gate::Prepared, |_| Some(SQL.into()), emit)],
};

const SQL: &str = "SELECT d.datname, count(*), max(extract(epoch FROM clock_timestamp() - p.prepared)) \
    FROM pg_prepared_xact() p JOIN pg_database d ON d.oid = p.dbid GROUP BY d.datname";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    for (family, at) in [(&COUNT, 1), (&OLDEST, 2)] {
        let mut rows = out.family(family);
        for (row, value) in table.rows().filter_map(|row| Some((row, row.number(at)?))) {
            rows.add([("datname", row.label(0))], value);
        }
    }
    Ok(())
}
