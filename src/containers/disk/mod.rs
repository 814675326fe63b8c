//! Sizes on disk: of containers' layers and logs, of volumes, and of the host's file systems. Nothing of it is on a scrape's way.
//!
//! One thread walks one folder after the other at idle I/O priority and with 2 % of a CPU ([`thread`]); a walk that hangs costs its own
//! figures. Quotas are not asked instead: the engines set none unless a container is made with `--storage-opt size`, and other projects' and
//! qgroups' figures are told only to who may administer the machine (CAP_SYS_ADMIN). Nor is `/system/df`, for which the
//! engine walks all of it at once, at full speed.

mod families;
mod measure;
mod mounts;
mod thread;
mod walk;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use nix::sys::statfs::statfs;
use tokio::time::{Instant, sleep};

pub(super) use self::families::{Measured, beyond};
use self::measure::Place;
use self::mounts::Mount;
use self::thread::Thread;
use self::walk::walk;
use crate::discovery::{Container, Directory, Usages};
use crate::settings::{Flag, Settings};
use crate::system::Roots;

static INTERVAL: Flag = Flag::time(
    "containers.disk-interval",
    Duration::from_secs(300),
    "How often the sizes of containers' layers and logs are measured, in the background; 0: never.",
);

pub(super) static FLAGS: [&Flag; 1] = [&INTERVAL];

/// How often it is looked whether anything is due.
const LOOK: Duration = Duration::from_secs(10);
/// How often the host's file systems are asked: cAdvisor's slowest pace.
const FILE_SYSTEMS: Duration = Duration::from_secs(60);

/// A file system of the host.
#[derive(Clone, Debug, PartialEq)]
struct FileSystem {
    device: String,
    /// In bytes.
    size: u64,
    used: u64,
    inodes: u64,
    inodes_free: u64,
}

/// What was measured. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    usages: Usages,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    file_systems: Vec<FileSystem>,
    /// Bytes by the volumes' folders.
    volumes: HashMap<String, u64>,
    stuck: usize,
}

impl Disk {
    pub(super) fn new(usages: Usages) -> Self {
        Disk { usages, shared: Arc::default() }
    }

    /// What the volume in this folder takes, in bytes, once it was measured.
    pub(super) fn volume(&self, path: &str) -> Option<u64> {
        self.shared().volumes.get(path).copied()
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What measures, and what it knows.
pub(super) struct Task {
    disk: Disk,
    directory: Option<Directory>,
    roots: Arc<Roots>,
    every: Duration,
    thread: Thread,
    mounts: Arc<Vec<Mount>>,
    asked: Option<Instant>,
    known: HashMap<String, Known>,
    /// When the volumes were measured, by their folders.
    volumes: HashMap<String, Instant>,
}

/// A container that was measured, or could not be.
struct Known {
    place: Place,
    at: Instant,
}

impl Task {
    /// `None` where nothing is to be measured.
    pub(super) fn new(disk: Disk, directory: Option<Directory>, settings: &Settings) -> Option<Self> {
        let every = Some(settings.time(&INTERVAL)).filter(|every| !every.is_zero())?;
        let (thread, mounts, asked, known, volumes) = Default::default();
        Some(Task { disk, directory, roots: Arc::new(Roots::of(settings)), every, thread, mounts, asked, known, volumes })
    }

    /// Measures whatever is due, for ever.
    pub(super) async fn run(mut self) {
        loop {
            if self.asked.is_none_or(|at| at.elapsed() >= FILE_SYSTEMS.min(self.every)) {
                self.ask_file_systems().await;
            }
            for container in self.due() {
                self.measure(&container).await;
            }
            self.measure_volumes().await;
            self.disk.shared().stuck = self.thread.stuck();
            sleep(LOOK.min(self.every)).await;
        }
    }

    async fn ask_file_systems(&mut self) {
        self.asked = Some(Instant::now());
        let roots = self.roots.clone();
        let read = move |_: &mut _| {
            let table = std::fs::read(roots.proc("1/mountinfo")).or_else(|_| std::fs::read(roots.proc("self/mountinfo")));
            mounts::parse(&table.unwrap_or_default())
        };
        self.mounts = Arc::new(self.thread.run("mountinfo", read).await.unwrap_or_default());
        let mut found = Vec::new();
        for mount in mounts::shown(self.mounts.to_vec()) {
            let (device, path) = (mount.device(), self.roots.root(&mount.point));
            let asked = self.thread.run(&device, move |_| statfs(&path).ok()).await;
            if let Some(told) = asked.flatten() {
                let bytes = |blocks: u64| blocks.saturating_mul(u64::try_from(told.block_size()).unwrap_or(0));
                found.push(FileSystem {
                    device,
                    size: bytes(told.blocks()),
                    used: bytes(told.blocks().saturating_sub(told.blocks_free())),
                    inodes: told.files(),
                    inodes_free: told.files_free(),
                });
            }
        }
        self.disk.shared().file_systems = found;
    }

    /// The containers whose turn it is, first those that were never measured. Forgets those that are gone.
    fn due(&mut self) -> Vec<Arc<Container>> {
        let mut all = self.directory.as_ref().map_or_else(Vec::new, Directory::all);
        all.retain(|container| !container.remote);
        self.known.retain(|id, _| all.iter().any(|container| container.id == *id));
        self.disk.usages.retain(|id| self.known.contains_key(id));
        // One that has just been started is left alone for a moment: it may be gone by then, and has hardly written anything.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let young = now.saturating_sub(LOOK.min(self.every).as_secs());
        let is_young = |container: &Container| {
            container
                .started
                .and_then(|at| u64::try_from(at).ok())
                .is_some_and(|at| (young.saturating_add(1)..=now).contains(&at))
        };
        all.retain(|container| match self.known.get(&container.id) {
            Some(known) => known.at.elapsed() >= self.every,
            None => !is_young(container),
        });
        all.sort_by_cached_key(|container| self.known.get(&container.id).map(|known| known.at));
        all
    }

    async fn measure(&mut self, container: &Container) {
        let id = container.id.clone();
        let mut place = Place::of(container, self.known.get(&id).map(|known| &known.place));
        let (roots, mounts) = (self.roots.clone(), self.mounts.clone());
        let work = move |pace: &mut _| {
            place.find_layer(&roots);
            (place.measure(&roots, &mounts, pace), place)
        };
        let key = if container.name.is_empty() { &id } else { &container.name };
        match self.thread.run(key, work).await {
            Some((usage, place)) => {
                if let Some(usage) = usage {
                    self.disk.usages.put(id.clone(), usage);
                }
                self.known.insert(id, Known { place, at: Instant::now() });
            }
            None => {
                self.known.entry(id).or_insert_with(|| Known { place: Place::default(), at: Instant::now() }).at = Instant::now();
            }
        }
    }

    /// Measures the volumes whose turn it is, and forgets those that are gone.
    async fn measure_volumes(&mut self) {
        let stocks = self.directory.as_ref().map_or_else(Vec::new, Directory::stocks);
        let volumes = stocks.iter().flat_map(|stock| &stock.holdings.volumes);
        let paths: HashSet<&String> = volumes.filter_map(|volume| volume.path.as_ref()).collect();
        self.volumes.retain(|path, _| paths.contains(path));
        self.disk.shared().volumes.retain(|path, _| paths.contains(path));
        for path in paths {
            if self.volumes.get(path).is_some_and(|at| at.elapsed() < self.every) {
                continue;
            }
            let below = self.roots.root(path);
            let walked = self.thread.run(path, move |pace| walk(&below, pace).ok()).await;
            self.volumes.insert(path.clone(), Instant::now());
            if let Some(extent) = walked.flatten() {
                self.disk.shared().volumes.insert(path.clone(), extent.bytes);
            }
        }
    }
}
