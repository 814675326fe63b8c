//! `pg_stat_activity`: open transactions, however short, but for idle sessions, autovacuum and ourselves.
//!
//! The second family is named a timestamp and is an age: postgres_exporter has it so.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COUNT: Family = Family::gauge(
    "pg_long_running_transactions",
    "Sessions with a pg_stat_activity.xact_start that are not idle, without autovacuum.",
);
static OLDEST: Family = Family::gauge(
    "pg_long_running_transactions_oldest_timestamp_seconds",
    "Age in seconds of the oldest pg_stat_activity.xact_start among them, 0 where there is none.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "long_running_transactions",
    enabled: Flag::switch("postgres.collector.long_running_transactions", false, "Open transactions and the age of the oldest."),
    statements: &[Statement::new(|_| Some(SQL.into()), emit)],
};

const SQL: &str = "SELECT count(*), max(extract(epoch FROM now() - xact_start)) FROM pg_stat_activity \
    WHERE state IS DISTINCT FROM 'idle' AND xact_start IS NOT NULL AND pid <> pg_backend_pid() AND query NOT LIKE 'autovacuum:%'";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    for row in table.rows() {
        out.family(&COUNT).add([], row.number(0).unwrap_or(0.0));
        out.family(&OLDEST).add([], row.number(1).unwrap_or(0.0).max(0.0));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn none_is_0() {
        let of = |row| text(|out| emit(&Server::default(), &Table::of(&[row]), out));
        assert_eq!(
            of([Some("0"), None]),
            "pg_long_running_transactions 0\npg_long_running_transactions_oldest_timestamp_seconds 0\n"
        );
        assert!(of([Some("2"), Some("5.291333")]).ends_with("oldest_timestamp_seconds 5.291333\n"));
    }
}
