//! Reads `/proc/stat`, all but its CPU times: boot time, forks, context switches, interrupts. Emits `node_boot_time_seconds`,
//! `node_context_switches_total`, `node_forks_total`, `node_intr_total`, `node_procs_*`, `node_softirqs_total`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static BOOT_TIME: Family = Family::gauge("node_boot_time_seconds", "When the host booted, in Unix time: btime of /proc/stat.");
static SWITCHES: Family = Family::counter("node_context_switches_total", "Context switches: ctxt of /proc/stat.");
static FORKS: Family = Family::counter("node_forks_total", "Tasks created: processes of /proc/stat.");
static INTERRUPTS: Family = Family::counter("node_intr_total", "Interrupts serviced: first number of intr of /proc/stat.");
static RUNNING: Family = Family::gauge("node_procs_running", "Runnable tasks: procs_running of /proc/stat.");
static BLOCKED: Family = Family::gauge("node_procs_blocked", "Tasks that wait for I/O: procs_blocked of /proc/stat.");
static SOFTIRQS: Family = Family::counter("node_softirqs_total", "Soft interrupts of each kind: softirq of /proc/stat.");

/// The kinds of soft interrupt, in the order of the line.
const VECTORS: [&str; 10] = ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];

const SOFTIRQ: Flag = Flag::switch("collector.stat.softirq", false, "Show soft interrupts by kind.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "stat",
    enabled: Flag::switch("collector.stat", true, "Boot time, forks, context switches, interrupts."),
    flags: &[SOFTIRQ],
    new: |settings| Ok(Box::new(Stat { with_softirqs: settings.switch(&SOFTIRQ) })),
};

struct Stat {
    with_softirqs: bool,
}

impl Collector for Stat {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let text = system.shared("stat")?;
        let mut bad = None;
        for line in text::lines(text) {
            match parse(line) {
                Ok(Some(Row::Count(family, count))) => {
                    out.family(family).add([], count);
                }
                Ok(Some(Row::Softirqs(numbers))) if self.with_softirqs => {
                    for (vector, count) in VECTORS.iter().zip(numbers) {
                        out.family(&SOFTIRQS).add([("vector", vector)], count);
                    }
                }
                Ok(_) => {}
                Err(()) => {
                    bad.get_or_insert_with(|| Fault::parse("stat", line));
                }
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// One line.
enum Row {
    Count(&'static Family, u64),
    Softirqs([u64; 10]),
}

/// `ctxt 38014093`, `intr 8885917 17 0 …` (may exceed 64 KiB), `softirq 5057579 250191 …`: total, then each kind.
/// `None` for the CPU lines and for lines of later kernels.
fn parse(line: &[u8]) -> Result<Option<Row>, ()> {
    let mut fields = text::fields(line);
    let family = match fields.next() {
        Some(b"btime") => &BOOT_TIME,
        Some(b"ctxt") => &SWITCHES,
        Some(b"processes") => &FORKS,
        Some(b"intr") => &INTERRUPTS,
        Some(b"procs_running") => &RUNNING,
        Some(b"procs_blocked") => &BLOCKED,
        Some(b"softirq") => {
            let mut numbers = [0; 10];
            let mut fields = fields.skip(1);
            for number in &mut numbers {
                *number = fields.next().and_then(text::number).ok_or(())?;
            }
            return Ok(Some(Row::Softirqs(numbers)));
        }
        _ => return Ok(None),
    };
    let count = fields.next().and_then(text::number).ok_or(())?;
    Ok(Some(Row::Count(family, count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_soft_interrupts() {
        assert!(matches!(parse(b"intr 8885917 17 0 0"), Ok(Some(Row::Count(family, 8_885_917))) if *family == INTERRUPTS));
        let softirqs = [250_191, 1_481_983, 1647, 211_099, 186_066, 0, 1_783_454, 622_196, 12_499, 508_444];
        let line = b"softirq 5057579 250191 1481983 1647 211099 186066 0 1783454 622196 12499 508444";
        assert!(matches!(parse(line), Ok(Some(Row::Softirqs(numbers))) if numbers == softirqs));
        assert!(matches!(parse(b"cpu0 1 2 3"), Ok(None)));
        assert!(parse(b"ctxt").is_err() && parse(b"btime x").is_err() && parse(b"softirq 1 2").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            let _ = parse(&line);
            let _ = parse(&[b"softirq ", &line[..]].concat());
        }
    }
}
