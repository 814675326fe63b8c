//! `pg_stat_activity`: since when each autovacuum worker has been at its table.
//!
//! The table's name is what stands behind the dot in the worker's query text, a remark such as "(to prevent wraparound)" included.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static START: Family = Family::gauge(
    "pg_stat_activity_autovacuum_timestamp_seconds",
    "pg_stat_activity.xact_start of autovacuum workers as a Unix time, by the table in their query text.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "stat_activity_autovacuum",
    enabled: Flag::switch("postgres.collector.stat_activity_autovacuum", false, "Tables being autovacuumed."),
    statements: &[Statement::new(|_| Some(SQL.into()), emit)],
};

/// Tables of one name in two databases make one series: its age is that of the older.
const SQL: &str = "SELECT split_part(query, '.', 2), min(extract(epoch FROM xact_start)) FROM pg_stat_activity \
    WHERE query LIKE 'autovacuum:%' AND xact_start IS NOT NULL GROUP BY 1";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut rows = out.family(&START);
    for row in table.rows() {
        if let Some(start) = row.number(1) {
            rows.add([("relname", row.label(0))], start);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn one_series_a_table() {
        let table = Table::of(&[[Some("orders (to prevent wraparound)"), Some("1795406732.5")]]);
        assert_eq!(
            text(|out| emit(&Server::default(), &table, out)),
            "pg_stat_activity_autovacuum_timestamp_seconds{relname=\"orders (to prevent wraparound)\"} 1795406732.5\n"
        );
    }
}
