//! The agent's own metrics: what it is, what it costs, how it is scraped.

mod process;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::exposition::{Family, Samples};
use crate::settings::{Flag, Settings};
use process::Process;

pub use process::Cost;

/// The commit that the program was built from, where the build says so.
pub const REVISION: &str = match option_env!("STACK_EXPORTER_REVISION") {
    Some(revision) => revision,
    None => "",
};

static DISABLE: Flag =
    Flag::switch("web.disable-exporter-metrics", false, "Leave out process_* and promhttp_*, the agent's own cost.");

/// The flags of the agent's own metrics.
pub static FLAGS: [&Flag; 1] = [&DISABLE];

static BUILD: Family = Family::gauge("stack_exporter_build_info", "Version and build of this agent; always 1.");
static NODE_BUILD: Family = Family::gauge(
    "node_exporter_build_info",
    "The same in the labels of node_exporter, which dashboards list hosts by; always 1.",
);
static RELOADED: Family = Family::gauge(
    "stack_exporter_config_last_reload_successful",
    "Whether the settings could be used when they were last read, at the start or by SIGHUP or /-/reload.",
);
static RELOAD_TIME: Family = Family::gauge(
    "stack_exporter_config_last_reload_success_timestamp_seconds",
    "When settings that could be used were last read, in seconds since 1970.",
);
static DUPLICATES: Family = Family::counter(
    "stack_exporter_duplicate_series_total",
    "Series left out of pages because they stood there already, up to the scrape before.",
);
static REQUESTS: Family = Family::counter("promhttp_metric_handler_requests_total", "Answered scrapes by HTTP status code.");
static IN_FLIGHT: Family =
    Family::gauge("promhttp_metric_handler_requests_in_flight", "Scrapes being answered, this one included.");
static ERRORS: Family = Family::counter(
    "promhttp_metric_handler_errors_total",
    "Series that could not be shown, by cause: gathering counts duplicates, encoding cannot fail here.",
);

/// How the last reading of the settings went, and when the last good one was.
struct Reload {
    successful: bool,
    time: SystemTime,
}

/// The agent's own counters, and what they are put on a page with.
pub struct Telemetry {
    /// Answers by status code.
    requests: Mutex<BTreeMap<&'static str, u64>>,
    in_flight: Arc<AtomicU64>,
    process: Process,
    /// Not with --web.disable-exporter-metrics.
    shown: bool,
    started: Instant,
    reload: Mutex<Reload>,
}

impl Telemetry {
    /// All counters at zero, the usual status codes present from the start.
    pub fn new(settings: &Settings) -> Self {
        let requests = Mutex::new(["200", "500", "503"].map(|code| (code, 0)).into());
        let (process, shown, started) = (Process::new(), !settings.switch(&DISABLE), Instant::now());
        let reload = Mutex::new(Reload { successful: true, time: SystemTime::now() });
        Telemetry { requests, in_flight: Arc::default(), process, shown, started, reload }
    }

    /// The settings were read again, and could be used or not.
    pub fn reloaded(&self, successful: bool) {
        let mut reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        reload.successful = successful;
        if successful {
            reload.time = SystemTime::now();
        }
    }

    /// A scrape begins; the answer's guard ends it.
    pub fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.in_flight.clone())
    }

    /// Scrapes being answered.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts an answer.
    pub fn answered(&self, code: &'static str) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    /// What the agent costs up to now.
    pub fn cost(&self) -> Cost {
        self.process.cost()
    }

    /// How long it has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds all of it to a page; `duplicates` is what the scraper counted.
    pub fn emit(&self, duplicates: usize, out: &mut Samples) {
        let version = env!("CARGO_PKG_VERSION");
        out.family(&BUILD).add([("version", version)], 1u8);
        let labels = [
            ("branch", ""),
            ("goarch", go_arch()),
            ("goos", "linux"),
            ("goversion", ""),
            ("revision", REVISION),
            ("tags", ""),
            ("version", version),
        ];
        out.family(&NODE_BUILD).add(labels, 1u8);
        {
            let reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
            let since = reload.time.duration_since(UNIX_EPOCH).unwrap_or_default();
            out.family(&RELOADED).add([], u8::from(reload.successful));
            out.family(&RELOAD_TIME).add([], since.as_secs_f64());
        }
        out.family(&DUPLICATES).add([], duplicates);
        if self.shown {
            self.counters(out);
            out.family(&ERRORS).add([("cause", "encoding")], 0u8).add([("cause", "gathering")], duplicates);
            self.process.emit(out);
        }
    }

    fn counters(&self, out: &mut Samples) {
        let mut rows = out.family(&REQUESTS);
        for (code, count) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            rows.add([("code", code)], *count);
        }
        out.family(&IN_FLIGHT).add([], self.in_flight());
    }
}

/// Counts a scrape as being answered while it lives.
pub struct InFlight(Arc<AtomicU64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

const fn go_arch() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "amd64"
    } else if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        std::env::consts::ARCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_this_process() {
        let mut out = Samples::new();
        Telemetry::new(&Settings::default()).emit(3, &mut out);
        let text = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        let value =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok()).unwrap();
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_start_time_seconds") > 1.6e9);
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= 64.0);
        assert_eq!(value("stack_exporter_duplicate_series_total"), 3.0);
        assert_eq!(value("promhttp_metric_handler_requests_total{code=\"503\"}"), 0.0);
    }
}
