//! What a cgroup's numbers are called: the families, each with where its value is.

use super::cgroup::{Io, Operations, Pages, Stats};
use crate::exposition::{Family, from_u64};

/// Not of cAdvisor's.
const SLAB: &str = "container_memory_slab_reclaimable_bytes";

/// A family with at most one series for each cgroup.
pub(super) struct Single {
    pub(super) family: Family,
    pub(super) value: fn(&Stats) -> Option<f64>,
}

impl Single {
    /// What cAdvisor shows where the kernel has no such number: 0 of memory and pressure, and of bursts where there is a quota.
    pub(super) fn zero(&self, stats: &Stats) -> Option<f64> {
        let name = self.family.name.trim_start_matches("container");
        let is_burst = name.starts_with("_cpu_cfs_burst_");
        let is_always = name.starts_with("_memory_") && self.family.name != SLAB || name.starts_with("_pressure_");
        if is_burst { with_quota(stats, Some(0.0)) } else { is_always.then_some(0.0) }
    }
}

const fn counter(name: &'static str, help: &'static str, value: fn(&Stats) -> Option<f64>) -> Single {
    Single { family: Family::counter(name, help), value }
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&Stats) -> Option<f64>) -> Single {
    Single { family: Family::gauge(name, help), value }
}

fn count(value: Option<u64>) -> Option<f64> {
    value.map(from_u64)
}

/// Throttling means something only where there is a quota.
fn with_quota<T>(stats: &Stats, value: Option<T>) -> Option<T> {
    value.filter(|_| stats.spec.cpu_quota.is_some_and(|quota| quota != 0))
}

/// What a cgroup is using, less the file pages that would be given back first. Known wherever both halves are.
fn working_set(stats: &Stats) -> Option<u64> {
    Some(stats.memory.usage?.saturating_sub(stats.memory.inactive_file?))
}

/// One series for each cgroup that has the number.
pub(super) static SINGLES: &[Single] = &[
    counter("container_cpu_user_seconds_total", "CPU time in user mode: cpuacct.stat user, or cpu.stat user_usec.", |s| {
        s.cpu.user
    }),
    counter("container_cpu_system_seconds_total", "CPU time in the kernel: cpuacct.stat system, or cpu.stat system_usec.", |s| {
        s.cpu.system
    }),
    counter("container_cpu_cfs_periods_total", "Quota periods that passed: cpu.stat nr_periods.", |s| {
        with_quota(s, count(s.cpu.periods))
    }),
    counter("container_cpu_cfs_throttled_periods_total", "Periods in which the quota ran out: cpu.stat nr_throttled.", |s| {
        with_quota(s, count(s.cpu.throttled_periods))
    }),
    counter(
        "container_cpu_cfs_throttled_seconds_total",
        "Time held back by the quota: cpu.stat throttled_time or throttled_usec.",
        |s| with_quota(s, s.cpu.throttled),
    ),
    counter("container_cpu_cfs_burst_periods_total", "Periods with a burst above the quota: cpu.stat nr_bursts.", |s| {
        with_quota(s, count(s.cpu.burst_periods))
    }),
    counter(
        "container_cpu_cfs_burst_seconds_total",
        "Time used above the quota in bursts: cpu.stat burst_time or burst_usec.",
        |s| with_quota(s, s.cpu.burst),
    ),
    gauge(
        "container_memory_usage_bytes",
        "All memory charged, page cache included: memory.usage_in_bytes or memory.current.",
        |s| count(s.memory.usage),
    ),
    gauge("container_memory_working_set_bytes", "Memory charged less inactive_file of memory.stat, not below 0.", |s| {
        count(working_set(s))
    }),
    gauge("container_memory_max_usage_bytes", "Most memory ever charged: memory.max_usage_in_bytes or memory.peak.", |s| {
        count(s.memory.max_usage)
    }),
    gauge("container_memory_cache", "Page cache in bytes: memory.stat total_cache or file.", |s| count(s.memory.cache)),
    gauge("container_memory_rss", "Anonymous memory in bytes: memory.stat total_rss or anon.", |s| count(s.memory.rss)),
    gauge("container_memory_swap", "Swapped out bytes: memory.stat total_swap or memory.swap.current.", |s| count(s.memory.swap)),
    gauge("container_memory_mapped_file", "Mapped file pages in bytes: memory.stat total_mapped_file or file_mapped.", |s| {
        count(s.memory.mapped_file)
    }),
    gauge("container_memory_kernel_usage", "Kernel memory in bytes: memory.kmem.usage_in_bytes, or memory.stat kernel.", |s| {
        count(s.memory.kernel)
    }),
    gauge("container_memory_total_active_file_bytes", "File pages used lately: memory.stat (total_)active_file.", |s| {
        count(s.memory.active_file)
    }),
    gauge("container_memory_total_inactive_file_bytes", "File pages not used lately: memory.stat (total_)inactive_file.", |s| {
        count(s.memory.inactive_file)
    }),
    gauge("container_memory_file_dirty_bytes", "File pages not yet written: memory.stat total_dirty or file_dirty.", |s| {
        count(s.memory.dirty)
    }),
    gauge(
        "container_memory_file_writeback_bytes",
        "File pages being written: memory.stat total_writeback or file_writeback.",
        |s| count(s.memory.writeback),
    ),
    counter("container_memory_failcnt", "Times the memory limit was hit: memory.failcnt, or memory.events max.", |s| {
        count(s.memory.failcnt)
    }),
    counter("container_memory_events_high_total", "Times memory.high was exceeded: memory.events high.", |s| {
        count(s.memory.high_events)
    }),
    counter("container_memory_events_max_total", "Times memory.max was hit: memory.events max.", |s| count(s.memory.max_events)),
    counter("container_memory_pgscan_total", "Pages that reclaim looked at: memory.stat pgscan.", |s| count(s.memory.scanned)),
    counter("container_memory_pgsteal_total", "Pages that reclaim took: memory.stat pgsteal.", |s| count(s.memory.stolen)),
    counter(
        "container_memory_workingset_refault_file_total",
        "File pages missed soon after reclaim took them: memory.stat workingset_refault_file.",
        |s| count(s.memory.refault_file),
    ),
    counter(
        "container_memory_workingset_refault_anon_total",
        "Anonymous pages missed soon after reclaim took them: memory.stat workingset_refault_anon.",
        |s| count(s.memory.refault_anon),
    ),
    gauge(
        SLAB,
        "The kernel's caches, which it would give back and the working set has as in use: memory.stat slab_reclaimable.",
        |s| count(s.memory.slab_reclaimable),
    ),
    gauge("container_memory_migrate", "1 if memory moves along with a change of nodes: cpuset.memory_migrate.", |s| {
        count(s.memory_migrate)
    }),
    gauge("container_threads", "Threads and processes: pids.current.", |s| count(s.pids.current)),
    gauge("container_threads_max", "Limit of threads and processes: pids.max, 0 where there is none.", |s| count(s.pids.max)),
    gauge("container_spec_cpu_period", "Quota period in microseconds: cpu.cfs_period_us, or second of cpu.max.", |s| {
        count(s.spec.cpu_period)
    }),
    gauge(
        "container_spec_cpu_quota",
        "CPU microseconds per period: cpu.cfs_quota_us or first of cpu.max; absent without quota.",
        |s| with_quota(s, count(s.spec.cpu_quota)),
    ),
    gauge("container_spec_cpu_shares", "Weight among siblings: cpu.shares, or cpu.weight converted to shares.", |s| {
        count(s.spec.shares())
    }),
    gauge(
        "container_spec_memory_limit_bytes",
        "Memory limit, 0 where there is none: memory.limit_in_bytes or memory.max.",
        |s| count(s.spec.memory_limit),
    ),
    gauge(
        "container_spec_memory_swap_limit_bytes",
        "Limit of memory with swap (memory.memsw.limit_in_bytes) or of swap (memory.swap.max), 0 where there is none.",
        |s| count(s.spec.swap_limit),
    ),
    gauge(
        "container_spec_memory_reservation_limit_bytes",
        "Memory meant to be kept: memory.soft_limit_in_bytes, or the larger of memory.low and memory.min; 0 where none.",
        |s| count(s.spec.reservation),
    ),
    counter(
        "container_pressure_cpu_waiting_seconds_total",
        "Time in which some task waited for a CPU: cpu.pressure some.",
        |s| s.pressure.cpu.some,
    ),
    counter(
        "container_pressure_cpu_stalled_seconds_total",
        "Time in which all tasks waited for a CPU: cpu.pressure full.",
        |s| s.pressure.cpu.full,
    ),
    counter(
        "container_pressure_memory_waiting_seconds_total",
        "Time in which some task waited for memory: memory.pressure some.",
        |s| s.pressure.memory.some,
    ),
    counter(
        "container_pressure_memory_stalled_seconds_total",
        "Time in which all tasks waited for memory: memory.pressure full.",
        |s| s.pressure.memory.full,
    ),
    counter("container_pressure_io_waiting_seconds_total", "Time in which some task waited for I/O: io.pressure some.", |s| {
        s.pressure.io.some
    }),
    counter("container_pressure_io_stalled_seconds_total", "Time in which all tasks waited for I/O: io.pressure full.", |s| {
        s.pressure.io.full
    }),
];

pub(super) static CPU_USAGE: Family =
    Family::counter("container_cpu_usage_seconds_total", "CPU time of all CPUs together: cpuacct.usage, or cpu.stat usage_usec.");
pub(super) static FAILURES: Family = Family::counter(
    "container_memory_failures_total",
    "Page faults: memory.stat pgfault and pgmajfault, the same for both scopes.",
);
pub(super) static OOMS: Family = Family::counter(
    "container_oom_events_total",
    "Processes killed for want of memory, counted on by name: oom_kill of memory.oom_control or memory.events, the engine's event oom.",
);
pub(super) static PIDS: Family = Family::gauge("container_pids", "Threads and processes of a container: pids.current.");
pub(super) static PIDS_LIMIT: Family = Family::gauge(
    "container_pids_limit",
    "Most threads and processes that a container may have: pids.max; absent without a limit.",
);
pub(super) static UNNAMED: Family =
    Family::gauge("container_engine_unnamed_containers", "Containers, by their cgroups, that no engine has told a name of.");
pub(super) static LAST_SEEN: Family =
    Family::gauge("container_last_seen", "When the cgroup was last there: the time of this scrape.");
pub(super) static CREATED: Family = Family::gauge(
    "container_creation_time_seconds",
    "When the container was made: the engine's Created, else the oldest mark of its cgroup.",
);
pub(super) static STARTED: Family = Family::gauge(
    "container_start_time_seconds",
    "When the container was started: the engine's State.StartedAt, else the oldest mark of its cgroup.",
);
pub(super) static HEALTH: Family = Family::gauge(
    "container_health_state",
    "State.Health of the engine: 1 healthy, 0 unhealthy or starting, -1 without a health check.",
);
pub(super) static SCRAPE_ERROR: Family = Family::gauge("container_scrape_error", "1 if no cgroup could be read in this scrape.");
/// Shown with `--containers.compat=cadvisor` alone.
pub(super) static LOADS: [Family; 2] = [
    Family::gauge("container_cpu_load_average_10s", "0: no reader of loads."),
    Family::gauge("container_cpu_load_d_average_10s", "0: no reader of loads."),
];
pub(super) static TASKS_STATE: Family = Family::gauge("container_tasks_state", "0: no reader of states.");
pub(super) static BLKIO: Family = Family::counter(
    "container_blkio_device_usage_total",
    "Bytes moved by device and operation: blkio io_service_bytes, or io.stat rbytes and wbytes.",
);

/// A family with one series for each device of a cgroup.
pub(super) struct ByDevice {
    pub(super) family: Family,
    pub(super) value: fn(&Io) -> Option<f64>,
}

const fn by_device(name: &'static str, help: &'static str, value: fn(&Io) -> Option<f64>) -> ByDevice {
    ByDevice { family: Family::counter(name, help), value }
}

pub(super) static BY_DEVICE: &[ByDevice] = &[
    by_device("container_fs_reads_bytes_total", "Bytes read: blkio io_service_bytes Read, or io.stat rbytes.", |io| {
        count(io.bytes.read)
    }),
    by_device("container_fs_writes_bytes_total", "Bytes written: blkio io_service_bytes Write, or io.stat wbytes.", |io| {
        count(io.bytes.write)
    }),
    by_device("container_fs_reads_total", "Reads: blkio io_serviced Read, or io.stat rios.", |io| count(io.operations.read)),
    by_device("container_fs_writes_total", "Writes: blkio io_serviced Write, or io.stat wios.", |io| count(io.operations.write)),
    by_device("container_fs_io_cost_usage_seconds_total", "Device time by the I/O cost model: io.stat cost.usage.", |io| {
        io.cost[0]
    }),
    by_device("container_fs_io_cost_wait_seconds_total", "Time waited for device time: io.stat cost.wait.", |io| io.cost[1]),
    by_device("container_fs_io_cost_indebt_seconds_total", "Time in debt of device time: io.stat cost.indebt.", |io| io.cost[2]),
    by_device("container_fs_io_cost_indelay_seconds_total", "Time delayed for such a debt: io.stat cost.indelay.", |io| {
        io.cost[3]
    }),
];

/// A family with one series for each size of huge pages.
pub(super) struct ByPageSize {
    pub(super) family: Family,
    pub(super) value: fn(&Pages) -> Option<u64>,
}

pub(super) static BY_PAGE_SIZE: &[ByPageSize] = &[
    ByPageSize {
        family: Family::gauge("container_hugetlb_usage_bytes", "Huge pages in use, in bytes: hugetlb usage_in_bytes or current."),
        value: |pages| pages.usage,
    },
    ByPageSize {
        family: Family::gauge("container_hugetlb_max_usage_bytes", "Most huge pages ever in use: hugetlb max_usage_in_bytes."),
        value: |pages| pages.max_usage,
    },
    ByPageSize {
        family: Family::counter("container_hugetlb_failcnt", "Times the limit was hit: hugetlb failcnt, or events max."),
        value: |pages| pages.failcnt,
    },
];

pub(super) static NUMA_PAGES: Family = Family::gauge(
    "container_memory_numa_pages",
    "Pages by node, and whether with all cgroups below: memory.numa_stat; v2 tells it with them alone.",
);

/// The values of the label `operation` in [`BLKIO`].
pub(super) fn operations(bytes: &Operations) -> [(&'static str, Option<u64>); 6] {
    [
        ("Read", bytes.read),
        ("Write", bytes.write),
        ("Sync", bytes.sync),
        ("Async", bytes.asynchronous),
        ("Discard", bytes.discard),
        ("Total", bytes.total),
    ]
}

/// The columns of `/proc/<pid>/net/dev` in the order of [`Interface::counters`](super::network::Interface::counters).
pub(super) static BY_INTERFACE: [Family; 8] = [
    Family::counter("container_network_receive_bytes_total", "Bytes received by interface: net/dev of the first process."),
    Family::counter("container_network_receive_packets_total", "Packets received by interface: net/dev of the first process."),
    Family::counter("container_network_receive_errors_total", "Receive errors by interface: net/dev of the first process."),
    Family::counter(
        "container_network_receive_packets_dropped_total",
        "Received packets dropped by interface: net/dev of the first process.",
    ),
    Family::counter("container_network_transmit_bytes_total", "Bytes sent by interface: net/dev of the first process."),
    Family::counter("container_network_transmit_packets_total", "Packets sent by interface: net/dev of the first process."),
    Family::counter("container_network_transmit_errors_total", "Send errors by interface: net/dev of the first process."),
    Family::counter(
        "container_network_transmit_packets_dropped_total",
        "Packets dropped on sending by interface: net/dev of the first process.",
    ),
];
