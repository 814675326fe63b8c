//! `pg_stat_activity` by what sessions are: how many, and the oldest transaction and query of clients.

use std::borrow::Cow;

use super::limits;
use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static SESSIONS: Family = Family::gauge(
    "pg_sessions",
    "Processes of the server but for the one that asks, by database (empty: none), state and backend_type.",
);
static TRANSACTION: Family = Family::gauge(
    "pg_transaction_oldest_age_seconds",
    "Age of the oldest transaction of a client's session, by database and state; none where there is no transaction.",
);
static QUERY: Family = Family::gauge(
    "pg_query_oldest_age_seconds",
    "How long the query of a client that has run longest has run, by database; none where no query runs.",
);
static WORKERS: Family = Family::gauge("pg_autovacuum_workers", "Autovacuum workers at work, by database.");

pub(super) static ENTRY: Entry = Entry {
    name: "sessions",
    enabled: Flag::switch("postgres.collector.sessions", true, "Sessions by kind, oldest transaction and query."),
    statements: &[Statement::new(sql, emit)],
};

/// Who is there, by kind, and what three collectors tell of that: this one, [`limits`] and [`horizon`](super::horizon).
pub(super) fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(
        format!(
            "SELECT d.datname, s.state, s.backend_type, count(*), max(extract(epoch FROM clock_timestamp() - s.xact_start)), \
             max(extract(epoch FROM clock_timestamp() - s.query_start)) FILTER (WHERE s.state = 'active'), \
             max(greatest(age(s.backend_xmin), age(s.backend_xid))), {} \
             FROM pg_stat_get_activity(NULL) s LEFT JOIN pg_database d ON d.oid = s.datid WHERE s.pid <> pg_backend_pid() GROUP BY 1, 2, 3",
            limits::columns(server)
        )
        .into(),
    )
}

/// The places of the columns that the other two read.
pub(super) const HORIZON: usize = 6;
pub(super) const LIMITS: usize = 7;

pub(super) const CLIENT: &str = "client backend";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = ["datname", "state", "backend_type"];
    let mut sessions = out.family(&SESSIONS);
    for row in table.rows() {
        let [database, state, kind] = [0, 1, 2].map(|at| row.label(at));
        let pairs = [(labels[0], database), (labels[1], state), (labels[2], kind)];
        sessions.add(pairs, row.number(3).unwrap_or(0.0));
    }
    let clients = || table.rows().filter(|row| row.text(2) == Some(CLIENT));
    let mut transaction = out.family(&TRANSACTION);
    for (row, age) in clients().filter_map(|row| Some((row, row.number(4)?))) {
        transaction.add([("datname", row.label(0)), ("state", row.label(1))], age.max(0.0));
    }
    let mut query = out.family(&QUERY);
    for (row, age) in clients().filter_map(|row| Some((row, row.number(5)?))) {
        query.add([("datname", row.label(0))], age.max(0.0));
    }
    let mut workers = out.family(&WORKERS);
    let autovacuum = table.rows().filter(|row| row.text(2) == Some("autovacuum worker"));
    let mut counts = std::collections::BTreeMap::<&str, f64>::new();
    autovacuum.for_each(|row| *counts.entry(row.label(0)).or_default() += row.number(3).unwrap_or(0.0));
    for (database, count) in counts {
        workers.add([("datname", database)], count);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn ages_are_those_of_clients() {
        let row = |state, kind, age, query| [Some("shop"), state, Some(kind), Some("2"), age, query];
        let table = Table::of(&[
            row(Some("active"), CLIENT, Some("7.5"), Some("2.5")),
            row(Some("idle"), CLIENT, None, None),
            row(Some("active"), "autovacuum worker", Some("900"), Some("900")),
            [None, None, Some("checkpointer"), Some("1"), None, None],
        ]);
        let text = text(|out| emit(&Server::default(), &table, out));
        assert!(text.contains("pg_sessions{datname=\"shop\",state=\"idle\",backend_type=\"client backend\"} 2\n"), "{text}");
        assert!(text.contains("pg_sessions{datname=\"\",state=\"\",backend_type=\"checkpointer\"} 1\n"), "{text}");
        assert!(text.contains("pg_transaction_oldest_age_seconds{datname=\"shop\",state=\"active\"} 7.5\n"), "{text}");
        assert!(text.contains("pg_query_oldest_age_seconds{datname=\"shop\"} 2.5\n"), "{text}");
        assert!(text.contains("pg_autovacuum_workers{datname=\"shop\"} 2\n"), "{text}");
        assert_eq!(text.lines().count(), 7, "{text}");
    }
}
