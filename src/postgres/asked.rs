//! What asking a server costs it: how long each collector's statements took, how often one was not answered and why, and how many connections
//! of ours it holds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::refused::sqlstate;
use super::session::Trouble;
use crate::exposition::{Family, Samples};

static DURATION: Family = Family::gauge(
    "pg_agent_query_duration_seconds",
    "Time the server took for the statements of the collector (query) when each was last asked; one that several share counts once.",
);
static FAILURES: Family = Family::counter(
    "pg_agent_query_failures_total",
    "Times a statement of the collector (query) had no answer, by reason: timeout, lock_timeout, permission, connection, error; none before the first.",
);
static CONNECTIONS: Family = Family::gauge(
    "pg_agent_connections",
    "Connections that the agent holds to the server, behind which there is a backend each.",
);

/// The question which gates are open, which is no collector's.
pub(super) const GATES: &str = "gates";

/// What was asked of one server.
#[derive(Default)]
pub(super) struct Asked {
    /// By the statement's place in the plan; nothing where it was not answered yet.
    took: Vec<Duration>,
    /// The places of each collector's statements.
    places: BTreeMap<&'static str, Vec<usize>>,
    failures: BTreeMap<(&'static str, &'static str), u64>,
}

impl Asked {
    /// The same failures, and a plan of which no statement was asked; `queries` are their collectors in its order.
    pub(super) fn renewed(self, queries: impl Iterator<Item = &'static str>) -> Self {
        let mut places = BTreeMap::<_, Vec<_>>::new();
        let took = queries.enumerate().map(|(at, query)| {
            places.entry(query).or_default().push(at);
            Duration::ZERO
        });
        Asked { took: took.collect(), places, failures: self.failures }
    }

    /// The statement at a place of the plan was answered.
    pub(super) fn answered(&mut self, at: usize, took: Duration) {
        self.took.get_mut(at).into_iter().for_each(|last| *last = took);
    }

    /// A statement of `query` was not answered.
    pub(super) fn failed(&mut self, query: &'static str, trouble: &Trouble) {
        let reason = match trouble {
            Trouble::Late => "timeout",
            Trouble::Lost(_) => "connection",
            Trouble::Refused(reason) => match sqlstate(reason) {
                Some("57014") => "timeout",
                Some("55P03") => "lock_timeout",
                Some("42501") => "permission",
                _ => "error",
            },
        };
        *self.failures.entry((query, reason)).or_default() += 1;
    }

    /// Writes the durations.
    pub(super) fn emit(&self, out: &mut Samples) {
        let mut rows = out.family(&DURATION);
        for (query, places) in &self.places {
            let took: Duration = places.iter().filter_map(|at| self.took.get(*at)).sum();
            rows.add([("query", *query)], took.as_secs_f64());
        }
    }

    /// Writes the failures.
    pub(super) fn emit_failures(&self, out: &mut Samples) {
        let mut rows = out.family(&FAILURES);
        for ((query, reason), count) in &self.failures {
            rows.add([("query", *query), ("reason", *reason)], *count);
        }
    }
}

/// Writes how many connections there are.
pub(super) fn emit_connections(count: usize, out: &mut Samples) {
    out.family(&CONNECTIONS).add([], count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn a_collectors_statements_count_together_and_failures_outlive_the_session() {
        let refused = |state: &str| Trouble::Refused(format!("no (SQLSTATE {state})"));
        let mut asked = Asked::default().renewed(["wal", "slots", "wal"].into_iter());
        asked.answered(0, Duration::from_millis(1));
        asked.answered(0, Duration::from_millis(2));
        asked.answered(2, Duration::from_millis(3));
        asked.answered(9, Duration::from_millis(9));
        let shown = text(|out| {
            asked.emit(out);
            Ok(())
        });
        assert_eq!(
            shown,
            "pg_agent_query_duration_seconds{query=\"slots\"} 0\npg_agent_query_duration_seconds{query=\"wal\"} 0.005\n"
        );
        for trouble in [refused("42501"), refused("55P03"), refused("57014"), Trouble::Late, refused("0A000")] {
            asked.failed("wal", &trouble);
        }
        asked.failed(GATES, &Trouble::Lost(String::new()));
        let asked = asked.renewed(["wal"].into_iter());
        let shown = text(|out| {
            asked.emit_failures(out);
            asked.emit(out);
            Ok(())
        });
        let count = |query: &str, reason: &str, count: u32| {
            let line = format!("pg_agent_query_failures_total{{query=\"{query}\",reason=\"{reason}\"}} {count}\n");
            assert!(shown.contains(&line), "{line}{shown}");
        };
        for (reason, times) in [("permission", 1), ("lock_timeout", 1), ("timeout", 2), ("error", 1)] {
            count("wal", reason, times);
        }
        count(GATES, "connection", 1);
        assert!(shown.contains("pg_agent_query_duration_seconds{query=\"wal\"} 0\n"), "{shown}");
    }
}
