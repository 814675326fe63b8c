//! Reads the CPU lines of `/proc/stat`, and of `/sys/devices/system/cpu` what throttles, is offline or isolated.
//! Emits `node_cpu_seconds_total`, `node_cpu_guest_seconds_total`, `node_cpu_*_throttles_total`, `node_cpu_online`,
//! `node_cpu_isolated`, and through [`cpuinfo`](super::cpuinfo) `node_cpu_info` and its kin.

use std::collections::BTreeMap;

use super::cpuinfo::{self, CpuInfo};
use super::cpusys::CpuSys;
use crate::exposition::{Family, Labels, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static SECONDS: Family =
    Family::counter("node_cpu_seconds_total", "Time each CPU spent in each mode: the cpu lines of /proc/stat, in seconds.");
static GUEST: Family = Family::counter(
    "node_cpu_guest_seconds_total",
    "Time each CPU spent running guests, also contained in user and nice: guest and guest_nice of /proc/stat.",
);

const WITH_GUEST: Flag = Flag::switch("collector.cpu.guest", true, "Show the time spent running guests.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "cpu",
    enabled: Flag::switch("collector.cpu", true, "CPU time and throttling."),
    flags: &[WITH_GUEST, cpuinfo::INFO, cpuinfo::FLAGS, cpuinfo::BUGS],
    new: |settings| {
        Ok(Box::new(Cpu {
            with_guest: settings.switch(&WITH_GUEST),
            info: CpuInfo::new(settings)?,
            seen: BTreeMap::new(),
            sys: CpuSys::default(),
        }))
    },
};

/// Modes of the first eight numbers of a line; the last two are guest time.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;

/// Every architecture's kernel counts in hundredths of a second towards user space (USER_HZ).
const TICKS: f64 = 100.0;

/// The numbers of one line: [`MODES`], guest, guest_nice.
type Ticks = [u64; 10];

/// An idle time that falls by so many ticks (3 s) tells that the CPU was away and counts from zero.
const AWAY: u64 = 300;

struct Cpu {
    with_guest: bool,
    info: Option<CpuInfo>,
    /// What was last shown of each CPU, with its label.
    seen: BTreeMap<u32, Seen>,
    sys: CpuSys,
}

struct Seen {
    labels: Labels,
    ticks: Ticks,
    present: bool,
}

impl Collector for Cpu {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        if let Some(info) = &mut self.info {
            info.collect(system, out)?;
        }
        let known = self.seen.len();
        let result = self.update(system.shared("stat")?);
        self.emit(out);
        self.sys.collect(system, known != self.seen.len(), out);
        result
    }
}

impl Cpu {
    /// Takes in a reading. CPUs that are no longer there are forgotten.
    fn update(&mut self, stat: &[u8]) -> Result<(), Fault> {
        self.seen.values_mut().for_each(|cpu| cpu.present = false);
        let mut bad = None;
        // The CPU lines stand first; behind them stands the intr line, which may be very long.
        for line in text::lines(stat).take_while(|line| line.starts_with(b"cpu")) {
            match parse(line) {
                Some((Some(number), ticks)) => {
                    let cpu = self.seen.entry(number).or_insert_with(|| Seen {
                        labels: Labels::of(&[("cpu", &number.to_string())]),
                        ticks,
                        present: true,
                    });
                    advance(&mut cpu.ticks, &ticks);
                    cpu.present = true;
                }
                Some((None, _)) => {}
                None => {
                    bad.get_or_insert_with(|| Fault::parse("stat", line));
                }
            }
        }
        self.seen.retain(|_, cpu| cpu.present);
        bad.map_or(Ok(()), Err)
    }

    fn emit(&self, out: &mut Samples) {
        for cpu in self.seen.values() {
            for (mode, ticks) in MODES.iter().zip(cpu.ticks) {
                out.family(&SECONDS).add_to(&cpu.labels, [("mode", mode)], from_u64(ticks) / TICKS);
            }
        }
        if self.with_guest {
            for cpu in self.seen.values() {
                let [.., guest, guest_nice] = cpu.ticks;
                let mut rows = out.family(&GUEST);
                rows.add_to(&cpu.labels, [("mode", "user")], from_u64(guest) / TICKS);
                rows.add_to(&cpu.labels, [("mode", "nice")], from_u64(guest_nice) / TICKS);
            }
        }
    }
}

/// Moves `shown` on to `read`. Idle and iowait of a nohz CPU may step back a little: a counter keeps its value then,
/// unless the CPU had been away.
fn advance(shown: &mut Ticks, read: &Ticks) {
    let away = |shown: &Ticks| Some(shown.get(IDLE)?.saturating_sub(*read.get(IDLE)?) >= AWAY);
    if away(shown) == Some(true) {
        *shown = *read;
    }
    for (shown, read) in shown.iter_mut().zip(read) {
        *shown = (*shown).max(*read);
    }
}

/// `cpu0 44490 19 21045 1087069 220 1 3410 0 2 1`; the line of all CPUs together has no number. Kernels before 2.6.33 have fewer columns.
fn parse(line: &[u8]) -> Option<(Option<u32>, Ticks)> {
    let mut fields = text::fields(line);
    let number = fields.next()?.strip_prefix(b"cpu")?;
    let number = if number.is_empty() { None } else { Some(text::number(number)?) };
    let mut ticks = [0; 10];
    for (at, tick) in ticks.iter_mut().enumerate() {
        match fields.next() {
            Some(field) => *tick = text::number(field)?,
            None if at > IDLE => break,
            None => return None,
        }
    }
    Some((number, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cpus() {
        let ticks = [44490, 19, 21045, 1_087_069, 220, 1, 3410, 0, 2, 1];
        assert_eq!(parse(b"cpu0 44490 19 21045 1087069 220 1 3410 0 2 1"), Some((Some(0), ticks)));
        assert_eq!(parse(b"cpu  1 2 3 4"), Some((None, [1, 2, 3, 4, 0, 0, 0, 0, 0, 0])));
        for wrong in ["cpu", "cpux 1 2 3 4", "cpu0 1 2 3", "cpu0 1 2 -3 4"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn counters_keep_their_value_unless_the_cpu_was_away() {
        let mut shown = [100, 0, 50, 1000, 70, 0, 0, 0, 0, 0];
        advance(&mut shown, &[101, 0, 50, 999, 60, 0, 0, 0, 0, 0]);
        assert_eq!(shown, [101, 0, 50, 1000, 70, 0, 0, 0, 0, 0]);
        advance(&mut shown, &[5, 0, 4, 701, 0, 0, 0, 0, 0, 0]);
        assert_eq!(shown, [101, 0, 50, 1000, 70, 0, 0, 0, 0, 0], "299 ticks back: no reset");
        advance(&mut shown, &[5, 0, 4, 700, 0, 0, 0, 0, 0, 0]);
        assert_eq!(shown, [5, 0, 4, 700, 0, 0, 0, 0, 0, 0], "300 ticks back: reset");
    }

    #[test]
    fn a_cpu_that_left_is_forgotten_and_a_bad_line_costs_only_itself() {
        let mut cpu = Cpu { with_guest: true, info: None, seen: BTreeMap::new(), sys: CpuSys::default() };
        cpu.update(b"cpu 1 1 1 1\ncpu0 1 1 1 1\ncpu1 9 9 9 9\nintr 1\n").unwrap();
        assert_eq!(cpu.seen.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert!(cpu.update(b"cpu 1 1 1 1\ncpu0 nonsense\ncpu1 10 9 9 9\n").is_err());
        assert_eq!(cpu.seen.keys().copied().collect::<Vec<_>>(), [1]);
        let mut out = Samples::new();
        cpu.emit(&mut out);
        assert_eq!(out.series(), 10);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            parse(&line);
            parse(&[b"cpu", &line[..]].concat());
        }
    }
}
