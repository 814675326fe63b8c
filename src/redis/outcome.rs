//! `redis_up` and what redis_exporter tells of itself.

use std::time::Duration;

use crate::exposition::{Family, Labels, Samples};

static UP: Family = Family::gauge("redis_up", "1 if the server answered INFO in this scrape.");
static BUILD: Family = Family::gauge("redis_exporter_build_info", "1, with the version of this program.");
static ERROR: Family = Family::gauge(
    "redis_exporter_last_scrape_error",
    "1 if the server could not be read in this scrape, with the reason as the label err.",
);
static FAILURE: Family = Family::gauge(
    "redis_scrape_failure",
    "1 for the reason why the server could not be read in this scrape: refused, timeout, dns, tls, auth, noperm, loading, protocol, other.",
);
static CONNECT: Family = Family::gauge(
    "redis_exporter_last_scrape_connect_time_seconds",
    "Time spent on connecting in this scrape; 0 when the kept connection was used.",
);
static PING: Family = Family::gauge("redis_exporter_last_scrape_ping_time_seconds", "Time that PING took in this scrape.");
static DURATION: Family =
    Family::gauge("redis_exporter_last_scrape_duration_seconds", "Time that this scrape of the server took.");
static SCRAPES: Family =
    Family::counter("redis_exporter_scrapes_total", "Scrapes of the server since the start of this program.");
static SCRAPE_DURATION: Family =
    Family::summary("redis_exporter_scrape_duration_seconds", "Time that all scrapes of the server took, and their number.");
static REQUEST_ERRORS: Family =
    Family::counter("redis_target_scrape_request_errors_total", "Requests for a server that were refused before it was asked.");

/// What became of one scrape of one server.
pub(super) struct Outcome<'a> {
    pub(super) up: bool,
    /// What went wrong, and which kind of thing it is.
    pub(super) error: Option<(&'a str, &'static str)>,
    pub(super) connect: Duration,
    /// How long PING took, if it was asked for and answered.
    pub(super) ping: Option<Duration>,
    pub(super) duration: Duration,
    pub(super) total: Total,
}

/// All scrapes of one server so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Total {
    scrapes: u64,
    duration: Duration,
}

impl Total {
    pub(super) fn add(&mut self, duration: Duration) {
        self.scrapes += 1;
        self.duration += duration;
    }
}

impl Outcome<'_> {
    /// Writes what is the server's into `out`, and into `own` what never has its role as a label.
    pub(super) fn emit(&self, out: &mut Samples, own: &mut Samples) {
        out.family(&UP).add([], self.up);
        let build = [("version", env!("CARGO_PKG_VERSION")), ("commit_sha", ""), ("build_date", ""), ("golang_version", "")];
        own.family(&BUILD).add(build, 1u8);
        out.family(&ERROR).add([("err", self.error.unwrap_or_default().0)], self.error.is_some());
        if let Some((_, reason)) = self.error {
            out.family(&FAILURE).add([("reason", reason)], 1u8);
        }
        out.family(&DURATION).add([], self.duration.as_secs_f64());
        own.family(&CONNECT).add([], self.connect.as_secs_f64());
        if let Some(ping) = self.ping {
            own.family(&PING).add([], ping.as_secs_f64());
        }
        own.family(&SCRAPES).add([], self.total.scrapes);
        let (none, total) = (Labels::new(), self.total);
        let mut rows = own.family(&SCRAPE_DURATION);
        rows.line("_sum", &none, &[], total.duration.as_secs_f64()).line("_count", &none, &[], total.scrapes);
        // There are no such requests yet; redis_exporter always has the series, and so do dashboards.
        own.family(&REQUEST_ERRORS).add([], 0u8);
    }
}
