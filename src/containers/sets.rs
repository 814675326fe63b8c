//! Sets of families by cAdvisor's names: what `--containers.enable` and `--containers.disable` switch.

use crate::settings::{Error, Flag, Settings};

static ENABLE: Flag = Flag::list(
    "containers.enable",
    &[],
    "Sets of families to show that are off by default: percpu, sched, process, referenced_memory, hugetlb, memory_numa, cpuset, tcp, udp, \
     advtcp, cpu_topology.",
);
static DISABLE: Flag = Flag::list(
    "containers.disable",
    &[],
    "Sets of families not to show: cpu, cpuLoad, memory, network, disk, diskIO, oom_event, pressure, or one of --containers.enable.",
);

pub(super) static FLAGS: [&Flag; 2] = [&ENABLE, &DISABLE];

/// A set of families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// CPU time and throttling.
    Cpu,
    /// CPU time by CPU instead of in total.
    PerCpu,
    /// Load averages and states of tasks.
    CpuLoad,
    /// Time on the run queue.
    Sched,
    /// Memory.
    Memory,
    /// Memory by node.
    MemoryNuma,
    /// Huge pages.
    Hugetlb,
    /// Memory used since it was last asked.
    ReferencedMemory,
    /// Whether memory moves along with its tasks.
    Cpuset,
    /// File systems.
    Disk,
    /// Block I/O.
    DiskIo,
    /// Traffic by interface.
    Network,
    /// TCP sockets by state.
    Tcp,
    /// UDP sockets.
    Udp,
    /// TCP's counters.
    AdvTcp,
    /// Processes and what they have open.
    Process,
    /// Processes killed for want of memory.
    OomEvent,
    /// Time lost for want of CPU, memory, I/O.
    Pressure,
    /// Caches, threads, nodes of the machine.
    CpuTopology,
}

/// The sets, their names, and whether they are on by default.
const ALL: [(Set, &str, bool); 19] = [
    (Set::Cpu, "cpu", true),
    (Set::PerCpu, "percpu", false),
    (Set::CpuLoad, "cpuLoad", true),
    (Set::Sched, "sched", false),
    (Set::Memory, "memory", true),
    (Set::MemoryNuma, "memory_numa", false),
    (Set::Hugetlb, "hugetlb", false),
    (Set::ReferencedMemory, "referenced_memory", false),
    (Set::Cpuset, "cpuset", false),
    (Set::Disk, "disk", true),
    (Set::DiskIo, "diskIO", true),
    (Set::Network, "network", true),
    (Set::Tcp, "tcp", false),
    (Set::Udp, "udp", false),
    (Set::AdvTcp, "advtcp", false),
    (Set::Process, "process", false),
    (Set::OomEvent, "oom_event", true),
    (Set::Pressure, "pressure", true),
    (Set::CpuTopology, "cpu_topology", false),
];

/// cAdvisor's sets that there are not here. Whoever disables one has what they want.
const LEFT_OUT: [&str; 3] = ["app", "perf_event", "resctrl"];

/// Whose family it is, by the start of its name; the first that fits. What fits none is always shown.
const FAMILIES: [(&str, Set); 27] = [
    ("container_cpu_load_", Set::CpuLoad),
    ("container_tasks_state", Set::CpuLoad),
    ("container_cpu_schedstat_", Set::Sched),
    ("container_cpu_", Set::Cpu),
    ("container_memory_migrate", Set::Cpuset),
    ("container_memory_numa_", Set::MemoryNuma),
    ("container_memory_", Set::Memory),
    ("container_hugetlb_", Set::Hugetlb),
    ("container_referenced_", Set::ReferencedMemory),
    ("container_fs_inodes_", Set::Disk),
    ("container_fs_limit_", Set::Disk),
    ("container_fs_usage_", Set::Disk),
    ("container_fs_", Set::DiskIo),
    ("container_blkio_", Set::DiskIo),
    ("container_network_tcp", Set::Tcp),
    ("container_network_udp", Set::Udp),
    ("container_network_advance_tcp_", Set::AdvTcp),
    ("container_network_", Set::Network),
    ("container_processes", Set::Process),
    ("container_file_descriptors", Set::Process),
    ("container_sockets", Set::Process),
    ("container_ulimits_", Set::Process),
    ("container_oom_events_", Set::OomEvent),
    ("container_pressure_", Set::Pressure),
    ("machine_cpu_cache_", Set::CpuTopology),
    ("machine_thread_siblings_", Set::CpuTopology),
    ("machine_node_", Set::CpuTopology),
];

/// The sets that are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sets(u32);

impl Default for Sets {
    fn default() -> Self {
        let on = ALL.iter().filter(|(_, _, on)| *on);
        Sets(on.fold(0, |sets, (set, _, _)| sets | set.bit()))
    }
}

impl Set {
    const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// The set of that family; `None` for one that is always shown.
    pub(super) fn of(family: &str) -> Option<Set> {
        FAMILIES.iter().find(|(start, _)| family.starts_with(start)).map(|(_, set)| *set)
    }
}

impl Sets {
    /// The sets as set.
    pub(super) fn of(settings: &Settings) -> Result<Self, Error> {
        let mut sets = Sets::default();
        for (flag, on) in [(&ENABLE, true), (&DISABLE, false)] {
            for name in
                settings.list(flag).iter().flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty())
            {
                let set = ALL.iter().find(|(_, known, _)| *known == name).map(|(set, _, _)| set.bit());
                match set {
                    Some(set) if on => sets.0 |= set,
                    Some(set) => sets.0 &= !set,
                    None if !on && LEFT_OUT.contains(&name) => {}
                    None => return Err(unknown(flag, name)),
                }
            }
        }
        Ok(sets)
    }

    /// Whether the set is on.
    pub(crate) fn has(self, set: Set) -> bool {
        self.0 & set.bit() != 0
    }

    /// Whether any set asks for what the processes of a cgroup do.
    pub(crate) fn list_processes(self) -> bool {
        [Set::Process, Set::Sched, Set::ReferencedMemory].into_iter().any(|set| self.has(set))
    }

    /// Whether any set asks for the sockets of network namespaces.
    pub(super) fn list_sockets(self) -> bool {
        [Set::Tcp, Set::Udp, Set::AdvTcp].into_iter().any(|set| self.has(set))
    }

    /// Whether the family of that name is shown.
    pub(super) fn show(self, family: &str) -> bool {
        Set::of(family).is_none_or(|set| self.has(set))
    }
}

fn unknown(flag: &Flag, name: &str) -> Error {
    let known: Vec<_> = ALL.iter().map(|(_, name, _)| *name).collect();
    let known = known.join(", ");
    if LEFT_OUT.contains(&name) {
        return Error::new(format!("--{}: the set {name} of cAdvisor is left out here; there are {known}", flag.name));
    }
    Error::new(format!("--{}: no set {name:?}; there are {known}", flag.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    fn sets(enable: &str, disable: &str) -> Result<Sets, Error> {
        let mut settings = Settings::default();
        settings.set(&ENABLE, Origin::CommandLine, Setting::List(vec![enable.to_owned()]));
        settings.set(&DISABLE, Origin::CommandLine, Setting::List(vec![disable.to_owned()]));
        Sets::of(&settings)
    }

    #[test]
    fn names_are_cadvisors_and_an_unknown_one_is_refused_with_those_there_are() {
        let chosen = sets("tcp, percpu", "memory,resctrl").unwrap();
        assert!(chosen.has(Set::Tcp) && chosen.has(Set::PerCpu) && chosen.has(Set::Cpu));
        assert!(!chosen.has(Set::Memory) && !chosen.has(Set::Udp));
        assert_eq!(sets("", ""), Ok(Sets::default()));
        assert_eq!(sets("tcp", "tcp"), Ok(Sets::default()));
        for (enable, disable) in [("Tcp", ""), ("", "diskio"), ("perf_event", "")] {
            let error = sets(enable, disable).unwrap_err().to_string();
            assert!(error.contains("cpu, percpu, cpuLoad") && error.contains(enable) && error.contains(disable), "{error}");
        }
    }

    #[test]
    fn families_are_in_cadvisors_sets() {
        for (family, set) in [
            ("container_cpu_load_average_10s", Some(Set::CpuLoad)),
            ("container_cpu_usage_seconds_total", Some(Set::Cpu)),
            ("container_memory_numa_pages", Some(Set::MemoryNuma)),
            ("container_fs_usage_bytes", Some(Set::Disk)),
            ("container_fs_reads_total", Some(Set::DiskIo)),
            ("container_spec_memory_limit_bytes", None),
            ("container_threads", None),
            ("container_pids", None),
            ("machine_cpu_cores", None),
        ] {
            assert_eq!(Set::of(family), set, "{family}");
        }
        assert!(ALL.iter().enumerate().all(|(at, (set, _, _))| ALL.iter().skip(at + 1).all(|(other, _, _)| other != set)));
    }
}
