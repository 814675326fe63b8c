//! Asks rtnetlink (RTM_GETQDISC) what the queues in front of network interfaces have done. Emits `node_qdisc_*`, of root queues only.

use std::path::PathBuf;

use super::filter::{Filter, Pair};
use super::interfaces;
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, Qdisc, System};

const OLD_INCLUDE: Flag = Flag::text("collector.qdisk.device-include", "", "Old name of qdisc.device-include.").hidden();
const OLD_EXCLUDE: Flag = Flag::text("collector.qdisk.device-exclude", "", "Old name of qdisc.device-exclude.").hidden();
const DEVICES: Pair = Pair {
    old_include: Some(OLD_INCLUDE),
    old_exclude: Some(OLD_EXCLUDE),
    ..Pair::new(
        Flag::text("collector.qdisc.device-include", "", "Only interfaces that match this pattern; excludes device-exclude."),
        Flag::text("collector.qdisc.device-exclude", "", "No interface that matches this pattern; excludes device-include."),
    )
};
const FIXTURES: Flag = Flag::text("collector.qdisc.fixtures", "", "For tests: a folder whose results.json is read instead.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "qdisc",
    enabled: Flag::switch("collector.qdisc", false, "Queues in front of network interfaces."),
    flags: &[DEVICES.include, DEVICES.exclude, OLD_INCLUDE, OLD_EXCLUDE, FIXTURES],
    new: |settings| Ok(Box::new(Qdiscs::new(settings)?)),
};

/// A family and the field that it shows.
type Column = (Family, fn(&Qdisc) -> u64);

static COLUMNS: [Column; 7] = [
    (Family::counter("node_qdisc_bytes_total", "Bytes sent: bytes of TCA_STATS2."), |qdisc| qdisc.bytes),
    (Family::counter("node_qdisc_packets_total", "Packets sent: packets."), |qdisc| qdisc.packets),
    (Family::counter("node_qdisc_drops_total", "Packets dropped: drops."), |qdisc| u64::from(qdisc.drops)),
    (Family::counter("node_qdisc_requeues_total", "Packets taken out and put back: requeues."), |qdisc| {
        u64::from(qdisc.requeues)
    }),
    (Family::counter("node_qdisc_overlimits_total", "Packets over the limit of the rate: overlimits."), |qdisc| {
        u64::from(qdisc.overlimits)
    }),
    (Family::gauge("node_qdisc_current_queue_length", "Packets that wait: qlen."), |qdisc| u64::from(qdisc.queue_length)),
    (Family::gauge("node_qdisc_backlog", "Bytes that wait: backlog."), |qdisc| u64::from(qdisc.backlog)),
];

struct Qdiscs {
    filter: Filter,
    fixtures: PathBuf,
}

impl Qdiscs {
    fn new(settings: &Settings) -> Result<Self, Error> {
        let filter = DEVICES.one(settings)?.and(interfaces::filter(settings)?);
        Ok(Qdiscs { filter, fixtures: settings.text(&FIXTURES).into() })
    }
}

impl Collector for Qdiscs {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut qdiscs =
            if self.fixtures.as_os_str().is_empty() { ask(system)? } else { read(&self.fixtures.join("results.json"), system)? };
        qdiscs.retain(|(name, _)| self.filter.passes(name));
        let labels: Vec<_> = qdiscs.iter().map(|(name, qdisc)| Labels::of(&[("device", name), ("kind", &qdisc.kind)])).collect();
        for (family, value) in &COLUMNS {
            let mut rows = out.family(family);
            for (labels, (_, qdisc)) in labels.iter().zip(&qdiscs) {
                rows.add_to(labels, [], value(qdisc));
            }
        }
        Ok(())
    }
}

/// The root queues by their interfaces' names; what has none is gone meanwhile.
fn ask(system: &mut System) -> Result<Vec<(String, Qdisc)>, Fault> {
    let foreign = Fault::Foreign("queues of interfaces");
    let (Some(links), Some(qdiscs)) = (system.links()?, system.qdiscs()?) else { return Err(foreign) };
    let name = |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
    Ok(qdiscs.into_iter().filter_map(|qdisc| Some((name(qdisc.index)?, qdisc))).collect())
}

/// A queue as node_exporter's test data has it.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Fixture {
    iface_name: String,
    parent: u32,
    kind: String,
    bytes: u64,
    packets: u64,
    drops: u32,
    requeues: u32,
    overlimits: u32,
    qlen: u32,
    backlog: u32,
}

fn read(path: &std::path::Path, system: &mut System) -> Result<Vec<(String, Qdisc)>, Fault> {
    let text = system.read(path)?;
    let list: Vec<Fixture> = serde_json::from_slice(text).map_err(|_| Fault::parse(path.display().to_string(), text))?;
    let qdisc = |one: Fixture| {
        let Fixture { kind, bytes, packets, drops, requeues, overlimits, qlen, backlog, .. } = one;
        (one.iface_name, Qdisc { index: 0, kind, bytes, packets, queue_length: qlen, backlog, drops, requeues, overlimits })
    };
    Ok(list.into_iter().filter(|one| one.parent == 0).map(qdisc).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    #[test]
    fn the_misspelt_names_of_flags_are_known() {
        let mut settings = Settings::default();
        settings.set(&OLD_EXCLUDE, Origin::CommandLine, Setting::Text("^lo$".to_owned()));
        let mut qdiscs = Qdiscs::new(&settings).unwrap();
        assert!(!qdiscs.filter.passes("lo") && qdiscs.filter.passes("eth0"));
        settings.set(&DEVICES.include, Origin::CommandLine, Setting::Text("eth".to_owned()));
        assert!(Qdiscs::new(&settings).is_err());
    }

    #[test]
    fn a_file_that_is_no_list_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        std::fs::write(&path, "[{\"IfaceName\": 7}]").unwrap();
        assert!(matches!(read(&path, &mut System::default()), Err(Fault::Parse { .. })));
        std::fs::write(&path, "[{\"IfaceName\":\"a\",\"Parent\":1},{\"IfaceName\":\"b\",\"Qlen\":3,\"New\":1}]").unwrap();
        let read = read(&path, &mut System::default()).unwrap();
        assert_eq!(read, [("b".to_owned(), Qdisc { queue_length: 3, ..Qdisc::default() })]);
    }
}
