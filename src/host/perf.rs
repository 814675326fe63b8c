//! Counts events of each CPU with perf_event_open(2): cycles, cache misses, context switches, tracepoints. Emits `node_perf_*`.
//!
//! An event that the CPU or the kernel cannot count is left out. The counters are opened when the program starts.

use std::fs;
use std::io;

use super::perf_events::{CACHE_EVENTS, Counter, Event, HARDWARE_EVENTS, SOFTWARE_EVENTS, TRACEPOINT};
use crate::exposition::{Family, Kind, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, Roots, System, is_absent};

const CPUS: Flag = Flag::text("collector.perf.cpus", "", "CPUs to count on: 0,2-4,8-16:4; all that are online if empty.");
const TRACEPOINTS: Flag = Flag::list("collector.perf.tracepoint", &[], "Also count this tracepoint, as subsystem:event.");
const NO_HARDWARE: Flag = Flag::switch("collector.perf.disable-hardware-profilers", false, "Count no events of the CPU's.");
const NO_SOFTWARE: Flag = Flag::switch("collector.perf.disable-software-profilers", false, "Count no events of the kernel's.");
const NO_CACHE: Flag = Flag::switch("collector.perf.disable-cache-profilers", false, "Count no events of the caches.");
const HARDWARE: Flag = Flag::list("collector.perf.hardware-profilers", &[], "Of the CPU's events, only those named: CpuCycles.");
const SOFTWARE: Flag =
    Flag::list("collector.perf.software-profilers", &[], "Of the kernel's events, only those named: PageFault.");
const CACHE: Flag = Flag::list("collector.perf.cache-profilers", &[], "Of the caches' events, only those named: LLReadMiss.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "perf",
    enabled: Flag::switch("collector.perf", false, "Performance counters of the CPUs and the kernel."),
    flags: &[CPUS, TRACEPOINTS, NO_HARDWARE, NO_SOFTWARE, NO_CACHE, HARDWARE, SOFTWARE, CACHE],
    new: |settings| Ok(Box::new(Perf::open(settings)?)),
};

struct Perf {
    counters: Vec<(&'static Family, i32, Counter)>,
    /// By family name.
    tracepoints: Vec<(String, i32, Counter)>,
    /// Why some counter could not be opened although the machine has it.
    refusal: Option<String>,
}

impl Perf {
    fn open(settings: &Settings) -> Result<Self, Error> {
        let roots = Roots::of(settings);
        let list = match settings.text(&CPUS) {
            list if !list.is_empty() => list,
            _ => fs::read_to_string(roots.sys("devices/system/cpu/online")).unwrap_or_else(|_| "0".to_owned()),
        };
        let cpus = cpus(list.trim()).ok_or_else(|| Error::new(format!("{}: {list:?} is no list of CPUs", CPUS.name)))?;
        let mut perf = Perf { counters: Vec::new(), tracepoints: Vec::new(), refusal: None };
        for (events, off, only) in [
            (&HARDWARE_EVENTS[..], &NO_HARDWARE, &HARDWARE),
            (&SOFTWARE_EVENTS[..], &NO_SOFTWARE, &SOFTWARE),
            (&CACHE_EVENTS[..], &NO_CACHE, &CACHE),
        ] {
            for event in wanted(events, off, only, settings) {
                for &cpu in &cpus {
                    let counter = perf.accept(&roots, Counter::open(event, cpu));
                    perf.counters.extend(counter.map(|counter| (&event.family, cpu, counter)));
                }
            }
        }
        for tracepoint in settings.list(&TRACEPOINTS) {
            let parts = tracepoint.split_once(':').filter(|(group, event)| is_name(group) && is_name(event));
            let (group, event) =
                parts.ok_or_else(|| Error::new(format!("{}: {tracepoint:?} is not subsystem:event", TRACEPOINTS.name)))?;
            let id = match identifier(&roots, group, event) {
                Ok(id) => id,
                Err(error) => {
                    perf.refusal = Some(format!("tracepoint {tracepoint}: {error}"));
                    continue;
                }
            };
            let family = format!("node_perf_{group}_{event}").replace('-', "_");
            for &cpu in &cpus {
                let counter = perf.accept(&roots, Counter::of(TRACEPOINT, id, cpu));
                perf.tracepoints.extend(counter.map(|counter| (family.clone(), cpu, counter)));
            }
        }
        Ok(perf)
    }

    /// The counter, or `None` for one that there is no such thing as, or that may not be had, which is remembered.
    fn accept(&mut self, roots: &Roots, opened: io::Result<Counter>) -> Option<Counter> {
        let error = match opened {
            Ok(counter) => return Some(counter),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => {
                let level = fs::read_to_string(roots.proc("sys/kernel/perf_event_paranoid")).unwrap_or_default();
                let level = level.trim();
                self.refusal = Some(format!(
                    "perf_event_open is not permitted: kernel.perf_event_paranoid is {level}; 0 or CAP_PERFMON is needed"
                ));
            }
            // The CPU, the kernel or a virtual machine lacks the event, or all of them.
            Some(libc::EINVAL | libc::ENOSYS) => {}
            _ if is_absent(&error) => {}
            _ => self.refusal = Some(format!("perf_event_open: {error}")),
        }
        None
    }
}

/// The events of one kind that the flags ask for.
fn wanted<'a>(events: &'static [Event], off: &Flag, only: &'a Flag, settings: &'a Settings) -> Vec<&'static Event> {
    let names = settings.list(only);
    for unknown in names.iter().filter(|name| events.iter().all(|event| event.name != **name)) {
        tracing::warn!(flag = only.name, profiler = %unknown, "no such profiler");
    }
    let is_wanted = |event: &&Event| names.is_empty() || names.iter().any(|name| name == event.name);
    if settings.switch(off) { Vec::new() } else { events.iter().filter(is_wanted).collect() }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn identifier(roots: &Roots, group: &str, event: &str) -> io::Result<u64> {
    let read = |mount: &str| fs::read_to_string(roots.sys(format!("kernel/{mount}/events/{group}/{event}/id")));
    let text = read("tracing").or_else(|_| read("debug/tracing"))?;
    text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

impl Collector for Perf {
    fn collect(&mut self, _: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let unreadable = |error: io::Error| Fault::Remote(format!("performance counter: {error}"));
        for (family, cpu, counter) in &self.counters {
            if let Some(count) = counter.read().map_err(unreadable)? {
                out.family(family).add([("cpu", &*cpu.to_string())], count);
            }
        }
        for (family, cpu, counter) in &self.tracepoints {
            if let Some(count) = counter.read().map_err(unreadable)? {
                let mut rows = out.named(family, "How often the kernel passed this tracepoint.", Kind::Counter);
                rows.add([("cpu", &*cpu.to_string())], count);
            }
        }
        match &self.refusal {
            Some(refusal) => Err(Fault::Remote(refusal.clone())),
            None if self.counters.is_empty() && self.tracepoints.is_empty() => {
                Err(Fault::Absent("performance counters".to_owned()))
            }
            None => Ok(()),
        }
    }
}

/// The most CPUs that a list may name.
const MOST: usize = 8192;

/// `0,2-4,8-16:4`
fn cpus(list: &str) -> Option<Vec<i32>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (range, step) = part.split_once(':').map_or(Some((part, 1)), |(range, step)| Some((range, step.parse().ok()?)))?;
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        if step == 0 || usize::from(last) >= MOST {
            return None;
        }
        cpus.extend((first..=last).step_by(step).map(i32::from));
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpus("0"), Some(vec![0]));
        assert_eq!(cpus("8-16:4,2-4,0,3"), Some(vec![0, 2, 3, 4, 8, 12, 16]));
        for wrong in ["", "x", "1-", "1-2:0", "-1", "1,,2", "0-70000"] {
            assert_eq!(cpus(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn profilers_are_chosen_by_name() {
        let mut settings = Settings::default();
        assert_eq!(wanted(&SOFTWARE_EVENTS, &NO_SOFTWARE, &SOFTWARE, &settings).len(), SOFTWARE_EVENTS.len());
        settings.set(&SOFTWARE, Origin::CommandLine, Setting::List(vec!["MinorFault".into(), "nonsense".into()]));
        let names: Vec<_> = wanted(&SOFTWARE_EVENTS, &NO_SOFTWARE, &SOFTWARE, &settings).iter().map(|event| event.name).collect();
        assert_eq!(names, ["MinorFault"]);
        settings.set(&NO_SOFTWARE, Origin::CommandLine, Setting::Switch(true));
        assert!(wanted(&SOFTWARE_EVENTS, &NO_SOFTWARE, &SOFTWARE, &settings).is_empty());
    }

    #[test]
    fn a_tracepoint_needs_two_names() {
        for wrong in ["sched", "sched:", "../..:id", "a:b:c"] {
            let mut settings = Settings::default();
            settings.set(&TRACEPOINTS, Origin::CommandLine, Setting::List(vec![wrong.into()]));
            settings.set(&CPUS, Origin::CommandLine, Setting::Text("0".into()));
            assert!(Perf::open(&settings).err().unwrap().to_string().contains(TRACEPOINTS.name), "{wrong}");
        }
    }

    #[test]
    fn software_counters_count_or_say_why_not() {
        let mut perf = Perf::open(&Settings::default()).unwrap();
        let mut out = Samples::new();
        match perf.collect(&mut System::default(), &mut out) {
            Ok(()) => assert!(out.series() > 0),
            Err(Fault::Absent(_)) => assert_eq!(out.series(), 0),
            Err(fault) => assert!(fault.to_string().contains("perf_event"), "{fault}"),
        }
    }

    proptest::proptest! {
        #[test]
        fn any_list_is_survived(text: String, list in "[0-9,:-]{0,30}") {
            cpus(&text);
            cpus(&list);
        }
    }
}
