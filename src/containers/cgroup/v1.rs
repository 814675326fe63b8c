//! cgroup v1: one tree for each controller, one file for each number.

use super::super::sets::Set;
use super::attribute::Attribute;
use super::attribute::Controller::{Blkio, Cpu, Cpuacct, Cpuset, Memory, Pids};
use super::numa;
use super::parse::{device, maximum, pairs};
use super::stats::{Io, Operations, Stats};
use crate::exposition::from_u64;
use crate::system::text::{fields, lines, number};

/// The files read of each cgroup, in the order in which they are believed.
pub(super) static ATTRIBUTES: [Attribute; 24] = [
    Attribute::new(Cpuacct, CPU, "cpuacct.usage", cpuacct_usage),
    Attribute::new(Cpuacct, Some(Set::PerCpu), "cpuacct.usage_percpu", cpuacct_usage_percpu),
    Attribute::new(Cpuacct, CPU, "cpuacct.stat", cpuacct_stat),
    Attribute::new(Cpu, CPU, "cpu.stat", cpu_stat),
    Attribute::new(Cpu, None, "cpu.shares", |text, stats| stats.spec.cpu_shares = number(text)),
    Attribute::new(Cpu, None, "cpu.cfs_period_us", |text, stats| stats.spec.cpu_period = number(text)),
    // -1 without a quota, which is no u64.
    Attribute::new(Cpu, None, "cpu.cfs_quota_us", |text, stats| stats.spec.cpu_quota = number(text)),
    Attribute::new(Memory, MEMORY, "memory.stat", memory_stat),
    Attribute::new(Memory, MEMORY, "memory.usage_in_bytes", |text, stats| stats.memory.usage = number(text)),
    Attribute::new(Memory, MEMORY, "memory.max_usage_in_bytes", |text, stats| stats.memory.max_usage = number(text)),
    Attribute::new(Memory, MEMORY, "memory.failcnt", |text, stats| stats.memory.failcnt = number(text)),
    Attribute::new(Memory, MEMORY, "memory.kmem.usage_in_bytes", |text, stats| stats.memory.kernel = number(text)),
    Attribute::new(Memory, Some(Set::MemoryNuma), "memory.numa_stat", numa::v1),
    Attribute::new(Memory, None, "memory.oom_control", oom_control),
    Attribute::new(Memory, None, "memory.limit_in_bytes", |text, stats| stats.spec.memory_limit = limit(text)),
    Attribute::new(Memory, None, "memory.memsw.limit_in_bytes", |text, stats| stats.spec.swap_limit = limit(text)),
    Attribute::new(Memory, None, "memory.soft_limit_in_bytes", |text, stats| stats.spec.reservation = limit(text)),
    Attribute::new(Cpuset, Some(Set::Cpuset), "cpuset.memory_migrate", |text, stats| stats.memory_migrate = number(text)),
    // The bfq files count what that scheduler served; without it they hold no device, and the throttling layer's are taken.
    Attribute::new(Blkio, DISK_IO, "blkio.bfq.io_service_bytes_recursive", io_bytes),
    Attribute::new(Blkio, DISK_IO, "blkio.throttle.io_service_bytes_recursive", io_bytes),
    Attribute::new(Blkio, DISK_IO, "blkio.bfq.io_serviced_recursive", io_operations),
    Attribute::new(Blkio, DISK_IO, "blkio.throttle.io_serviced_recursive", io_operations),
    Attribute::new(Pids, None, "pids.current", |text, stats| stats.pids.current = number(text)),
    Attribute::new(Pids, None, "pids.max", |text, stats| stats.pids.max = maximum(text)),
];

const CPU: Option<Set> = Some(Set::Cpu);
const MEMORY: Option<Set> = Some(Set::Memory);
const DISK_IO: Option<Set> = Some(Set::DiskIo);

/// cpuacct.stat counts ticks of 1/100 s, whatever the kernel's own tick is.
const USER_HZ: f64 = 100.0;

/// Above this a limit is no limit: v1 writes the largest whole number of pages that fits an i64.
const UNLIMITED: u64 = 1 << 62;

/// `115004165143`: nanoseconds
fn cpuacct_usage(text: &[u8], stats: &mut Stats) {
    stats.cpu.usage = number(text).map(|nanoseconds| from_u64(nanoseconds) / 1e9);
}

/// `115004165143 87234512 0 0 `: nanoseconds of each CPU that there may be
fn cpuacct_usage_percpu(text: &[u8], stats: &mut Stats) {
    let nanoseconds = fields(text).map_while(number);
    stats.cpu.by_cpu.extend(nanoseconds.map(|nanoseconds| from_u64(nanoseconds) / 1e9));
}

/// `user 17170`: ticks
fn cpuacct_stat(text: &[u8], stats: &mut Stats) {
    for (key, value) in pairs(text) {
        let seconds = Some(from_u64(value) / USER_HZ);
        match key {
            b"user" => stats.cpu.user = seconds,
            b"system" => stats.cpu.system = seconds,
            _ => {}
        }
    }
}

/// `throttled_time 1724314000`: periods as counts, time in nanoseconds
fn cpu_stat(text: &[u8], stats: &mut Stats) {
    for (key, value) in pairs(text) {
        match key {
            b"nr_periods" => stats.cpu.periods = Some(value),
            b"nr_throttled" => stats.cpu.throttled_periods = Some(value),
            b"throttled_time" => stats.cpu.throttled = Some(from_u64(value) / 1e9),
            b"nr_bursts" => stats.cpu.burst_periods = Some(value),
            b"burst_time" => stats.cpu.burst = Some(from_u64(value) / 1e9),
            _ => {}
        }
    }
}

/// `total_cache 1390211072`: bytes and counts, of the cgroup alone and (`total_`) with all below it
fn memory_stat(text: &[u8], stats: &mut Stats) {
    let memory = &mut stats.memory;
    for (key, value) in pairs(text) {
        let field = match key {
            b"total_cache" => &mut memory.cache,
            b"total_rss" => &mut memory.rss,
            b"total_mapped_file" => &mut memory.mapped_file,
            b"total_swap" => &mut memory.swap,
            b"total_active_file" => &mut memory.active_file,
            b"total_inactive_file" => &mut memory.inactive_file,
            b"total_dirty" => &mut memory.dirty,
            b"total_writeback" => &mut memory.writeback,
            // cAdvisor takes these without their children, for both of its scopes.
            b"pgfault" => &mut memory.faults,
            b"pgmajfault" => &mut memory.major_faults,
            b"workingset_refault_file" => &mut memory.refault_file,
            b"workingset_refault_anon" => &mut memory.refault_anon,
            _ => continue,
        };
        *field = Some(value);
    }
}

/// `oom_kill 0` among `oom_kill_disable 0` and `under_oom 0`
fn oom_control(text: &[u8], stats: &mut Stats) {
    stats.memory.oom_kills = pairs(text).find(|(key, _)| *key == b"oom_kill").map(|(_, value)| value);
}

/// `254:0 Read 4096`, and a last line `Total 4096` that sums up all devices
fn io_bytes(text: &[u8], stats: &mut Stats) {
    io(text, stats, |io| &mut io.bytes);
}

/// `254:0 Read 1`
fn io_operations(text: &[u8], stats: &mut Stats) {
    io(text, stats, |io| &mut io.operations);
}

fn io(text: &[u8], stats: &mut Stats, kind: fn(&mut Io) -> &mut Operations) {
    if stats.io.iter_mut().any(|io| *kind(io) != Operations::default()) {
        return;
    }
    for line in lines(text) {
        let mut fields = fields(line);
        let (Some(device), Some(operation), Some(value)) = (fields.next().and_then(device), fields.next(), fields.next()) else {
            continue;
        };
        let Some(operations) = stats.io(device).map(kind) else { continue };
        let field = match operation {
            b"Read" => &mut operations.read,
            b"Write" => &mut operations.write,
            b"Sync" => &mut operations.sync,
            b"Async" => &mut operations.asynchronous,
            b"Discard" => &mut operations.discard,
            b"Total" => &mut operations.total,
            _ => continue,
        };
        *field = number(value);
    }
}

/// `9223372036854771712`: bytes
fn limit(text: &[u8]) -> Option<u64> {
    number(text).map(|bytes| if bytes > UNLIMITED { 0 } else { bytes })
}

#[cfg(test)]
mod tests {
    use super::super::stats::Device;
    use super::*;

    fn parse(file: &str, text: &[u8]) -> Stats {
        let mut stats = Stats::default();
        ATTRIBUTES.iter().find(|attribute| attribute.file == file).unwrap().parse(text, &mut stats);
        stats
    }

    #[test]
    fn times_become_seconds() {
        assert_eq!(parse("cpuacct.usage", b"1500000000\n").cpu.usage, Some(1.5));
        assert_eq!(parse("cpuacct.usage_percpu", b"1500000000 0 500000000 \n").cpu.by_cpu, [1.5, 0.0, 0.5]);
        let cpu = parse("cpuacct.stat", b"user 17170\nsystem 7623\n").cpu;
        assert_eq!((cpu.user, cpu.system), (Some(171.7), Some(76.23)));
        let cpu = parse("cpu.stat", b"nr_periods 10\nnr_throttled 3\nthrottled_time 2500000000\nwait_sum 5\n").cpu;
        assert_eq!((cpu.periods, cpu.throttled_periods, cpu.throttled), (Some(10), Some(3), Some(2.5)));
    }

    #[test]
    fn no_limit_is_zero_and_no_quota_is_nothing() {
        assert_eq!(parse("memory.limit_in_bytes", b"9223372036854771712\n").spec.memory_limit, Some(0));
        assert_eq!(parse("memory.limit_in_bytes", b"67108864\n").spec.memory_limit, Some(67_108_864));
        assert_eq!(parse("cpu.cfs_quota_us", b"-1\n").spec.cpu_quota, None);
        assert_eq!(parse("cpu.cfs_quota_us", b"50000\n").spec.cpu_quota, Some(50_000));
        assert_eq!(parse("pids.max", b"max\n").pids.max, Some(0));
    }

    #[test]
    fn memory_is_taken_with_the_children_and_faults_without() {
        let memory =
            parse("memory.stat", b"cache 1\npgfault 5\npgmajfault 6\ntotal_cache 10\ntotal_rss 20\ntotal_pgfault 50\n").memory;
        assert_eq!((memory.cache, memory.rss, memory.swap), (Some(10), Some(20), None));
        assert_eq!((memory.faults, memory.major_faults), (Some(5), Some(6)));
        let text = b"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n";
        assert_eq!(parse("memory.oom_control", text).memory.oom_kills, Some(7));
    }

    #[test]
    fn the_first_io_file_with_a_device_wins() {
        let mut stats = Stats::default();
        io_bytes(b"Total 0\n", &mut stats);
        assert!(stats.io.is_empty());
        io_bytes(b"254:0 Read 4096\n254:0 Write 0\n254:0 Total 4096\nTotal 4096\n", &mut stats);
        io_bytes(b"254:0 Read 1\n", &mut stats);
        io_operations(b"254:0 Read 2\n254:16 Async 3\n", &mut stats);
        assert_eq!(stats.io.len(), 2);
        assert_eq!((stats.io[0].bytes.read, stats.io[0].bytes.total, stats.io[0].bytes.sync), (Some(4096), Some(4096), None));
        assert_eq!((stats.io[0].operations.read, stats.io[1].operations.asynchronous), (Some(2), Some(3)));
        assert_eq!(stats.io[1].device, Device { major: 254, minor: 16 });
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, lines in "([a-z_]{1,12}|[0-9]{1,3}:[0-9]{1,3}| |\n|[0-9]{1,22}|Read|Total){0,40}") {
            let mut stats = Stats::default();
            for attribute in &ATTRIBUTES {
                attribute.parse(&text, &mut stats);
                attribute.parse(lines.as_bytes(), &mut stats);
            }
        }
    }
}
