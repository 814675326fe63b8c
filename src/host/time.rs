//! The clock, its zone, and of `/sys/devices/system/clocksource` what it runs on. Emits `node_time_*`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, syscalls, text};

static SECONDS: Family = Family::gauge("node_time_seconds", "The host's time, in Unix time: clock_gettime.");
static ZONE: Family =
    Family::gauge("node_time_zone_offset_seconds", "How far the local time zone is ahead of UTC: TZ, else /etc/localtime.");
static AVAILABLE: Family = Family::gauge(
    "node_time_clocksource_available_info",
    "A clock source the kernel could use: available_clocksource of /sys/devices/system/clocksource; always 1.",
);
static CURRENT: Family = Family::gauge(
    "node_time_clocksource_current_info",
    "The clock source the kernel uses: current_clocksource of /sys/devices/system/clocksource; always 1.",
);

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "time",
    enabled: Flag::switch("collector.time", true, "The clock, its zone and its source."),
    flags: &[],
    new: |_| Ok(Box::new(Time)),
};

struct Time;

impl Collector for Time {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        // A clock before 1970 is shown as 0 rather than not at all.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        out.family(&SECONDS).add([], now.as_secs_f64());
        if let Some((name, offset)) = i64::try_from(now.as_secs()).ok().and_then(syscalls::local_zone) {
            out.family(&ZONE).add([("time_zone", &name)], offset);
        }
        clock_sources(system, out)
    }
}

fn clock_sources(system: &mut System, out: &mut Samples) -> Result<(), Fault> {
    let folder = system.roots.sys("devices/system/clocksource");
    for entry in std::fs::read_dir(&folder).map_err(|error| Fault::read(&folder, error))?.flatten() {
        let name = entry.file_name();
        let Some(device) = name.to_str().and_then(|name| name.strip_prefix("clocksource")) else { continue };
        for (file, family) in [("available_clocksource", &AVAILABLE), ("current_clocksource", &CURRENT)] {
            let names = text::utf8(system.attribute(&entry.path().join(file))?);
            for source in names.split_ascii_whitespace() {
                out.family(family).add([("clocksource", source), ("device", device)], 1u8);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn clock_sources_of_each_device() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("devices/system/clocksource/clocksource0");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("available_clocksource"), "tsc hpet \n").unwrap();
        std::fs::write(folder.join("current_clocksource"), "tsc\n").unwrap();
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let mut out = Samples::new();
        clock_sources(&mut system, &mut out).unwrap();
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"node_time_clocksource_available_info{clocksource="tsc",device="0"} 1"#,
                r#"node_time_clocksource_available_info{clocksource="hpet",device="0"} 1"#,
                r#"node_time_clocksource_current_info{clocksource="tsc",device="0"} 1"#,
            ]
        );
        let none = Roots { sys: "/none".into(), ..Roots::default() };
        assert!(clock_sources(&mut System::new(none), &mut Samples::new()).unwrap_err().is_absence());
    }
}
