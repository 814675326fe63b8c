//! What redis_exporter does not show: how far replicas are behind, why writes are refused, what limits memory, latencies that can
//! be summed, and advice. All of it comes from replies that a scrape has anyway, and from files of the host for a local server.

mod audit;
mod host;
pub(super) mod latency;
mod memory;
mod remedies;
mod replication;
mod server;
mod settings;
mod sizes;
pub(super) mod slowlog;
mod threads;
mod writes;

use std::time::{Duration, Instant};

use super::resp::Value;

use super::address::Endpoint;
use super::info::Info;
use super::plan::Ask;
use crate::exposition::{Family, Samples};
use crate::scrape::Advised;
use crate::system::Roots;
use host::Host;
pub(super) use settings::Kept;
use slowlog::Slowlog;

static DURATION: Family = Family::gauge(
    "redis_scrape_command_duration_seconds",
    "Seconds from sending until all answers were there in the latest scrape; pipeline: the commands that travel together.",
);

/// After this time the host is looked at again.
const REFRESH: Duration = Duration::from_secs(300);

/// What is kept of one server from scrape to scrape.
#[derive(Debug)]
pub(super) struct Beyond {
    roots: Roots,
    local: bool,
    /// Whether we are served without a password.
    open: bool,
    host: Option<(String, Instant, Host)>,
    slowlog: Slowlog,
    waited: Duration,
    /// What the checks found last, for the operator's page.
    pub(super) advised: Advised,
}

impl Beyond {
    pub(super) fn new(endpoint: &Endpoint, roots: Roots) -> Self {
        let (host, slowlog, advised) = Default::default();
        Beyond { roots, local: is_local(endpoint), open: false, host, slowlog, waited: Duration::ZERO, advised }
    }

    /// A scrape begins; `open` if it logs in without a password.
    pub(super) fn begin(&mut self, open: bool) {
        self.open = open;
        self.waited = Duration::ZERO;
    }

    /// A round trip took this long.
    pub(super) fn waited(&mut self, duration: Duration) {
        self.waited += duration;
    }

    /// What the answers so far make us want to know.
    pub(super) fn asks(&self) -> Option<Ask> {
        self.slowlog.wanted().map(Ask::SlowlogNew)
    }

    /// Takes in an answer.
    pub(super) fn note(&mut self, ask: &Ask, reply: &Value) {
        match ask {
            Ask::SlowlogLast => self.slowlog.newest(reply),
            Ask::SlowlogNew(_) => self.slowlog.add(reply),
            _ => {}
        }
    }

    /// Looks at the host of a local server: after a restart of the server and every few minutes.
    pub(super) fn look(&mut self, info: &Info<'_>) {
        if !self.local {
            return;
        }
        let run_id = info.get("run_id").unwrap_or_default();
        if !self.host.as_ref().is_some_and(|(seen, since, _)| seen == run_id && since.elapsed() < REFRESH) {
            self.host = Some((run_id.to_owned(), Instant::now(), Host::read(&self.roots, info)));
        }
    }

    pub(super) fn emit(&self, info: &Info<'_>, settings: Option<&Kept>, out: &mut Samples) {
        let host = self.host.as_ref().map(|(_, _, host)| host);
        server::emit(info, out);
        replication::emit(info, out);
        writes::emit(info, settings, out);
        memory::emit(info, host, out);
        threads::emit(info, out);
        sizes::emit(info, out);
        self.slowlog.emit(out);
        audit::emit(info, settings, host, self.open, &self.advised, out);
        out.family(&DURATION).add([("command", "pipeline")], self.waited.as_secs_f64());
    }
}

/// Whether the server runs on the host whose files we read.
fn is_local(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Unix(_) => true,
        Endpoint::Tcp(host, _) | Endpoint::Tls(host, _) => {
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}
