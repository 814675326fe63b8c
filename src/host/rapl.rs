//! Reads `/sys/class/powercap/*/energy_uj`: energy that processors and memory used. Emits `node_rapl_<zone>_joules_total`.

use std::collections::HashMap;
use std::io::ErrorKind;

use crate::exposition::{Family, Kind, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static JOULES: Family = Family::counter("node_rapl_joules_total", "Energy that the zone used: energy_uj, in millionths.");
const HELP: &str = "Energy that zones of this name used: energy_uj, in millionths.";

const ZONE_LABEL: Flag =
    Flag::switch("collector.rapl.enable-zone-label", false, "One family with the zone as a label instead of one for each zone.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "rapl",
    enabled: Flag::switch("collector.rapl", true, "Energy used by processors and memory."),
    flags: &[ZONE_LABEL],
    new: |settings| Ok(Box::new(Rapl { zone_label: settings.switch(&ZONE_LABEL) })),
};

struct Rapl {
    zone_label: bool,
}

impl Collector for Rapl {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut seen = HashMap::new();
        for entry in system.entries("class/powercap")? {
            let folder = system.roots.sys("class/powercap").join(entry);
            let Ok(name) = system.attribute(&folder.join("name")) else { continue };
            let (zone, index) = zone(&text::utf8(name), &mut seen);
            let microjoules: u64 = match system.attribute(&folder.join("energy_uj")) {
                Ok(energy) => match text::number(energy) {
                    Some(energy) => energy,
                    None => continue,
                },
                // Since Linux 5.10 only root may read it, as it gives away what programs compute.
                Err(Fault::Read { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                    return Err(Fault::Absent(format!("{}: only root may read it", folder.join("energy_uj").display())));
                }
                Err(_) => continue,
            };
            let (joules, index, path) = (from_u64(microjoules) / 1e6, index.to_string(), folder.to_string_lossy());
            let labels = [("index", &*index), ("path", &*path)];
            if self.zone_label {
                let [index, path] = labels;
                out.family(&JOULES).add([index, path, ("rapl_zone", &zone)], joules);
            } else {
                let clean: String = zone.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                out.named(&format!("node_rapl_{clean}_joules_total"), HELP, Kind::Counter).add(labels, joules);
            }
        }
        Ok(())
    }
}

/// `package-1` is the zone `package` of index 1. Zones without a number are counted.
fn zone(name: &str, seen: &mut HashMap<String, u64>) -> (String, u64) {
    let numbered = match name.split_once('-') {
        Some((zone, number)) => number.parse().ok().map(|number: u64| (zone, number)),
        None => None,
    };
    let (zone, index) = numbered.unwrap_or_else(|| (name, seen.get(name).copied().unwrap_or_default()));
    seen.insert(zone.to_owned(), index.saturating_add(1));
    (zone.to_owned(), index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn zones_are_numbered_by_their_names_or_counted() {
        let mut seen = HashMap::new();
        let names = ["package-0", "core", "dram", "package-1", "core", "package-0-die-1"];
        let zones: Vec<_> = names.iter().map(|name| zone(name, &mut seen)).collect();
        let expected = [("package", 0), ("core", 0), ("dram", 0), ("package", 1), ("core", 1), ("package-0-die-1", 0)];
        assert_eq!(zones, expected.map(|(zone, index)| (zone.to_owned(), index)));
    }

    #[test]
    fn the_zone_may_be_a_label() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("class/powercap/intel-rapl:0");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("name"), "package-0\n").unwrap();
        std::fs::write(folder.join("energy_uj"), "2500000\n").unwrap();
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let mut out = Samples::new();
        Rapl { zone_label: true }.collect(&mut system, &mut out).unwrap();
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        assert!(page.contains("node_rapl_joules_total{index=\"0\",path="), "{page}");
        assert!(page.ends_with("rapl_zone=\"package\"} 2.5\n"), "{page}");
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_survived(name: String) {
            zone(&name, &mut HashMap::new());
        }
    }
}
