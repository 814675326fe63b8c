//! Reads `/proc/diskstats`: what block devices have done. Emits `node_disk_*`, with what udev's database
//! (`/run/udev/data/b<major>:<minor>`) and `/sys/block/<device>/queue/rotational` say of each device.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use super::filter::{Filter, Pair};
use crate::exposition::{Family, Labels, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

const OLD_EXCLUDE: Flag = Flag::text("collector.diskstats.ignored-devices", "", "Old name of device-exclude.").hidden();
const DEVICES: Pair = Pair {
    old_exclude: Some(OLD_EXCLUDE),
    ..Pair::new(
        Flag::text("collector.diskstats.device-include", "", "Only devices that match this pattern; excludes device-exclude."),
        Flag::text(
            "collector.diskstats.device-exclude",
            r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
            "No device that matches this pattern; excludes device-include.",
        ),
    )
};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "diskstats",
    enabled: Flag::switch("collector.diskstats", true, "Reads, writes and their times of block devices."),
    flags: &[DEVICES.include, DEVICES.exclude, OLD_EXCLUDE],
    new: |settings| Ok(Box::new(DiskStats { filter: DEVICES.one(settings)?, ..DiskStats::default() })),
};

/// What a field counts, as the factor to the family's unit. Times are in milliseconds, multiplied as node_exporter does, so that
/// the last digit agrees.
enum Unit {
    Count,
    Milliseconds,
    Sectors,
}

/// The families of the fields of a line, in their order.
static FIELDS: [(Family, Unit); 17] = [
    (Family::counter("node_disk_reads_completed_total", "Reads done: field 1 of /proc/diskstats."), Unit::Count),
    (Family::counter("node_disk_reads_merged_total", "Reads merged into another: field 2."), Unit::Count),
    (Family::counter("node_disk_read_bytes_total", "Bytes read: field 3, which counts sectors of 512 bytes."), Unit::Sectors),
    (Family::counter("node_disk_read_time_seconds_total", "Time that all reads took, added up: field 4."), Unit::Milliseconds),
    (Family::counter("node_disk_writes_completed_total", "Writes done: field 5."), Unit::Count),
    (Family::counter("node_disk_writes_merged_total", "Writes merged into another: field 6."), Unit::Count),
    (
        Family::counter("node_disk_written_bytes_total", "Bytes written: field 7, which counts sectors of 512 bytes."),
        Unit::Sectors,
    ),
    (Family::counter("node_disk_write_time_seconds_total", "Time that all writes took, added up: field 8."), Unit::Milliseconds),
    (Family::gauge("node_disk_io_now", "Requests in flight: field 9."), Unit::Count),
    (Family::counter("node_disk_io_time_seconds_total", "Time with any request in flight: field 10."), Unit::Milliseconds),
    (
        Family::counter("node_disk_io_time_weighted_seconds_total", "Time in flight of all requests, added up: field 11."),
        Unit::Milliseconds,
    ),
    (Family::counter("node_disk_discards_completed_total", "Discards done: field 12 (Linux 4.18)."), Unit::Count),
    (Family::counter("node_disk_discards_merged_total", "Discards merged into another: field 13."), Unit::Count),
    (Family::counter("node_disk_discarded_sectors_total", "Sectors of 512 bytes discarded: field 14."), Unit::Count),
    (Family::counter("node_disk_discard_time_seconds_total", "Time that all discards took: field 15."), Unit::Milliseconds),
    (Family::counter("node_disk_flush_requests_total", "Flushes done: field 16 (Linux 5.5)."), Unit::Count),
    (Family::counter("node_disk_flush_requests_time_seconds_total", "Time that all flushes took: field 17."), Unit::Milliseconds),
];

/// A line has at least this many fields; since Linux 4.18 15, since 5.5 17.
const FEWEST: usize = 11;

/// Folder times are told apart from here on, however coarse the file system's clock.
const SETTLED: Duration = Duration::from_secs(2);

static INFO: Family = Family::gauge("node_disk_info", "What udev's ID_* and queue/rotational say of the device; 1.");
static FILESYSTEM: Family = Family::gauge("node_disk_filesystem_info", "What udev's ID_FS_* say of the device; 1.");
static MAPPER: Family = Family::gauge("node_disk_device_mapper_info", "What udev's DM_* say of the device; 1.");
static ATA: [(Family, &str); 3] = [
    (
        Family::gauge("node_disk_ata_write_cache", "1 if the disk has a write cache: udev's ID_ATA_WRITE_CACHE."),
        "ID_ATA_WRITE_CACHE",
    ),
    (
        Family::gauge("node_disk_ata_write_cache_enabled", "1 if it is in use: udev's ID_ATA_WRITE_CACHE_ENABLED."),
        "ID_ATA_WRITE_CACHE_ENABLED",
    ),
    (
        Family::gauge("node_disk_ata_rotation_rate_rpm", "Turns a minute, 0 for flash: udev's ID_ATA_ROTATION_RATE_RPM."),
        "ID_ATA_ROTATION_RATE_RPM",
    ),
];

#[derive(Default)]
struct DiskStats {
    filter: Filter,
    /// By major and minor number.
    devices: BTreeMap<(u32, u32), Device>,
    /// Counts the scrapes, to tell the devices of this one.
    scrape: u64,
    /// When udev's folder was last written to as the facts were read. `None` if they must be read anew, `Some(None)` if there is no
    /// such folder.
    udev: Option<Option<SystemTime>>,
}

#[derive(Default)]
struct Device {
    name: String,
    values: [u64; FIELDS.len()],
    /// How many of the values the kernel gives.
    count: usize,
    scrape: u64,
    facts: Option<Facts>,
}

/// What does not change while a device lives, but through udev.
#[derive(Default)]
struct Facts {
    device: Labels,
    info: Labels,
    filesystem: Option<Labels>,
    mapper: Option<Labels>,
    ata: [Option<f64>; ATA.len()],
}

impl Collector for DiskStats {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        self.forget_what_udev_rewrote(system);
        self.scrape += 1;
        let mut bad = None;
        for line in text::lines(system.proc("diskstats")?) {
            match parse(line) {
                Some(line) => {
                    if self.filter.passes(line.name) {
                        self.note(&line);
                    }
                }
                None => bad = Some(Fault::parse("diskstats", line)),
            }
        }
        self.devices.retain(|_, device| device.scrape == self.scrape);
        for (number, Device { name, facts, .. }) in &mut self.devices {
            facts.get_or_insert_with(|| Facts::read(*number, name, system));
        }
        self.emit(out);
        bad.map_or(Ok(()), Err)
    }
}

impl DiskStats {
    /// udev replaces a device's file whenever it learns something (a new file system, a disk in place of another), which the folder's
    /// time of modification tells with one system call. A time so fresh that a second change could bear it too is not trusted yet.
    fn forget_what_udev_rewrote(&mut self, system: &System) {
        let written = std::fs::metadata(&system.roots.udev).and_then(|folder| folder.modified()).ok();
        if self.udev != Some(written) {
            self.devices.values_mut().for_each(|device| device.facts = None);
        }
        let settled = written.is_none_or(|written| written.elapsed().is_ok_and(|age| age > SETTLED));
        self.udev = settled.then_some(written);
    }

    fn note(&mut self, line: &Line<'_>) {
        let device = self.devices.entry(line.number).or_default();
        // Another name, or counters that start anew: another device under the same number.
        if device.name != line.name || device.values.first() > line.values.first() {
            *device = Device { name: line.name.to_owned(), ..Device::default() };
        }
        (device.values, device.count, device.scrape) = (line.values, line.count, self.scrape);
    }

    fn emit(&self, out: &mut Samples) {
        for (at, (family, unit)) in FIELDS.iter().enumerate() {
            let mut rows = out.family(family);
            for device in self.devices.values().filter(|device| at < device.count) {
                if let (Some(&value), Some(facts)) = (device.values.get(at), &device.facts) {
                    match unit {
                        Unit::Count => rows.add_to(&facts.device, [], value),
                        Unit::Sectors => rows.add_to(&facts.device, [], from_u64(value) * 512.0),
                        Unit::Milliseconds => rows.add_to(&facts.device, [], from_u64(value) * 0.001),
                    };
                }
            }
        }
        for facts in self.devices.values().filter_map(|device| device.facts.as_ref()) {
            out.family(&INFO).add_to(&facts.info, [], 1u8);
            for (family, labels) in [(&FILESYSTEM, &facts.filesystem), (&MAPPER, &facts.mapper)] {
                if let Some(labels) = labels {
                    out.family(family).add_to(labels, [], 1u8);
                }
            }
            for ((family, _), value) in ATA.iter().zip(&facts.ata) {
                if let Some(value) = value {
                    out.family(family).add_to(&facts.device, [], *value);
                }
            }
        }
    }
}

impl Facts {
    fn read((major, minor): (u32, u32), name: &str, system: &mut System) -> Self {
        // sysfs writes the slash of names such as cciss/c0d0 as an exclamation mark. A partition has no queue: not rotational.
        let queue = format!("block/{}/queue/rotational", name.replace('/', "!"));
        let rotational = system.sys(queue).is_ok_and(|text| text.trim_ascii() != b"0");
        let path = system.roots.udev(format!("b{major}:{minor}"));
        let udev = udev(system.read(&path).unwrap_or_default());
        let get = |key: &str| udev.get(key.as_bytes()).copied().map(text::utf8).unwrap_or_default();
        let labels = |pairs: &[(&str, &str)]| {
            let mut labels = Labels::of(&[("device", name)]);
            pairs.iter().for_each(|(label, key)| labels.push(label, &get(key)));
            labels
        };
        let serials = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"];
        let mut info = labels(&[("model", "ID_MODEL"), ("path", "ID_PATH"), ("revision", "ID_REVISION"), ("wwn", "ID_WWN")]);
        info.push("serial", &serials.iter().map(|key| get(key)).find(|serial| !serial.is_empty()).unwrap_or_default());
        info.push("major", &major.to_string());
        info.push("minor", &minor.to_string());
        info.push("rotational", if rotational { "1" } else { "0" });
        let filesystem = [("type", "ID_FS_TYPE"), ("usage", "ID_FS_USAGE"), ("uuid", "ID_FS_UUID"), ("version", "ID_FS_VERSION")];
        let mapper = [
            ("name", "DM_NAME"),
            ("uuid", "DM_UUID"),
            ("vg_name", "DM_VG_NAME"),
            ("lv_name", "DM_LV_NAME"),
            ("lv_layer", "DM_LV_LAYER"),
        ];
        let is_ata = !get("ID_ATA").is_empty();
        Facts {
            device: labels(&[]),
            info,
            filesystem: (!get("ID_FS_TYPE").is_empty()).then(|| labels(&filesystem)),
            mapper: (!get("DM_NAME").is_empty()).then(|| labels(&mapper)),
            ata: ATA.each_ref().map(|(_, key)| if is_ata { text::number(get(key).as_bytes()) } else { None }),
        }
    }
}

struct Line<'a> {
    number: (u32, u32),
    name: &'a str,
    values: [u64; FIELDS.len()],
    count: usize,
}

/// `   8      16 sdb 326552 841 9657779 84 41822 2895 1972905 5007 0 60730 67070 68851 0 1925173784 11130`
fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut fields = text::fields(line);
    let number = (text::number(fields.next()?)?, text::number(fields.next()?)?);
    let name = std::str::from_utf8(fields.next()?).ok()?;
    let (mut values, mut count) = ([0; FIELDS.len()], 0);
    for (value, field) in values.iter_mut().zip(fields) {
        *value = text::number(field)?;
        count += 1;
    }
    (count >= FEWEST).then_some(Line { number, name, values, count })
}

/// `E:ID_MODEL=SAMSUNG` and other lines, which say nothing of properties.
fn udev(text: &[u8]) -> HashMap<&[u8], &[u8]> {
    text::lines(text).filter_map(|line| text::pair(line.strip_prefix(b"E:")?, b'=')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    struct Host {
        dir: tempfile::TempDir,
        collector: DiskStats,
        system: System,
    }

    impl Host {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = |name| dir.path().join(name);
            for folder in ["udev", "sys/block/sda/queue"] {
                std::fs::create_dir_all(path(folder)).unwrap();
            }
            std::fs::write(path("sys/block/sda/queue/rotational"), "1\n").unwrap();
            let roots = Roots { proc: path(""), sys: path("sys"), udev: path("udev"), ..Roots::default() };
            Host { dir, collector: DiskStats::default(), system: System::new(roots) }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.dir.path().join(name), text).unwrap();
        }

        fn page(&mut self) -> (String, Result<(), Fault>) {
            let mut out = Samples::new();
            let result = self.collector.collect(&mut self.system, &mut out);
            (String::from_utf8(Page::new(vec![out]).to_vec()).unwrap(), result)
        }
    }

    #[test]
    fn a_bad_line_costs_one_device_and_older_kernels_have_fewer_fields() {
        let mut host = Host::new();
        host.write("diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 1 sda1 1 2\n8 16 sdb 1 0 0 0 0 0 0 0 0 0 0 0 0 0 7\n");
        let (page, result) = host.page();
        assert!(result.unwrap_err().to_string().contains("sda1"));
        assert!(page.contains("node_disk_read_bytes_total{device=\"sda\"} 1536\n"), "{page}");
        assert!(
            page.contains("rotational=\"1\"") && page.contains("node_disk_discard_time_seconds_total{device=\"sdb\"} 0.007\n")
        );
        assert!(!page.contains("sda1") && !page.contains("discards_completed_total{device=\"sda\""), "{page}");
    }

    #[test]
    fn facts_are_read_again_when_udev_wrote_or_the_device_is_another() {
        let mut host = Host::new();
        host.write("diskstats", "8 0 sda 5 2 3 4 5 6 7 8 9 10 11\n");
        assert!(!host.page().0.contains("filesystem_info"));
        host.write("udev/b8:0", "S:disk\nE:ID_FS_TYPE=ext4\nE:ID_ATA=1\nE:ID_ATA_WRITE_CACHE=1\n");
        let (page, _) = host.page();
        assert!(page.contains("node_disk_filesystem_info{device=\"sda\",type=\"ext4\",usage=\"\","), "{page}");
        assert!(page.contains("node_disk_ata_write_cache{device=\"sda\"} 1\n"), "{page}");

        // Once the folder is long untouched, nothing but its time is looked at, until the counters start anew.
        let old = std::fs::File::open(host.dir.path().join("udev")).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        host.page().1.unwrap();
        host.write("sys/block/sda/queue/rotational", "0\n");
        assert!(host.page().0.contains("rotational=\"1\""));
        host.write("diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
        assert!(host.page().0.contains("rotational=\"0\""));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            parse(&text);
            udev(&text);
        }
    }
}
