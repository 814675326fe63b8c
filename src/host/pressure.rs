//! Reads `/proc/pressure/*`: how long tasks lacked CPU, memory or I/O. Emits `node_pressure_*_{waiting,stalled}_seconds_total`.

use crate::exposition::{Family, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static CPU_WAITING: Family = Family::counter(
    "node_pressure_cpu_waiting_seconds_total",
    "Time in which some task waited for a CPU: some total of /proc/pressure/cpu.",
);
static IO_WAITING: Family = Family::counter(
    "node_pressure_io_waiting_seconds_total",
    "Time in which some task waited for I/O: some total of /proc/pressure/io.",
);
static IO_STALLED: Family = Family::counter(
    "node_pressure_io_stalled_seconds_total",
    "Time in which all tasks waited for I/O: full total of /proc/pressure/io.",
);
static MEMORY_WAITING: Family = Family::counter(
    "node_pressure_memory_waiting_seconds_total",
    "Time in which some task waited for memory: some total of /proc/pressure/memory.",
);
static MEMORY_STALLED: Family = Family::counter(
    "node_pressure_memory_stalled_seconds_total",
    "Time in which all tasks waited for memory: full total of /proc/pressure/memory.",
);
static IRQ_STALLED: Family = Family::counter(
    "node_pressure_irq_stalled_seconds_total",
    "Time in which interrupts kept tasks from running: full total of /proc/pressure/irq.",
);

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "pressure",
    enabled: Flag::switch("collector.pressure", true, "Pressure stall times."),
    flags: &[],
    new: |_| Ok(Box::new(Pressure)),
};

/// Each file, and the families of its `some` and `full` lines. For the whole host `full` of cpu is always 0.
static FILES: [(&str, Option<&Family>, Option<&Family>); 4] = [
    ("pressure/cpu", Some(&CPU_WAITING), None),
    ("pressure/io", Some(&IO_WAITING), Some(&IO_STALLED)),
    ("pressure/memory", Some(&MEMORY_WAITING), Some(&MEMORY_STALLED)),
    ("pressure/irq", None, Some(&IRQ_STALLED)),
];

struct Pressure;

impl Collector for Pressure {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for (file, some, full) in FILES {
            let text = match system.proc(file) {
                // Only since Linux 6.1, and only where interrupt times are accounted for.
                Err(Fault::Absent(_)) if file == "pressure/irq" => continue,
                // Linux before 4.20, or booted with psi=0: EOPNOTSUPP.
                read => read?,
            };
            for (family, line) in [(some, "some"), (full, "full")] {
                let Some(family) = family else { continue };
                let micros = parse(text, line.as_bytes()).ok_or_else(|| Fault::parse(file, text))?;
                out.family(family).add([], from_u64(micros) / 1e6);
            }
        }
        Ok(())
    }
}

/// `some avg10=0.18 avg60=0.34 avg300=0.10 total=159886802`: the total, in microseconds.
fn parse(text: &[u8], kind: &[u8]) -> Option<u64> {
    let line = text::lines(text).find_map(|line| line.strip_prefix(kind)?.strip_prefix(b" "))?;
    text::number(text::fields(line).find_map(|field| field.strip_prefix(b"total="))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_in_microseconds() {
        let text = b"some avg10=0.18 avg60=0.34 avg300=0.10 total=159886802\nfull avg10=0.18 avg60=0.34 avg300=0.10 total=7\n";
        assert_eq!(parse(text, b"some"), Some(159_886_802));
        assert_eq!(parse(text, b"full"), Some(7));
        assert_eq!(parse(b"full avg10=0.00 total=8494", b"some"), None);
        assert_eq!(parse(b"some total=", b"some"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            parse(&text, b"some");
            parse(&[b"some ", &text[..]].concat(), b"some");
        }
    }
}
