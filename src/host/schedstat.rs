//! Reads `/proc/schedstat`: how long tasks ran and waited on each CPU. Emits `node_schedstat_*`.

use crate::exposition::{Family, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static RUNNING: Family =
    Family::counter("node_schedstat_running_seconds_total", "Time that tasks ran: field 7 of the CPU's line in /proc/schedstat.");
static WAITING: Family =
    Family::counter("node_schedstat_waiting_seconds_total", "Time that tasks waited to run: field 8 of the CPU's line.");
static TIMESLICES: Family = Family::counter("node_schedstat_timeslices_total", "Time slices run: field 9 of the CPU's line.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "schedstat",
    enabled: Flag::switch("collector.schedstat", true, "Time that tasks ran and waited on each CPU."),
    flags: &[],
    new: |_| Ok(Box::new(SchedStat)),
};

struct SchedStat;

impl Collector for SchedStat {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for line in text::lines(system.proc("schedstat")?).filter(|line| line.starts_with(b"cpu")) {
            let Some((cpu, [running, waiting, slices])) = parse(line) else {
                bad = Some(Fault::parse("schedstat", line));
                continue;
            };
            out.family(&RUNNING).add([("cpu", cpu)], from_u64(running) / 1e9);
            out.family(&WAITING).add([("cpu", cpu)], from_u64(waiting) / 1e9);
            out.family(&TIMESLICES).add([("cpu", cpu)], slices);
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `cpu0 498494191 0 3533438552 2553969831 3853684107 2465731542 2045936778163039 343796328169361 4767485306`
fn parse(line: &[u8]) -> Option<(&str, [u64; 3])> {
    let mut fields = text::fields(line);
    let cpu = std::str::from_utf8(fields.next()?.strip_prefix(b"cpu")?).ok()?;
    let mut last = fields.skip(6).map(text::number);
    Some((cpu, [last.next()??, last.next()??, last.next()??]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_three_of_nine() {
        assert_eq!(parse(b"cpu12 1 2 3 4 5 6 7 8 9"), Some(("12", [7, 8, 9])));
        assert_eq!(parse(b"cpu12 1 2 3 4 5 6 7 8"), None);
        assert_eq!(parse(b"domain0 1 2 3 4 5 6 7 8 9"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            parse(&line);
            parse(&[b"cpu", &line[..]].concat());
        }
    }
}
