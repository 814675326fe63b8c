//! What redis_exporter does not show: how far replicas are behind, why writes are refused, what limits memory, latencies that can
//! be summed, and advice. All of it comes from replies that a scrape has anyway, and from files of the host for a local server.

mod audit;
mod cluster;
mod denials;
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

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::resp::Value;

use super::ask::Ask;
use super::config::Config;
use super::info::Info;
use super::target::Side;
use crate::exposition::{Family, Samples};
use crate::scrape::{Advice, Advised};
use crate::system::{Patience, Roots};
use cluster::Slot;
use denials::Denials;
use host::Host;
pub(super) use settings::Kept;
use slowlog::Slowlog;

static DURATION: Family = Family::gauge(
    "redis_scrape_command_duration_seconds",
    "Seconds from sending until all answers were there in the latest scrape; pipeline: the commands that travel together.",
);

static SNAPSHOT: Family =
    Family::gauge("redis_rdb_current_size_bytes", "Size of the snapshot on disk, 0 if there is none (CONFIG dir, dbfilename).");

/// How long a scrape waits for the disk with the snapshot.
const PATIENCE: Duration = Duration::from_millis(20);

/// All checks: severity and words.
pub(super) fn checks() -> impl Iterator<Item = (&'static str, &'static Advice)> {
    audit::checks()
}

/// After this time the host is looked at again.
const REFRESH: Duration = Duration::from_secs(300);

/// What is kept of one server from scrape to scrape.
pub(super) struct Beyond {
    roots: Roots,
    side: Side,
    /// Whether we are served without a password.
    open: bool,
    host: Option<(String, Instant, Host)>,
    slowlog: Slowlog,
    denials: Denials,
    /// The answers of this scrape.
    slots: Vec<Slot>,
    shards: Vec<(String, usize)>,
    /// Looks at the snapshot of a local server.
    snapshot: Patience<PathBuf, Option<u64>>,
    waited: Duration,
    /// What the checks found last, for the operator's page.
    pub(super) advised: Advised,
}

impl Beyond {
    pub(super) fn new(side: Side, roots: Roots) -> Self {
        Beyond {
            roots,
            side,
            open: false,
            host: None,
            slowlog: Slowlog::default(),
            denials: Denials::default(),
            slots: Vec::new(),
            shards: Vec::new(),
            snapshot: Patience::new("redis-snapshot"),
            waited: Duration::ZERO,
            advised: Advised::default(),
        }
    }

    /// A scrape begins; `open` if it logs in without a password.
    pub(super) fn begin(&mut self, open: bool) {
        self.open = open;
        self.waited = Duration::ZERO;
        self.slots.clear();
        self.shards.clear();
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
            Ask::AclLog(_) => self.denials.read(reply),
            Ask::SlotStats(_) => self.slots = cluster::slots(reply),
            Ask::ClusterShards => self.shards = cluster::shards(reply),
            _ => {}
        }
    }

    /// Looks at the host of a server that runs on it: after a restart of the server and every few minutes.
    pub(super) fn look(&mut self, info: &Info<'_>) {
        if self.side == Side::Elsewhere {
            return;
        }
        let run_id = info.get("run_id").unwrap_or_default();
        if !self.host.as_ref().is_some_and(|(seen, since, _)| seen == run_id && since.elapsed() < REFRESH) {
            self.host = Some((run_id.to_owned(), Instant::now(), Host::read(&self.roots, self.side, info)));
        }
    }

    pub(super) fn emit(&mut self, info: &Info<'_>, config: Option<&Config>, out: &mut Samples) {
        if let Some(path) = config.filter(|_| self.side == Side::Host).and_then(Config::snapshot) {
            self.measure(path, out);
        }
        let settings = config.map(|config| &config.kept);
        let host = self.host.as_ref().map(|(_, _, host)| host);
        server::emit(info, out);
        replication::emit(info, out);
        writes::emit(info, settings, out);
        memory::emit(info, host, out);
        threads::emit(info, out);
        sizes::emit(info, out);
        self.slowlog.emit(out);
        self.denials.emit(out);
        cluster::emit(&self.slots, &self.shards, out);
        audit::emit(info, settings, host, self.open, &self.advised, out);
        out.family(&DURATION).add([("command", "pipeline")], self.waited.as_secs_f64());
    }

    /// Writes the size of the snapshot at `path`, which the server names.
    fn measure(&mut self, path: PathBuf, out: &mut Samples) {
        let path = self.roots.root(path.strip_prefix("/").unwrap_or(&path));
        let answers = self.snapshot.ask([path], Instant::now() + PATIENCE, |path| size(path));
        if let Some(size) = answers.into_iter().flatten().flatten().next() {
            out.family(&SNAPSHOT).add([], size);
        }
    }
}

/// The size of a snapshot, 0 if there is none; `None` for what is no file, or cannot be seen.
fn size(path: &Path) -> Option<u64> {
    match std::fs::metadata(path) {
        Ok(found) => found.is_file().then_some(found.len()),
        Err(error) => (error.kind() == std::io::ErrorKind::NotFound).then_some(0),
    }
}
