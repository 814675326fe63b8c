//! `/proc/cpuinfo`: make and frequency of each CPU, a part of the collector [`cpu`](super::cpu) that is off by default.

use regex_lite::Regex;

use crate::exposition::{Family, Samples};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, System, text};

static INFO_FAMILY: Family = Family::gauge("node_cpu_info", "Make of each CPU, from /proc/cpuinfo; always 1.");
static FREQUENCY: Family =
    Family::gauge("node_cpu_frequency_hertz", "Present frequency of each CPU: cpu MHz of /proc/cpuinfo, in hertz.");
static FLAG: Family = Family::gauge("node_cpu_flag_info", "A feature of the first CPU: flags of /proc/cpuinfo; always 1.");
static BUG: Family = Family::gauge("node_cpu_bug_info", "A flaw of the first CPU: bugs of /proc/cpuinfo; always 1.");

/// Switches this part on.
pub(super) const INFO: Flag = Flag::switch("collector.cpu.info", false, "Show make and frequency of each CPU.");
/// Which features are shown; switches this part on as well.
pub(super) const FLAGS: Flag = Flag::text("collector.cpu.info.flags-include", "", "Pattern of CPU features to show.");
/// Which flaws are shown; switches this part on as well.
pub(super) const BUGS: Flag = Flag::text("collector.cpu.info.bugs-include", "", "Pattern of CPU flaws to show.");

/// Labels of `node_cpu_info` and the keys they come from.
const LABELS: [(&str, &str); 10] = [
    ("cachesize", "cache size"),
    ("core", "core id"),
    ("cpu", "processor"),
    ("family", "cpu family"),
    ("microcode", "microcode"),
    ("model", "model"),
    ("model_name", "model name"),
    ("package", "physical id"),
    ("stepping", "stepping"),
    ("vendor", "vendor_id"),
];

/// What to show.
pub(super) struct CpuInfo {
    flags: Option<Regex>,
    bugs: Option<Regex>,
}

impl CpuInfo {
    /// `None` unless switched on.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, Error> {
        let (flags, bugs) = (settings.pattern(&FLAGS)?, settings.pattern(&BUGS)?);
        let on = settings.switch(&INFO) || flags.is_some() || bugs.is_some();
        Ok(on.then_some(CpuInfo { flags, bugs }))
    }

    /// Adds all CPUs, and features and flaws of the first.
    pub(super) fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let cpus = parse(system.proc("cpuinfo")?);
        for cpu in &cpus {
            out.family(&INFO_FAMILY).add(LABELS.map(|(label, key)| (label, cpu.get(key))), 1u8);
            if let Some(megahertz) = text::number::<f64>(cpu.get("cpu MHz").as_bytes()) {
                let labels = [("core", cpu.get("core id")), ("cpu", cpu.get("processor")), ("package", cpu.get("physical id"))];
                out.family(&FREQUENCY).add(labels, megahertz * 1e6);
            }
        }
        let Some(first) = cpus.first() else { return Ok(()) };
        for (pattern, family, label, key) in [(&self.flags, &FLAG, "flag", "flags"), (&self.bugs, &BUG, "bug", "bugs")] {
            let Some(pattern) = pattern else { continue };
            for word in first.get(key).split_ascii_whitespace().filter(|word| pattern.is_match(word)) {
                out.family(family).add([(label, word)], 1u8);
            }
        }
        Ok(())
    }
}

/// The lines of one CPU.
#[derive(Default)]
struct Cpu<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Cpu<'a> {
    /// The value of `key`, empty where the architecture has no such line.
    fn get(&self, key: &str) -> &'a str {
        self.0.iter().find(|(known, _)| *known == key).map_or("", |(_, value)| value)
    }
}

/// `model name : Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz`: a block of such lines for each CPU, begun by `processor : 0`.
fn parse(text: &[u8]) -> Vec<Cpu<'_>> {
    let mut cpus: Vec<Cpu<'_>> = Vec::new();
    for (key, value) in text::lines(text).filter_map(|line| text::pair(line, b':')) {
        let (Ok(key), Ok(value)) = (std::str::from_utf8(key), std::str::from_utf8(value)) else { continue };
        if key == "processor" {
            cpus.push(Cpu::default());
        }
        // s390x and older ARM have lines of the whole machine before the first CPU.
        if let Some(cpu) = cpus.last_mut() {
            cpu.0.push((key, value));
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_lines() {
        let cpus =
            parse(b"machine: x\nprocessor\t: 0\ncpu MHz\t\t: 799.998\nflags\t\t: fpu vme\n\nprocessor\t: 1\npower management:\n");
        assert_eq!(cpus.len(), 2);
        assert_eq!((cpus[0].get("cpu MHz"), cpus[0].get("flags"), cpus[0].get("bugs")), ("799.998", "fpu vme", ""));
        assert_eq!((cpus[1].get("processor"), cpus[1].get("power management")), ("1", ""));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            parse(&text);
            parse(&[b"processor: 0\n", &text[..]].concat());
        }
    }
}
