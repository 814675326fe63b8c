//! Reads `/sys/class/infiniband/*`: InfiniBand and RoCE adapters, the state of their ports and what these have counted. Emits
//! `node_infiniband_*`.

use super::filter::{Filter, Pair};
use super::infiniband_counters::{COUNTERS, HARDWARE, LEGACY};
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, Folder, System, text};

const DEVICES: Pair = Pair::new(
    Flag::text("collector.infiniband.device-include", "", "Only adapters that match this pattern."),
    Flag::text("collector.infiniband.device-exclude", "", "No adapter that matches this pattern."),
);

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "infiniband",
    enabled: Flag::switch("collector.infiniband", true, "InfiniBand and RoCE adapters."),
    flags: &[DEVICES.include, DEVICES.exclude],
    new: |settings| Ok(Box::new(InfiniBand { filter: DEVICES.both(settings)? })),
};

static INFO: Family = Family::gauge("node_infiniband_info", "What the adapter's files of text say of it; 1.");
static STATE: Family = Family::gauge(
    "node_infiniband_state_id",
    "State of the port, 1 down, 2 initialized, 3 armed, 4 active: the number in state.",
);
static PHYSICAL_STATE: Family = Family::gauge(
    "node_infiniband_physical_state_id",
    "State of the link, 2 polling, 3 disabled, 5 up: the number in phys_state.",
);
static RATE: Family = Family::gauge("node_infiniband_rate_bytes_per_second", "Speed of the port: rate, in Gb/s there.");
static LIFESPAN: Family = Family::gauge(
    "node_infiniband_lifespan_seconds",
    "Age that hardware counters may have: hw_counters/lifespan, in whole seconds.",
);

const CLASS: &str = "class/infiniband";

struct InfiniBand {
    filter: Filter,
}

impl Collector for InfiniBand {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for device in system.entries(CLASS)? {
            if !self.filter.passes(&device) {
                continue;
            }
            // An adapter that was pulled meanwhile has no folder any more.
            let Ok(folder) = system.folder(format!("{CLASS}/{device}")) else { continue };
            let text = |file: &str| folder.label(file).unwrap_or_default();
            let labels = [
                ("board_id", &*text("board_id")),
                ("device", &*device),
                ("firmware_version", &*text("fw_ver")),
                ("hca_type", &*text("hca_type")),
            ];
            out.family(&INFO).add(labels, 1u8);
            let ports = format!("{CLASS}/{device}/ports");
            for port in system.entries(&ports).unwrap_or_default() {
                if let Ok(folder) = system.folder(format!("{ports}/{port}")) {
                    emit(&folder, &Labels::of(&[("device", &device), ("port", &port)]), out);
                }
            }
        }
        Ok(())
    }
}

fn emit(port: &Folder, labels: &Labels, out: &mut Samples) {
    for (family, file) in [(&STATE, "state"), (&PHYSICAL_STATE, "phys_state")] {
        if let Some(state) = port.read(file, state) {
            out.family(family).add_to(labels, [], state);
        }
    }
    if let Some(rate) = port.read("rate", rate) {
        out.family(&RATE).add_to(labels, [], rate);
    }
    for (folder, counters) in [("counters", &COUNTERS[..]), ("counters_ext", &LEGACY), ("hw_counters", &HARDWARE)] {
        for (family, file) in counters {
            // Not every driver has every file, and some say `N/A (no PMA)`.
            if let Some(count) = port.read(&format!("{folder}/{file}"), text::number::<u64>) {
                // Data is counted in words of four bytes.
                let unit = if file.contains("_data") { 4 } else { 1 };
                out.family(family).add_to(labels, [], count.saturating_mul(unit));
            }
        }
    }
    if let Some(milliseconds) = port.read("hw_counters/lifespan", text::number::<u64>) {
        out.family(&LIFESPAN).add_to(labels, [], milliseconds / 1000);
    }
}

/// `4: ACTIVE`
fn state(text: &[u8]) -> Option<u32> {
    text::number(text::pair(text, b':')?.0)
}

/// `40 Gb/sec (4X QDR)`, `2.5 Gb/sec (1X SDR)`
fn rate(text: &[u8]) -> Option<f64> {
    let (gigabits, _) = std::str::from_utf8(text).ok()?.split_once(" Gb/sec")?;
    Some(gigabits.parse::<f64>().ok().filter(|rate| rate.is_finite())? * 125e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    #[test]
    fn states_and_rates() {
        assert_eq!((state(b"4: ACTIVE"), state(b"ACTIVE"), state(b": 4")), (Some(4), None, None));
        assert_eq!((rate(b"2.5 Gb/sec (1X SDR)"), rate(b"100 Gb/sec (4X EDR)")), (Some(312.5e6), Some(12.5e9)));
        assert_eq!((rate(b"fast"), rate(b"inf Gb/sec"), rate(b" Gb/sec")), (None, None, None));
    }

    /// Files as Documentation/ABI/stable/sysfs-class-infiniband has them.
    #[test]
    fn a_port_tells_what_it_can_and_adapters_are_chosen() {
        let mut tree = Tree::of(&[]);
        assert!(tree.show(&mut *built(&ENTRY, &[]).unwrap()).1.unwrap_err().is_absence());
        for (file, text) in [
            ("mlx5_0/fw_ver", "16.35.1012\n"),
            ("mlx5_0/ports/1/state", "4: ACTIVE\n"),
            ("mlx5_0/ports/1/rate", "nonsense\n"),
            ("mlx5_0/ports/1/counters/port_rcv_data", "4631917\n"),
            ("mlx5_0/ports/1/counters/port_rcv_errors", "N/A (no PMA)\n"),
            ("mlx5_0/ports/1/hw_counters/roce_slow_restart_trans", "7\n"),
            ("mlx5_0/ports/1/hw_counters/lifespan", "1999\n"),
            ("hfi1_0/fw_ver", "1.27.0\n"),
        ] {
            tree.write(&format!("sys/class/infiniband/{file}"), text);
        }
        let (lines, result) = tree.show(&mut *built(&ENTRY, &[("device-exclude", &["^hfi"])]).unwrap());
        result.unwrap();
        let expected = [
            r#"node_infiniband_info{board_id="",device="mlx5_0",firmware_version="16.35.1012",hca_type=""} 1"#,
            r#"node_infiniband_lifespan_seconds{device="mlx5_0",port="1"} 1"#,
            r#"node_infiniband_port_data_received_bytes_total{device="mlx5_0",port="1"} 18527668"#,
            r#"node_infiniband_roce_slow_restart_total{device="mlx5_0",port="1"} 7"#,
            r#"node_infiniband_state_id{device="mlx5_0",port="1"} 4"#,
        ];
        assert_eq!(lines, expected);
        let only = tree.show(&mut *built(&ENTRY, &[("device-include", &["^hfi"])]).unwrap()).0;
        assert_eq!(only, [r#"node_infiniband_info{board_id="",device="hfi1_0",firmware_version="1.27.0",hca_type=""} 1"#]);
    }

    #[test]
    fn no_counter_stands_twice() {
        let all = || COUNTERS.iter().chain(&LEGACY).chain(&HARDWARE);
        let names: std::collections::BTreeSet<_> = all().map(|(family, _)| family.name).collect();
        assert_eq!(names.len(), all().count());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            state(&text);
            rate(&text);
        }
    }
}
