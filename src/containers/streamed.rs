//! Containers out of sight: what their engine tells of them, put into the words of cgroups.

use super::cgroup::{Device, Io, Stats};
use super::network::Interface;
use crate::discovery::{Container, Figures};
use crate::exposition::from_u64;

/// The columns of [`Interface::counters`].
const COLUMNS: [&str; 8] =
    ["rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"];

/// A container's numbers; its limits are those that the engine was told.
pub(super) fn stats(figures: &Figures, container: &Container) -> Stats {
    let mut stats = Stats::default();
    let seconds = |nanoseconds: Option<u64>| nanoseconds.map(|count| from_u64(count) / 1e9);
    let (used, limits) = (&figures.cpu_stats.cpu_usage, &container.limits);
    stats.cpu.usage = seconds(used.total_usage);
    stats.cpu.user = seconds(used.usage_in_usermode);
    stats.cpu.system = seconds(used.usage_in_kernelmode);
    stats.spec.cpu_shares = limits.cpu_shares;
    stats.spec.memory_limit = Some(limits.memory.unwrap_or(0));
    stats.spec.reservation = Some(limits.memory_reservation.unwrap_or(0));
    stats.spec.cpu_period = Some(100_000);
    if let Some(billionths) = limits.nano_cpus {
        stats.spec.cpu_quota = Some(billionths / 10_000);
        let throttling = |key| figures.cpu_stats.throttling_data.as_ref()?.get(key).copied();
        stats.cpu.periods = throttling("periods");
        stats.cpu.throttled_periods = throttling("throttled_periods");
        stats.cpu.throttled = seconds(throttling("throttled_time"));
    }
    let memory = &figures.memory_stats;
    stats.memory.usage = memory.usage;
    stats.memory.max_usage = memory.max_usage;
    stats.memory.failcnt = memory.failcnt;
    let of = |v1, v2| memory.stats.as_ref().and_then(|stats| stats.get(v1).or_else(|| stats.get(v2)).copied());
    stats.memory.cache = of("total_cache", "file");
    stats.memory.rss = of("total_rss", "anon");
    stats.memory.mapped_file = of("total_mapped_file", "file_mapped");
    stats.memory.swap = of("total_swap", "swap");
    stats.memory.active_file = of("total_active_file", "active_file");
    stats.memory.inactive_file = of("total_inactive_file", "inactive_file");
    stats.memory.faults = of("pgfault", "pgfault");
    stats.memory.major_faults = of("pgmajfault", "pgmajfault");
    stats.pids.current = figures.pids_stats.current;
    stats.io = io(figures);
    stats
}

fn io(figures: &Figures) -> Vec<Io> {
    let mut all: Vec<Io> = Vec::new();
    let blocks = &figures.blkio_stats;
    for (counts, is_bytes) in [(&blocks.io_service_bytes_recursive, true), (&blocks.io_serviced_recursive, false)] {
        for count in counts.iter().flatten() {
            let device = Device { major: count.major, minor: count.minor };
            if !all.iter().any(|io| io.device == device) {
                all.push(Io { device, ..Io::default() });
            }
            let Some(io) = all.iter_mut().find(|io| io.device == device) else { continue };
            let operations = if is_bytes { &mut io.bytes } else { &mut io.operations };
            let field = match count.op.to_ascii_lowercase().as_str() {
                "read" => &mut operations.read,
                "write" => &mut operations.write,
                "sync" => &mut operations.sync,
                "async" => &mut operations.asynchronous,
                "discard" => &mut operations.discard,
                "total" => &mut operations.total,
                _ => continue,
            };
            *field = Some(count.value);
        }
    }
    all
}

/// A container's interfaces; none where it lives in another's network, which tells them already.
pub(super) fn interfaces(figures: &Figures, container: &Container) -> Vec<Interface> {
    let all = figures.networks.iter().flatten().filter(|(name, _)| !(name.is_empty() || container.joins_network()));
    let counters =
        |counts: &std::collections::BTreeMap<String, u64>| COLUMNS.map(|column| counts.get(column).copied().unwrap_or(0));
    all.map(|(name, counts)| Interface { name: name.clone(), counters: counters(counts) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = r#"{"read":"x","cpu_stats":{"cpu_usage":{"total_usage":1500000000,"percpu_usage":[1],"usage_in_kernelmode":500000000,"usage_in_usermode":1000000000},
        "throttling_data":{"periods":3,"throttled_periods":2,"throttled_time":1000000000}},
        "memory_stats":{"usage":100,"max_usage":200,"failcnt":1,"limit":999,"stats":{"cache":1,"total_cache":10,"total_inactive_file":4,"pgfault":5}},
        "blkio_stats":{"io_service_bytes_recursive":[{"major":254,"minor":0,"op":"Read","value":7},{"major":254,"minor":0,"op":"Total","value":8}],"io_serviced_recursive":null},
        "pids_stats":{"current":2},"networks":{"eth0":{"rx_bytes":11,"tx_dropped":12}}}"#;
    const V2: &str = r#"{"cpu_stats":{"cpu_usage":{"total_usage":1}},"memory_stats":{"usage":100,"stats":{"anon":6,"file":7,"inactive_file":8}},
        "blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"write","value":9}]},"pids_stats":{}}"#;

    #[test]
    fn both_versions_of_cgroups_are_understood() {
        let mut container = Container::default();
        container.limits.nano_cpus = Some(500_000_000);
        let figures: Figures = serde_json::from_str(V1).unwrap();
        let found = stats(&figures, &container);
        assert_eq!((found.cpu.usage, found.cpu.user, found.cpu.system), (Some(1.5), Some(1.0), Some(0.5)));
        assert_eq!((found.cpu.periods, found.cpu.throttled, found.spec.cpu_quota), (Some(3), Some(1.0), Some(50_000)));
        assert_eq!((found.memory.usage, found.memory.cache, found.memory.inactive_file), (Some(100), Some(10), Some(4)));
        assert_eq!((found.spec.memory_limit, found.pids.current), (Some(0), Some(2)));
        let device = Device { major: 254, minor: 0 };
        assert_eq!((found.io[0].device, found.io[0].bytes.read, found.io[0].bytes.total), (device, Some(7), Some(8)));
        assert_eq!(interfaces(&figures, &container), [Interface { name: "eth0".into(), counters: [11, 0, 0, 0, 0, 0, 0, 12] }]);
        container.network = crate::discovery::Network::Host;
        assert_eq!(interfaces(&figures, &container), []);

        let found = stats(&serde_json::from_str(V2).unwrap(), &Container::default());
        assert_eq!((found.memory.rss, found.memory.cache, found.memory.inactive_file), (Some(6), Some(7), Some(8)));
        assert_eq!((found.io[0].bytes.write, found.cpu.periods, found.spec.cpu_quota), (Some(9), None, None));
    }
}
