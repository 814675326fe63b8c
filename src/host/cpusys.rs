//! What `/sys/devices/system/cpu` tells of CPUs: a part of the collector [`cpu`](super::cpu).

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::exposition::{Family, Labels, Samples};
use crate::system::{System, text};

static CORE_THROTTLES: Family = Family::counter(
    "node_cpu_core_throttles_total",
    "How often each core was throttled for its heat: thermal_throttle/core_throttle_count of /sys/devices/system/cpu.",
);
static PACKAGE_THROTTLES: Family = Family::counter(
    "node_cpu_package_throttles_total",
    "How often each package was throttled for its heat: thermal_throttle/package_throttle_count of /sys/devices/system/cpu.",
);
static ISOLATED: Family =
    Family::gauge("node_cpu_isolated", "1 for each CPU the scheduler leaves alone: /sys/devices/system/cpu/isolated.");
static ONLINE: Family = Family::gauge("node_cpu_online", "1 for a CPU that is online: /sys/devices/system/cpu/cpu<n>/online.");

/// A CPU list may be a whole machine's; one that claims more is not believed.
const MOST_CPUS: u32 = 65_536;

/// What was found when it was last looked for: files to read on each scrape, with the labels of their series.
#[derive(Default)]
pub(super) struct CpuSys {
    surveyed: bool,
    throttles: Vec<(&'static Family, Labels, PathBuf)>,
    online: Vec<(Labels, PathBuf)>,
    isolated: Vec<Labels>,
}

impl CpuSys {
    /// Adds what there is. Which CPUs, cores and files there are is looked up anew only when `changed`.
    pub(super) fn collect(&mut self, system: &mut System, changed: bool, out: &mut Samples) {
        if changed || !self.surveyed {
            self.survey(system);
        }
        for cpu in &self.isolated {
            out.family(&ISOLATED).add_to(cpu, [], 1u8);
        }
        // An error costs only its own file: a CPU that goes offline takes its throttle counts along.
        for (family, labels, path) in &self.throttles {
            if let Some(count) = system.attribute(path).ok().and_then(text::number::<u64>) {
                out.family(family).add_to(labels, [], count);
            }
        }
        for (labels, path) in &self.online {
            if let Ok(online) = system.attribute(path) {
                out.family(&ONLINE).add_to(labels, [], online == b"1");
            }
        }
    }

    fn survey(&mut self, system: &mut System) {
        let cpus = cpu_folders(system);
        // A kernel built without hot-plug of CPU 0 (nearly every x86) tells of no CPU.
        let hot_plug = cpus.first_key_value().is_some_and(|(_, first)| first.join("online").exists());
        let mut throttles = BTreeMap::new();
        *self = CpuSys { surveyed: true, ..CpuSys::default() };
        for (number, folder) in &cpus {
            if hot_plug && folder.join("online").exists() {
                self.online.push((cpu_label(*number), folder.join("online")));
            }
            let mut topology = |file| {
                let text = system.attribute(&folder.join("topology").join(file)).ok()?;
                text::number::<i64>(text)
            };
            let (Some(package), Some(core)) = (topology("physical_package_id"), topology("core_id")) else { continue };
            let (package_text, core_text) = (package.to_string(), core.to_string());
            let count = folder.join("thermal_throttle/core_throttle_count");
            if count.exists() {
                let labels = Labels::of(&[("core", &core_text), ("package", &package_text)]);
                throttles.entry((false, package, core)).or_insert((&CORE_THROTTLES, labels, count));
            }
            let count = folder.join("thermal_throttle/package_throttle_count");
            if count.exists() {
                let labels = Labels::of(&[("package", &package_text)]);
                throttles.entry((true, package, 0)).or_insert((&PACKAGE_THROTTLES, labels, count));
            }
        }
        self.throttles = throttles.into_values().collect();
        if let Ok(list) = system.sys("devices/system/cpu/isolated") {
            self.isolated = cpu_list(list).into_iter().map(cpu_label).collect();
        }
    }
}

fn cpu_label(number: u32) -> Labels {
    Labels::of(&[("cpu", &number.to_string())])
}

/// The folders `cpu<n>`, in the order of their numbers.
fn cpu_folders(system: &System) -> BTreeMap<u32, PathBuf> {
    let folder = system.roots.sys("devices/system/cpu");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = text::number(name.as_encoded_bytes().strip_prefix(b"cpu")?)?;
            Some((number, entry.path()))
        })
        .collect()
}

/// `1,3-5,9`; what is not understood is left out.
fn cpu_list(text: &[u8]) -> Vec<u32> {
    let mut cpus = Vec::new();
    for range in text.trim_ascii().split(|&byte| byte == b',') {
        let (first, last) = text::pair(range, b'-').unwrap_or((range, range));
        if let (Some(first), Some(last)) = (text::number::<u32>(first), text::number::<u32>(last)) {
            cpus.extend((first..=last).take_while(|cpu| *cpu < MOST_CPUS));
        }
    }
    cpus.sort_unstable();
    cpus.dedup();
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpu_list(b"1,3-5,9\n"), [1, 3, 4, 5, 9]);
        assert!(cpu_list(b"\n").is_empty());
        assert_eq!(cpu_list(b"0-4294967295").len(), 65_536);
        assert_eq!(cpu_list(b"5-3,x,2,2"), [2]);
    }

    #[test]
    fn each_core_and_package_is_shown_once() {
        let dir = tempfile::tempdir().unwrap();
        for (cpu, core) in [(0, 0), (1, 0), (2, 1)] {
            let folder = dir.path().join(format!("devices/system/cpu/cpu{cpu}"));
            for (file, text) in [
                ("topology/core_id", core.to_string()),
                ("topology/physical_package_id", "0".into()),
                ("thermal_throttle/core_throttle_count", (10 + core).to_string()),
                ("thermal_throttle/package_throttle_count", "7".into()),
                ("online", u8::from(cpu != 2).to_string()),
            ] {
                let path = folder.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text + "\n").unwrap();
            }
        }
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let (mut sys, mut out) = (CpuSys::default(), Samples::new());
        sys.collect(&mut system, false, &mut out);
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"node_cpu_core_throttles_total{core="0",package="0"} 10"#,
                r#"node_cpu_core_throttles_total{core="1",package="0"} 11"#,
                r#"node_cpu_online{cpu="0"} 1"#,
                r#"node_cpu_online{cpu="1"} 1"#,
                r#"node_cpu_online{cpu="2"} 0"#,
                r#"node_cpu_package_throttles_total{package="0"} 7"#,
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            cpu_list(&text);
        }
    }
}
