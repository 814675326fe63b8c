//! Reads `/proc/net/softnet_stat`: how each CPU fared with the packets it received. Emits `node_softnet_*`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "softnet",
    enabled: Flag::switch("collector.softnet", true, "Packets processed and dropped by each CPU."),
    flags: &[],
    new: |_| Ok(Box::new(SoftNet)),
};

/// The families and the columns they show.
#[rustfmt::skip]
static FIELDS: [(Family, usize); 7] = [
    (Family::counter("node_softnet_processed_total", "Packets processed: column 1 of /proc/net/softnet_stat."), 0),
    (Family::counter("node_softnet_dropped_total", "Packets dropped as the backlog was full: column 2."), 1),
    (Family::counter("node_softnet_times_squeezed_total", "Times that packets were left when time was over: column 3."), 2),
    (Family::counter("node_softnet_cpu_collision_total", "Times that a device was locked by another CPU: column 9."), 8),
    (Family::counter("node_softnet_received_rps_total", "Times that another CPU woke this one for packets: column 10."), 9),
    (Family::counter("node_softnet_flow_limit_count_total", "Packets dropped by the flow limit: column 11."), 10),
    (Family::gauge("node_softnet_backlog_len", "Packets in the backlog: column 12 (Linux 5.14)."), 11),
];

/// Since Linux 5.14 the CPU's number, before that only the line's tells it.
const CPU: usize = 12;
const WIDTH: usize = 13;
/// The oldest kernels have this many columns.
const NARROWEST: usize = 9;

struct SoftNet;

impl Collector for SoftNet {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let text = system.net("softnet_stat")?;
        let mut bad = None;
        for (number, line) in text::lines(text).enumerate() {
            let Some((values, count)) = parse(line) else {
                bad = Some(Fault::parse("net/softnet_stat", line));
                continue;
            };
            let cpu = values.get(CPU).filter(|_| count > CPU).copied().unwrap_or(number as u64).to_string();
            for (family, column) in &FIELDS {
                out.family(family).add([("cpu", &cpu)], values.get(*column).copied().unwrap_or_default());
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `00049279 00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000`, and how many there are. Columns that
/// an older kernel lacks are 0, as node_exporter has them.
fn parse(line: &[u8]) -> Option<([u64; WIDTH], usize)> {
    let (mut values, mut count) = ([0; WIDTH], 0);
    for (value, field) in values.iter_mut().zip(text::fields(line)) {
        *value = text::hex(field)?;
        count += 1;
    }
    (count >= NARROWEST).then_some((values, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_hexadecimal_and_vary_in_number() {
        let (values, count) = parse(b"00049279 00000029 1 0 0 0 0 0 0 0").unwrap();
        assert_eq!((values[0], values[1], values[10], count), (299_641, 41, 0, 10));
        let (values, count) = parse(b"0 0 0 0 0 0 0 0 0 0 0 00000005 0000000a 0 0").unwrap();
        assert_eq!((values[11], values[CPU], count), (5, 10, WIDTH));
        assert_eq!(parse(b"0 0 0"), None);
        assert_eq!(parse(b"0 0 0 0 0 0 0 0 x"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            parse(&line);
        }
    }
}
