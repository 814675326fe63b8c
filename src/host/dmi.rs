//! Reads `/sys/class/dmi/id/*`, once: maker, model and serial numbers of the machine. Emits `node_dmi_info`, whose labels are the files
//! that can be read; serial numbers only by root.

use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static INFO: Family = Family::gauge("node_dmi_info", "What the files of /sys/class/dmi/id say of the machine; 1.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "dmi",
    enabled: Flag::switch("collector.dmi", true, "Maker, model and serial numbers of the machine."),
    flags: &[],
    new: |_| Ok(Box::new(Dmi { labels: None })),
};

/// The files and the labels they become.
const FILES: [(&str, &str); 20] = [
    ("bios_date", "bios_date"),
    ("bios_release", "bios_release"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_family", "product_family"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_sku", "product_sku"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("sys_vendor", "system_vendor"),
];

struct Dmi {
    labels: Option<Labels>,
}

impl Collector for Dmi {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let labels = self.labels.get_or_insert_with(|| {
            let mut labels = Labels::new();
            for (file, label) in FILES {
                if let Some(text) = system.label(format!("class/dmi/id/{file}")) {
                    labels.push(label, &text);
                }
            }
            labels
        });
        if labels.is_empty() {
            return Err(Fault::Absent("/sys/class/dmi/id".to_owned()));
        }
        out.family(&INFO).add_to(labels, [], 1u8);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn labels_are_the_files_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let absent = Dmi { labels: None }.collect(&mut system, &mut Samples::new()).unwrap_err();
        assert!(absent.is_absence(), "{absent}");
        let folder = dir.path().join("class/dmi/id");
        std::fs::create_dir_all(&folder).unwrap();
        for (file, text) in [("sys_vendor", "ACME\n"), ("bios_date", "\n"), ("modalias", "dmi:\n")] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let (mut dmi, mut out) = (Dmi { labels: None }, Samples::new());
        dmi.collect(&mut system, &mut out).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        dmi.collect(&mut system, &mut Samples::new()).unwrap();
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        assert!(page.ends_with("node_dmi_info{bios_date=\"\",system_vendor=\"ACME\"} 1\n"), "{page}");
    }
}
