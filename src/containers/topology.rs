//! The machine in detail, of the set cpu_topology: /sys/devices/system/cpu/cpu<n>/{topology,cache}, /sys/devices/system/node.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::{ranges, text};
use crate::exposition::{Family, Labels, Samples};
use crate::system::System;
use crate::system::text::{fields, lines, number, pair};

static CACHE: Family = Family::gauge(
    "machine_cpu_cache_capacity_bytes",
    "Size of a cache; without core_id one that all cores of a node share: cpu<n>/cache/index<n>/size.",
);
static SIBLINGS: Family =
    Family::gauge("machine_thread_siblings_count", "Hardware threads of the core that a thread is of: cpu<n>/topology/core_id.");
static MEMORY: Family = Family::gauge("machine_node_memory_capacity_bytes", "Memory of a node: MemTotal of node<n>/meminfo.");
static HUGE_PAGES: Family = Family::gauge(
    "machine_node_hugepages_count",
    "Huge pages of a node by their size in kB: node<n>/hugepages/hugepages-<size>kB/nr_hugepages.",
);
static DISTANCE: Family =
    Family::gauge("machine_node_distance", "Distance from a node to another, 10 to itself: node<n>/distance.");

/// Caches above this level belong to a node, unless only some of its cores share one.
const LAST_OF_CORE: u64 = 2;

/// What rarely changes, with what goes on the page as text.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Topology {
    /// Thread's number by node and core.
    cores: BTreeMap<(String, String), Vec<u32>>,
    caches: BTreeSet<Cache>,
    nodes: Vec<Node>,
}

#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cache {
    node: String,
    /// `None`: all cores of the node share it.
    core: Option<String>,
    kind: String,
    level: String,
    bytes: u64,
}

#[derive(Debug, Default, PartialEq)]
struct Node {
    id: String,
    bytes: Option<u64>,
    /// Size in kB, and how many.
    huge_pages: Vec<(String, u64)>,
    /// To which node, and how far.
    distances: Vec<(String, u64)>,
}

impl Topology {
    /// Reads it for the CPUs that are online.
    pub(super) fn read(system: &mut System, online: &[u32]) -> Self {
        let nodes: Vec<u32> = ranges(text(system, "devices/system/node/online").as_bytes()).collect();
        let mut node_of = BTreeMap::new();
        for node in &nodes {
            for cpu in ranges(text(system, &format!("devices/system/node/node{node}/cpulist")).as_bytes()) {
                node_of.insert(cpu, node.to_string());
            }
        }
        let mut topology = Topology::default();
        for cpu in online {
            let of_cpu = format!("devices/system/cpu/cpu{cpu}/topology");
            // Where there are no nodes, each processor is one.
            let node = node_of.get(cpu).cloned().unwrap_or_else(|| text(system, &format!("{of_cpu}/physical_package_id")));
            let core = text(system, &format!("{of_cpu}/core_id"));
            topology.cores.entry((node, core)).or_default().push(*cpu);
        }
        let first: Vec<_> = topology.cores.iter().filter_map(|(id, threads)| Some((id.clone(), *threads.first()?))).collect();
        for ((node, core), cpu) in first {
            topology.add_caches(system, &node, &core, cpu);
        }
        topology.nodes = nodes.iter().map(|node| Node::read(system, *node, &nodes)).collect();
        topology
    }

    fn add_caches(&mut self, system: &mut System, node: &str, core: &str, cpu: u32) {
        let of_node = self.cores.iter().filter(|((other, _), _)| other == node).map(|(_, threads)| threads.len()).sum();
        for index in 0.. {
            let cache = format!("devices/system/cpu/cpu{cpu}/cache/index{index}");
            let mut word = |name: &str| text(system, &format!("{cache}/{name}"));
            let (kind, level, size) = (word("type"), word("level"), word("size"));
            let Some(bytes) = bytes(&size) else { return };
            let shared_by = ranges(word("shared_cpu_list").as_bytes()).count();
            let is_nodes = number(level.as_bytes()).is_some_and(|level: u64| level > LAST_OF_CORE) && shared_by >= of_node;
            let core = Some(core.to_owned()).filter(|_| !is_nodes);
            self.caches.insert(Cache { node: node.to_owned(), core, kind, level, bytes });
        }
    }

    /// Writes it; `machine` is on all series.
    pub(super) fn emit(&self, machine: &Labels, out: &mut Samples) {
        let mut rows = out.family(&CACHE);
        for Cache { node, core, kind, level, bytes } in &self.caches {
            let labels =
                [("level", level.as_str()), ("node_id", node), ("type", kind), ("core_id", core.as_deref().unwrap_or(""))];
            let used = if core.is_some() { 4 } else { 3 };
            rows.line("", machine, labels.get(..used).unwrap_or_default(), *bytes);
        }
        let mut rows = out.family(&SIBLINGS);
        for ((node, core), threads) in &self.cores {
            for thread in threads {
                let mut id = itoa::Buffer::new();
                let labels = [("core_id", core.as_str()), ("node_id", node), ("thread_id", id.format(*thread))];
                rows.add_to(machine, labels, threads.len());
            }
        }
        let mut rows = out.family(&MEMORY);
        for node in &self.nodes {
            if let Some(bytes) = node.bytes {
                rows.add_to(machine, [("node_id", &node.id)], bytes);
            }
        }
        let mut rows = out.family(&HUGE_PAGES);
        for node in &self.nodes {
            for (size, count) in &node.huge_pages {
                rows.add_to(machine, [("node_id", &node.id), ("page_size", size)], *count);
            }
        }
        let mut rows = out.family(&DISTANCE);
        for node in &self.nodes {
            for (target, distance) in &node.distances {
                rows.add_to(machine, [("node_id", &node.id), ("target_node_id", target)], *distance);
            }
        }
    }
}

impl Node {
    fn read(system: &mut System, node: u32, all: &[u32]) -> Node {
        let folder = format!("devices/system/node/node{node}");
        let meminfo = system.sys(format!("{folder}/meminfo")).ok().and_then(total);
        let far = text(system, &format!("{folder}/distance"));
        let far = fields(far.as_bytes()).filter_map(number);
        let mut huge_pages: Vec<(String, u64)> = Vec::new();
        let sizes = std::fs::read_dir(system.roots.sys(format!("{folder}/hugepages"))).into_iter().flatten().flatten();
        let sizes: Vec<String> = sizes.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        for name in sizes {
            let count = number(text(system, &format!("{folder}/hugepages/{name}/nr_hugepages")).as_bytes());
            let size = name.strip_prefix("hugepages-").and_then(|name| name.strip_suffix("kB"));
            huge_pages.extend(size.map(str::to_owned).zip(count));
        }
        huge_pages.sort();
        // One distance for each node that is online.
        let distances = all.iter().map(u32::to_string).zip(far).collect();
        Node { id: node.to_string(), bytes: meminfo, huge_pages, distances }
    }
}

/// `Node 0 MemTotal:       24731708 kB`
fn total(meminfo: &[u8]) -> Option<u64> {
    let (_, value) = lines(meminfo).filter_map(|line| pair(line, b':')).find(|(key, _)| key.ends_with(b" MemTotal"))?;
    number::<u64>(value.strip_suffix(b"kB")?)?.checked_mul(1024)
}

/// `48K`, `2M`
fn bytes(size: &str) -> Option<u64> {
    let (digits, unit) = match size.strip_suffix('K') {
        Some(digits) => (digits, 1024),
        None => (size.strip_suffix('M')?, 1024 * 1024),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert_eq!(total(b"Node 1 MemFree: 5 kB\nNode 1 MemTotal:       24731708 kB\n"), Some(24_731_708 * 1024));
        assert_eq!((bytes("48K"), bytes("2M"), bytes(""), bytes("x")), (Some(49_152), Some(2_097_152), None, None));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, size: String) {
            total(&text);
            bytes(&size);
        }
    }
}
