//! What the kernel says of one cgroup, whichever version of cgroups said it.

/// One cgroup's numbers in one scrape. `None`: this kernel, this version of cgroups or this cgroup has no such number,
/// and the series is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stats {
    /// Time on the CPUs.
    pub cpu: Cpu,
    /// Memory in use.
    pub memory: Memory,
    /// Block I/O, one entry for each device.
    pub io: Vec<Io>,
    /// Threads and processes.
    pub pids: Pids,
    /// What is set: limits, shares, quota.
    pub spec: Spec,
    /// Time lost for want of CPU, memory or I/O.
    pub pressure: Pressure,
    /// Huge pages, one entry for each size.
    pub pages: Vec<Pages>,
    /// Memory by node.
    pub numa: Vec<Numa>,
    /// `cpuset.memory_migrate` (v1): 1 if memory moves along when the cgroup's nodes are changed.
    pub memory_migrate: Option<u64>,
}

/// CPU time in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cpu {
    /// All of it.
    pub usage: Option<f64>,
    /// By CPU, from the first one on (v1).
    pub by_cpu: Vec<f64>,
    /// In user mode.
    pub user: Option<f64>,
    /// In the kernel.
    pub system: Option<f64>,
    /// Quota periods that passed.
    pub periods: Option<u64>,
    /// Periods in which the cgroup was held back.
    pub throttled_periods: Option<u64>,
    /// How long it was held back.
    pub throttled: Option<f64>,
    /// Periods with a burst above the quota.
    pub burst_periods: Option<u64>,
    /// Time above the quota.
    pub burst: Option<f64>,
}

/// Memory in bytes, events as counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// Charged to the cgroup and its children.
    pub usage: Option<u64>,
    /// The most that was ever charged.
    pub max_usage: Option<u64>,
    /// Times the limit was hit.
    pub failcnt: Option<u64>,
    /// Page cache.
    pub cache: Option<u64>,
    /// Anonymous memory.
    pub rss: Option<u64>,
    /// The kernel's own memory on the cgroup's behalf.
    pub kernel: Option<u64>,
    /// Mapped files.
    pub mapped_file: Option<u64>,
    /// Swapped out.
    pub swap: Option<u64>,
    /// File pages lately used.
    pub active_file: Option<u64>,
    /// File pages not lately used.
    pub inactive_file: Option<u64>,
    /// File pages to be written.
    pub dirty: Option<u64>,
    /// File pages being written.
    pub writeback: Option<u64>,
    /// Caches of the kernel, such as of names of files, that it would give back (v2).
    pub slab_reclaimable: Option<u64>,
    /// Page faults.
    pub faults: Option<u64>,
    /// Page faults that had to wait for a disk.
    pub major_faults: Option<u64>,
    /// Pages looked at by reclaim.
    pub scanned: Option<u64>,
    /// Pages taken by reclaim.
    pub stolen: Option<u64>,
    /// File pages that had to be read again soon after reclaim took them.
    pub refault_file: Option<u64>,
    /// The same of anonymous pages.
    pub refault_anon: Option<u64>,
    /// Times `memory.high` was exceeded.
    pub high_events: Option<u64>,
    /// Times `memory.max` was hit.
    pub max_events: Option<u64>,
    /// Processes killed for want of memory.
    pub oom_kills: Option<u64>,
}

/// One block device's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Io {
    /// Which device.
    pub device: Device,
    /// Bytes by kind of operation, as far as the kernel tells them apart.
    pub bytes: Operations,
    /// Operations by kind.
    pub operations: Operations,
    /// Seconds of the I/O cost model (`usage`, `wait`, `indebt`, `indelay`), where it is on.
    pub cost: [Option<f64>; 4],
}

/// A block device's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Device {
    /// Driver.
    pub major: u32,
    /// Disk or partition.
    pub minor: u32,
}

/// A count by kind of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Operations {
    /// Reads.
    pub read: Option<u64>,
    /// Writes.
    pub write: Option<u64>,
    /// Synchronous ones (v1).
    pub sync: Option<u64>,
    /// Asynchronous ones (v1).
    pub asynchronous: Option<u64>,
    /// Discards (v1).
    pub discard: Option<u64>,
    /// All of them (v1).
    pub total: Option<u64>,
}

/// Huge pages of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pages {
    /// Which size: the index in [`Cgroups::page_sizes`](super::Cgroups::page_sizes).
    pub size: usize,
    /// Bytes in use.
    pub usage: Option<u64>,
    /// The most bytes that ever were (v1).
    pub max_usage: Option<u64>,
    /// Times the limit was hit.
    pub failcnt: Option<u64>,
}

/// Memory on one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Numa {
    /// `file`, `anon`, `unevictable`.
    pub kind: &'static str,
    /// `container`, or `hierarchy` with all below it.
    pub scope: &'static str,
    /// Number of the node.
    pub node: usize,
    /// Pages of the usual size.
    pub pages: u64,
}

/// Threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pids {
    /// Threads there are.
    pub current: Option<u64>,
    /// Threads there may be; 0 where there is no limit.
    pub max: Option<u64>,
}

/// What is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Spec {
    /// Length of a quota period in microseconds.
    pub cpu_period: Option<u64>,
    /// CPU microseconds for each period; `None` without a quota.
    pub cpu_quota: Option<u64>,
    /// Weight among siblings, in v1's shares.
    pub cpu_shares: Option<u64>,
    /// The same as v2 has it, 1 to 10000; 0 of an idle cgroup.
    pub cpu_weight: Option<u64>,
    /// Memory limit in bytes; 0 where there is none.
    pub memory_limit: Option<u64>,
    /// v1: limit of memory and swap together; v2: of swap; 0 where there is none.
    pub swap_limit: Option<u64>,
    /// Memory that is protected or aimed at; 0 where there is none.
    pub reservation: Option<u64>,
}

/// Seconds stalled: some of the tasks, and all of them at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pressure {
    /// For want of CPU.
    pub cpu: Stall,
    /// For want of memory.
    pub memory: Stall,
    /// For want of I/O.
    pub io: Stall,
}

/// One resource's stall times in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stall {
    /// At least one task waited.
    pub some: Option<f64>,
    /// All tasks waited.
    pub full: Option<f64>,
}

impl Spec {
    /// Weight among siblings in v1's shares, converted where there is only v2's weight.
    pub(crate) fn shares(&self) -> Option<u64> {
        self.cpu_shares.or_else(|| self.cpu_weight.map(shares))
    }
}

impl Stats {
    /// Forgets the last scrape's numbers and keeps the memory.
    pub(super) fn clear(&mut self) {
        let (mut io, mut pages, mut numa) =
            (std::mem::take(&mut self.io), std::mem::take(&mut self.pages), std::mem::take(&mut self.numa));
        let mut by_cpu = std::mem::take(&mut self.cpu.by_cpu);
        io.clear();
        pages.clear();
        numa.clear();
        by_cpu.clear();
        *self = Stats { io, pages, numa, cpu: Cpu { by_cpu, ..Cpu::default() }, ..Stats::default() };
    }

    /// The entry of huge pages of that size, a new one if there is none yet.
    pub(super) fn pages(&mut self, size: usize) -> Option<&mut Pages> {
        let at = self.pages.iter().position(|pages| pages.size == size).unwrap_or(self.pages.len());
        if at == self.pages.len() {
            self.pages.push(Pages { size, ..Pages::default() });
        }
        self.pages.get_mut(at)
    }

    /// The entry of `device`, a new one if there is none yet.
    pub(super) fn io(&mut self, device: Device) -> Option<&mut Io> {
        let at = self.io.iter().position(|io| io.device == device).unwrap_or(self.io.len());
        if at == self.io.len() {
            self.io.push(Io { device, ..Io::default() });
        }
        self.io.get_mut(at)
    }
}

/// Sets a number that no earlier file has given: where v1 and v2 are mounted side by side, v1 is read first.
pub(super) fn fill<T>(field: &mut Option<T>, value: Option<T>) {
    if field.is_none() {
        *field = value;
    }
}

/// A weight of 1 to 10000 as v1's shares of 2 to 262144: the linear formula that container runtimes long used in the other
/// direction, so 100 is 2597. 0 (an idle cgroup) stays 0.
fn shares(weight: u64) -> u64 {
    match weight.checked_sub(1) {
        None => 0,
        Some(above) => above.saturating_mul(262_142) / 9999 + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_become_shares_as_cadvisor_counts_them() {
        for (weight, expected) in [(0, 0), (1, 2), (39, 998), (50, 1286), (100, 2597), (10_000, 262_144)] {
            assert_eq!(shares(weight), expected);
        }
    }
}
