//! Reads `/proc/interrupts`: how many interrupts of each line each CPU has served. Emits `node_interrupts_total`.

use super::filter::{Filter, Pair};
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, System, text};

static TOTAL: Family = Family::counter(
    "node_interrupts_total",
    "Interrupts that the CPU served: /proc/interrupts. cpu counts its columns, which skip CPUs that are off.",
);

const NAMES: Pair = Pair::new(
    Flag::text("collector.interrupts.name-include", "", "Only interrupts whose name;info;devices matches this pattern."),
    Flag::text("collector.interrupts.name-exclude", "", "No interrupt whose name;info;devices matches this pattern."),
);
const ZEROS: Flag = Flag::switch("collector.interrupts.include-zeros", true, "Also show what a CPU never served.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "interrupts",
    enabled: Flag::switch("collector.interrupts", false, "Interrupts by line and CPU."),
    flags: &[NAMES.include, NAMES.exclude, ZEROS],
    new: |settings| Ok(Box::new(Interrupts::new(settings)?)),
};

struct Interrupts {
    filter: Filter,
    with_zeros: bool,
    /// Kept for its memory.
    key: String,
}

impl Interrupts {
    fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Interrupts { filter: NAMES.both(settings)?, with_zeros: settings.switch(&ZEROS), key: String::new() })
    }
}

impl Collector for Interrupts {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let (mut bad, mut counts, mut labels, mut cpu) = (None, Vec::new(), Labels::new(), itoa::Buffer::new());
        let mut lines = text::lines(system.proc("interrupts")?);
        let cpus = lines.next().map_or(0, |header| text::fields(header).count());
        for line in lines {
            let (name, details) = match parse(line, cpus, &mut counts) {
                Ok(Some(interrupt)) => interrupt,
                Ok(None) => continue,
                Err(()) => {
                    bad = Some(Fault::parse("interrupts", line));
                    continue;
                }
            };
            let (info, devices) = split(name, &details);
            self.key.clear();
            self.key.extend([name, ";", info, ";", devices]);
            if !self.filter.passes(&self.key) {
                continue;
            }
            labels.clear();
            for (label, value) in [("devices", devices), ("info", info), ("type", name)] {
                labels.push(label, value);
            }
            for (column, count) in counts.iter().enumerate().filter(|(_, count)| self.with_zeros || **count != 0) {
                out.family(&TOTAL).add_to(&labels, [("cpu", cpu.format(column))], *count);
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// ` 16:     328511     322879  IR-IO-APIC-fasteoi   ehci_hcd:usb1, mmc0` or `LOC:  174326351  135776678   Local timer interrupts`: name and
/// what stands behind the numbers; `counts` becomes one number for each CPU. `Ok(None)` for what has only one for all (`ERR:  0`).
fn parse<'a>(line: &'a [u8], cpus: usize, counts: &mut Vec<u64>) -> Result<Option<(&'a str, String)>, ()> {
    let (name, rest) = std::str::from_utf8(line).map_err(drop)?.split_once(':').ok_or(())?;
    let mut fields = rest.split_ascii_whitespace();
    if fields.clone().nth(cpus).is_none() {
        return Ok(None);
    }
    counts.clear();
    for field in fields.by_ref().take(cpus) {
        counts.push(field.parse().map_err(drop)?);
    }
    Ok(Some((name.trim_ascii(), fields.collect::<Vec<_>>().join(" "))))
}

/// Info and devices, of which only numbered interrupts have the latter.
fn split<'a>(name: &str, details: &'a str) -> (&'a str, &'a str) {
    let is_numbered = name.bytes().all(|byte| byte.is_ascii_digit());
    details.split_once(' ').filter(|_| is_numbered).unwrap_or((details, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    const TEXT: &str = "           CPU0       CPU2\n 16:  328511  0  IR-IO-APIC-fasteoi   ehci_hcd:usb1, mmc0\nIPI0:7 8       \
                        Rescheduling interrupts\n 17:  x  0  IR-IO-APIC  eth0\nnonsense\nLOC:  1  2   Local timer interrupts\nERR:  0\n";

    #[test]
    fn numbered_interrupts_have_devices_and_a_bad_line_costs_one_interrupt() {
        let (lines, result) = Tree::of(&[("proc/interrupts", TEXT)]).show(&mut *built(&ENTRY, &[]).unwrap());
        assert!(result.unwrap_err().to_string().contains("nonsense"));
        let expected = [
            r#"node_interrupts_total{devices="ehci_hcd:usb1, mmc0",info="IR-IO-APIC-fasteoi",type="16",cpu="0"} 328511"#,
            r#"node_interrupts_total{devices="ehci_hcd:usb1, mmc0",info="IR-IO-APIC-fasteoi",type="16",cpu="1"} 0"#,
            r#"node_interrupts_total{devices="",info="Rescheduling interrupts",type="IPI0",cpu="0"} 7"#,
            r#"node_interrupts_total{devices="",info="Rescheduling interrupts",type="IPI0",cpu="1"} 8"#,
            r#"node_interrupts_total{devices="",info="Local timer interrupts",type="LOC",cpu="0"} 1"#,
            r#"node_interrupts_total{devices="",info="Local timer interrupts",type="LOC",cpu="1"} 2"#,
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn filters_see_name_info_and_devices() {
        let mut tree = Tree::of(&[("proc/interrupts", TEXT)]);
        let mut count = |given: &[(&str, &[&str])]| tree.show(&mut *built(&ENTRY, given).unwrap()).0.len();
        assert_eq!(count(&[("name-include", &["^16;IR-IO-APIC-fasteoi;ehci_hcd:usb1, mmc0$"])]), 2);
        assert_eq!(count(&[("name-include", &["timer|^16"]), ("name-exclude", &[";mmc0|mmc0"])]), 2);
        assert_eq!(count(&[("name-exclude", &["^(LOC|IPI)"])]), 2);
        assert_eq!(count(&[("include-zeros", &["false"])]), 5);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>, fields in "[0-9a-z :]{0,40}", cpus in 0usize..9) {
            let mut counts = Vec::new();
            let _ = parse(&line, cpus, &mut counts);
            if let Ok(Some((name, details))) = parse(fields.as_bytes(), cpus, &mut counts) {
                split(name, &details);
            }
        }
    }
}
