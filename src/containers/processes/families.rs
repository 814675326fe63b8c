//! What is found of processes and sockets, as families.

use std::collections::HashMap;

use super::Found;
use super::sockets::STATES;
use crate::exposition::{Family, Labels, Samples, from_u64};

static PROCESSES: Family = Family::gauge("container_processes", "Processes in this very cgroup: lines of cgroup.procs.");
static FILES: Family = Family::gauge("container_file_descriptors", "Files that its processes have open: /proc/<pid>/fd.");
static SOCKETS: Family =
    Family::gauge("container_sockets", "Sockets among the files that its processes have open: /proc/<pid>/fd.");
static ULIMITS: Family = Family::gauge(
    "container_ulimits_soft",
    "Limits of its first process, by name, -1 for none: Max open files of /proc/<pid>/limits.",
);
static REFERENCED: Family = Family::gauge(
    "container_referenced_bytes",
    "Memory of its processes that was referenced since they began, or since someone reset it: /proc/<pid>/smaps_rollup.",
);
static SCHEDULES: [Family; 2] = [
    Family::counter(
        "container_cpu_schedstat_run_seconds_total",
        "Time that its processes' first threads ran, with all cgroups below: /proc/<pid>/schedstat.",
    ),
    Family::counter(
        "container_cpu_schedstat_runqueue_seconds_total",
        "Time that its processes' first threads waited to run, with all cgroups below: /proc/<pid>/schedstat.",
    ),
];
static RUNS: Family = Family::counter(
    "container_cpu_schedstat_run_periods_total",
    "How often its processes' first threads ran, with all cgroups below: /proc/<pid>/schedstat.",
);
static TCP: [Family; 2] = [
    Family::gauge("container_network_tcp_usage_total", "TCP sockets over IPv4 by state: /proc/<pid>/net/tcp."),
    Family::gauge("container_network_tcp6_usage_total", "TCP sockets over IPv6 by state: /proc/<pid>/net/tcp6."),
];
static UDP: [Family; 2] = [
    Family::gauge(
        "container_network_udp_usage_total",
        "UDP sockets over IPv4 (listen), their drops, and bytes in their queues: /proc/<pid>/net/udp.",
    ),
    Family::gauge(
        "container_network_udp6_usage_total",
        "UDP sockets over IPv6 (listen), their drops, and bytes in their queues: /proc/<pid>/net/udp6.",
    ),
];
static COUNTERS: Family = Family::gauge(
    "container_network_advance_tcp_stats_total",
    "TCP's counters by name: Tcp of /proc/<pid>/net/snmp, TcpExt of /proc/<pid>/net/netstat.",
);

type Number = fn(&Found) -> Option<i64>;

const NUMBERS: [(&Family, Number); 4] = [
    (&PROCESSES, |found| found.processes.and_then(|count| i64::try_from(count).ok())),
    (&FILES, |found| found.open.and_then(|open| i64::try_from(open.files).ok())),
    (&SOCKETS, |found| found.open.and_then(|open| i64::try_from(open.sockets).ok())),
    (&REFERENCED, |found| found.referenced.and_then(|bytes| i64::try_from(bytes).ok())),
];

/// Writes what was found of `cgroups`, paths and labels.
pub(super) fn emit<'a>(
    all: &HashMap<String, Found>,
    cgroups: impl Iterator<Item = (&'a str, &'a Labels)> + Clone,
    out: &mut Samples,
) {
    let found = cgroups.filter_map(|(id, labels)| Some((labels, all.get(id)?)));
    for (family, number) in NUMBERS {
        let mut rows = out.family(family);
        for (labels, found) in found.clone() {
            if let Some(number) = number(found) {
                rows.add_to(labels, [], number);
            }
        }
    }
    let mut rows = out.family(&ULIMITS);
    for (labels, found) in found.clone() {
        if let Some(most) = found.most_files {
            rows.add_to(labels, [("ulimit", "max_open_files")], most);
        }
    }
    emit_schedules(found.clone(), out);
    emit_sockets(found, out);
}

fn emit_schedules<'a>(found: impl Iterator<Item = (&'a Labels, &'a Found)> + Clone, out: &mut Samples) {
    for (column, family) in SCHEDULES.iter().enumerate() {
        let mut rows = out.family(family);
        for (labels, found) in found.clone() {
            if let Some(nanoseconds) = found.schedule.and_then(|schedule| schedule.get(column).copied()) {
                rows.add_to(labels, [], from_u64(nanoseconds) / 1e9);
            }
        }
    }
    let mut rows = out.family(&RUNS);
    for (labels, found) in found {
        if let Some([_, _, runs]) = found.schedule {
            rows.add_to(labels, [], runs);
        }
    }
}

fn emit_sockets<'a>(found: impl Iterator<Item = (&'a Labels, &'a Found)> + Clone, out: &mut Samples) {
    for (version, family) in TCP.iter().enumerate() {
        let mut rows = out.family(family);
        for (labels, found) in found.clone() {
            let states = found.tcp.get(version).copied().flatten();
            for (state, count) in STATES.into_iter().zip(states.into_iter().flatten()) {
                rows.add_to(labels, [("tcp_state", state)], count);
            }
        }
    }
    for (version, family) in UDP.iter().enumerate() {
        let mut rows = out.family(family);
        for (labels, found) in found.clone() {
            let Some(udp) = found.udp.get(version).copied().flatten() else { continue };
            let values =
                [("dropped", udp.dropped), ("listen", udp.sockets), ("rxqueued", udp.received), ("txqueued", udp.sending)];
            for (state, value) in values {
                rows.add_to(labels, [("udp_state", state)], value);
            }
        }
    }
    let mut rows = out.family(&COUNTERS);
    for (labels, found) in found {
        for (name, value) in &found.counters {
            rows.add_to(labels, [("tcp_state", name)], *value);
        }
    }
}
