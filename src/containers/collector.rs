//! One scrape of all cgroups: read, put names to them, write family by family.

use std::sync::Arc;
use std::time::SystemTime;

use super::beyond::Beyond;
use super::cgroup::{Cgroup, Cgroups, Stats};
use super::devices::Devices;
use super::disk::{self, Disk, Measured};
use super::engines;
use super::families::{
    BLKIO, BY_DEVICE, BY_INTERFACE, CPU_USAGE, CREATED, FAILURES, HEALTH, LAST_SEEN, LOADS, OOMS, PIDS, PIDS_LIMIT, SCRAPE_ERROR,
    SINGLES, STARTED, TASKS_STATE, UNNAMED, operations,
};
use super::identity::{container_id, machine};
use super::labels::Choice;
use super::machine::{Machine, Meminfo};
use super::network::{Interface, Network};
use super::ooms::Live;
use crate::discovery::{Container, Directory, Discovery, Health, Product};
use crate::exposition::{Labels, Samples};
use crate::scrape::Collector;
use crate::system::{Fault, System};

/// What goes with each cgroup.
struct Entity {
    /// The container that it is, by its path.
    container_id: Option<String>,
    /// What the engine told of that container, also some time ago; or what the path says.
    container: Option<Arc<Container>>,
    /// Rendered when `container` changed.
    labels: Labels,
    interfaces: Vec<Interface>,
}

impl Entity {
    fn is_container(&self) -> bool {
        self.container_id.is_some() || self.container.is_some()
    }
}

/// The collector of `container_*` and `machine_*`.
pub(super) struct Containers {
    cgroups: Option<Cgroups<Entity>>,
    /// `None`: no engine is to be asked.
    directory: Option<Directory>,
    /// Learns which containers have no name.
    discovery: Discovery,
    disk: Disk,
    choice: Choice,
    /// Whether what the kernel does not tell is 0, as cAdvisor has it.
    zeros: bool,
    beyond: Beyond,
    network: Network,
    devices: Devices,
    machine: Machine,
}

impl Containers {
    pub(super) fn new(directory: Option<Directory>, discovery: Discovery, disk: Disk, choice: Choice, zeros: bool) -> Self {
        let (beyond, network, devices, machine) = Default::default();
        Containers { cgroups: None, directory, discovery, disk, choice, zeros, beyond, network, devices, machine }
    }

    fn refresh(&mut self, system: &mut System) -> Result<(), Fault> {
        let cgroups = match &mut self.cgroups {
            Some(cgroups) => cgroups,
            none => none.insert(Cgroups::find(system)?),
        };
        let choice = &self.choice;
        let refreshed = cgroups.refresh(|id| {
            let container = machine(id).map(|name| Container { id: id.to_owned(), name, ..Container::default() });
            Entity {
                container_id: container_id(id).map(str::to_owned),
                labels: choice.render(id, container.as_ref()),
                container: container.map(Arc::new),
                interfaces: Vec::new(),
            }
        });
        if let Some(directory) = &self.directory {
            for cgroup in cgroups.iter_mut() {
                name(cgroup, directory, choice);
            }
        }
        if let Some(directory) = &self.directory {
            self.beyond.learn(directory.all(), &cgroups.iter().filter_map(live).collect(), choice);
        }
        let is_nameless = |entity: &Entity| entity.container_id.is_some() && entity.container.is_none();
        self.discovery
            .note_nameless(cgroups.iter().filter(|cgroup| is_nameless(&cgroup.entity)).map(|cgroup| cgroup.id.as_str()));
        cgroups
            .choose_pids(|entity| entity.is_container().then(|| entity.container.as_ref().and_then(|container| container.pid)));
        read_network(cgroups, &mut self.network, system);
        self.devices.learn(cgroups.iter().flat_map(|cgroup| &cgroup.stats.io).map(|io| io.device), system);
        refreshed
    }

    fn emit(&self, out: &mut Samples) {
        let Some(cgroups) = &self.cgroups else { return };
        let cgroups: Vec<&Cgroup<Entity>> = cgroups.iter().collect();
        emit_times(&cgroups, out);
        emit_numbers(&cgroups, self.zeros, out);
        if self.zeros {
            emit_loads(&cgroups, out);
        }
        emit_pids(&cgroups, out);
        self.emit_ooms(&cgroups, out);
        emit_devices(&cgroups, &self.devices, out);
        self.emit_disk(&cgroups, out);
        for (column, family) in BY_INTERFACE.iter().enumerate() {
            let mut rows = out.family(family);
            for entity in cgroups.iter().map(|cgroup| &cgroup.entity) {
                for interface in &entity.interfaces {
                    let value = interface.counters.get(column).copied().unwrap_or(0);
                    rows.add_to(&entity.labels, [("interface", &interface.name)], value);
                }
            }
        }
    }
}

impl Containers {
    /// What the containers that run take on disk, and the host's file systems.
    fn emit_disk(&self, cgroups: &[&Cgroup<Entity>], out: &mut Samples) {
        let measured = |cgroup: &&Cgroup<Entity>| self.disk.usage(&cgroup.entity.container.as_ref()?.id);
        let containers: Vec<Measured<'_>> =
            cgroups.iter().filter_map(|cgroup| Some((&cgroup.entity.labels, measured(cgroup)?))).collect();
        let host = cgroups.iter().find(|cgroup| cgroup.id == "/").map(|cgroup| &cgroup.entity.labels);
        self.disk.emit(host, &containers, self.zeros, out);
        let all: Vec<Measured<'_>> =
            self.beyond.all().filter_map(|(container, labels)| Some((labels, self.disk.usage(&container.id)?))).collect();
        disk::beyond(&all, out);
    }

    /// Kills in cgroups that no engine tells of; the others are counted on by name.
    fn emit_ooms(&self, cgroups: &[&Cgroup<Entity>], out: &mut Samples) {
        let mut rows = out.family(&OOMS);
        for cgroup in cgroups {
            let is_shown = cgroup.entity.container_id.as_ref().is_some_and(|id| self.beyond.shows(id));
            if let Some(kills) = cgroup.stats.memory.oom_kills.filter(|_| !is_shown) {
                rows.add_to(&cgroup.entity.labels, [], kills);
            }
        }
    }
}

impl Collector for Containers {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let engines = self.directory.as_ref().map_or_else(Vec::new, Directory::engines);
        let docker = engines.iter().find(|engine| engine.product == Product::Docker).and_then(|engine| engine.version.as_deref());
        let memory = self.machine.collect(system, docker.unwrap_or_default(), out);
        let refreshed = self.refresh(system);
        let count = self.cgroups.as_ref().map_or(0, |cgroups| cgroups.iter().count());
        out.family(&SCRAPE_ERROR).add([], count == 0);
        let root = self.cgroups.as_mut().and_then(|cgroups| cgroups.iter_mut().find(|cgroup| cgroup.id == "/"));
        if let (Some(root), Ok(memory)) = (root, &memory) {
            complete_root(&mut root.stats, memory);
        }
        self.emit(out);
        self.beyond.emit(out);
        engines::emit(&engines, out);
        if let Some(directory) = &self.directory {
            engines::emit_stocks(&directory.stocks(), &self.disk, out);
        }
        if self.directory.is_some() {
            out.family(&UNNAMED).add([], self.discovery.nameless().count);
        }
        memory.and(refreshed)
    }
}

/// What the kernel shows of a cgroup that is a container, by the container's id.
fn live(cgroup: &Cgroup<Entity>) -> Option<(&str, (&str, Live))> {
    let live = Live { cgroup: cgroup.order, kills: cgroup.stats.memory.oom_kills };
    Some((cgroup.entity.container_id.as_deref()?, (cgroup.id.as_str(), live)))
}

/// Puts the engine's description to a cgroup, by the id in its path or by the path itself. One that the engine does not know (any more)
/// keeps what was known of it.
fn name(cgroup: &mut Cgroup<Entity>, directory: &Directory, choice: &Choice) {
    let entity = &mut cgroup.entity;
    let Some(told) = directory.get(entity.container_id.as_ref().unwrap_or(&cgroup.id)) else { return };
    if entity.container.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &told)) {
        entity.labels = choice.render(&cgroup.id, Some(&told));
        entity.container = Some(told);
    }
}

/// The host first, then containers by age, those that join another's network last: the first to show a namespace owns it.
fn read_network(cgroups: &mut Cgroups<Entity>, network: &mut Network, system: &System) {
    network.clear();
    let mut all: Vec<_> = cgroups.iter_mut().filter(|cgroup| cgroup.id == "/" || cgroup.entity.is_container()).collect();
    all.sort_by_key(|cgroup| {
        let joins = cgroup.entity.container.as_ref().is_some_and(|container| container.joins_network());
        (cgroup.id != "/", joins, cgroup.order)
    });
    for cgroup in all {
        let path = match cgroup.pid {
            Some(pid) => system.roots.proc(format!("{pid}/net/dev")),
            None if cgroup.id == "/" => system.roots.net("dev"),
            None => {
                cgroup.entity.interfaces.clear();
                continue;
            }
        };
        network.read(&path, &mut cgroup.entity.interfaces);
    }
}

/// What the root has by being the whole machine: no limit file, and on v2 no usage file either.
fn complete_root(stats: &mut Stats, machine: &Meminfo) {
    let (memory, spec) = (&mut stats.memory, &mut stats.spec);
    if memory.usage.is_none() {
        memory.usage = memory.rss.zip(memory.cache).map(|(anonymous, file)| anonymous.saturating_add(file));
        memory.swap = Some(machine.swap_total.saturating_sub(machine.swap_free));
    }
    spec.memory_limit = Some(machine.total);
    spec.swap_limit = Some(machine.swap_total);
    spec.reservation = Some(0);
}

fn emit_times(cgroups: &[&Cgroup<Entity>], out: &mut Samples) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut rows = out.family(&LAST_SEEN);
    for cgroup in cgroups {
        rows.add_to(&cgroup.entity.labels, [], now);
    }
    for (family, time) in
        [(&CREATED, (|container| container.created) as fn(&Container) -> Option<i64>), (&STARTED, |container| container.started)]
    {
        let mut rows = out.family(family);
        for cgroup in cgroups {
            let told = cgroup.entity.container.as_deref().and_then(time);
            if let Some(time) = told.or(Some(cgroup.created).filter(|time| *time != i64::MAX)) {
                rows.add_to(&cgroup.entity.labels, [], time);
            }
        }
    }
    let mut rows = out.family(&HEALTH);
    for entity in cgroups.iter().map(|cgroup| &cgroup.entity) {
        if let Some(health) = entity.container.as_ref().and_then(|container| container.health) {
            let state = match health {
                Health::Healthy => 1,
                Health::Starting | Health::Unhealthy => 0,
                Health::Unchecked => -1,
            };
            rows.add_to(&entity.labels, [], state);
        }
    }
}

fn emit_numbers(cgroups: &[&Cgroup<Entity>], zeros: bool, out: &mut Samples) {
    for single in SINGLES {
        let mut rows = out.family(&single.family);
        for cgroup in cgroups {
            let zero = || single.zero(&cgroup.stats).filter(|_| zeros);
            if let Some(value) = (single.value)(&cgroup.stats).or_else(zero) {
                rows.add_to(&cgroup.entity.labels, [], value);
            }
        }
    }
    let mut rows = out.family(&CPU_USAGE);
    for cgroup in cgroups {
        if let Some(seconds) = cgroup.stats.cpu.usage {
            rows.add_to(&cgroup.entity.labels, [("cpu", "total")], seconds);
        }
    }
    let mut rows = out.family(&FAILURES);
    for cgroup in cgroups {
        let memory = &cgroup.stats.memory;
        for (kind, value) in [("pgfault", memory.faults), ("pgmajfault", memory.major_faults)] {
            let Some(value) = value else { continue };
            for scope in ["container", "hierarchy"] {
                rows.add_to(&cgroup.entity.labels, [("failure_type", kind), ("scope", scope)], value);
            }
        }
    }
}

fn emit_pids(cgroups: &[&Cgroup<Entity>], out: &mut Samples) {
    let containers = || cgroups.iter().filter(|cgroup| cgroup.entity.container_id.is_some());
    let mut rows = out.family(&PIDS);
    for cgroup in containers() {
        if let Some(count) = cgroup.stats.pids.current {
            rows.add_to(&cgroup.entity.labels, [], count);
        }
    }
    let mut rows = out.family(&PIDS_LIMIT);
    for cgroup in containers() {
        if let Some(most) = cgroup.stats.pids.max.filter(|most| *most != 0) {
            rows.add_to(&cgroup.entity.labels, [], most);
        }
    }
}

/// What cAdvisor has zeros for unless it is given a reader of its own.
fn emit_loads(cgroups: &[&Cgroup<Entity>], out: &mut Samples) {
    for family in &LOADS {
        let mut rows = out.family(family);
        for cgroup in cgroups {
            rows.add_to(&cgroup.entity.labels, [], 0u8);
        }
    }
    let mut rows = out.family(&TASKS_STATE);
    for cgroup in cgroups {
        for state in ["iowaiting", "running", "sleeping", "stopped", "uninterruptible"] {
            rows.add_to(&cgroup.entity.labels, [("state", state)], 0u8);
        }
    }
}

fn emit_devices(cgroups: &[&Cgroup<Entity>], devices: &Devices, out: &mut Samples) {
    for by_device in BY_DEVICE {
        let mut rows = out.family(&by_device.family);
        for cgroup in cgroups {
            for io in &cgroup.stats.io {
                if let (Some(value), Some(device)) = ((by_device.value)(io), devices.name(io.device)) {
                    rows.add_to(&cgroup.entity.labels, [("device", &device.path)], value);
                }
            }
        }
    }
    let mut rows = out.family(&BLKIO);
    for cgroup in cgroups {
        for io in &cgroup.stats.io {
            let Some(device) = devices.name(io.device) else { continue };
            for (operation, bytes) in operations(&io.bytes) {
                let Some(bytes) = bytes else { continue };
                let labels =
                    [("device", &*device.path), ("major", &device.major), ("minor", &device.minor), ("operation", operation)];
                rows.add_to(&cgroup.entity.labels, labels, bytes);
            }
        }
    }
}
