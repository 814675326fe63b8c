//! `process_*`: what this very process costs, from /proc/self whatever --path.procfs says.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::unistd::{SysconfVar, sysconf};

use crate::exposition::{Family, Samples, from_u64};
use crate::system::text;

static CPU: Family = Family::counter("process_cpu_seconds_total", "User and system CPU time of the agent, from /proc/self/stat.");
static OPEN: Family = Family::gauge("process_open_fds", "Open file descriptors, counted in /proc/self/fd.");
static MAX_FDS: Family = Family::gauge("process_max_fds", "Soft limit of open file descriptors, from /proc/self/limits.");
static VIRTUAL: Family = Family::gauge("process_virtual_memory_bytes", "Address space in use, vsize of /proc/self/stat.");
static MAX_VIRTUAL: Family = Family::gauge(
    "process_virtual_memory_max_bytes",
    "Soft limit of the address space, from /proc/self/limits; -1 where there is none.",
);
static RESIDENT: Family = Family::gauge("process_resident_memory_bytes", "Resident memory, rss of /proc/self/stat in bytes.");
static START: Family = Family::gauge("process_start_time_seconds", "When the agent started, in seconds since 1970.");
static RECEIVED: Family = Family::counter(
    "process_network_receive_bytes_total",
    "Bytes received by the agent's network namespace, IpExt InOctets of /proc/self/net/netstat.",
);
static SENT: Family = Family::counter(
    "process_network_transmit_bytes_total",
    "Bytes sent by the agent's network namespace, IpExt OutOctets of /proc/self/net/netstat.",
);

/// What this very process costs.
#[derive(Clone, Debug)]
pub struct Cost {
    /// User and system CPU time since the start.
    pub cpu_seconds: Option<f64>,
    /// Resident memory.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
    /// How many there may be.
    pub most_files: Option<u64>,
}

/// What stays the same while the process lives, and the two files that do not.
pub(super) struct Process {
    ticks_a_second: f64,
    page_bytes: u64,
    start: Option<f64>,
    max_fds: Option<u64>,
    /// `None` where there is no limit.
    max_virtual: Option<u64>,
    stat: Option<File>,
    netstat: Option<File>,
}

impl Process {
    pub(super) fn new() -> Self {
        let constant = |name, usual| sysconf(name).ok().flatten().and_then(|value| u64::try_from(value).ok()).unwrap_or(usual);
        let ticks_a_second = from_u64(constant(SysconfVar::CLK_TCK, 100));
        let limits = fs::read("/proc/self/limits").unwrap_or_default();
        let boot = fs::read("/proc/stat").ok().and_then(|stat| {
            let line = text::lines(&stat).find_map(|line| line.strip_prefix(b"btime "))?;
            text::number::<u64>(line)
        });
        let start = fs::read("/proc/self/stat").ok().and_then(|stat| parse_stat(&stat)).map(|stat| stat.start_ticks);
        Process {
            ticks_a_second,
            page_bytes: constant(SysconfVar::PAGE_SIZE, 4096),
            start: boot.zip(start).map(|(boot, ticks)| from_u64(boot) + from_u64(ticks) / ticks_a_second),
            max_fds: limit(&limits, b"Max open files"),
            max_virtual: limit(&limits, b"Max address space"),
            stat: File::open("/proc/self/stat").ok(),
            netstat: File::open("/proc/self/net/netstat").ok(),
        }
    }

    /// What the process costs up to now.
    pub(super) fn cost(&self) -> Cost {
        let mut buffer = [0; 1024];
        let stat = read(self.stat.as_ref(), &mut buffer).and_then(parse_stat);
        Cost {
            cpu_seconds: stat.as_ref().map(|stat| from_u64(stat.ticks) / self.ticks_a_second),
            resident_bytes: stat.map(|stat| stat.resident_pages.saturating_mul(self.page_bytes)),
            open_files: open_fds(),
            most_files: self.max_fds,
        }
    }

    pub(super) fn emit(&self, out: &mut Samples) {
        // netstat has over 4 kB and grows by a counter or two with each kernel.
        let mut buffer = [0; 16 * 1024];
        if let Some(stat) = read(self.stat.as_ref(), &mut buffer).and_then(parse_stat) {
            out.family(&CPU).add([], from_u64(stat.ticks) / self.ticks_a_second);
            out.family(&VIRTUAL).add([], stat.virtual_bytes);
            out.family(&RESIDENT).add([], stat.resident_pages.saturating_mul(self.page_bytes));
        }
        if let Some((received, sent)) = read(self.netstat.as_ref(), &mut buffer).and_then(parse_netstat) {
            out.family(&RECEIVED).add([], received);
            out.family(&SENT).add([], sent);
        }
        if let Some(start) = self.start {
            out.family(&START).add([], start);
        }
        if let Some(open) = open_fds() {
            out.family(&OPEN).add([], open);
        }
        if let Some(files) = self.max_fds {
            out.family(&MAX_FDS).add([], files);
        }
        match self.max_virtual {
            Some(bytes) => out.family(&MAX_VIRTUAL).add([], bytes),
            None => out.family(&MAX_VIRTUAL).add([], -1i64),
        };
    }
}

/// What one read of a kept file gives: both are answered whole.
fn read<'a>(file: Option<&File>, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = file?.read_at(buffer, 0).ok()?;
    buffer.get(..length)
}

/// Since Linux 6.2 the size of /proc/self/fd is the number of its entries; listing them takes 2 us each, with thousands of
/// cgroup files kept open more than the rest of a scrape.
fn open_fds() -> Option<u64> {
    let told = fs::metadata("/proc/self/fd").ok().map(|directory| directory.len()).filter(|count| *count != 0);
    // One of those listed is the descriptor of this very listing.
    told.or_else(|| u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)).ok())
}

struct Stat {
    ticks: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// `4242 (name (odd)) S 1 … utime stime … starttime vsize rss …`: fields 14, 15, 22, 23, 24 of proc(5).
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let after_name = stat.get(memchr::memrchr(b')', stat)? + 1..)?;
    let mut fields = text::fields(after_name);
    let (user, system): (u64, u64) = (text::number(fields.nth(11)?)?, text::number(fields.next()?)?);
    let start_ticks = text::number(fields.nth(6)?)?;
    let (virtual_bytes, resident_pages) = (text::number(fields.next()?)?, text::number(fields.next()?)?);
    Some(Stat { ticks: user.checked_add(system)?, start_ticks, virtual_bytes, resident_pages })
}

/// `Max open files            1024                 524288               files`: the soft limit; `None` for unlimited.
fn limit(limits: &[u8], name: &[u8]) -> Option<u64> {
    let line = text::lines(limits).find_map(|line| line.strip_prefix(name))?;
    text::number(text::fields(line).next()?)
}

/// `IpExt: InNoRoutes … InOctets OutOctets …` and under it the numbers.
fn parse_netstat(netstat: &[u8]) -> Option<(u64, u64)> {
    let mut lines = text::lines(netstat).filter_map(|line| line.strip_prefix(b"IpExt:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let value = |wanted: &[u8]| {
        let mut pairs = text::fields(names).zip(text::fields(numbers));
        text::number(pairs.find(|(name, _)| *name == wanted)?.1)
    };
    Some((value(b"InOctets")?, value(b"OutOctets")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let fields = "R 1 2 3 4 5 6 7 8 9 10 70 30 13 14 15 16 17 18 500 4096 12";
        let stat = parse_stat(format!("1 (a) b) {fields}").as_bytes()).unwrap();
        assert_eq!((stat.ticks, stat.start_ticks, stat.virtual_bytes, stat.resident_pages), (100, 500, 4096, 12));
        assert!(parse_stat(b"").is_none() && parse_stat(b"1 (a) R 1").is_none());
    }

    #[test]
    fn limits_and_octets_are_read() {
        assert_eq!(limit(b"Max address space         unlimited    unlimited  bytes\n", b"Max address space"), None);
        assert_eq!(limit(b"Max open files            1024         524288     files\n", b"Max open files"), Some(1024));
        let netstat = b"TcpExt: InOctets\nTcpExt: 1\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 12 34\n";
        assert_eq!(parse_netstat(netstat), Some((12, 34)));
        assert_eq!(parse_netstat(b"IpExt: InOctets\n"), None);
    }
}
