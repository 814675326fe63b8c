//! One scrape of all cgroups: read, put names to them, write family by family.

use std::collections::HashSet;
use std::sync::Arc;

use super::beyond::Beyond;
use super::cgroup::{Cgroup, Cgroups, Stats};
use super::devices::Devices;
use super::disk::{self, Disk, Measured};
use super::emit::Page;
use super::engines;
use super::families::{OOMS, SCRAPE_ERROR, UNNAMED};
use super::identity::{container_id, holder, machine};
use super::labels::Choice;
use super::machine::{Machine, Meminfo};
use super::network::{Interface, Network};
use super::ooms::Live;
use super::processes::{Processes, Subject};
use super::sets::{Set, Sets};
use super::streamed;
use crate::discovery::{Container, Directory, Discovery, Product};
use crate::exposition::{Labels, Samples};
use crate::scrape::Collector;
use crate::system::{Fault, System};

/// What goes with each cgroup.
pub(super) struct Entity {
    /// The container that it is, by its path.
    pub(super) container_id: Option<String>,
    /// What the engine told of that container, also some time ago; or what the path says.
    pub(super) container: Option<Arc<Container>>,
    /// Rendered when `container` changed.
    pub(super) labels: Labels,
    pub(super) interfaces: Vec<Interface>,
    /// Whether its network namespace is shown here and nowhere else.
    owns_network: bool,
}

impl Entity {
    /// The id by which an engine knows it: that in its path, or the path itself.
    fn id(&self) -> Option<&str> {
        self.container_id.as_deref().or_else(|| Some(self.container.as_ref()?.id.as_str()))
    }

    fn is_container(&self) -> bool {
        self.container_id.is_some() || self.container.is_some()
    }
}

/// Which series are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    pub(super) sets: Sets,
    /// Whether what the kernel does not tell is 0, as cAdvisor has it.
    pub(super) zeros: bool,
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
    /// What is shown.
    show: Show,
    /// `None`: no set asks for what processes do.
    processes: Option<Processes>,
    beyond: Beyond,
    network: Network,
    devices: Devices,
    machine: Machine,
    /// Containers that the kernel does not show, by their engine's figures.
    streamed: Vec<Cgroup<Entity>>,
    /// In how many scrapes on end there was an engine none of whose containers was seen.
    blind: u32,
}

/// A container that has just come may be seen the next time.
const BLIND: u32 = 2;

impl Containers {
    pub(super) fn new(
        directory: Option<Directory>,
        discovery: Discovery,
        disk: Disk,
        choice: Choice,
        show: Show,
        processes: Option<Processes>,
    ) -> Self {
        let (beyond, network, devices, machine, streamed) = Default::default();
        Containers {
            cgroups: None,
            directory,
            discovery,
            disk,
            choice,
            show,
            processes,
            beyond,
            network,
            devices,
            machine,
            streamed,
            blind: 0,
        }
    }

    fn refresh(&mut self, system: &mut System) -> Result<(), Fault> {
        let cgroups = match &mut self.cgroups {
            Some(cgroups) => cgroups,
            none => none.insert(Cgroups::find(system, self.show.sets, holder)?),
        };
        let choice = &self.choice;
        let refreshed = cgroups.refresh(|id| {
            let container = machine(id).map(|name| Container { id: id.to_owned(), name, ..Container::default() });
            Entity {
                container_id: container_id(id).map(str::to_owned),
                labels: choice.render(id, container.as_ref()),
                container: container.map(Arc::new),
                interfaces: Vec::new(),
                owns_network: false,
            }
        });
        if let Some(directory) = &self.directory {
            for cgroup in cgroups.iter_mut() {
                name(cgroup, directory, choice);
            }
        }
        for cgroup in cgroups.iter_mut() {
            if let Some(container) = &cgroup.entity.container {
                cgroup.stats.spec.complete(&container.limits);
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
        refreshed
    }

    /// Has the engines tell of the containers that are out of sight, and takes what they told last.
    fn refresh_streamed(&mut self) {
        let Some(directory) = &self.directory else { return };
        let cgroups = || self.cgroups.iter().flat_map(Cgroups::iter);
        if self.cgroups.is_none() {
            self.beyond.learn(directory.all(), &Default::default(), &self.choice);
        }
        let seen: HashSet<&str> = cgroups().filter_map(|cgroup| cgroup.entity.container_id.as_deref()).collect();
        let hidden = directory.out_of_sight(|id| seen.contains(id));
        self.blind = if hidden.is_empty() { 0 } else { self.blind.saturating_add(1) };
        let hidden = if self.blind < BLIND { Vec::new() } else { hidden };
        directory.streams().want(hidden.iter().map(|container| container.id.clone()).collect());
        let streamed = hidden.into_iter().filter_map(|container| {
            let (figures, path) = (directory.streams().get(&container.id)?, self.beyond.path(&container.id)?.to_owned());
            let entity = Entity {
                container_id: Some(container.id.clone()),
                labels: self.choice.render(&path, Some(&container)),
                interfaces: streamed::interfaces(&figures, &container),
                owns_network: false,
                container: Some(container.clone()),
            };
            Some(Cgroup::told(path, streamed::stats(&figures, &container), entity))
        });
        self.streamed = streamed.collect();
    }

    /// All that there are numbers of.
    fn all(&self) -> impl Iterator<Item = &Cgroup<Entity>> {
        self.cgroups.iter().flat_map(Cgroups::iter).chain(&self.streamed)
    }

    fn emit(&self, out: &mut Samples) {
        let all: Vec<&Cgroup<Entity>> = self.all().collect();
        let page_sizes = self.cgroups.as_ref().map_or(&[][..], |cgroups| &cgroups.page_sizes);
        Page { cgroups: &all, page_sizes, devices: &self.devices, show: self.show }.emit(out);
        if self.show.sets.has(Set::OomEvent) {
            self.emit_ooms(&all, out);
        }
        if self.show.sets.has(Set::Disk) {
            self.emit_disk(&all, out);
        }
        if let Some(processes) = &self.processes {
            let labels = all.iter().map(|cgroup| (cgroup.id.as_str(), &cgroup.entity.labels));
            processes.collect(|| all.iter().map(|cgroup| subject(cgroup)).collect(), labels, out);
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
        self.disk.emit(host, &containers, self.show.zeros, out);
        let all: Vec<Measured<'_>> =
            self.beyond.all().filter_map(|(container, labels)| Some((labels, self.disk.usage(&container.id)?))).collect();
        disk::beyond(&all, out);
    }

    /// Kills in cgroups that no engine tells of; the others are counted on by name.
    fn emit_ooms(&self, cgroups: &[&Cgroup<Entity>], out: &mut Samples) {
        let mut rows = out.family(&OOMS);
        for cgroup in cgroups {
            let is_shown = cgroup.entity.id().is_some_and(|id| self.beyond.shows(id));
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
        let memory = self.machine.collect(system, docker.unwrap_or_default(), self.show, out);
        let refreshed = self.refresh(system);
        self.refresh_streamed();
        let all = self.cgroups.iter().flat_map(Cgroups::iter).chain(&self.streamed);
        self.devices.learn(all.flat_map(|cgroup| &cgroup.stats.io).map(|io| io.device), system);
        out.family(&SCRAPE_ERROR).add([], self.all().next().is_none());
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
            engines::emit_streamed(self.streamed.len(), out);
        }
        memory.and(refreshed)
    }
}

/// What the kernel shows of a cgroup that is a container, by the container's id.
fn live(cgroup: &Cgroup<Entity>) -> Option<(&str, (&str, Live))> {
    let live = Live { cgroup: cgroup.order, kills: cgroup.stats.memory.oom_kills };
    Some((cgroup.entity.id()?, (cgroup.id.as_str(), live)))
}

/// What the processes of a cgroup are to be asked. The host's network is that of the host's first process.
fn subject(cgroup: &Cgroup<Entity>) -> Subject {
    let first = cgroup.pid.or_else(|| (cgroup.id == "/").then_some(1));
    let network = first.filter(|_| cgroup.entity.owns_network);
    Subject { id: cgroup.id.clone(), processes: cgroup.processes.clone(), first: cgroup.pid, network }
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
                cgroup.entity.owns_network = false;
                continue;
            }
        };
        cgroup.entity.owns_network = network.read(&path, &mut cgroup.entity.interfaces);
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
