//! What is asked about keys: sizes and values, counts, streams, groups of keys, scripts and search indexes. Off unless asked for.
//!
//! Keys named one by one are cheap and are read with each scrape ([`Keys::singles`]), beside it, on a connection of their own.
//! All that has to search goes into a pass ([`pass`]) in the background, which a scrape starts when the last one is old enough
//! and never waits for: it shows what the last pass found, and how old that is.

mod findings;
mod groups;
mod link;
mod lua_pattern;
mod pass;
mod prefixes;
mod scripts;
mod search;
mod sizes;
mod streams;
mod survey;
mod wanted;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

pub(super) use self::findings::Findings;
use self::link::Budget;
pub(super) use self::link::Link;
use self::pass::Report;
use self::survey::Survey;
pub(super) use self::wanted::{Wanted, flags};
use super::target::Target;
use super::worker::Manner;
use crate::exposition::{Family, Samples};

static AGE: Family = Family::gauge(
    "redis_keys_check_age_seconds",
    "Age of what the last complete pass over the keys found; +Inf before the first.",
);
static DURATION: Family = Family::gauge("redis_keys_check_duration_seconds", "Time that the last pass over the keys took.");
static WAITED: Family = Family::gauge(
    "redis_keys_check_round_trips_seconds",
    "Time of it that was spent on waiting for the server; the rest was rest.",
);
static LOOKED_AT: Family = Family::gauge("redis_keys_check_keys", "Keys that the last pass looked at.");
static LEFT_OFF: Family =
    Family::gauge("redis_keys_check_left_off", "Keys that the last pass found and did not show, being too many.");
static SUCCESS: Family = Family::gauge("redis_keys_check_success", "1 if the last pass over the keys met no error.");
static FAILURE: Family = Family::gauge(
    "redis_keys_check_failure",
    "1 for the reason why keys named one by one (named) or the last pass (search) could not be read.",
);
static GROUPS_DURATION: Family =
    Family::gauge("redis_last_key_groups_scrape_duration_milliseconds", "Time that counting keys by group last took.");

/// What a server told in this scrape that the next pass depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Whether it is a master.
    pub(super) master: bool,
    /// How many databases it has.
    pub(super) databases: u32,
}

/// The keys of one server.
pub(super) struct Keys {
    wanted: Arc<Wanted>,
    target: Target,
    manner: Manner,
    /// For the keys that are read with each scrape.
    link: Option<Link>,
    facts: Option<Facts>,
    keyless: bool,
    /// Why some of the keys named one by one were not read in this scrape.
    failure: Option<&'static str>,
    pass: Option<JoinHandle<()>>,
    started: Option<Instant>,
    last: Arc<Mutex<Last>>,
}

/// The last pass, and the findings of the last complete one.
#[derive(Default)]
struct Last {
    report: Option<Report>,
    findings: Findings,
    found: Option<Instant>,
    /// For the next pass.
    survey: Survey,
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(pass) = &self.pass {
            pass.abort();
        }
    }
}

impl Keys {
    /// `None` where nothing is wanted.
    pub(super) fn new(wanted: &Arc<Wanted>, target: &Target, manner: &Manner) -> Option<Self> {
        (!wanted.is_empty()).then(|| Keys {
            wanted: wanted.clone(),
            target: target.clone(),
            manner: manner.clone(),
            link: None,
            facts: None,
            keyless: false,
            failure: None,
            pass: None,
            started: None,
            last: Arc::default(),
        })
    }

    /// Reads the keys and streams that are named one by one into `out`: a few round trips, none where there are none.
    pub(super) async fn singles(&mut self, out: &mut Findings) {
        let wanted = self.wanted.clone();
        if wanted.single_keys.is_empty() && wanted.single_streams.is_empty() || self.keyless || self.is_spared() {
            self.failure = None;
            return;
        }
        // Taken out: if the scrape's deadline cuts this off, half an answer stays in the connection.
        let link = self.link.take().filter(|link| !link.is_closed());
        let mut link = link.unwrap_or_else(|| Link::new(self.target.clone(), self.manner.clone(), None));
        // Stands if the scrape's deadline cuts this off.
        self.failure = Some("timeout");
        self.failure = match pass::singles(&mut link, &wanted, out).await {
            Ok(failed) => failed,
            Err(failure) => Some(failure.reason()),
        };
        self.link = Some(link);
    }

    /// Starts a pass if it is time for one. Without facts the server has no keys: it is a Sentinel.
    pub(super) fn begin(&mut self, facts: Option<Facts>) {
        (self.facts, self.keyless) = (facts, facts.is_none());
        let Some(facts) = facts else { return };
        let running = self.pass.as_ref().is_some_and(|pass| !pass.is_finished());
        let early = self.started.is_some_and(|started| started.elapsed() < self.wanted.interval);
        if running || early || !self.wanted.needs_pass() {
            return;
        }
        self.started = Some(Instant::now());
        let budget = Budget { share: self.wanted.share, keys: self.wanted.keys_per_second };
        let mut link = Link::new(self.target.clone(), self.manner.clone(), Some(budget));
        let (wanted, last, spared) = (self.wanted.clone(), self.last.clone(), self.is_spared());
        self.pass = Some(tokio::spawn(async move {
            let mut survey = std::mem::take(&mut last.lock().unwrap_or_else(PoisonError::into_inner).survey);
            let (report, findings) = pass::run(&mut link, &wanted, &mut survey, facts, spared).await;
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            last.survey = survey;
            if report.complete {
                (last.findings, last.found) = (findings, Some(Instant::now()));
            }
            last.report = Some(report);
        }));
    }

    /// Whether keys are left alone because the server is a master, or may be one.
    fn is_spared(&self) -> bool {
        self.wanted.skip_master && self.facts.is_none_or(|facts| facts.master)
    }

    /// Writes what is known.
    pub(super) fn emit(&self, singles: &Findings, out: &mut Samples) {
        singles.emit(out);
        if let Some(reason) = self.failure {
            out.family(&FAILURE).add([("of", "named"), ("reason", reason)], 1u8);
        }
        if !self.wanted.needs_pass() {
            return;
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.findings.emit(out);
        out.family(&AGE).add([], last.found.map_or(f64::INFINITY, |found| found.elapsed().as_secs_f64()));
        let Some(report) = &last.report else { return };
        out.family(&DURATION).add([], report.duration.as_secs_f64());
        out.family(&WAITED).add([], report.waited.as_secs_f64());
        out.family(&LOOKED_AT).add([], report.looked_at);
        out.family(&LEFT_OFF).add([], report.left_off);
        out.family(&SUCCESS).add([], report.failure.is_none());
        if let Some(reason) = report.failure {
            out.family(&FAILURE).add([("of", "search"), ("reason", reason)], 1u8);
        }
    }

    /// How long counting keys by group last took.
    fn groups_duration(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).report.as_ref().map_or(Duration::ZERO, |report| report.groups)
    }
}

/// Writes how long counting keys by group last took: 0 where nobody asked for it, since dashboards expect it.
pub(super) fn groups_duration(keys: Option<&Keys>, out: &mut Samples) {
    let duration = keys.map_or(Duration::ZERO, Keys::groups_duration);
    out.family(&GROUPS_DURATION).add([], (duration.as_secs_f64() * 1e3).floor());
}
