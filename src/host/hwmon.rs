//! Reads `/sys/class/hwmon/*`: temperatures, fans, voltages and what else monitoring chips measure. Emits `node_hwmon_*`.
//!
//! Which chips there are, and which files they have, is found out when the folder's entries change; the files stay open, and each is
//! read by one single call, since some drivers answer a second one with EAGAIN for ever.

use std::fs::File;
use std::os::unix::fs::{DirEntryExt, FileExt};

use super::filter::{Filter, Pair};
use super::hwmon_chips::{self as chips, Chip};
use crate::exposition::{Family, Kind, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, System, text};

const CHIPS: Pair = Pair::new(
    Flag::text("collector.hwmon.chip-include", "", "Only chips that match this pattern."),
    Flag::text("collector.hwmon.chip-exclude", "", "No chip that matches this pattern."),
);
const SENSORS: Pair = Pair::new(
    Flag::text("collector.hwmon.sensor-include", "", "Only sensors whose <chip>;<sensor> matches this pattern."),
    Flag::text("collector.hwmon.sensor-exclude", "", "No sensor whose <chip>;<sensor> matches this pattern."),
);

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "hwmon",
    enabled: Flag::switch("collector.hwmon", true, "Temperatures, fans, voltages."),
    flags: &[CHIPS.include, CHIPS.exclude, SENSORS.include, SENSORS.exclude],
    new: |settings| Ok(Box::new(HwMon::new(settings)?)),
};

static CHIP_NAMES: Family = Family::gauge("node_hwmon_chip_names", "The chip's own name, as label chip_name: file name; 1.");
static SENSOR_LABEL: Family = Family::gauge("node_hwmon_sensor_label", "What the sensor is called, as label: <sensor>_label; 1.");
const HELP: &str = "File of the chip in /sys/class/hwmon that ends in this name.";

/// So many files are kept open; those beyond are opened for each reading.
const OPEN: usize = 256;

/// The longest number that a file holds.
const LONGEST: usize = 64;

struct HwMon {
    chips: Filter,
    sensors: Filter,
    /// Name and inode of the folder's entries when `found` was made: a chip that leaves and another that takes its number have
    /// different inodes.
    entries: Vec<(std::ffi::OsString, u64)>,
    found: Vec<(Chip, Vec<Option<File>>)>,
}

impl HwMon {
    fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(HwMon { chips: CHIPS.both(settings)?, sensors: SENSORS.both(settings)?, entries: Vec::new(), found: Vec::new() })
    }

    /// Looks for chips, if any came or went.
    fn find(&mut self, system: &mut System) -> Result<(), Fault> {
        let folder = system.roots.sys("class/hwmon");
        let entries = std::fs::read_dir(&folder).map_err(|error| Fault::read(&folder, error))?;
        let mut entries: Vec<_> = entries.flatten().map(|entry| (entry.file_name(), entry.ino())).collect();
        entries.sort_unstable();
        if entries == self.entries {
            return Ok(());
        }
        let folders: Vec<_> = entries.iter().map(|(name, _)| folder.join(name)).filter(|path| path.is_dir()).collect();
        let mut room = OPEN;
        self.found = chips::find(&folders, &mut self.chips, &mut self.sensors, system)
            .into_iter()
            .map(|chip| {
                let kept = room.min(chip.readings.len());
                room -= kept;
                let files = chip.readings.iter().take(kept).map(|reading| File::open(&reading.path).ok()).collect();
                (chip, files)
            })
            .collect();
        self.entries = entries;
        Ok(())
    }
}

impl Collector for HwMon {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        self.find(system)?;
        for (chip, _) in &self.found {
            if let Some(name) = &chip.name {
                out.family(&CHIP_NAMES).add([("chip", &chip.label), ("chip_name", name)], 1u8);
            }
            for (sensor, label) in &chip.labels {
                out.family(&SENSOR_LABEL).add([("chip", &chip.label), ("label", label), ("sensor", sensor)], 1u8);
            }
        }
        for (chip, files) in &self.found {
            let mut files = files.iter();
            for reading in &chip.readings {
                let mut buffer = [0; LONGEST];
                let read = match files.next() {
                    Some(file) => file.as_ref().and_then(|file| file.read_at(&mut buffer, 0).ok()),
                    None => File::open(&reading.path).and_then(|file| file.read_at(&mut buffer, 0)).ok(),
                };
                let text = read.and_then(|length| buffer.get(..length)).unwrap_or_default();
                // A file that cannot be read now (a sleeping card), or holds no number, has no sample.
                if let Some(value) = text::number::<f64>(text).map(|value| reading.scale.apply(value)) {
                    let kind = if reading.is_counter { Kind::Counter } else { Kind::Gauge };
                    out.named(&reading.family, HELP, kind).add([("chip", &chip.label), ("sensor", &reading.sensor)], value);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    fn page(collector: &mut HwMon, system: &mut System) -> String {
        let mut out = Samples::new();
        collector.collect(system, &mut out).unwrap();
        String::from_utf8(Page::new(vec![out]).to_vec()).unwrap()
    }

    #[test]
    fn values_are_read_anew_and_chips_when_they_come_or_go() {
        let dir = tempfile::tempdir().unwrap();
        let class = dir.path().join("class/hwmon");
        for (chip, name) in [("hwmon0", "nct\n"), ("hwmon1", "nct\n")] {
            fs::create_dir_all(class.join(chip)).unwrap();
            fs::write(class.join(chip).join("name"), name).unwrap();
        }
        fs::write(class.join("hwmon0/temp1_input"), "41500\n").unwrap();
        fs::write(class.join("hwmon1/energy1_input"), "2500000\n").unwrap();
        fs::write(class.join("hwmon1/fan1_input"), "N/A\n").unwrap();
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let mut collector = HwMon::new(&Settings::default()).unwrap();
        let first = page(&mut collector, &mut system);
        // Two of one name and without a device: told apart by their numbers.
        assert!(first.contains("node_hwmon_temp_celsius{chip=\"nct_hwmon0\",sensor=\"temp1\"} 41.5\n"), "{first}");
        assert!(first.contains("# TYPE node_hwmon_energy_joule_total counter\n"), "{first}");
        assert!(first.contains("node_hwmon_energy_joule_total{chip=\"nct_hwmon1\",sensor=\"energy1\"} 2.5\n"), "{first}");
        assert!(!first.contains("fan"), "{first}");

        fs::write(class.join("hwmon0/temp1_input"), "42000\n").unwrap();
        assert!(page(&mut collector, &mut system).contains("sensor=\"temp1\"} 42\n"));

        fs::remove_dir_all(class.join("hwmon1")).unwrap();
        let without = page(&mut collector, &mut system);
        assert!(without.contains("node_hwmon_temp_celsius{chip=\"nct\",sensor=\"temp1\"} 42\n"), "{without}");
    }

    #[test]
    fn a_host_without_chips_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let fault = HwMon::new(&Settings::default()).unwrap().collect(&mut system, &mut Samples::new()).unwrap_err();
        assert!(fault.is_absence(), "{fault}");
    }
}
