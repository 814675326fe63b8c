//! The operator's page at `/`, and the same as JSON at `/api/v1/status`: what is watched, what is missing, and what to do about it.
//!
//! Both show what the last scrapes told ([`Report`]): whoever opens the page makes no database work.

mod findings;
mod html;
mod json;
mod page;
mod style;

use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, REFRESH};

use super::body::Reply;
use crate::scrape::{Met, Part, Report, Scraper, State, Watched};
use crate::telemetry::{Cost, REVISION, Telemetry};
use findings::Finding;

/// How often the page loads itself anew, in seconds.
const REFRESH_EVERY: &str = "15";
/// In the query of a page that does not.
const PAUSED: &str = "refresh=off";

/// The most databases of the page's table, databases whose collectors it lists, and collectors of the JSON: a look at thousands of
/// databases must not cost more memory than their scrape. The rest is counted.
const MOST: (usize, usize, usize) = (500, 50, 5000);

/// What is the same for all answers.
pub(super) struct Pages {
    /// What every path begins with; empty, or `/agent`.
    prefix: String,
    /// Of the page of all parts, with the prefix.
    metrics: String,
    /// The parts that are on.
    parts: Vec<Part>,
    policy: Option<HeaderValue>,
}

/// All that one answer tells.
struct Status<'a> {
    pages: &'a Pages,
    report: Report,
    findings: Vec<Finding>,
    host: String,
    uptime: std::time::Duration,
    cost: Cost,
}

impl Pages {
    pub(super) fn new(prefix: &str, path: &str, parts: &[Part]) -> Self {
        let hash = ring::digest::digest(&ring::digest::SHA256, style::SHEET.as_bytes());
        // Nothing but the page's own style sheet: whatever a name on it may hold, it can load and run nothing.
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            BASE64_STANDARD.encode(hash)
        );
        let (prefix, metrics) = (prefix.to_owned(), format!("{prefix}{path}"));
        Pages { prefix, metrics, parts: parts.to_vec(), policy: policy.parse().ok() }
    }

    fn status(&self, scraper: &Scraper, telemetry: &Telemetry) -> Status<'_> {
        let report = scraper.report();
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let findings = findings::of(&report);
        Status { pages: self, report, findings, host, uptime: telemetry.uptime(), cost: telemetry.cost() }
    }

    /// The page for people. With `refresh=off` in the query it stays as it is.
    pub(super) fn page(&self, scraper: &Scraper, telemetry: &Telemetry, query: &str) -> Response<Reply> {
        let paused = query.split('&').any(|pair| pair == PAUSED);
        let mut response = self.answer(page::write(&self.status(scraper, telemetry), paused), "text/html; charset=utf-8");
        if !paused {
            response.headers_mut().insert(REFRESH, HeaderValue::from_static(REFRESH_EVERY));
        }
        response
    }

    /// The same for programs.
    pub(super) fn json(&self, scraper: &Scraper, telemetry: &Telemetry) -> Response<Reply> {
        self.answer(json::write(&self.status(scraper, telemetry)), "application/json")
    }

    fn answer(&self, text: String, kind: &'static str) -> Response<Reply> {
        let mut response = Response::new(Reply::text(text));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
        if let Some(policy) = &self.policy {
            headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
        }
        response
    }
}

impl Status<'_> {
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn revision(&self) -> &'static str {
        REVISION
    }

    /// Where the page of `part` is.
    fn path(&self, part: Part) -> String {
        format!("{}/{}", self.pages.metrics.trim_end_matches('/'), part.page())
    }

    fn sources(&self, part: Part) -> impl Iterator<Item = &Watched> {
        self.report.sources.iter().filter(move |source| source.part == part)
    }

    /// The databases that are watched.
    fn targets(&self) -> impl Iterator<Item = &Watched> {
        self.report.sources.iter().filter(|source| is_target(source))
    }

    /// Databases that were found and are no targets, for want of something.
    fn unwatched(&self) -> impl Iterator<Item = &Met> {
        let is_watched = |met: &Met| self.targets().any(|source| source.part.name() == met.part && source.name == met.name);
        self.report.met.iter().filter(move |met| !is_watched(met))
    }

    /// A part's state in one word.
    fn state(&self, part: Part) -> &'static str {
        if !self.pages.parts.contains(&part) {
            return "off";
        }
        let count = self.sources(part).fold(Count::default(), |sum, source| sum.plus(&Count::of(source)));
        match count {
            _ if self.sources(part).next().is_none() => "nothing found",
            Count { failed, .. } if failed > 0 => "failing",
            Count { ok: 0, absent: 0, skipped: 0, .. } => "not asked yet",
            _ => "ok",
        }
    }

    /// What is missing to reach a database that was found.
    fn missing(&self, source: &Watched) -> Option<(&'static str, &'static str)> {
        let met = self.report.met.iter().find(|met| met.part == source.part.name() && met.name == source.name);
        met.and_then(|met| met.missing)
    }
}

/// Whether the source is a database, which has an address.
fn is_target(source: &Watched) -> bool {
    matches!(source.part, Part::Postgres | Part::Redis)
}

/// Whether a target answered; `None` before it was asked. The collector that stands for the target is its first.
fn is_up(source: &Watched) -> Option<bool> {
    let (_, last) = source.collectors.first()?;
    last.as_ref().map(|last| last.state == State::Ok)
}

/// A source's collectors by how their last scrape ended, and their series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    ok: usize,
    absent: usize,
    skipped: usize,
    failed: usize,
    series: usize,
}

impl Count {
    fn of(source: &Watched) -> Self {
        let mut count = Count::default();
        for last in source.collectors.iter().filter_map(|(_, last)| last.as_ref()) {
            count.series += last.series;
            match last.state {
                State::Ok => count.ok += 1,
                State::Absent => count.absent += 1,
                State::Skipped => count.skipped += 1,
                State::Failed => count.failed += 1,
            }
        }
        count
    }

    fn plus(self, other: &Count) -> Self {
        Count {
            ok: self.ok + other.ok,
            absent: self.absent + other.absent,
            skipped: self.skipped + other.skipped,
            failed: self.failed + other.failed,
            series: self.series + other.series,
        }
    }
}
