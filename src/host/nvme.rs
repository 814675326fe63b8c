//! Reads `/sys/class/nvme/*`: NVMe controllers and their namespaces. Emits `node_nvme_*`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static INFO: Family = Family::gauge("node_nvme_info", "What the controller's files say of it; 1.");
static NAMESPACE: Family = Family::gauge("node_nvme_namespace_info", "State of the path to the namespace: ana_state; 1.");
static CAPACITY: Family = Family::gauge("node_nvme_namespace_capacity_bytes", "Blocks of the namespace times their size: size.");
static SIZE: Family = Family::gauge("node_nvme_namespace_size_bytes", "Blocks of the namespace times their size: size.");
static USED: Family = Family::gauge("node_nvme_namespace_used_bytes", "Blocks in use times their size: nuse.");
static BLOCK: Family =
    Family::gauge("node_nvme_namespace_logical_block_size_bytes", "Size of a block: queue/logical_block_size.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "nvme",
    enabled: Flag::switch("collector.nvme", true, "NVMe controllers and namespaces."),
    flags: &[],
    new: |_| Ok(Box::new(Nvme)),
};

const CLASS: &str = "class/nvme";

struct Nvme;

impl Collector for Nvme {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for device in system.entries(CLASS)? {
            // A controller that was pulled meanwhile has no folder any more.
            let Ok(entries) = system.entries(format!("{CLASS}/{device}")) else { continue };
            let mut text = |file: &str| system.label(format!("{CLASS}/{device}/{file}")).unwrap_or_default();
            let labels = [
                ("cntlid", &*text("cntlid")),
                ("device", &*device),
                ("firmware_revision", &*text("firmware_rev")),
                ("model", &*text("model")),
                ("serial", &*text("serial")),
                ("state", &*text("state")),
            ];
            out.family(&INFO).add(labels, 1u8);
            for entry in entries {
                if let Some(number) = namespace(&entry) {
                    emit(&format!("{CLASS}/{device}/{entry}"), [("device", &*device), ("nsid", number)], system, out);
                }
            }
        }
        Ok(())
    }
}

fn emit(folder: &str, labels: [(&str, &str); 2], system: &mut System, out: &mut Samples) {
    let [device, number] = labels;
    // Only where the kernel was built for several paths to one namespace.
    let state = system.label(format!("{folder}/ana_state")).unwrap_or_else(|| "unknown".to_owned());
    out.family(&NAMESPACE).add([("ana_state", &*state), device, number], 1u8);
    let Some(block) = system.number::<u64>(format!("{folder}/queue/logical_block_size")) else { return };
    out.family(&BLOCK).add(labels, block);
    // size counts sectors of 512 bytes whatever the block's size; that it is multiplied all the same is node_exporter's doing.
    if let Some(blocks) = system.number::<u64>(format!("{folder}/size")) {
        out.family(&SIZE).add(labels, blocks.saturating_mul(block));
        out.family(&CAPACITY).add(labels, blocks.saturating_mul(block));
    }
    if let Some(blocks) = system.number::<u64>(format!("{folder}/nuse")) {
        out.family(&USED).add(labels, blocks.saturating_mul(block));
    }
}

/// The number of a namespace in a folder's name, `nvme0n1` or, for one of several paths to it, `nvme0c1n1`.
fn namespace(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("nvme")?;
    let (device, number) = rest.split_once('n')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (device.split('c').all(is_number) && is_number(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_known_by_their_names() {
        assert_eq!(namespace("nvme0n1"), Some("1"));
        assert_eq!(namespace("nvme10c2n13"), Some("13"));
        for other in ["nvme0", "ng0n1", "nvme0n1p1", "hwmon3", "nvmen1", "nvme0c0"] {
            assert_eq!(namespace(other), None, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_survived(name: String) {
            namespace(&name);
            namespace(&format!("nvme{name}"));
        }
    }
}
