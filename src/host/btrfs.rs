//! Reads `/sys/fs/btrfs/<uuid>` and asks each mounted btrfs about its devices (ioctl). Emits `node_btrfs_*`.
//!
//! Where the file system does not answer, of its devices there are only the sizes that sysfs tells, without `btrfs_dev_uuid`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::filter::Filter;
use super::mounts::{Mounts, Place, ask, until};
use crate::exposition::{Family, Labels, Samples, from_u64, from_usize};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::btrfs::{Btrfs, Device};
use crate::system::{Fault, Folder, Patience, System, text};

static INFO: Family = Family::gauge("node_btrfs_info", "A mounted btrfs and its label; 1.");
static RESERVE: Family =
    Family::gauge("node_btrfs_global_rsv_size_bytes", "Space kept for emergencies: allocation/global_rsv_size.");
static RESERVED: Family = Family::gauge("node_btrfs_reserved_bytes", "Space reserved for what is to be written: bytes_reserved.");
static USED: Family = Family::gauge("node_btrfs_used_bytes", "Space in use, by layout: used_bytes.");
static SIZE: Family = Family::gauge("node_btrfs_size_bytes", "Space allocated, by layout: total_bytes.");
static RATIO: Family = Family::gauge("node_btrfs_allocation_ratio", "Bytes on devices for each byte of data in the layout.");
static DEVICE_SIZE: Family = Family::gauge("node_btrfs_device_size_bytes", "Size of the device.");
static DEVICE_UNUSED: Family = Family::gauge("node_btrfs_device_unused_bytes", "Space of the device that no chunk has.");
static DEVICE_ERRORS: Family =
    Family::counter("node_btrfs_device_errors_total", "Errors of the device, by kind, since they were last reset.");

/// Lines of `commit_stats`, and what their numbers are divided by. Kernels before 5.17 have no such file, for which node_exporter
/// shows 0.
static COMMITS: [(&str, f64, Family); 4] = [
    ("commits", 1.0, Family::counter("node_btrfs_commits_total", "Commits: commit_stats, commits.")),
    ("last_commit_ms", 1e3, Family::gauge("node_btrfs_last_commit_seconds", "Duration of the latest: last_commit_ms.")),
    ("max_commit_ms", 1e3, Family::gauge("node_btrfs_max_commit_seconds", "Duration of the longest: max_commit_ms.")),
    ("total_commit_ms", 1e3, Family::counter("node_btrfs_commit_seconds_total", "Duration of all: total_commit_ms.")),
];

/// The kinds of errors in the order of [`Device::errors`].
const ERRORS: [&str; 5] = ["write", "read", "flush", "corruption", "generation"];

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "btrfs",
    enabled: Flag::switch("collector.btrfs", true, "Space, commits and devices of mounted btrfs file systems."),
    flags: &[],
    new: |settings| Ok(Box::new(BtrfsStats::new(settings)?)),
};

const ROOT: &str = "fs/btrfs";
const SECTOR: u64 = 512;

/// How long a scrape waits for a file system.
const TIMEOUT: Duration = Duration::from_millis(500);

struct BtrfsStats {
    mounts: Mounts,
    patience: Patience<Place, Option<Btrfs>>,
}

impl BtrfsStats {
    fn new(_: &Settings) -> Result<Self, Error> {
        let btrfs = regex_lite::Regex::new("^btrfs$").map_err(|error| Error::new(error.to_string()))?;
        Ok(BtrfsStats {
            mounts: Mounts::new(Filter::default(), Filter::new(Some(btrfs), None)),
            patience: Patience::new("btrfs"),
        })
    }

    /// The devices of the file systems that answer, by UUID. Each is asked at one of its mounts.
    fn devices(&mut self, system: &mut System) -> HashMap<String, Vec<Device>> {
        let until = until(system.deadline, TIMEOUT);
        // A bad line costs its own mount, and `filesystem` tells of it.
        let _ = self.mounts.read(system);
        let mut seen = HashSet::new();
        let first = self.mounts.list().iter().filter(|mount| seen.insert(mount.device()));
        let answers =
            ask(&mut self.patience, first.map(|mount| mount.place()), until, system, |place| Btrfs::ask(&place.path).ok());
        answers.into_iter().flatten().flatten().map(|answer| (answer.uuid, answer.devices)).collect()
    }
}

impl Collector for BtrfsStats {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        // Without any btrfs there is nothing to show, which node_exporter counts as a success. Beside the UUIDs stands `features`.
        let entries = system.entries(ROOT).unwrap_or_default();
        let uuids: Vec<_> = entries.iter().filter(|name| name.contains('-')).collect();
        if uuids.is_empty() {
            return Ok(());
        }
        let mut devices = self.devices(system);
        for uuid in uuids {
            // Unmounted meanwhile.
            let Ok(folder) = system.folder(format!("{ROOT}/{uuid}")) else { continue };
            let in_sysfs = system.entries(format!("{ROOT}/{uuid}/devices")).unwrap_or_default();
            file_system(uuid, &folder, in_sysfs.len(), system, out);
            match devices.remove(uuid) {
                Some(devices) => devices.iter().for_each(|device| asked(uuid, device, out)),
                None => {
                    for device in in_sysfs {
                        if let Some(sectors) = folder.read(&format!("devices/{device}/size"), text::number::<u64>) {
                            let labels = [("device", &*device), ("uuid", uuid)];
                            out.family(&DEVICE_SIZE).add(labels, sectors.saturating_mul(SECTOR));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// What sysfs tells.
fn file_system(uuid: &str, folder: &Folder, devices: usize, system: &System, out: &mut Samples) {
    let labels = Labels::of(&[("uuid", uuid)]);
    let number = |path: &str| folder.read(path, text::number::<u64>);
    out.family(&INFO).add([("label", &*folder.label("label").unwrap_or_default()), ("uuid", uuid)], 1u8);
    if let Some(bytes) = number("allocation/global_rsv_size") {
        out.family(&RESERVE).add_to(&labels, [], bytes);
    }
    for kind in ["data", "metadata", "mixed", "system"] {
        let of_kind = ("block_group_type", kind);
        if let Some(bytes) = number(&format!("allocation/{kind}/bytes_reserved")) {
            out.family(&RESERVED).add_to(&labels, [of_kind], bytes);
        }
        for mode in system.entries(format!("{ROOT}/{uuid}/allocation/{kind}")).unwrap_or_default() {
            let Some(ratio) = ratio(&mode, devices) else { continue };
            let of_mode = [of_kind, ("mode", &*mode)];
            out.family(&RATIO).add_to(&labels, of_mode, ratio);
            for (family, file) in [(&USED, "used_bytes"), (&SIZE, "total_bytes")] {
                if let Some(bytes) = number(&format!("allocation/{kind}/{mode}/{file}")) {
                    out.family(family).add_to(&labels, of_mode, bytes);
                }
            }
        }
    }
    let commits = folder.label("commit_stats").unwrap_or_default();
    for (name, divisor, family) in &COMMITS {
        let line = commits.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let count = line.map_or(Some(0), |count| text::number::<u64>(count.as_bytes()));
        if let Some(count) = count {
            out.family(family).add_to(&labels, [], from_u64(count) / divisor);
        }
    }
}

/// What the file system told of a device.
fn asked(uuid: &str, device: &Device, out: &mut Samples) {
    let path = if device.path.is_empty() { "<missing disk>" } else { &device.path };
    let name = path.strip_prefix("/dev/").unwrap_or(path);
    let labels = Labels::of(&[("btrfs_dev_uuid", &device.uuid), ("device", name), ("uuid", uuid)]);
    out.family(&DEVICE_SIZE).add_to(&labels, [], device.size);
    out.family(&DEVICE_UNUSED).add_to(&labels, [], device.size.saturating_sub(device.used));
    for (kind, errors) in ERRORS.iter().zip(device.errors) {
        out.family(&DEVICE_ERRORS).add_to(&labels, [("type", kind)], errors);
    }
}

/// Bytes on devices for each byte in a layout; `None` for what is no layout, such as the files beside their folders, and where too few
/// devices are left to tell.
fn ratio(mode: &str, devices: usize) -> Option<f64> {
    let parity = |disks: usize| Some(from_usize(devices) / from_usize(devices.checked_sub(disks).filter(|data| *data > 0)?));
    match mode {
        "single" | "raid0" => Some(1.0),
        "dup" | "raid1" | "raid10" => Some(2.0),
        "raid1c3" => Some(3.0),
        "raid1c4" => Some(4.0),
        "raid5" => parity(1),
        "raid6" => parity(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;
    use crate::exposition::Page;

    #[test]
    fn sysfs_alone() {
        assert!(Tree::of(&[]).lines(&ENTRY).is_empty());
        let mut tree = Tree::of(&[
            ("sys/fs/btrfs/features/raid56", "0\n"),
            ("sys/fs/btrfs/a-b/label", "my \"disk\"\n"),
            ("sys/fs/btrfs/a-b/allocation/data/raid1c3/total_bytes", "30\n"),
            ("sys/fs/btrfs/a-b/allocation/data/raid1c3/used_bytes", "odd\n"),
            ("sys/fs/btrfs/a-b/allocation/data/novel/used_bytes", "1\n"),
            ("sys/fs/btrfs/a-b/devices/sda/size", "2\n"),
            ("sys/fs/btrfs/a-b/commit_stats", "commits x\nlast_commit_ms 1500\nmax_commit_ms 2000\n"),
        ]);
        let expected = [
            r#"node_btrfs_allocation_ratio{uuid="a-b",block_group_type="data",mode="raid1c3"} 3"#,
            r#"node_btrfs_commit_seconds_total{uuid="a-b"} 0"#,
            r#"node_btrfs_device_size_bytes{device="sda",uuid="a-b"} 1024"#,
            r#"node_btrfs_info{label="my \"disk\"",uuid="a-b"} 1"#,
            r#"node_btrfs_last_commit_seconds{uuid="a-b"} 1.5"#,
            r#"node_btrfs_max_commit_seconds{uuid="a-b"} 2"#,
            r#"node_btrfs_size_bytes{uuid="a-b",block_group_type="data",mode="raid1c3"} 30"#,
        ];
        assert_eq!(tree.lines(&ENTRY), expected);
    }

    #[test]
    fn parity_takes_the_place_of_one_or_two_devices() {
        assert_eq!((ratio("raid5", 4), ratio("raid6", 4), ratio("single", 0)), (Some(4.0 / 3.0), Some(2.0), Some(1.0)));
        assert_eq!((ratio("raid5", 1), ratio("raid6", 2), ratio("raid6", 0), ratio("flags", 4)), (None, None, None, None));
    }

    #[test]
    fn devices_that_were_asked_for() {
        let mut out = Samples::new();
        let device = Device { uuid: "d".to_owned(), path: "/dev/sdb".to_owned(), size: 10, used: 4, errors: [1, 2, 3, 4, 5] };
        asked("u", &device, &mut out);
        asked("u", &Device { path: String::new(), used: 11, ..device }, &mut out);
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        for line in [
            r#"node_btrfs_device_errors_total{btrfs_dev_uuid="d",device="sdb",uuid="u",type="write"} 1"#,
            r#"node_btrfs_device_errors_total{btrfs_dev_uuid="d",device="sdb",uuid="u",type="generation"} 5"#,
            r#"node_btrfs_device_size_bytes{btrfs_dev_uuid="d",device="sdb",uuid="u"} 10"#,
            r#"node_btrfs_device_unused_bytes{btrfs_dev_uuid="d",device="sdb",uuid="u"} 6"#,
            r#"node_btrfs_device_unused_bytes{btrfs_dev_uuid="d",device="<missing disk>",uuid="u"} 0"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
