//! The host: file systems, memory, clock, connections.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::check::{Check, Figure, state};
use super::figures::{Figures, Wanted};
use super::rate::{Rate, Trend};
use crate::exposition::Samples;

/// What is looked at, sorted by family.
pub(super) const WANTED: [Wanted; 10] = [
    ("disks", "node_disk_info", ""),
    ("turning", "node_disk_info", "rotational=\"1\""),
    ("swap_total", "node_memory_SwapTotal_bytes", ""),
    ("overflows", "node_netstat_TcpExt_ListenOverflows", ""),
    ("connections", "node_nf_conntrack_entries", ""),
    ("most_connections", "node_nf_conntrack_entries_limit", ""),
    ("memory_waiting", "node_pressure_memory_waiting_seconds_total", ""),
    ("synchronised", "node_timex_sync_status", ""),
    ("swapped_in", "node_vmstat_pswpin", ""),
    ("swapped_out", "node_vmstat_pswpout", ""),
];

/// What is known of the host.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) figures: Figures,
    /// Seconds in which something waited for memory, in each second.
    memory_waiting: Option<f64>,
    /// Pages to and from swap in each second.
    swapped: Option<f64>,
    /// Connections that a full queue turned away, in each second.
    overflows: Option<f64>,
}

/// A file system.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Disk {
    pub(super) mountpoint: String,
    device: String,
    kind: String,
    size: f64,
    available: f64,
    files: f64,
    files_free: f64,
    read_only: bool,
    /// Another mount of the same device can be written to: this one was meant to be read-only.
    twin_writable: bool,
    /// In how many seconds it will be full if it goes on like this.
    full_in: Option<f64>,
}

/// File systems that are made to be written to, so that the kernel makes them read-only after an error alone.
const WRITABLE: [&str; 6] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"];

/// Every check of the host.
pub(super) static CHECKS: [Check<Host>; 5] = [
    Check::<Host>::new("warning", "swap_off_under_pressure", |host, least| {
        let waiting = host.memory_waiting.filter(|share| *share > least)?;
        (host.figures.get("swap_total")? == 0.0).then_some(Figure::Share(waiting))
    })
    .over(0.1)
    .says(
        "programs wait for memory, and there is no swap to make room: the kernel will kill",
        "limit or stop what takes most memory, add memory, or add a little swap",
        "node_memory_SwapTotal_bytes, node_pressure_memory_waiting_seconds_total",
    ),
    Check::<Host>::new("warning", "swap_under_pressure", |host, least| {
        let swapped = host.swapped.filter(|pages| *pages > least)?;
        (host.figures.get("swap_total")? > 0.0).then_some(Figure::Count(swapped))
    })
    .over(100.0)
    .says(
        "pages go to swap and back all the time (pages a second): all gets slow",
        "limit or stop what takes most memory, or add memory",
        "node_memory_SwapTotal_bytes, node_vmstat_pswpin, node_vmstat_pswpout",
    ),
    Check::<Host>::new("warning", "clock_unsynchronised", |host, _| state(host.figures.get("synchronised")? == 0.0)).says(
        "nothing keeps the clock right: certificates, logs and replicas go wrong with it",
        "run chrony or systemd-timesyncd; in a guest, see that its host's clock is taken",
        "node_timex_sync_status",
    ),
    Check::<Host>::new("warning", "conntrack_near_limit", |host, most| {
        let used = host.figures.get("connections")? / host.figures.get("most_connections").filter(|limit| *limit > 0.0)?;
        (used > most).then_some(Figure::Share(used))
    })
    .over(0.8)
    .says(
        "the table of connections is nearly full: then new connections are dropped",
        "raise sysctl net.netfilter.nf_conntrack_max, or find who opens so many",
        "node_nf_conntrack_entries, node_nf_conntrack_entries_limit",
    ),
    Check::<Host>::new("warning", "listen_queue_overflows", |host, most| {
        host.overflows.filter(|rate| *rate > most).map(|rate| Figure::Count((rate * 60.0).ceil()))
    })
    .over(0.0)
    .says(
        "a server's queue of new connections was full (times a minute): clients wait or fail",
        "raise sysctl net.core.somaxconn and the server's own backlog, or give it more workers",
        "node_netstat_TcpExt_ListenOverflows",
    ),
];

/// Every check of a file system.
pub(super) static DISK_CHECKS: [Check<Disk>; 4] = [
    Check::<Disk>::new("critical", "disk_filling", |disk, within| {
        disk.full_in.filter(|seconds| !disk.read_only && *seconds < within * 3_600.0).map(Figure::Time)
    })
    .over(24.0)
    .says(
        "it will be full soon if it goes on like this",
        "find what grows (du -xh --max-depth=2), rotate logs, or make it larger",
        "node_filesystem_avail_bytes",
    ),
    Check::<Disk>::new("warning", "filesystem_full", |disk, most| {
        let used = 1.0 - disk.available / Some(disk.size).filter(|size| *size > 0.0)?;
        (!disk.read_only && used > most).then_some(Figure::Share(used))
    })
    .over(0.9)
    .says(
        "it is nearly full: databases stop, logs and uploads fail",
        "delete or move what is not needed (docker system df), or make it larger",
        "node_filesystem_avail_bytes, node_filesystem_size_bytes",
    ),
    Check::<Disk>::new("warning", "inodes_used_up", |disk, most| {
        let used = 1.0 - disk.files_free / Some(disk.files).filter(|files| *files > 0.0)?;
        (!disk.read_only && used > most).then_some(Figure::Share(used))
    })
    .over(0.9)
    .says(
        "it has hardly an inode left: no file can be made, though there may be space",
        "delete small files (sessions, caches, mail), or make the file system anew with more inodes",
        "node_filesystem_files, node_filesystem_files_free",
    ),
    Check::<Disk>::new("critical", "filesystem_read_only", |disk, _| {
        let meant = disk.twin_writable || !disk.device.starts_with("/dev/") || !WRITABLE.contains(&disk.kind.as_str());
        state(disk.read_only && !meant)
    })
    .says(
        "it takes no writes: after an error on the device, the kernel makes a file system read-only",
        "see dmesg and the device's health, then check the file system; if it is meant to be so, switch this check off",
        "node_filesystem_readonly",
    ),
];

/// What is remembered of the host from scrape to scrape.
#[derive(Debug, Default)]
pub(super) struct Memory {
    memory_waiting: Rate,
    swapped: Rate,
    overflows: Rate,
    trends: HashMap<String, Trend>,
}

impl Memory {
    /// Completes what `host` has with what the time between scrapes tells.
    pub(super) fn complete(&mut self, host: &mut Host, now: Instant) {
        let figure = |name| host.figures.get(name);
        host.memory_waiting = self.memory_waiting.note(now, figure("memory_waiting"));
        host.swapped = self.swapped.note(now, figure("swapped_in").zip(figure("swapped_out")).map(|(into, out)| into + out));
        host.overflows = self.overflows.note(now, figure("overflows"));
    }

    /// Adds to the trends of the file systems, and forgets those that are gone.
    pub(super) fn follow(&mut self, disks: &mut [Disk], now: Instant, every: Duration) {
        self.trends.retain(|mountpoint, _| disks.iter().any(|disk| disk.mountpoint == *mountpoint));
        for disk in disks.iter_mut().filter(|disk| disk.size > 0.0) {
            if !self.trends.contains_key(&disk.mountpoint) {
                self.trends.insert(disk.mountpoint.clone(), Trend::default());
            }
            if let Some(trend) = self.trends.get_mut(&disk.mountpoint) {
                trend.note(now, disk.available, every);
                disk.full_in = trend.ends_in(disk.available);
            }
        }
    }
}

/// The file systems that `samples` tell of.
pub(super) fn disks(samples: &Samples) -> Vec<Disk> {
    let mut known: Vec<(&str, Disk)> = Vec::new();
    for (family, figures) in samples.families() {
        let Some(name) = family.strip_prefix("node_filesystem_") else { continue };
        let Some(set) = field(name) else { continue };
        for figure in figures {
            let at = known.iter().position(|(labels, _)| *labels == figure.labels).unwrap_or_else(|| {
                let label = |name| figure.label(name).unwrap_or_default().into_owned();
                let (mountpoint, device, kind) = (label("mountpoint"), label("device"), label("fstype"));
                known.push((figure.labels, Disk { mountpoint, device, kind, ..Disk::default() }));
                known.len() - 1
            });
            if let Some((_, disk)) = known.get_mut(at) {
                set(disk, figure.value);
            }
        }
    }
    let mut disks: Vec<Disk> = known.into_iter().map(|(_, disk)| disk).collect();
    let writable: Vec<String> = disks.iter().filter(|disk| !disk.read_only).map(|disk| disk.device.clone()).collect();
    for disk in &mut disks {
        disk.twin_writable = disk.read_only && writable.contains(&disk.device);
    }
    disks
}

/// Where the figure of `node_filesystem_<name>` goes.
fn field(name: &str) -> Option<fn(&mut Disk, f64)> {
    Some(match name {
        "size_bytes" => |disk, value| disk.size = value,
        "avail_bytes" => |disk, value| disk.available = value,
        "files" => |disk, value| disk.files = value,
        "files_free" => |disk, value| disk.files_free = value,
        "readonly" => |disk, value| disk.read_only = value == 1.0,
        _ => return None,
    })
}
