//! Reads `/sys/class/power_supply/*`: batteries, mains and USB supplies. Emits `node_power_supply_*`.

use super::filter::Filter;
use crate::exposition::{Family, Labels, Samples, from_i64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

const IGNORED: Flag = Flag::text("collector.powersupply.ignored-supplies", "^$", "No power supply that matches this pattern.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "powersupplyclass",
    enabled: Flag::switch("collector.powersupplyclass", true, "Batteries and mains."),
    flags: &[IGNORED],
    new: |settings| Ok(Box::new(PowerSupply { filter: Filter::new(None, settings.pattern(&IGNORED)?) })),
};

/// What a file counts.
enum Unit {
    One,
    Micro,
    Tenth,
}

static INFO: Family = Family::gauge("node_power_supply_info", "What the power supply's files of text say of it; 1.");

/// The files of text that become labels of [`INFO`], where they are not empty.
const TEXTS: [&str; 11] = [
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

/// The families, their files and what those count.
#[rustfmt::skip]
static FIELDS: [(Family, &str, Unit); 49] = [
    (Family::gauge("node_power_supply_authentic", "File authentic of the power supply."), "authentic", Unit::One),
    (Family::gauge("node_power_supply_calibrate", "File calibrate of the power supply."), "calibrate", Unit::One),
    (Family::gauge("node_power_supply_capacity", "File capacity of the power supply."), "capacity", Unit::One),
    (Family::gauge("node_power_supply_capacity_alert_max", "File capacity_alert_max of the power supply."), "capacity_alert_max", Unit::One),
    (Family::gauge("node_power_supply_capacity_alert_min", "File capacity_alert_min of the power supply."), "capacity_alert_min", Unit::One),
    (Family::gauge("node_power_supply_charge_ampere", "File charge_now of the power supply, in millionths."), "charge_now", Unit::Micro),
    (Family::gauge("node_power_supply_charge_control_limit", "File charge_control_limit of the power supply, in millionths."), "charge_control_limit", Unit::Micro),
    (Family::gauge("node_power_supply_charge_control_limit_max", "File charge_control_limit_max of the power supply, in millionths."), "charge_control_limit_max", Unit::Micro),
    (Family::gauge("node_power_supply_charge_counter", "File charge_counter of the power supply, in millionths."), "charge_counter", Unit::Micro),
    (Family::gauge("node_power_supply_charge_empty", "File charge_empty of the power supply, in millionths."), "charge_empty", Unit::Micro),
    (Family::gauge("node_power_supply_charge_empty_design", "File charge_empty_design of the power supply, in millionths."), "charge_empty_design", Unit::Micro),
    (Family::gauge("node_power_supply_charge_full", "File charge_full of the power supply, in millionths."), "charge_full", Unit::Micro),
    (Family::gauge("node_power_supply_charge_full_design", "File charge_full_design of the power supply, in millionths."), "charge_full_design", Unit::Micro),
    (Family::gauge("node_power_supply_charge_term_current", "File charge_term_current of the power supply, in millionths."), "charge_term_current", Unit::Micro),
    (Family::gauge("node_power_supply_constant_charge_current", "File constant_charge_current of the power supply, in millionths."), "constant_charge_current", Unit::Micro),
    (Family::gauge("node_power_supply_constant_charge_current_max", "File constant_charge_current_max of the power supply, in millionths."), "constant_charge_current_max", Unit::Micro),
    (Family::gauge("node_power_supply_constant_charge_voltage", "File constant_charge_voltage of the power supply, in millionths."), "constant_charge_voltage", Unit::Micro),
    (Family::gauge("node_power_supply_constant_charge_voltage_max", "File constant_charge_voltage_max of the power supply, in millionths."), "constant_charge_voltage_max", Unit::Micro),
    (Family::gauge("node_power_supply_current_ampere", "File current_now of the power supply, in millionths."), "current_now", Unit::Micro),
    (Family::gauge("node_power_supply_current_boot", "File current_boot of the power supply, in millionths."), "current_boot", Unit::Micro),
    (Family::gauge("node_power_supply_current_max", "File current_max of the power supply, in millionths."), "current_max", Unit::Micro),
    (Family::gauge("node_power_supply_cyclecount", "File cycle_count of the power supply."), "cycle_count", Unit::One),
    (Family::gauge("node_power_supply_energy_empty", "File energy_empty of the power supply, in millionths."), "energy_empty", Unit::Micro),
    (Family::gauge("node_power_supply_energy_empty_design", "File energy_empty_design of the power supply, in millionths."), "energy_empty_design", Unit::Micro),
    (Family::gauge("node_power_supply_energy_full", "File energy_full of the power supply, in millionths."), "energy_full", Unit::Micro),
    (Family::gauge("node_power_supply_energy_full_design", "File energy_full_design of the power supply, in millionths."), "energy_full_design", Unit::Micro),
    (Family::gauge("node_power_supply_energy_watthour", "File energy_now of the power supply, in millionths."), "energy_now", Unit::Micro),
    (Family::gauge("node_power_supply_input_current_limit", "File input_current_limit of the power supply, in millionths."), "input_current_limit", Unit::Micro),
    (Family::gauge("node_power_supply_online", "File online of the power supply."), "online", Unit::One),
    (Family::gauge("node_power_supply_power_watt", "File power_now of the power supply, in millionths."), "power_now", Unit::Micro),
    (Family::gauge("node_power_supply_precharge_current", "File precharge_current of the power supply, in millionths."), "precharge_current", Unit::Micro),
    (Family::gauge("node_power_supply_present", "File present of the power supply."), "present", Unit::One),
    (Family::gauge("node_power_supply_temp_alert_max_celsius", "File temp_alert_max of the power supply, in tenths of a degree."), "temp_alert_max", Unit::Tenth),
    (Family::gauge("node_power_supply_temp_alert_min_celsius", "File temp_alert_min of the power supply, in tenths of a degree."), "temp_alert_min", Unit::Tenth),
    (Family::gauge("node_power_supply_temp_ambient_celsius", "File temp_ambient of the power supply, in tenths of a degree."), "temp_ambient", Unit::Tenth),
    (Family::gauge("node_power_supply_temp_ambient_max_celsius", "File temp_ambient_max of the power supply, in tenths of a degree."), "temp_ambient_max", Unit::Tenth),
    (Family::gauge("node_power_supply_temp_ambient_min_celsius", "File temp_ambient_min of the power supply, in tenths of a degree."), "temp_ambient_min", Unit::Tenth),
    (Family::gauge("node_power_supply_temp_celsius", "File temp of the power supply, in tenths of a degree."), "temp", Unit::Tenth),
    (Family::gauge("node_power_supply_temp_max_celsius", "File temp_max of the power supply, in tenths of a degree."), "temp_max", Unit::Tenth),
    (Family::gauge("node_power_supply_temp_min_celsius", "File temp_min of the power supply, in tenths of a degree."), "temp_min", Unit::Tenth),
    (Family::gauge("node_power_supply_time_to_empty_seconds", "File time_to_empty_now of the power supply."), "time_to_empty_now", Unit::One),
    (Family::gauge("node_power_supply_time_to_full_seconds", "File time_to_full_now of the power supply."), "time_to_full_now", Unit::One),
    (Family::gauge("node_power_supply_voltage_boot", "File voltage_boot of the power supply, in millionths."), "voltage_boot", Unit::Micro),
    (Family::gauge("node_power_supply_voltage_max", "File voltage_max of the power supply, in millionths."), "voltage_max", Unit::Micro),
    (Family::gauge("node_power_supply_voltage_max_design", "File voltage_max_design of the power supply, in millionths."), "voltage_max_design", Unit::Micro),
    (Family::gauge("node_power_supply_voltage_min", "File voltage_min of the power supply, in millionths."), "voltage_min", Unit::Micro),
    (Family::gauge("node_power_supply_voltage_min_design", "File voltage_min_design of the power supply, in millionths."), "voltage_min_design", Unit::Micro),
    (Family::gauge("node_power_supply_voltage_ocv", "File voltage_ocv of the power supply, in millionths."), "voltage_ocv", Unit::Micro),
    (Family::gauge("node_power_supply_voltage_volt", "File voltage_now of the power supply, in millionths."), "voltage_now", Unit::Micro),
];

struct PowerSupply {
    filter: Filter,
}

impl Collector for PowerSupply {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for name in system.entries("class/power_supply")? {
            if !self.filter.passes(&name) {
                continue;
            }
            // A supply has a few of all these files. One that was pulled meanwhile has none.
            let Ok(files) = system.entries(format!("class/power_supply/{name}")) else { continue };
            let (device, mut info) = (Labels::of(&[("power_supply", &name)]), Labels::of(&[("power_supply", &name)]));
            for file in files {
                let path = format!("class/power_supply/{name}/{file}");
                if let Some((family, _, unit)) = FIELDS.iter().find(|(_, known, _)| *known == file) {
                    // ENODATA: the battery's chip does not know it now.
                    if let Some(value) = system.number(path).map(from_i64) {
                        let scaled = match unit {
                            Unit::One => value,
                            Unit::Micro => value / 1e6,
                            Unit::Tenth => value / 10.0,
                        };
                        out.family(family).add_to(&device, [], scaled);
                    }
                } else if TEXTS.contains(&&*file)
                    && let Some(text) = system.label(path).filter(|text| !text.is_empty())
                {
                    info.push(&file, &text);
                }
            }
            out.family(&INFO).add_to(&info, [], 1u8);
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
    fn units_and_files_that_are_of_no_use() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("class/power_supply/BAT0");
        std::fs::create_dir_all(folder.join("power")).unwrap();
        for (file, text) in [
            ("voltage_now", "11660000\n"),
            ("temp", "-25\n"),
            ("time_to_empty_now", "60\n"),
            ("capacity", "unknown\n"),
            ("health", "\n"),
            ("status", "Full\n"),
            ("uevent", "POWER_SUPPLY_NAME=BAT0\n"),
        ] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let mut out = Samples::new();
        PowerSupply { filter: Filter::default() }.collect(&mut system, &mut out).unwrap();
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "node_power_supply_info{power_supply=\"BAT0\",status=\"Full\"} 1",
                "node_power_supply_temp_celsius{power_supply=\"BAT0\"} -2.5",
                "node_power_supply_time_to_empty_seconds{power_supply=\"BAT0\"} 60",
                "node_power_supply_voltage_volt{power_supply=\"BAT0\"} 11.66",
            ]
        );
    }
}
