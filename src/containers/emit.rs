//! What was read of all cgroups, family by family.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::cgroup::Cgroup;
use super::collector::{Entity, Show};
use super::devices::Devices;
use super::families::{
    BLKIO, BY_DEVICE, BY_INTERFACE, BY_PAGE_SIZE, CPU_USAGE, CREATED, FAILURES, HEALTH, LAST_SEEN, LOADS, NUMA_PAGES, PIDS,
    PIDS_LIMIT, SINGLES, STARTED, TASKS_STATE, operations,
};
use super::sets::Set;
use crate::discovery::{Container, Health};
use crate::exposition::Samples;

/// One scrape's cgroups, and how they are shown.
pub(super) struct Page<'a> {
    pub(super) cgroups: &'a [&'a Cgroup<Entity>],
    pub(super) page_sizes: &'a [String],
    pub(super) devices: &'a Devices,
    pub(super) show: Show,
}

impl Page<'_> {
    pub(super) fn emit(&self, out: &mut Samples) {
        self.times(out);
        self.numbers(out);
        let has = |set| self.show.sets.has(set);
        if has(Set::Cpu) {
            self.cpu(out);
        }
        if has(Set::Memory) {
            self.failures(out);
        }
        if has(Set::CpuLoad) && self.show.zeros {
            self.loads(out);
        }
        self.pids(out);
        if has(Set::Hugetlb) {
            self.huge_pages(out);
        }
        if has(Set::MemoryNuma) {
            self.numa_pages(out);
        }
        if has(Set::DiskIo) {
            self.devices(out);
        }
        if has(Set::Network) {
            self.interfaces(out);
        }
    }

    fn times(&self, out: &mut Samples) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let mut rows = out.family(&LAST_SEEN);
        for cgroup in self.cgroups {
            rows.add_to(&cgroup.entity.labels, [], now);
        }
        for (family, time) in [
            (&CREATED, (|container| container.created) as fn(&Container) -> Option<i64>),
            (&STARTED, |container| container.started),
        ] {
            let mut rows = out.family(family);
            for cgroup in self.cgroups {
                let told = cgroup.entity.container.as_deref().and_then(time);
                if let Some(time) = told.or(Some(cgroup.created).filter(|time| *time != i64::MAX)) {
                    rows.add_to(&cgroup.entity.labels, [], time);
                }
            }
        }
        let mut rows = out.family(&HEALTH);
        for entity in self.cgroups.iter().map(|cgroup| &cgroup.entity) {
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

    fn numbers(&self, out: &mut Samples) {
        for single in SINGLES.iter().filter(|single| self.show.sets.show(single.family.name)) {
            let mut rows = out.family(&single.family);
            for cgroup in self.cgroups {
                let zero = || single.zero(&cgroup.stats).filter(|_| self.show.zeros);
                if let Some(value) = (single.value)(&cgroup.stats).or_else(zero) {
                    rows.add_to(&cgroup.entity.labels, [], value);
                }
            }
        }
    }

    /// In total, or by CPU where that is asked for and the kernel tells it: never both, as dashboards sum over `cpu`. A CPU that has done
    /// nothing has no series: cpuacct.usage_percpu lists all that there could be.
    fn cpu(&self, out: &mut Samples) {
        let mut name = String::new();
        let mut rows = out.family(&CPU_USAGE);
        for cgroup in self.cgroups {
            let cpu = &cgroup.stats.cpu;
            for (number, seconds) in cpu.by_cpu.iter().enumerate().filter(|(_, seconds)| **seconds > 0.0) {
                name.clear();
                // A String takes all.
                let _ = write!(name, "cpu{number:02}");
                rows.add_to(&cgroup.entity.labels, [("cpu", &name)], *seconds);
            }
            if let Some(seconds) = cpu.usage.filter(|_| cpu.by_cpu.is_empty()) {
                rows.add_to(&cgroup.entity.labels, [("cpu", "total")], seconds);
            }
        }
    }

    fn failures(&self, out: &mut Samples) {
        let mut rows = out.family(&FAILURES);
        for cgroup in self.cgroups {
            let memory = &cgroup.stats.memory;
            for (kind, value) in [("pgfault", memory.faults), ("pgmajfault", memory.major_faults)] {
                let Some(value) = value else { continue };
                for scope in ["container", "hierarchy"] {
                    rows.add_to(&cgroup.entity.labels, [("failure_type", kind), ("scope", scope)], value);
                }
            }
        }
    }

    fn pids(&self, out: &mut Samples) {
        let containers = || self.cgroups.iter().filter(|cgroup| cgroup.entity.container_id.is_some());
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
    fn loads(&self, out: &mut Samples) {
        for family in &LOADS {
            let mut rows = out.family(family);
            for cgroup in self.cgroups {
                rows.add_to(&cgroup.entity.labels, [], 0u8);
            }
        }
        let mut rows = out.family(&TASKS_STATE);
        for cgroup in self.cgroups {
            for state in ["iowaiting", "running", "sleeping", "stopped", "uninterruptible"] {
                rows.add_to(&cgroup.entity.labels, [("state", state)], 0u8);
            }
        }
    }

    fn huge_pages(&self, out: &mut Samples) {
        for by_page_size in BY_PAGE_SIZE {
            let mut rows = out.family(&by_page_size.family);
            for cgroup in self.cgroups {
                for pages in &cgroup.stats.pages {
                    let value = (by_page_size.value)(pages).or(self.show.zeros.then_some(0));
                    if let (Some(value), Some(size)) = (value, self.page_sizes.get(pages.size)) {
                        rows.add_to(&cgroup.entity.labels, [("pagesize", size)], value);
                    }
                }
            }
        }
    }

    fn numa_pages(&self, out: &mut Samples) {
        let mut rows = out.family(&NUMA_PAGES);
        for cgroup in self.cgroups {
            for numa in &cgroup.stats.numa {
                let mut node = itoa::Buffer::new();
                let labels = [("node", node.format(numa.node)), ("scope", numa.scope), ("type", numa.kind)];
                rows.add_to(&cgroup.entity.labels, labels, numa.pages);
            }
        }
    }

    fn devices(&self, out: &mut Samples) {
        for by_device in BY_DEVICE {
            let mut rows = out.family(&by_device.family);
            for cgroup in self.cgroups {
                for io in &cgroup.stats.io {
                    if let (Some(value), Some(device)) = ((by_device.value)(io), self.devices.name(io.device)) {
                        rows.add_to(&cgroup.entity.labels, [("device", &device.path)], value);
                    }
                }
            }
        }
        let mut rows = out.family(&BLKIO);
        for cgroup in self.cgroups {
            for io in &cgroup.stats.io {
                let Some(device) = self.devices.name(io.device) else { continue };
                for (operation, bytes) in operations(&io.bytes) {
                    let Some(bytes) = bytes else { continue };
                    let labels =
                        [("device", &*device.path), ("major", &device.major), ("minor", &device.minor), ("operation", operation)];
                    rows.add_to(&cgroup.entity.labels, labels, bytes);
                }
            }
        }
    }

    fn interfaces(&self, out: &mut Samples) {
        for (column, family) in BY_INTERFACE.iter().enumerate() {
            let mut rows = out.family(family);
            for entity in self.cgroups.iter().map(|cgroup| &cgroup.entity) {
                for interface in &entity.interfaces {
                    let value = interface.counters.get(column).copied().unwrap_or(0);
                    rows.add_to(&entity.labels, [("interface", &interface.name)], value);
                }
            }
        }
    }
}
