//! Figures of containers from their engine, where the kernel does not show them: one stream of `/containers/<id>/stats` for each container.
//!
//! Docker Desktop and WSL2 keep containers in a machine of their own. A stream has the engine read a container's cgroup each second, so there
//! is one only while somebody wants it, and it ends with its container.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

use super::directory::Shelf;
use super::engine::Address;
use super::transport::{self, Refusal};

/// How often streams that ended are begun again, if they are wanted still.
const AGAIN: Duration = Duration::from_secs(5);
/// Figures that are older are none: one comes each second.
const OLDEST: Duration = Duration::from_secs(15);
/// The most streams of one engine.
const MOST: usize = 256;

/// What the engine tells of one container, in its own words: all of it since the container was started, as its cgroup counts.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Figures {
    /// CPU time.
    #[serde(default)]
    pub cpu_stats: Cpu,
    /// Memory.
    #[serde(default)]
    pub memory_stats: Memory,
    /// Block I/O.
    #[serde(default)]
    pub blkio_stats: Blocks,
    /// Threads.
    #[serde(default)]
    pub pids_stats: Pids,
    /// Traffic by interface: `rx_bytes`, `tx_packets` ...; not of one in the host's network.
    pub networks: Option<BTreeMap<String, BTreeMap<String, u64>>>,
}

/// CPU time.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Cpu {
    /// What was used.
    #[serde(default)]
    pub cpu_usage: Used,
    /// `periods`, `throttled_periods`, and `throttled_time` in nanoseconds.
    pub throttling_data: Option<BTreeMap<String, u64>>,
}

/// Nanoseconds on the CPUs.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Used {
    /// All.
    pub total_usage: Option<u64>,
    /// In user mode.
    pub usage_in_usermode: Option<u64>,
    /// In the kernel.
    pub usage_in_kernelmode: Option<u64>,
}

/// Memory in bytes.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Memory {
    /// In use.
    pub usage: Option<u64>,
    /// The most that ever was (cgroup v1).
    pub max_usage: Option<u64>,
    /// How often the limit was hit.
    pub failcnt: Option<u64>,
    /// `memory.stat` of the cgroup's version.
    pub stats: Option<BTreeMap<String, u64>>,
}

/// Block I/O.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Blocks {
    /// Bytes.
    pub io_service_bytes_recursive: Option<Vec<Block>>,
    /// Operations.
    pub io_serviced_recursive: Option<Vec<Block>>,
}

/// A count of one kind of operation on one device.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Block {
    /// The device's driver.
    pub major: u32,
    /// The device.
    pub minor: u32,
    /// `Read`, or `read` of cgroup v2.
    pub op: String,
    /// The count.
    pub value: u64,
}

/// Threads.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Pids {
    /// There are.
    pub current: Option<u64>,
}

/// Figures by container, and when they came.
type Latest = Arc<Mutex<HashMap<String, (Instant, Arc<Figures>)>>>;

/// Whose figures are wanted, and the latest of each. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    wanted: Arc<watch::Sender<BTreeSet<String>>>,
    latest: Latest,
}

impl Streams {
    /// From now on the containers of these ids are wanted, and no others.
    pub fn want(&self, ids: BTreeSet<String>) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| ids.contains(id));
        self.wanted.send_if_modified(|wanted| {
            let is_new = *wanted != ids;
            *wanted = ids;
            is_new
        });
    }

    /// Puts in what an engine told of a container that was started: of one that has ended it tells zeros.
    pub(super) fn put(&self, id: &str, figures: Figures) {
        if figures.cpu_stats.cpu_usage.total_usage.is_some_and(|usage| usage != 0) {
            let latest = (Instant::now(), Arc::new(figures));
            self.latest.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), latest);
        }
    }

    /// The latest figures of a container, if they are fresh.
    pub fn get(&self, id: &str) -> Option<Arc<Figures>> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.get(id).filter(|(at, _)| at.elapsed() < OLDEST).map(|(_, figures)| figures.clone())
    }
}

/// Follows what is wanted of one engine, for ever.
pub(super) async fn follow(address: &Address, shelf: &Shelf) {
    let streams = shelf.streams().clone();
    let mut changes = streams.wanted.subscribe();
    let mut tasks = JoinSet::new();
    let mut running: HashMap<String, AbortHandle> = HashMap::new();
    loop {
        let wanted: BTreeSet<String> = changes.borrow_and_update().clone();
        running.retain(|id, task| {
            if !wanted.contains(id) {
                task.abort();
            }
            !task.is_finished() && wanted.contains(id)
        });
        while tasks.try_join_next().is_some() {}
        for id in wanted.into_iter().filter(|id| shelf.get(id).is_some()) {
            if running.len() < MOST && !running.contains_key(&id) {
                let task = tasks.spawn(stream(address.clone(), id.clone(), streams.clone()));
                running.insert(id, task);
            }
        }
        if running.is_empty() && changes.borrow().is_empty() {
            _ = changes.changed().await;
        } else {
            // Late is as good as early: then those that ended are begun again.
            _ = timeout(AGAIN, changes.changed()).await;
        }
    }
}

/// One container's stream, until it ends.
async fn stream(address: Address, id: String, streams: Streams) {
    let read = async {
        let mut lines = transport::lines(&address, &format!("/containers/{id}/stats?stream=1")).await?;
        loop {
            let figures = timeout(OLDEST, lines.next::<Figures>()).await.unwrap_or(Err(Refusal::Late))?;
            streams.put(&id, figures);
        }
    };
    let ended: Result<std::convert::Infallible, Refusal> = read.await;
    let Err(reason) = ended;
    tracing::debug!(container = id, %reason, "a stream of figures ended");
}
