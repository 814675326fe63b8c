//! Asking one server the queries: when, for how long, and what of it is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::file::Query;
use super::rows::{self, Answer};
use super::{NAME, Queries};
use crate::exposition::{Family, Labels, Samples};
use crate::postgres::session::{Session, Trouble};
use crate::scrape::Job;
use crate::system::Fault;

static DURATION: Family = Family::gauge("pg_custom_query_duration_seconds", "Time the query took when it was last asked.");
static ROWS: Family = Family::gauge("pg_custom_query_rows", "Rows of the query that are shown.");
static DROPPED: Family = Family::gauge(
    "pg_custom_query_dropped_rows",
    "Rows of the query that are beyond --postgres.queries-max-rows or 10,000 series.",
);
static FAILURES: Family =
    Family::counter("pg_custom_query_failures_total", "Times the query had no answer, or one of other types than the file says.");
static AGE: Family = Family::gauge("pg_custom_query_age_seconds", "How old the answer that is shown is: cache_seconds at most.");
static LOAD: Family = Family::gauge(
    "pg_exporter_user_queries_load_error",
    "0: the program does not start with a file of queries that it cannot read.",
);

/// How long a query rests that the server will refuse again (it names what is not there or not allowed), or that cost the connection.
const REST: Duration = Duration::from_secs(60);

/// The least time that is worth asking in.
const LEAST: Duration = Duration::from_millis(20);

/// What is known of one query on one server.
#[derive(Default)]
struct State {
    asked: Option<Instant>,
    took: Duration,
    failures: u64,
    /// Until when it rests, and why.
    rest: Option<(Instant, String)>,
    answer: Option<(Instant, Answer)>,
}

/// The queries of one target.
pub(in crate::postgres) struct Runner {
    queries: Arc<Queries>,
    states: Vec<State>,
}

impl Runner {
    pub(in crate::postgres) fn new(queries: Arc<Queries>) -> Self {
        let states = queries.list.iter().map(|_| State::default()).collect();
        Runner { queries, states }
    }

    /// Asks what is due, and hands in all answers. False says that the connection is not to be used again.
    pub(in crate::postgres) async fn collect(
        &mut self,
        job: &Job,
        session: &mut Session,
        labels: &Labels,
        until: Instant,
    ) -> bool {
        if self.queries.is_empty() || !job.wants(NAME) {
            return true;
        }
        let (start, queries) = (Instant::now(), self.queries.clone());
        let version = session.server.short_version.clone();
        let mut due: Vec<(&Query, &mut State)> = queries.list.iter().zip(&mut self.states).collect();
        due.retain(|(query, state)| query.versions.holds(&version) && !state.is_fresh(query));
        due.sort_by_key(|(_, state)| state.asked);
        let (mut fault, mut usable) = (None, true);
        for (query, state) in due {
            let asked = if usable { state.ask(query, &queries, session, until).await } else { Err(state.miss()) };
            if let Err(failure) = asked {
                usable &= !failure.broken;
                fault.get_or_insert_with(|| format!("{}: {}", query.name, failure.reason));
            }
        }
        let mut samples = Samples::with_common(labels.clone());
        let reserved: &[&str] = if labels.is_empty() { &["server"] } else { &["server", "target"] };
        let odd = self.emit(&session.server.address, &version, reserved, &mut samples);
        let result = fault.or(odd).map_or(Ok(()), |reason| Err(Fault::Remote(reason)));
        job.hand_in(NAME, start.elapsed(), result, &mut samples);
        usable
    }

    /// Hands in that there is no server to ask.
    pub(in crate::postgres) fn give_up(&self, job: &Job) {
        if !self.queries.is_empty() && job.wants(NAME) {
            job.hand_in(NAME, Duration::ZERO, Err(Fault::Down), &mut Samples::new());
        }
    }

    /// Writes the answers there are, and what they cost; returns what was odd about them.
    fn emit(&mut self, address: &str, version: &str, reserved: &[&str], out: &mut Samples) -> Option<String> {
        let mut odd = None;
        let server = Labels::of(&[("server", address)]);
        out.family(&LOAD).add([("filename", &self.queries.path), ("hashsum", &self.queries.hash)], 0u8);
        for (query, state) in self.queries.list.iter().zip(&mut self.states) {
            let label = [("query", query.name.as_str())];
            if let Some((at, answer)) = &state.answer {
                let written = rows::emit(query, answer, version, &server, reserved, out);
                out.family(&ROWS).add(label, written.rows);
                out.family(&DROPPED).add(label, written.dropped);
                out.family(&AGE).add(label, at.elapsed().as_secs_f64());
                if let Some(column) = written.odd {
                    state.failures += 1;
                    odd.get_or_insert_with(|| format!("{}: {column} is not what the file says", query.name));
                }
            }
            if state.asked.is_some() {
                out.family(&DURATION).add(label, state.took.as_secs_f64());
                out.family(&FAILURES).add(label, state.failures);
            }
            if query.cache_seconds == 0 {
                state.answer = None;
            }
        }
        odd
    }
}

impl State {
    /// Whether the answer may be shown once more.
    fn is_fresh(&self, query: &Query) -> bool {
        self.answer.as_ref().is_some_and(|(at, _)| at.elapsed().as_secs() < query.cache_seconds)
    }

    /// Not asked in this scrape.
    fn miss(&mut self) -> Failure {
        self.answer = None;
        self.failures += 1;
        Failure { reason: "no time was left for it".to_owned(), broken: false }
    }

    async fn ask(&mut self, query: &Query, queries: &Queries, session: &mut Session, until: Instant) -> Result<(), Failure> {
        let start = Instant::now();
        self.answer = None;
        if let Some((_, reason)) = self.rest.as_ref().filter(|(until, _)| start < *until) {
            return Err(Failure { reason: reason.clone(), broken: false });
        }
        self.rest = None;
        let until = until.min(start + queries.timeout);
        if until.saturating_duration_since(start) < LEAST {
            return Err(self.miss());
        }
        self.asked = Some(start);
        let answer = session.query(&query.sql, until, queries.rows).await;
        self.took = start.elapsed();
        let (reason, broken) = match answer {
            Ok((names, table, dropped)) => {
                self.answer = Some((Instant::now(), Answer { names, table, dropped }));
                return Ok(());
            }
            Err(Trouble::Refused(reason)) => (reason, false),
            Err(Trouble::Lost(reason)) => (reason, true),
            Err(Trouble::Late) => ("the server does not answer".to_owned(), true),
        };
        self.failures += 1;
        // Class 42: no such table or column, not allowed, not SQL. 0A: not with this server.
        if broken || ["(SQLSTATE 42", "(SQLSTATE 0A"].iter().any(|class| reason.contains(class)) {
            self.rest = Some((Instant::now() + REST, reason.clone()));
        }
        Err(Failure { reason, broken })
    }
}

/// Why a query has no answer.
struct Failure {
    reason: String,
    /// Whether the connection is not to be used again.
    broken: bool,
}
