//! Reads `/sys/bus/pci/devices/*`: PCI devices, their links, power states and virtual functions. Emits `node_pcidevice_*`; with
//! `--collector.pcidevice.names` the names of `pci.ids` stand on `node_pcidevice_info`.

use std::path::{Path, PathBuf};

use super::pci_ids::{Key, Names};
use crate::exposition::{Family, Labels, Samples, from_i64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, Folder, System, text};

const IDS_FILE: Flag =
    Flag::text("collector.pcidevice.idsfile", "", "File pci.ids to take names from, in place of the host's own.");
const NAMES: Flag = Flag::switch("collector.pcidevice.names", false, "Show names of vendor, device and class, too.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "pcidevice",
    enabled: Flag::switch("collector.pcidevice", false, "PCI devices."),
    flags: &[IDS_FILE, NAMES],
    new: |settings| {
        let names = settings.switch(&NAMES).then(Names::default);
        Ok(Box::new(PciDevice { names, ids_file: settings.text(&IDS_FILE) }))
    },
};

/// Where distributions have the file.
const IDS_FILES: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

static INFO: Family = Family::gauge("node_pcidevice_info", "Where the device is, below which bridge, and what it is; 1.");
static POWER: Family = Family::gauge("node_pcidevice_power_state", "1 for the power state that the device is in: power_state.");
static NUMA: Family =
    Family::gauge("node_pcidevice_numa_node", "NUMA node that the device is attached to, if to one: numa_node.");

/// The families of one number, their files, how these are read and what stands for a missing one.
#[rustfmt::skip]
static FIELDS: [(Family, &str, Parse, f64); 9] = [
    (Family::gauge("node_pcidevice_current_link_transfers_per_second", "Speed that the link runs at: current_link_speed, in GT/s there."), "current_link_speed", speed, -1.0),
    (Family::gauge("node_pcidevice_current_link_width", "Lanes in use: current_link_width."), "current_link_width", count, -1.0),
    (Family::gauge("node_pcidevice_d3cold_allowed", "1 if the device may be switched off: d3cold_allowed."), "d3cold_allowed", count, 0.0),
    (Family::gauge("node_pcidevice_max_link_transfers_per_second", "Speed that the link can run at: max_link_speed, in GT/s there."), "max_link_speed", speed, -1.0),
    (Family::gauge("node_pcidevice_max_link_width", "Lanes that there are: max_link_width."), "max_link_width", count, -1.0),
    (Family::gauge("node_pcidevice_sriov_drivers_autoprobe", "1 if new virtual functions get a driver: sriov_drivers_autoprobe."), "sriov_drivers_autoprobe", count, 0.0),
    (Family::gauge("node_pcidevice_sriov_numvfs", "Virtual functions in use: sriov_numvfs."), "sriov_numvfs", count, 0.0),
    (Family::gauge("node_pcidevice_sriov_totalvfs", "Virtual functions that the device can have: sriov_totalvfs."), "sriov_totalvfs", count, 0.0),
    (Family::gauge("node_pcidevice_sriov_vf_total_msix", "Interrupt vectors for virtual functions: sriov_vf_total_msix."), "sriov_vf_total_msix", count, 0.0),
];

type Parse = fn(&[u8]) -> Option<f64>;

const STATES: [&str; 7] = ["D0", "D1", "D2", "D3hot", "D3cold", "unknown", "error"];

const DEVICES: &str = "bus/pci/devices";

const PLACE: [&str; 4] = ["segment", "bus", "device", "function"];
const PARENT: [&str; 4] = ["parent_segment", "parent_bus", "parent_device", "parent_function"];

struct PciDevice {
    names: Option<Names>,
    ids_file: String,
}

impl Collector for PciDevice {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut devices = Vec::new();
        for name in system.entries(DEVICES)? {
            let Some(place) = place(&name) else { continue };
            // A device that was pulled meanwhile has no folder any more.
            let Ok(folder) = system.folder(format!("{DEVICES}/{name}")) else { continue };
            let target = std::fs::read_link(system.roots.sys(DEVICES).join(&name)).unwrap_or_default();
            let mut labels = Labels::of(&PLACE.into_iter().zip(place).collect::<Vec<_>>());
            emit(&folder, &labels, out);
            PARENT.iter().zip(parent(&target)).for_each(|(label, part)| labels.push(label, part));
            devices.push((labels, Ids::read(&folder)));
        }
        if let Some(names) = &mut self.names {
            names.learn(devices.iter().flat_map(|(_, ids)| ids.keys()), || ids_file(&self.ids_file, system));
        }
        for (mut labels, ids) in devices {
            ids.push(&mut labels, self.names.as_ref());
            out.family(&INFO).add_to(&labels, [], 1u8);
        }
        Ok(())
    }
}

fn ids_file(given: &str, system: &System) -> Vec<u8> {
    let read = |path: PathBuf| std::fs::read(path).ok();
    let found =
        if given.is_empty() { IDS_FILES.iter().find_map(|path| read(system.roots.root(path))) } else { read(given.into()) };
    // Without it the numbers stand for the names, as in node_exporter.
    found.unwrap_or_default()
}

fn emit(folder: &Folder, device: &Labels, out: &mut Samples) {
    for (family, file, parse, missing) in &FIELDS {
        out.family(family).add_to(device, [], folder.read(file, parse).unwrap_or(*missing));
    }
    if let Some(current) = folder.label("power_state").filter(|state| !state.is_empty()) {
        for state in STATES {
            out.family(&POWER).add_to(device, [("state", state)], state == current);
        }
    }
    if let Some(node) = folder.read("numa_node", text::number::<u32>) {
        out.family(&NUMA).add_to(device, [], node);
    }
}

/// The hexadecimal numbers that say what a device is, as the kernel writes them.
struct Ids {
    class: String,
    vendor: String,
    device: String,
    subsystem_vendor: String,
    subsystem_device: String,
    revision: String,
}

impl Ids {
    fn read(folder: &Folder) -> Self {
        let text = |file| folder.label(file).unwrap_or_default();
        Ids {
            class: text("class"),
            vendor: text("vendor"),
            device: text("device"),
            subsystem_vendor: text("subsystem_vendor"),
            subsystem_device: text("subsystem_device"),
            revision: text("revision"),
        }
    }

    /// What to look names up by: vendor, device, the subsystem's vendor and device, and the class, the finest one first.
    fn keys(&self) -> [Key; 7] {
        let [class, vendor, device] = [&self.class, &self.vendor, &self.device].map(|id| digits(id));
        let [subsystem_vendor, subsystem] = [&self.subsystem_vendor, &self.subsystem_device].map(|id| digits(id));
        let class = |length| Key::Class(class.get(..length).unwrap_or(class).to_owned());
        [
            Key::Vendor(vendor.to_owned()),
            Key::Device(format!("{vendor}{device}")),
            Key::Vendor(subsystem_vendor.to_owned()),
            Key::Subsystem(format!("{vendor}{device}{subsystem_vendor}{subsystem}")),
            class(6),
            class(4),
            class(2),
        ]
    }

    fn push(&self, labels: &mut Labels, names: Option<&Names>) {
        for (label, id) in [
            ("class_id", &self.class),
            ("vendor_id", &self.vendor),
            ("device_id", &self.device),
            ("subsystem_vendor_id", &self.subsystem_vendor),
            ("subsystem_device_id", &self.subsystem_device),
            ("revision", &self.revision),
        ] {
            labels.push(label, id);
        }
        if let Some(names) = names {
            let [vendor, device, subsystem_vendor, subsystem, classes @ ..] = self.keys();
            for (label, key, id) in [
                ("vendor_name", vendor, &self.vendor),
                ("device_name", device, &self.device),
                ("subsystem_vendor_name", subsystem_vendor, &self.subsystem_vendor),
                ("subsystem_device_name", subsystem, &self.subsystem_device),
            ] {
                labels.push(label, names.get(&key).unwrap_or(digits(id)));
            }
            let unknown = format!("Unknown class ({})", digits(&self.class));
            labels.push("class_name", classes.iter().find_map(|key| names.get(key)).unwrap_or(&unknown));
        }
    }
}

/// `0x8086` -> `8086`
fn digits(id: &str) -> &str {
    id.strip_prefix("0x").unwrap_or(id)
}

/// `0000:45:00.1`: segment, bus, device, function.
fn place(name: &str) -> Option<[&str; 4]> {
    let (segment, rest) = name.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let place = [segment, bus, device, function];
    place.iter().all(|part| u32::from_str_radix(part, 16).is_ok()).then_some(place)
}

/// Of `../../../devices/pci0000:40/0000:40:01.3/0000:45:00.0` the device last but one, a bridge; stars where there is none
/// (`pci0000:40` is the root).
fn parent(target: &Path) -> [&str; 4] {
    let name = target.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    name.and_then(place).unwrap_or(["*"; 4])
}

fn count(text: &[u8]) -> Option<f64> {
    text::number(text).map(from_i64)
}

/// `8.0 GT/s PCIe` as transfers a second. A link that is down says `Unknown`.
fn speed(text: &[u8]) -> Option<f64> {
    let (speed, _) = std::str::from_utf8(text).ok()?.split_once(" GT/s")?;
    Some(speed.parse::<f64>().ok().filter(|speed| speed.is_finite())? * 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    const DEVICE: &str = "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0";

    /// Files as Documentation/ABI/testing/sysfs-bus-pci has them.
    fn tree() -> Tree {
        let tree = Tree::of(&[("sys/devices/pci0000:00/0000:00:01.0/class", "0x060400\n")]);
        for (file, text) in [
            ("class", "0x010802\n"),
            ("vendor", "0x8086\n"),
            ("device", "0x1521\n"),
            ("subsystem_vendor", "0xbeef\n"),
            ("subsystem_device", "0x00a3\n"),
            ("revision", "0x01\n"),
            ("numa_node", "-1\n"),
            ("max_link_speed", "16.0 GT/s PCIe\n"),
            ("current_link_speed", "Unknown\n"),
            ("sriov_numvfs", "4\n"),
            ("power_state", "D3hot\n"),
        ] {
            tree.write(&format!("{DEVICE}/{file}"), text);
        }
        tree.link("sys/bus/pci/devices/0000:01:00.0", "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0");
        tree
    }

    #[test]
    fn a_device_tells_what_it_can() {
        assert!(Tree::of(&[]).show(&mut *built(&ENTRY, &[]).unwrap()).1.unwrap_err().is_absence());
        let text = tree().lines(&ENTRY).join("\n").replace(r#"{segment="0000",bus="01",device="00",function="0""#, "{");
        for line in [
            "node_pcidevice_current_link_transfers_per_second{} -1",
            "node_pcidevice_current_link_width{} -1",
            "node_pcidevice_max_link_transfers_per_second{} 16000000000",
            "node_pcidevice_power_state{,state=\"D0\"} 0",
            "node_pcidevice_power_state{,state=\"D3hot\"} 1",
            "node_pcidevice_sriov_numvfs{} 4",
            "node_pcidevice_sriov_totalvfs{} 0",
            concat!(
                r#"node_pcidevice_info{,parent_segment="0000",parent_bus="00",parent_device="01",parent_function="0",class_id="0x010802","#,
                r#"vendor_id="0x8086",device_id="0x1521",subsystem_vendor_id="0xbeef",subsystem_device_id="0x00a3",revision="0x01"} 1"#
            ),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("numa_node"), "a device of no node shows none");
    }

    #[test]
    fn names_come_from_the_hosts_file_or_the_one_given() {
        let mut tree = tree();
        let mut names = |given: &[(&str, &[&str])]| {
            let (lines, _) = tree.show(&mut *built(&ENTRY, given).unwrap());
            let line = lines.into_iter().find(|line| line.starts_with("node_pcidevice_info")).unwrap();
            line.split_once(r#"revision="0x01""#).unwrap().1.to_owned()
        };
        let without = concat!(
            r#",vendor_name="8086",device_name="1521",subsystem_vendor_name="beef",subsystem_device_name="00a3","#,
            r#"class_name="Unknown class (010802)"} 1"#
        );
        assert_eq!(names(&[("names", &["true"])]), without);
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let text = "8086  Intel\n\t1521  I350\n\t\tbeef 00a3  A \"card\"\nC 01  Mass storage\n\t08  Non-Volatile memory\n";
        std::fs::write(&path, text).unwrap();
        let with = concat!(
            r#",vendor_name="Intel",device_name="I350",subsystem_vendor_name="beef",subsystem_device_name="A \"card\"","#,
            r#"class_name="Non-Volatile memory"} 1"#
        );
        assert_eq!(names(&[("names", &["true"]), ("idsfile", &[&path])]), with);
        assert_eq!(names(&[("idsfile", &[&path])]), "} 1", "names are off by default");
        tree.write("usr/share/hwdata/pci.ids", text);
        let mut names = |given: &[(&str, &[&str])]| tree.show(&mut *built(&ENTRY, given).unwrap()).0.join("\n");
        assert!(names(&[("names", &["true"])]).contains(with));
    }

    #[test]
    fn places_and_parents() {
        assert_eq!(place("10000:e1:00.f"), Some(["10000", "e1", "00", "f"]));
        for wrong in ["", "0000:00:00", "0000:00.0", "0000:0x:00.0", "pci0000:00"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
        assert_eq!(parent(Path::new("../../../devices/pci0000:00/0000:00:02.1")), ["*"; 4]);
        assert_eq!(parent(Path::new("")), ["*"; 4]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>, name in "[0-9a-f:./]{0,16}") {
            place(&name);
            parent(Path::new(&name));
            speed(&text);
            count(&text);
        }
    }
}
