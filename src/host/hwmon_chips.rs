//! The chips of the collector `hwmon`: what they are called, which files they have, and what each file means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::filter::Filter;
use crate::system::{System, text};

/// A chip.
pub(super) struct Chip {
    /// Value of the label `chip`.
    pub(super) label: String,
    /// What the driver calls it.
    pub(super) name: Option<String>,
    /// Sensors and what they are called.
    pub(super) labels: Vec<(String, String)>,
    pub(super) readings: Vec<Reading>,
}

/// A file with a number.
#[derive(Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) path: PathBuf,
    /// Value of the label `sensor`.
    pub(super) sensor: String,
    pub(super) family: String,
    pub(super) is_counter: bool,
    pub(super) scale: Scale,
}

/// What one of a file's units is in the family's. Multiplied or divided as node_exporter does, so that the last digit agrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    One,
    /// Times 0.001.
    Milli,
    /// By a million.
    Micro,
    /// 1 or else 0.
    Switch,
}

impl Scale {
    pub(super) fn apply(self, value: f64) -> f64 {
        match self {
            Scale::One => value,
            Scale::Milli => value * 0.001,
            Scale::Micro => value / 1e6,
            Scale::Switch => f64::from(u8::from(value == 1.0)),
        }
    }
}

/// What a file's name may begin with; of other files nothing is known.
const TYPES: [&str; 14] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

/// The chips of `folders` that pass the filters.
pub(super) fn find(folders: &[PathBuf], chips: &mut Filter, sensors: &mut Filter, system: &mut System) -> Vec<Chip> {
    let named: Vec<_> = folders
        .iter()
        .map(|folder| {
            let name = attribute(&folder.join("name"), system).map(|name| clean(&name)).filter(|name| !name.is_empty());
            (folder, of_device(folder).or_else(|| name.clone()), name)
        })
        .collect();
    let mut found = Vec::new();
    for (folder, base, name) in &named {
        let last = clean(&folder.file_name().unwrap_or_default().to_string_lossy());
        let label = match base {
            None => last,
            // Drivers may hang several chips on one device: then their names tell them apart, or at least their numbers.
            Some(base) => match (named.iter().filter(|(_, other, _)| other.as_ref() == Some(base)), name) {
                (same, _) if same.clone().count() == 1 => base.clone(),
                (same, Some(name)) if same.clone().filter(|(.., other)| other.as_ref() == Some(name)).count() == 1 => {
                    format!("{base}_{name}")
                }
                _ => format!("{base}_{last}"),
            },
        };
        if chips.passes(&label) {
            found.push(chip(folder, label, name.clone(), sensors, system));
        }
    }
    found
}

/// `platform_coretemp_0` of a link `device` to `/sys/devices/platform/coretemp.0`: the same at every boot, which numbers are not.
fn of_device(folder: &Path) -> Option<String> {
    let device = folder.join("device").canonicalize().ok()?;
    let part = |path: &Path| clean(&path.file_name().unwrap_or_default().to_string_lossy());
    match (device.parent().map(part).unwrap_or_default(), part(&device)) {
        (_, name) if name.is_empty() => None,
        (bus, name) if bus.is_empty() => Some(name),
        (bus, name) => Some(format!("{bus}_{name}")),
    }
}

/// Lower case letters, digits, colons and underscores, none of which stand at the ends.
fn clean(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == ':' { c } else { '_' };
    let cleaned: String = name.trim().to_lowercase().chars().map(keep).collect();
    cleaned.trim_matches('_').to_owned()
}

fn attribute(path: &Path, system: &mut System) -> Option<String> {
    Some(text::utf8(system.attribute(path).ok()?).into_owned())
}

fn chip(folder: &Path, label: String, name: Option<String>, filter: &mut Filter, system: &mut System) -> Chip {
    // By type, sensor and property; what the folder and its device both have is the device's.
    let mut files: BTreeMap<(&str, String), BTreeMap<String, PathBuf>> = BTreeMap::new();
    for folder in [folder.to_owned(), folder.join("device")] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if let Some(file) =
                name.to_str().and_then(SensorFile::of).filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file()))
            {
                files.entry((file.kind, file.sensor)).or_default().insert(file.property.to_owned(), entry.path());
            }
        }
    }
    let mut chip = Chip { label, name, labels: Vec::new(), readings: Vec::new() };
    for ((kind, sensor), mut properties) in files {
        if !filter.passes(&format!("{};{sensor}", chip.label)) {
            continue;
        }
        let label = properties.remove("label").and_then(|path| attribute(&path, system));
        let has_value = properties.contains_key("");
        for (property, path) in properties {
            chip.readings.extend(reading(kind, &sensor, &property, has_value, label.as_deref(), path));
        }
        chip.labels.extend(label.map(|label| (sensor, label)));
    }
    chip
}

/// A file's name, taken apart: `temp1_crit_alarm` is the property `crit_alarm` of the sensor `temp1`.
#[derive(Debug, PartialEq)]
struct SensorFile<'a> {
    kind: &'static str,
    sensor: String,
    property: &'a str,
}

impl<'a> SensorFile<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let (kind, rest) = name.split_at(name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len()));
        let kind = TYPES.into_iter().find(|known| *known == kind)?;
        let (number, property) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let number: u64 = if number.is_empty() { 0 } else { number.parse().ok()? };
        let property = if property.is_empty() { property } else { property.strip_prefix('_').filter(|rest| !rest.is_empty())? };
        Some(SensorFile { kind, sensor: format!("{kind}{number}"), property })
    }
}

/// Family, unit and sensor name of a file.
fn reading(kind: &str, sensor: &str, property: &str, has_value: bool, label: Option<&str>, path: PathBuf) -> Option<Reading> {
    // The input is the sensor's value itself, unless there is a file for that.
    let element = match property {
        "input" if has_value => "_input".to_owned(),
        "input" | "" => String::new(),
        other => format!("_{}", clean(other)),
    };
    let mut sensor = sensor.to_owned();
    let (suffix, scale) = match (kind, property) {
        ("beep_enable", _) => return Some(plain("node_hwmon_beep_enabled", Scale::Switch, sensor, path)),
        ("vrm", _) => return Some(plain("node_hwmon_voltage_regulator_version", Scale::One, sensor, path)),
        ("update_interval", _) => return Some(plain("node_hwmon_update_interval_seconds", Scale::Milli, sensor, path)),
        (_, "fault" | "alarm") => ("", Scale::One),
        (_, "beep") => ("_enabled", Scale::One),
        ("in" | "cpu", _) => ("_volts", Scale::Milli),
        ("temp", "type") => ("", Scale::One),
        ("temp", _) => ("_celsius", Scale::Milli),
        ("curr", _) => ("_amps", Scale::Milli),
        ("energy", _) => ("_joule_total", Scale::Micro),
        ("power", "accuracy") | ("humidity", _) => ("", Scale::Micro),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => ("_seconds", Scale::Milli),
        ("power", _) => ("_watt", Scale::Micro),
        ("fan", "input" | "min" | "max" | "target") => ("_rpm", Scale::One),
        // A clock of a graphics card goes by its label alone.
        ("freq", "input") => {
            sensor = clean(label?);
            ("_freq_mhz", Scale::Micro)
        }
        _ => ("", Scale::One),
    };
    let is_counter = suffix == "_joule_total";
    Some(Reading { is_counter, ..plain(&format!("node_hwmon_{kind}{element}{suffix}"), scale, sensor, path) })
}

fn plain(family: &str, scale: Scale, sensor: String, path: PathBuf) -> Reading {
    Reading { path, sensor, family: family.to_owned(), is_counter: false, scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_taken_apart() {
        let parts = |name| SensorFile::of(name).map(|file| (file.kind, file.sensor, file.property));
        assert_eq!(parts("temp1_crit_alarm"), Some(("temp", "temp1".to_owned(), "crit_alarm")));
        assert_eq!(parts("pwm1"), Some(("pwm", "pwm1".to_owned(), "")));
        assert_eq!(parts("beep_enable"), Some(("beep_enable", "beep_enable0".to_owned(), "")));
        for none in ["name", "temp_input", "temp1_", "temp1x", "uevent", "", "7", "in99999999999999999999999_input"] {
            assert_eq!(parts(none), None, "{none}");
        }
    }

    #[test]
    fn units_follow_type_and_property() {
        let of = |kind, property, has_value| {
            let reading = reading(kind, "s1", property, has_value, Some("GFX clk"), PathBuf::new()).unwrap();
            (reading.family, reading.scale, reading.sensor)
        };
        let s1 = || "s1".to_owned();
        assert_eq!(of("temp", "input", false), ("node_hwmon_temp_celsius".into(), Scale::Milli, s1()));
        // Odd, but so it is: an alarm with a prefix counts as a temperature.
        assert_eq!(of("temp", "crit_alarm", false), ("node_hwmon_temp_crit_alarm_celsius".into(), Scale::Milli, s1()));
        assert_eq!(of("temp", "alarm", false), ("node_hwmon_temp_alarm".into(), Scale::One, s1()));
        assert_eq!(of("in", "beep", false), ("node_hwmon_in_beep_enabled".into(), Scale::One, s1()));
        assert_eq!(of("pwm", "input", true), ("node_hwmon_pwm_input".into(), Scale::One, s1()));
        assert_eq!(of("power", "average_interval", false).0, "node_hwmon_power_average_interval_seconds");
        assert_eq!(of("humidity", "input", false), ("node_hwmon_humidity".into(), Scale::Micro, s1()));
        assert_eq!(of("freq", "input", false), ("node_hwmon_freq_freq_mhz".into(), Scale::Micro, "gfx_clk".into()));
        assert_eq!(of("vrm", "", true).0, "node_hwmon_voltage_regulator_version");
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_survived(name: String, tail: String) {
            clean(&name);
            for name in [name.clone(), format!("temp{name}"), format!("power1_{tail}")] {
                if let Some(file) = SensorFile::of(&name) {
                    reading(file.kind, &file.sensor, file.property, false, Some(&tail), PathBuf::new());
                }
            }
        }
    }
}
