//! `machine_*` and `cadvisor_version_info`: /proc/meminfo, /proc/sys/kernel, /sys/devices/system/{cpu,edac}, /etc/machine-id,
//! /etc/os-release, DMI.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::collector::Show;
use super::sets::Set;
use super::topology::Topology;
use crate::exposition::{Family, Labels, Samples};
use crate::system::text::{lines, number, pair, utf8};
use crate::system::{Fault, System};

static CORES: Family = Family::gauge("machine_cpu_cores", "Hardware threads that are online: /sys/devices/system/cpu/online.");
static PHYSICAL: Family =
    Family::gauge("machine_cpu_physical_cores", "Cores: distinct topology/physical_package_id and core_id of the CPUs.");
static SOCKETS: Family = Family::gauge("machine_cpu_sockets", "Processors: distinct topology/physical_package_id of the CPUs.");
static BOOKS: Family = Family::gauge("machine_cpu_books", "Books of a mainframe: distinct topology/book_id of the CPUs.");
static DRAWERS: Family = Family::gauge("machine_cpu_drawers", "Drawers of a mainframe: distinct topology/drawer_id of the CPUs.");
/// Shown with `--containers.compat=cadvisor` alone.
static NVM: Family = Family::gauge("machine_nvm_capacity", "0: nobody tells of such memory.");
static NVM_WATTS: Family = Family::gauge("machine_nvm_avg_power_budget_watts", "0: nobody tells of such memory.");
static MEMORY: Family = Family::gauge("machine_memory_bytes", "Memory of the machine: MemTotal of /proc/meminfo.");
static SWAP: Family = Family::gauge("machine_swap_bytes", "Swap space of the machine: SwapTotal of /proc/meminfo.");
static DIMMS: Family = Family::gauge("machine_dimm_count", "Memory modules by type: EDAC's dimm_mem_type.");
static DIMM_BYTES: Family = Family::gauge("machine_dimm_capacity_bytes", "Capacity of memory modules by type: EDAC's size.");
static SCRAPE_ERROR: Family =
    Family::gauge("machine_scrape_error", "1 if the machine's figures could not be read in this scrape.");
static VERSION: Family =
    Family::gauge("cadvisor_version_info", "1, with the versions of kernel, system, engine and this agent as labels.");

/// How long what rarely changes is believed.
const STATIC_FOR: Duration = Duration::from_secs(300);

/// Memory of the whole machine, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meminfo {
    pub(super) total: u64,
    pub(super) swap_total: u64,
    pub(super) swap_free: u64,
}

/// The machine as far as it rarely changes.
#[derive(Debug, Default)]
struct Hardware {
    labels: Labels,
    threads: usize,
    cores: usize,
    sockets: usize,
    books: usize,
    drawers: usize,
    topology: Option<Topology>,
    /// Count and bytes by type.
    dimms: BTreeMap<String, (u64, u64)>,
    kernel: String,
    system: String,
}

/// The machine's figures.
#[derive(Debug, Default)]
pub(super) struct Machine {
    hardware: Option<(Instant, Hardware)>,
}

impl Machine {
    /// Reads /proc/meminfo and writes `machine_*`; `docker` is Docker's version.
    pub(super) fn collect(&mut self, system: &mut System, docker: &str, show: Show, out: &mut Samples) -> Result<Meminfo, Fault> {
        let memory = system.proc("meminfo").and_then(|text| meminfo(text).ok_or_else(|| Fault::parse("/proc/meminfo", text)));
        out.family(&SCRAPE_ERROR).add([], memory.is_err());
        if self.hardware.as_ref().is_none_or(|(read, _)| read.elapsed() > STATIC_FOR) {
            self.hardware = Some((Instant::now(), Hardware::read(system, show)));
        }
        if let (Some((_, hardware)), Ok(memory)) = (&self.hardware, &memory) {
            hardware.emit(memory, docker, show, out);
        }
        memory
    }
}

impl Hardware {
    /// What cannot be read is left out: a container's view, an old kernel or other hardware lack one thing or another.
    fn read(system: &mut System, show: Show) -> Self {
        let mut hardware = Hardware { labels: labels(system), ..Hardware::default() };
        let online: Vec<u32> = system.sys("devices/system/cpu/online").map(|text| ranges(text).collect()).unwrap_or_default();
        let (mut cores, mut sockets, mut books, mut drawers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for cpu in &online {
            let mut topology = |name| text(system, &format!("devices/system/cpu/cpu{cpu}/topology/{name}"));
            let socket = topology("physical_package_id");
            cores.push((socket.clone(), topology("core_id")));
            sockets.push(socket);
            // -1 or no file on other machines.
            books.extend(Some(topology("book_id")).filter(|id| number::<u32>(id.as_bytes()).is_some()));
            drawers.extend(Some(topology("drawer_id")).filter(|id| number::<u32>(id.as_bytes()).is_some()));
            hardware.threads += 1;
        }
        (hardware.cores, hardware.sockets) = (distinct(cores), distinct(sockets));
        (hardware.books, hardware.drawers) = (distinct(books), distinct(drawers));
        hardware.topology = show.sets.has(Set::CpuTopology).then(|| Topology::read(system, &online));
        hardware.dimms = dimms(system);
        hardware.kernel = proc_text(system, "sys/kernel/osrelease");
        let release = system.roots.root("/etc/os-release");
        hardware.system = system.read(&release).ok().and_then(pretty_name).unwrap_or_default();
        hardware
    }

    fn emit(&self, memory: &Meminfo, docker: &str, show: Show, out: &mut Samples) {
        let counts = [(&CORES, self.threads), (&PHYSICAL, self.cores), (&SOCKETS, self.sockets)];
        let of_mainframes = [(&BOOKS, self.books), (&DRAWERS, self.drawers)];
        let of_mainframes = of_mainframes.into_iter().filter(|(_, count)| *count != 0 || show.zeros);
        for (family, count) in counts.into_iter().filter(|(_, count)| *count != 0).chain(of_mainframes) {
            out.family(family).add_to(&self.labels, [], count);
        }
        if show.zeros {
            let mut rows = out.family(&NVM);
            for mode in ["app_direct_mode", "memory_mode"] {
                rows.add_to(&self.labels, [("mode", mode)], 0u8);
            }
            out.family(&NVM_WATTS).add_to(&self.labels, [], 0u8);
        }
        if let Some(topology) = &self.topology {
            topology.emit(&self.labels, out);
        }
        out.family(&MEMORY).add_to(&self.labels, [], memory.total);
        out.family(&SWAP).add_to(&self.labels, [], memory.swap_total);
        for (kind, (count, _)) in &self.dimms {
            out.family(&DIMMS).add_to(&self.labels, [("type", kind)], *count);
        }
        for (kind, (_, bytes)) in &self.dimms {
            out.family(&DIMM_BYTES).add_to(&self.labels, [("type", kind)], *bytes);
        }
        let versions = [
            ("kernelVersion", self.kernel.as_str()),
            ("osVersion", &self.system),
            ("dockerVersion", docker),
            ("cadvisorVersion", concat!("stack-exporter ", env!("CARGO_PKG_VERSION"))),
        ];
        out.family(&VERSION).add_to(&non_empty(&versions), [], 1u8);
    }
}

fn labels(system: &mut System) -> Labels {
    let machine_id = system.roots.root("/etc/machine-id");
    let machine_id = system.read(&machine_id).map(trimmed).unwrap_or_default();
    let system_uuid = text(system, "class/dmi/id/product_uuid");
    let boot_id = proc_text(system, "sys/kernel/random/boot_id");
    non_empty(&[("machine_id", &machine_id), ("system_uuid", &system_uuid), ("boot_id", &boot_id)])
}

fn non_empty(pairs: &[(&str, &str)]) -> Labels {
    let mut labels = Labels::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        labels.push(name, value);
    }
    labels
}

pub(super) fn text(system: &mut System, path: &str) -> String {
    let path = system.roots.sys(path);
    system.attribute(&path).map(trimmed).unwrap_or_default()
}

fn proc_text(system: &mut System, path: &str) -> String {
    let path = system.roots.proc(path);
    system.attribute(&path).map(trimmed).unwrap_or_default()
}

fn trimmed(text: &[u8]) -> String {
    utf8(text.trim_ascii()).into_owned()
}

fn distinct<T: Ord>(mut values: Vec<T>) -> usize {
    values.sort_unstable();
    values.dedup();
    values.len()
}

/// `mc*/dimm*` of EDAC: count and bytes by type.
fn dimms(system: &mut System) -> BTreeMap<String, (u64, u64)> {
    let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let top = system.roots.sys("devices/system/edac/mc");
    for controller in named(&top, "mc") {
        for dimm in named(&controller, "dimm") {
            let Ok(kind) = system.attribute(&dimm.join("dimm_mem_type")).map(trimmed) else { continue };
            let megabytes = system.attribute(&dimm.join("size")).ok().and_then(number::<u64>).unwrap_or(0);
            let (count, bytes) = found.entry(kind).or_default();
            *count += 1;
            *bytes = bytes.saturating_add(megabytes.saturating_mul(1024 * 1024));
        }
    }
    found
}

fn named(directory: &Path, prefix: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path()).collect()
}

/// `MemTotal:       24684084 kB`
fn meminfo(text: &[u8]) -> Option<Meminfo> {
    let (mut memory, mut found) = (Meminfo::default(), false);
    for (key, value) in lines(text).filter_map(|line| pair(line, b':')) {
        let field = match key {
            b"MemTotal" => {
                found = true;
                &mut memory.total
            }
            b"SwapTotal" => &mut memory.swap_total,
            b"SwapFree" => &mut memory.swap_free,
            _ => continue,
        };
        *field = number::<u64>(value.strip_suffix(b"kB")?)?.checked_mul(1024)?;
    }
    found.then_some(memory)
}

/// `0-3,8`
pub(super) fn ranges(text: &[u8]) -> impl Iterator<Item = u32> {
    text.trim_ascii()
        .split(|&byte| byte == b',')
        .filter_map(|range| {
            let mut ends = range.split(|&byte| byte == b'-').map(number::<u32>);
            let first = ends.next()??;
            // No kernel is built for more CPUs than this.
            let last = ends.next().unwrap_or(Some(first))?.min(first.saturating_add(65_536));
            Some(first..=last)
        })
        .flatten()
}

/// `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"`
fn pretty_name(text: &[u8]) -> Option<String> {
    let value = lines(text).find_map(|line| line.strip_prefix(b"PRETTY_NAME="))?.trim_ascii();
    let quoted = |quote: &[u8]| value.strip_prefix(quote)?.strip_suffix(quote);
    Some(utf8(quoted(b"\"").or_else(|| quoted(b"'")).unwrap_or(value)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let memory =
            meminfo(b"MemTotal:       24684084 kB\nMemFree: 1 kB\nSwapTotal:  8 kB\nSwapFree: 4 kB\nHugePages_Total: 0\n");
        assert_eq!(memory, Some(Meminfo { total: 24_684_084 * 1024, swap_total: 8192, swap_free: 4096 }));
        assert_eq!(meminfo(b"MemFree: 1 kB\n"), None);
        assert_eq!(ranges(b"0-2,5\n").collect::<Vec<_>>(), [0, 1, 2, 5]);
        assert_eq!(pretty_name(b"ID=debian\nPRETTY_NAME=\"Debian 12\"\n").as_deref(), Some("Debian 12"));
        assert_eq!(pretty_name(b"PRETTY_NAME=Void\n").as_deref(), Some("Void"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, near in "(MemTotal:|PRETTY_NAME=|[0-9]{1,20}| kB|\n|,|-|\"){0,20}") {
            for text in [&text, near.as_bytes()] {
                meminfo(text);
                pretty_name(text);
                ranges(text).take(100_000).count();
            }
        }
    }
}
