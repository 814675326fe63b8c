//! The agent's own metrics: what it is, what it costs, how it is scraped.

use std::fs;

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use crate::exposition::{Family, Kind, Samples, from_u64};
use crate::settings::{Flag, Settings};
use crate::system::text;

static DISABLE: Flag =
    Flag::switch("web.disable-exporter-metrics", false, "Leave out process_* and promhttp_*, the agent's own cost.");

/// The flags of the agent's own metrics.
pub static FLAGS: [&Flag; 1] = [&DISABLE];

static BUILD: Family = Family::gauge("stack_exporter_build_info", "Version and build of this agent; always 1.");
static NODE_BUILD: Family = Family::gauge(
    "node_exporter_build_info",
    "The same in the labels of node_exporter, which dashboards list hosts by; always 1.",
);
static DUPLICATES: Family = Family::counter(
    "stack_exporter_duplicate_series_total",
    "Series left out of pages because they stood there already, up to the scrape before.",
);
static CPU: Family = Family::counter("process_cpu_seconds_total", "User and system CPU time of the agent, from /proc/self/stat.");
static OPEN: Family = Family::gauge("process_open_fds", "Open file descriptors, counted in /proc/self/fd.");
static MAX_FDS: Family = Family::gauge("process_max_fds", "Soft limit of open file descriptors, from /proc/self/limits.");
static VIRTUAL: Family = Family::gauge("process_virtual_memory_bytes", "Address space in use, vsize of /proc/self/stat.");
static MAX_VIRTUAL: Family = Family::gauge(
    "process_virtual_memory_max_bytes",
    "Soft limit of the address space, from /proc/self/limits; -1 where there is none.",
);
static RESIDENT: Family = Family::gauge("process_resident_memory_bytes", "Resident memory, rss of /proc/self/stat in bytes.");
static START: Family = Family::gauge("process_start_time_seconds", "When the agent started, in seconds since 1970.");

/// The agent's own counters, and what they are put on a page with.
pub struct Telemetry {
    requests: IntCounterVec,
    in_flight: IntGauge,
    registry: Registry,
    disabled: bool,
}

impl Telemetry {
    /// All counters at zero, the usual status codes present from the start.
    pub fn new(settings: &Settings) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("promhttp_metric_handler_requests_total", "Answered scrapes by HTTP status code."),
            &["code"],
        )?;
        let in_flight =
            IntGauge::new("promhttp_metric_handler_requests_in_flight", "Scrapes being answered, this one included.")?;
        for code in ["200", "500", "503"] {
            requests.with_label_values(&[code]);
        }
        let registry = Registry::new();
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Telemetry { requests, in_flight, registry, disabled: settings.switch(&DISABLE) })
    }

    /// A scrape begins; the answer's guard ends it.
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Scrapes being answered.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Counts an answer.
    pub fn answered(&self, code: &str) {
        self.requests.with_label_values(&[code]).inc();
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
            ("revision", ""),
            ("tags", ""),
            ("version", version),
        ];
        out.family(&NODE_BUILD).add(labels, 1u8);
        out.family(&DUPLICATES).add([], duplicates);
        if !self.disabled {
            self.counters(out);
            process(out);
        }
    }

    fn counters(&self, out: &mut Samples) {
        for family in self.registry.gather() {
            let (kind, counter) = match family.get_field_type() {
                prometheus::proto::MetricType::COUNTER => (Kind::Counter, true),
                _ => (Kind::Gauge, false),
            };
            for metric in family.get_metric() {
                let labels: Vec<_> = metric.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
                let value = if counter { metric.get_counter().get_value() } else { metric.get_gauge().get_value() };
                out.named(family.name(), family.help(), kind).line("", &Default::default(), &labels, value);
            }
        }
    }
}

/// Counts a scrape as being answered while it lives.
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
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

/// `process_*`, always of this very process: /proc/self, whatever --path.procfs says.
fn process(out: &mut Samples) {
    if let Some(stat) = fs::read("/proc/self/stat").ok().as_deref().and_then(parse_stat) {
        let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().and_then(|hz| u64::try_from(hz).ok());
        let page =
            nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok());
        let hz = from_u64(ticks.unwrap_or(100));
        out.family(&CPU).add([], from_u64(stat.ticks) / hz);
        out.family(&VIRTUAL).add([], stat.virtual_bytes);
        out.family(&RESIDENT).add([], stat.resident_pages.saturating_mul(page.unwrap_or(4096)));
        let boot = fs::read("/proc/stat").ok().and_then(|stat| {
            let line = text::lines(&stat).find_map(|line| line.strip_prefix(b"btime "))?;
            text::number::<u64>(line)
        });
        if let Some(boot) = boot {
            out.family(&START).add([], from_u64(boot) + from_u64(stat.start_ticks) / hz);
        }
    }
    if let Some(open) = open_fds() {
        out.family(&OPEN).add([], open);
    }
    if let Ok(limits) = fs::read("/proc/self/limits") {
        if let Some(files) = limit(&limits, b"Max open files").flatten() {
            out.family(&MAX_FDS).add([], files);
        }
        match limit(&limits, b"Max address space") {
            Some(Some(bytes)) => out.family(&MAX_VIRTUAL).add([], bytes),
            _ => out.family(&MAX_VIRTUAL).add([], -1i64),
        };
    }
}

/// Since Linux 6.2 the size of /proc/self/fd is the number of its entries; listing them takes 2 us each, with thousands of
/// cgroup files kept open more than the rest of a scrape.
fn open_fds() -> Option<u64> {
    let told = fs::metadata("/proc/self/fd").ok().map(|directory| directory.len()).filter(|count| *count != 0);
    // One of those listed is the descriptor of this very listing.
    told.or_else(|| u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)).ok())
}

struct Stat {
    ticks: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// `4242 (name (odd)) S 1 … utime stime … starttime vsize rss …`: fields 14, 15, 22, 23, 24 of proc(5).
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let after_name = stat.get(memchr::memrchr(b')', stat)? + 1..)?;
    let mut fields = text::fields(after_name);
    let (user, system): (u64, u64) = (text::number(fields.nth(11)?)?, text::number(fields.next()?)?);
    let start_ticks = text::number(fields.nth(6)?)?;
    let (virtual_bytes, resident_pages) = (text::number(fields.next()?)?, text::number(fields.next()?)?);
    Some(Stat { ticks: user.checked_add(system)?, start_ticks, virtual_bytes, resident_pages })
}

/// `Max open files            1024                 524288               files`: the soft limit; `Some(None)` is unlimited.
fn limit(limits: &[u8], name: &[u8]) -> Option<Option<u64>> {
    let line = text::lines(limits).find_map(|line| line.strip_prefix(name))?;
    Some(text::number(text::fields(line).next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_this_process() {
        let mut out = Samples::new();
        Telemetry::new(&Settings::default()).unwrap().emit(3, &mut out);
        let text = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        let value =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok()).unwrap();
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_start_time_seconds") > 1.6e9);
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= 64.0);
        assert_eq!(value("stack_exporter_duplicate_series_total"), 3.0);
        assert_eq!(value("promhttp_metric_handler_requests_total{code=\"503\"}"), 0.0);
    }

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let fields = "R 1 2 3 4 5 6 7 8 9 10 70 30 13 14 15 16 17 18 500 4096 12";
        let stat = parse_stat(format!("1 (a) b) {fields}").as_bytes()).unwrap();
        assert_eq!((stat.ticks, stat.start_ticks, stat.virtual_bytes, stat.resident_pages), (100, 500, 4096, 12));
        assert!(parse_stat(b"").is_none() && parse_stat(b"1 (a) R 1").is_none());
        assert_eq!(limit(b"Max address space         unlimited    unlimited  bytes\n", b"Max address space"), Some(None));
    }
}
