//! Reads `/sys/class/thermal/*`: temperatures of the platform's zones, and what its coolers do. Emits `node_thermal_zone_temp`,
//! `node_cooling_device_cur_state` and `node_cooling_device_max_state`.

use crate::exposition::{Family, Samples, from_i64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static TEMPERATURE: Family = Family::gauge("node_thermal_zone_temp", "Temperature in degrees Celsius: temp, in thousandths.");
static STATE: Family = Family::gauge("node_cooling_device_cur_state", "How hard the cooler works: cur_state.");
static MAX_STATE: Family = Family::gauge("node_cooling_device_max_state", "How hard it can work: max_state.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "thermal_zone",
    enabled: Flag::switch("collector.thermal_zone", true, "Temperatures and coolers of the platform."),
    flags: &[],
    new: |_| Ok(Box::new(ThermalZone)),
};

struct ThermalZone;

impl Collector for ThermalZone {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let names = match system.entries("class/thermal") {
            // A machine without any is complete, as node_exporter sees it.
            Err(fault) if fault.is_absence() => return Ok(()),
            names => names?,
        };
        for name in names {
            let file = |file: &str| format!("class/thermal/{name}/{file}");
            if let Some(zone) = name.strip_prefix("thermal_zone") {
                // A zone that is switched off (EAGAIN, EINVAL) has no temperature; node_exporter shows 0 degrees.
                if let Some(thousandths) = system.number(file("temp")) {
                    let kind = system.label(file("type")).unwrap_or_default();
                    out.family(&TEMPERATURE).add([("type", &kind), ("zone", zone)], from_i64(thousandths) / 1000.0);
                }
            } else if let Some(cooler) = name.strip_prefix("cooling_device") {
                let kind = system.label(file("type")).unwrap_or_default();
                for (family, attribute) in [(&STATE, "cur_state"), (&MAX_STATE, "max_state")] {
                    if let Some(state) = system.number::<i64>(file(attribute)) {
                        out.family(family).add([("name", cooler), ("type", &kind)], state);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn a_zone_that_cannot_be_read_has_no_temperature() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        ThermalZone.collect(&mut system, &mut Samples::new()).unwrap();
        for (zone, temperature) in [("thermal_zone0", "-12376\n"), ("thermal_zone1", "")] {
            let folder = dir.path().join("class/thermal").join(zone);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("temp"), temperature).unwrap();
            std::fs::write(folder.join("type"), "acpitz\n").unwrap();
        }
        let mut out = Samples::new();
        ThermalZone.collect(&mut system, &mut out).unwrap();
        assert_eq!(out.series(), 1);
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        assert!(page.ends_with("node_thermal_zone_temp{type=\"acpitz\",zone=\"0\"} -12.376\n"), "{page}");
    }
}
