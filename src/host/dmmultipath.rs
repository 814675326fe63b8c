//! Reads `/sys/block/dm-*`: devices that several paths lead to (DM-multipath), and `/sys/block/<path>/device/state`.
//! Emits `node_dmmultipath_*`.

use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static INFO: Family = Family::gauge("node_dmmultipath_device_info", "Name and UUID of the device: dm/name, dm/uuid; 1.");
static ACTIVE: Family = Family::gauge("node_dmmultipath_device_active", "1 unless the device is suspended: dm/suspended.");
static SIZE: Family = Family::gauge("node_dmmultipath_device_size_bytes", "Size of the device: size, in bytes.");
static PATHS: Family = Family::gauge("node_dmmultipath_device_paths", "Paths to the device: slaves.");
static PATHS_ACTIVE: Family = Family::gauge("node_dmmultipath_device_paths_active", "Paths whose state is running or live.");
static PATHS_FAILED: Family = Family::gauge("node_dmmultipath_device_paths_failed", "Paths in any other state.");
static PATH: Family = Family::gauge("node_dmmultipath_path_state", "State of the path: device/state of its block device; 1.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "dmmultipath",
    enabled: Flag::switch("collector.dmmultipath", true, "Block devices with several paths (DM-multipath)."),
    flags: &[],
    new: |_| Ok(Box::new(DmMultipath)),
};

const SECTOR: u64 = 512;

struct DmMultipath;

impl Collector for DmMultipath {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for device in system.entries("block")?.iter().filter(|name| name.starts_with("dm-")) {
            // Other device-mapper devices have other prefixes: `LVM-`, `CRYPT-`.
            let uuid = system.label(format!("block/{device}/dm/uuid")).unwrap_or_default();
            if uuid.starts_with("mpath-") {
                emit(device, &uuid, system, out);
            }
        }
        Ok(())
    }
}

fn emit(device: &str, uuid: &str, system: &mut System, out: &mut Samples) {
    // Removed meanwhile.
    let Some(name) = system.label(format!("block/{device}/dm/name")) else { return };
    let labels = Labels::of(&[("device", &name), ("sysfs_name", device)]);
    out.family(&INFO).add_to(&labels, [("uuid", uuid)], 1u8);
    if let Some(suspended) = system.number::<u8>(format!("block/{device}/dm/suspended")) {
        out.family(&ACTIVE).add_to(&labels, [], suspended == 0);
    }
    if let Some(sectors) = system.number::<u64>(format!("block/{device}/size")) {
        out.family(&SIZE).add_to(&labels, [], sectors.saturating_mul(SECTOR));
    }
    let Ok(paths) = system.entries(format!("block/{device}/slaves")) else { return };
    let mut active = 0;
    for path in &paths {
        let state = state(device, path, system);
        active += usize::from(state == "running" || state == "live");
        out.family(&PATH).add([("device", &name), ("path", path), ("state", &state)], 1u8);
    }
    out.family(&PATHS).add_to(&labels, [], paths.len());
    out.family(&PATHS_ACTIVE).add_to(&labels, [], active);
    out.family(&PATHS_FAILED).add_to(&labels, [], paths.len() - active);
}

/// `running` and the like of a SCSI disk, `live` and the like of an NVMe controller.
fn state(device: &str, path: &str, system: &mut System) -> String {
    let disk = system.label(format!("block/{path}/device/state"));
    // A partition is no entry of /sys/block; its folder lies in that of its disk.
    let state = disk.or_else(|| system.label(format!("block/{device}/slaves/{path}/../device/state")));
    state.unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn a_partition_has_its_disks_state_and_other_mapped_devices_are_left_out() {
        let mut tree = Tree::of(&[
            ("sys/block/dm-0/dm/uuid", "mpath-36\n"),
            ("sys/block/dm-0/dm/name", "mpatha\n"),
            ("sys/block/dm-0/dm/suspended", "1\n"),
            ("sys/block/dm-0/slaves/gone/size", "8\n"),
            ("sys/block/dm-1/dm/uuid", "LVM-x\n"),
            ("sys/block/dm-1/dm/name", "root\n"),
            ("sys/devices/nvme0/nvme0n1/nvme0n1p1/size", "8\n"),
            ("sys/devices/nvme0/nvme0n1/device/state", "live\n"),
        ]);
        tree.link("sys/block/dm-0/slaves/nvme0n1p1", "../../../devices/nvme0/nvme0n1/nvme0n1p1");
        let expected = [
            r#"node_dmmultipath_device_active{device="mpatha",sysfs_name="dm-0"} 0"#,
            r#"node_dmmultipath_device_info{device="mpatha",sysfs_name="dm-0",uuid="mpath-36"} 1"#,
            r#"node_dmmultipath_device_paths{device="mpatha",sysfs_name="dm-0"} 2"#,
            r#"node_dmmultipath_device_paths_active{device="mpatha",sysfs_name="dm-0"} 1"#,
            r#"node_dmmultipath_device_paths_failed{device="mpatha",sysfs_name="dm-0"} 1"#,
            r#"node_dmmultipath_path_state{device="mpatha",path="gone",state="unknown"} 1"#,
            r#"node_dmmultipath_path_state{device="mpatha",path="nvme0n1p1",state="live"} 1"#,
        ];
        assert_eq!(tree.lines(&ENTRY), expected);
    }
}
