//! cgroup v2: one tree, files of many numbers.
//!
//! The same table serves the v2 tree that stands beside v1 trees on a hybrid host: there it fills what v1 has not (pressure,
//! and the CPU time of units without a v1 cgroup of their own).

use super::super::sets::Set;
use super::attribute::{Attribute, Controller};
use super::numa;
use super::parse::{device, maximum, pairs};
use super::stats::{Stall, Stats, fill};
use crate::exposition::from_u64;
use crate::system::text::{fields, lines, number};

/// The files read of each cgroup.
pub(super) static ATTRIBUTES: [Attribute; 19] = [
    attribute(Some(Set::Cpu), "cpu.stat", cpu_stat),
    attribute(None, "cpu.max", cpu_max),
    attribute(None, "cpu.weight", |text, stats| stats.spec.cpu_weight = number(text)),
    attribute(MEMORY, "memory.stat", memory_stat),
    attribute(MEMORY, "memory.current", |text, stats| fill(&mut stats.memory.usage, number(text))),
    attribute(MEMORY, "memory.peak", |text, stats| fill(&mut stats.memory.max_usage, number(text))),
    attribute(MEMORY, "memory.swap.current", |text, stats| fill(&mut stats.memory.swap, number(text))),
    attribute(Some(Set::MemoryNuma), "memory.numa_stat", numa::v2),
    attribute(None, "memory.events", memory_events),
    attribute(None, "memory.max", |text, stats| fill(&mut stats.spec.memory_limit, maximum(text))),
    attribute(None, "memory.swap.max", |text, stats| fill(&mut stats.spec.swap_limit, maximum(text))),
    attribute(None, "memory.low", reservation),
    attribute(None, "memory.min", reservation),
    attribute(Some(Set::DiskIo), "io.stat", io_stat),
    attribute(None, "pids.current", |text, stats| fill(&mut stats.pids.current, number(text))),
    attribute(None, "pids.max", |text, stats| fill(&mut stats.pids.max, maximum(text))),
    attribute(PRESSURE, "cpu.pressure", |text, stats| pressure(text, &mut stats.pressure.cpu)),
    attribute(PRESSURE, "memory.pressure", |text, stats| pressure(text, &mut stats.pressure.memory)),
    attribute(PRESSURE, "io.pressure", |text, stats| pressure(text, &mut stats.pressure.io)),
];

const MEMORY: Option<Set> = Some(Set::Memory);
const PRESSURE: Option<Set> = Some(Set::Pressure);

const fn attribute(set: Option<Set>, file: &'static str, parse: fn(&[u8], &mut Stats)) -> Attribute {
    Attribute::new(Controller::Unified, set, file, parse)
}

/// `usage_usec 1500000`
fn cpu_stat(text: &[u8], stats: &mut Stats) {
    let cpu = &mut stats.cpu;
    for (key, value) in pairs(text) {
        let seconds = Some(from_u64(value) / 1e6);
        match key {
            b"usage_usec" => fill(&mut cpu.usage, seconds),
            b"user_usec" => fill(&mut cpu.user, seconds),
            b"system_usec" => fill(&mut cpu.system, seconds),
            b"nr_periods" => fill(&mut cpu.periods, Some(value)),
            b"nr_throttled" => fill(&mut cpu.throttled_periods, Some(value)),
            b"throttled_usec" => fill(&mut cpu.throttled, seconds),
            b"nr_bursts" => fill(&mut cpu.burst_periods, Some(value)),
            b"burst_usec" => fill(&mut cpu.burst, seconds),
            _ => {}
        }
    }
}

/// `50000 100000`: quota and period in microseconds; the quota is `max` where there is none
fn cpu_max(text: &[u8], stats: &mut Stats) {
    let mut fields = fields(text);
    fill(&mut stats.spec.cpu_quota, fields.next().and_then(number));
    fill(&mut stats.spec.cpu_period, fields.next().and_then(number));
}

/// `anon 1638400`: bytes and counts, all with the children
fn memory_stat(text: &[u8], stats: &mut Stats) {
    let memory = &mut stats.memory;
    for (key, value) in pairs(text) {
        let field = match key {
            b"file" => &mut memory.cache,
            b"anon" => &mut memory.rss,
            // Since Linux 5.18; before, there is no such sum.
            b"kernel" => &mut memory.kernel,
            b"file_mapped" => &mut memory.mapped_file,
            b"active_file" => &mut memory.active_file,
            b"inactive_file" => &mut memory.inactive_file,
            b"file_dirty" => &mut memory.dirty,
            b"file_writeback" => &mut memory.writeback,
            b"slab_reclaimable" => &mut memory.slab_reclaimable,
            b"pgfault" => &mut memory.faults,
            b"pgmajfault" => &mut memory.major_faults,
            b"pgscan" => &mut memory.scanned,
            b"pgsteal" => &mut memory.stolen,
            b"workingset_refault_file" => &mut memory.refault_file,
            b"workingset_refault_anon" => &mut memory.refault_anon,
            _ => continue,
        };
        fill(field, Some(value));
    }
}

/// `max 3`: how often each limit was hit. What v1 counts as `failcnt` is the `max` here.
fn memory_events(text: &[u8], stats: &mut Stats) {
    let memory = &mut stats.memory;
    for (key, value) in pairs(text) {
        match key {
            b"high" => fill(&mut memory.high_events, Some(value)),
            b"max" => {
                fill(&mut memory.max_events, Some(value));
                fill(&mut memory.failcnt, Some(value));
            }
            b"oom_kill" => fill(&mut memory.oom_kills, Some(value)),
            _ => {}
        }
    }
}

/// `33554432`: the larger of memory.low (what engines set) and memory.min (what units may set)
fn reservation(text: &[u8], stats: &mut Stats) {
    stats.spec.reservation = stats.spec.reservation.max(maximum(text));
}

/// `254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0 cost.usage=10`
///
/// Some kernels (5.x before the fix in 5.18) put several devices on one line; those without numbers come first.
fn io_stat(text: &[u8], stats: &mut Stats) {
    for line in lines(text) {
        let mut current = None;
        for field in fields(line) {
            let Some(at) = memchr::memchr(b'=', field) else {
                current = device(field);
                continue;
            };
            let (key, value) = (field.get(..at).unwrap_or_default(), field.get(at + 1..).and_then(number::<u64>));
            let (Some(device), Some(value)) = (current, value) else { continue };
            let Some(io) = stats.io(device) else { continue };
            let [usage, wait, indebt, indelay] = &mut io.cost;
            match key {
                b"rbytes" => fill(&mut io.bytes.read, Some(value)),
                b"wbytes" => fill(&mut io.bytes.write, Some(value)),
                b"rios" => fill(&mut io.operations.read, Some(value)),
                b"wios" => fill(&mut io.operations.write, Some(value)),
                b"cost.usage" => *usage = Some(from_u64(value) / 1e6),
                b"cost.wait" => *wait = Some(from_u64(value) / 1e6),
                b"cost.indebt" => *indebt = Some(from_u64(value) / 1e6),
                b"cost.indelay" => *indelay = Some(from_u64(value) / 1e6),
                _ => {}
            }
        }
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=1234`: microseconds
fn pressure(text: &[u8], stall: &mut Stall) {
    for line in lines(text) {
        let total = fields(line).find_map(|field| field.strip_prefix(b"total=")).and_then(number);
        let seconds = total.map(|microseconds| from_u64(microseconds) / 1e6);
        match line.split(|&byte| byte == b' ').next() {
            Some(b"some") => stall.some = seconds,
            Some(b"full") => stall.full = seconds,
            _ => {}
        }
    }
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
    fn limits_and_their_absence() {
        let spec = parse("cpu.max", b"50000 100000\n").spec;
        assert_eq!((spec.cpu_quota, spec.cpu_period), (Some(50_000), Some(100_000)));
        let spec = parse("cpu.max", b"max 100000\n").spec;
        assert_eq!((spec.cpu_quota, spec.cpu_period), (None, Some(100_000)));
        assert_eq!(parse("memory.max", b"max\n").spec.memory_limit, Some(0));
        assert_eq!(parse("memory.max", b"67108864\n").spec.memory_limit, Some(67_108_864));
        let mut stats = parse("memory.low", b"33554432\n");
        reservation(b"0\n", &mut stats);
        assert_eq!(stats.spec.reservation, Some(33_554_432));
    }

    #[test]
    fn io_by_device_even_on_one_line() {
        let io =
            parse("io.stat", b"8:16 8:0 rbytes=4096 wbytes=1 rios=2 wios=3 dbytes=0 dios=0 cost.usage=1500000\n8:32 rbytes=7\n")
                .io;
        assert_eq!(io.len(), 2);
        assert_eq!(io[0].device, Device { major: 8, minor: 0 });
        assert_eq!((io[0].bytes.read, io[0].bytes.write, io[0].operations.read), (Some(4096), Some(1), Some(2)));
        assert_eq!((io[0].cost[0], io[0].bytes.total), (Some(1.5), None));
        assert_eq!(io[1].bytes.read, Some(7));
    }

    #[test]
    fn stalls_and_events() {
        let text = b"some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
        let stall = parse("memory.pressure", text).pressure.memory;
        assert_eq!((stall.some, stall.full), (Some(2.5), Some(0.000_005)));
        let memory = parse("memory.events", b"low 0\nhigh 4\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n").memory;
        assert_eq!(
            (memory.high_events, memory.max_events, memory.failcnt, memory.oom_kills),
            (Some(4), Some(3), Some(3), Some(2))
        );
    }

    #[test]
    fn v1_is_believed_first() {
        let mut stats = Stats::default();
        stats.cpu.usage = Some(1.0);
        cpu_stat(b"usage_usec 5000000\nuser_usec 4000000\n", &mut stats);
        assert_eq!((stats.cpu.usage, stats.cpu.user), (Some(1.0), Some(4.0)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, lines in "([a-z]{1,6}=?|[0-9]{1,3}:[0-9]{1,11}| |\n|[0-9]{1,22}|total=|rbytes=|max){0,40}") {
            let mut stats = Stats::default();
            for attribute in &ATTRIBUTES {
                attribute.parse(&text, &mut stats);
                attribute.parse(lines.as_bytes(), &mut stats);
            }
        }
    }
}
