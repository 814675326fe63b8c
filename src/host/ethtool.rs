//! Asks the drivers of network interfaces (SIOCETHTOOL) who they are, what they count, and what their links can. Emits
//! `node_ethtool_info`, `node_ethtool_<counter>` and, of the links, `node_network_*`.

use std::collections::{BTreeMap, HashMap};

use regex_lite::Regex;

use super::filter::{Filter, Pair};
use super::interfaces;
use crate::exposition::{Family, Kind, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Driver, Ethtool, Fault, LinkSettings, System};

const DEVICES: Pair = Pair::new(
    Flag::text("collector.ethtool.device-include", "", "Only interfaces that match this pattern."),
    Flag::text("collector.ethtool.device-exclude", "", "No interface that matches this pattern."),
);
const METRICS: Flag = Flag::text("collector.ethtool.metrics-include", ".*", "Only counters whose name at the driver matches.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "ethtool",
    enabled: Flag::switch("collector.ethtool", false, "Counters and links as the drivers of network interfaces tell them."),
    flags: &[DEVICES.include, DEVICES.exclude, METRICS],
    new: |settings| Ok(Box::new(Drivers::new(settings)?)),
};

static INFO: Family =
    Family::gauge("node_ethtool_info", "Driver of the interface, its versions and its bus: ETHTOOL_GDRVINFO; 1.");
const COUNTER: &str = "A counter of the driver, of this name but for its spelling: ETHTOOL_GSTATS.";

/// Counters that have a name of their own.
const RENAMED: [(&str, &str); 7] = [
    ("rx_bytes", "node_ethtool_received_bytes_total"),
    ("rx_dropped", "node_ethtool_received_dropped_total"),
    ("rx_errors", "node_ethtool_received_errors_total"),
    ("rx_packets", "node_ethtool_received_packets_total"),
    ("tx_bytes", "node_ethtool_transmitted_bytes_total"),
    ("tx_errors", "node_ethtool_transmitted_errors_total"),
    ("tx_packets", "node_ethtool_transmitted_packets_total"),
];

static AUTONEGOTIATE: Family =
    Family::gauge("node_network_autonegotiate", "1 if autonegotiation is on: autoneg of ETHTOOL_GSET.");
static PORT: Family = Family::gauge("node_network_supported_port_info", "1 for each kind of port: supported of ETHTOOL_GSET.");

/// The families of one set of modes.
struct Set {
    speed: Family,
    /// With the modes' numbers.
    abilities: [(Family, u32); 3],
}

const AUTONEG: u32 = 6;
const PAUSE: u32 = 13;
const ASYM_PAUSE: u32 = 14;

static SUPPORTED: Set = Set {
    speed: Family::gauge("node_network_supported_speed_bytes", "Bytes a second of each mode that the interface can."),
    abilities: [
        (Family::gauge("node_network_autonegotiate_supported", "1 if the interface can autonegotiate."), AUTONEG),
        (Family::gauge("node_network_pause_supported", "1 if the interface can do pause frames."), PAUSE),
        (Family::gauge("node_network_asymmetricpause_supported", "1 if it can do them one way only."), ASYM_PAUSE),
    ],
};
static ADVERTISED: Set = Set {
    speed: Family::gauge("node_network_advertised_speed_bytes", "Bytes a second of each mode that the interface offers."),
    abilities: [
        (Family::gauge("node_network_autonegotiate_advertised", "1 if the interface offers to autonegotiate."), AUTONEG),
        (Family::gauge("node_network_pause_advertised", "1 if the interface offers pause frames."), PAUSE),
        (Family::gauge("node_network_asymmetricpause_advertised", "1 if it offers them one way only."), ASYM_PAUSE),
    ],
};

/// Numbers and names of ports among the modes.
const PORTS: [(u32, &str); 6] = [(7, "TP"), (8, "AUI"), (9, "MII"), (10, "FIBRE"), (11, "BNC"), (16, "Backplane")];

/// Numbers of modes, their megabits a second and their names. node_exporter leaves out number 15.
const SPEEDS: [(u32, u32, &str); 22] = [
    (0, 10, "10baseT"),
    (1, 10, "10baseT"),
    (2, 100, "100baseT"),
    (3, 100, "100baseT"),
    (4, 1_000, "1000baseT"),
    (5, 1_000, "1000baseT"),
    (12, 10_000, "10000baseT"),
    (17, 1_000, "1000baseKX"),
    (18, 10_000, "10000baseKX4"),
    (19, 10_000, "10000baseKR"),
    (20, 10_000, "10000baseR_FEC"),
    (21, 20_000, "20000baseMLD2"),
    (22, 20_000, "20000baseKR2"),
    (23, 40_000, "40000baseKR4"),
    (24, 40_000, "40000baseCR4"),
    (25, 40_000, "40000baseSR4"),
    (26, 40_000, "40000baseLR4"),
    (27, 56_000, "56000baseKR4"),
    (28, 56_000, "56000baseCR4"),
    (29, 56_000, "56000baseSR4"),
    (30, 56_000, "56000baseLR4"),
    (31, 25_000, "25000baseCR"),
];
const HALF_DUPLEX: [u32; 3] = [0, 2, 4];

struct Drivers {
    filter: Filter,
    metrics: Filter,
    names: Names,
    ethtool: Option<Ethtool>,
}

impl Drivers {
    fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Drivers {
            filter: DEVICES.both(settings)?.and(interfaces::filter(settings)?),
            metrics: Filter::new(settings.pattern(&METRICS)?, None),
            names: Names::new()?,
            ethtool: None,
        })
    }
}

impl Collector for Drivers {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let links = system.links()?.ok_or(Fault::Foreign("drivers of interfaces"))?;
        let ethtool = match &mut self.ethtool {
            Some(open) => open,
            none => none.insert(Ethtool::open().map_err(|error| Fault::read("ethtool", error))?),
        };
        // What a driver refuses, for whatever reason, it has not: most know only a part, and virtual ones nothing.
        for link in links.iter().filter(|link| self.filter.passes(&link.name)) {
            let device = Labels::of(&[("device", &link.name)]);
            if let Ok(settings) = ethtool.settings(&link.name) {
                show_link(&device, settings, out);
            }
            let Ok(driver) = ethtool.driver(&link.name) else { continue };
            show_driver(&device, &driver, out);
            for (name, value) in self.names.clean(ethtool.counters(&link.name, &driver).unwrap_or_default(), &mut self.metrics) {
                out.named(&name, COUNTER, Kind::Untyped).add_to(&device, [], value);
            }
        }
        Ok(())
    }
}

fn show_driver(device: &Labels, driver: &Driver, out: &mut Samples) {
    let labels = [
        ("bus_info", driver.bus_info.as_str()),
        ("driver", &driver.driver),
        ("expansion_rom_version", &driver.expansion_rom_version),
        ("firmware_version", &driver.firmware_version),
        ("version", &driver.version),
    ];
    out.family(&INFO).add_to(device, labels, 1u8);
}

fn show_link(device: &Labels, settings: LinkSettings, out: &mut Samples) {
    for (set, modes) in [(&SUPPORTED, settings.supported), (&ADVERTISED, settings.advertised)] {
        let has = |number: u32| modes & 1 << number != 0;
        for (number, megabits, mode) in SPEEDS.into_iter().filter(|(number, ..)| has(*number)) {
            let duplex = if HALF_DUPLEX.contains(&number) { "half" } else { "full" };
            out.family(&set.speed).add_to(device, [("duplex", duplex), ("mode", mode)], u64::from(megabits) * 125_000);
        }
        for (family, number) in &set.abilities {
            out.family(family).add_to(device, [], has(*number));
        }
    }
    for (_, port) in PORTS.into_iter().filter(|(number, _)| settings.supported & 1 << number != 0) {
        out.family(&PORT).add_to(device, [("type", port)], 1u8);
    }
    out.family(&AUTONEGOTIATE).add_to(device, [], u64::from(settings.autonegotiation));
}

/// Makes metrics' names of the names that drivers give to their counters.
struct Names {
    forbidden: Regex,
    received: Regex,
    transmitted: Regex,
    /// What was made of names already: a driver may have thousands, the same at every scrape.
    known: HashMap<String, String>,
}

impl Names {
    fn new() -> Result<Self, Error> {
        let regex = |text| Regex::new(text).map_err(|error| Error::new(error.to_string()));
        Ok(Names {
            forbidden: regex("_*[^0-9A-Za-z_]+_*")?,
            received: regex("(^|_)rx(_|$)")?,
            transmitted: regex("(^|_)tx(_|$)")?,
            known: HashMap::new(),
        })
    }

    /// The counters that `wanted` lets pass, by metric. Of a name given twice the last is taken; of two that become one metric, neither.
    fn clean(&mut self, counters: Vec<(String, u64)>, wanted: &mut Filter) -> Vec<(String, u64)> {
        let counters: BTreeMap<String, u64> = counters.into_iter().filter(|(name, _)| wanted.passes(name)).collect();
        let mut metrics: BTreeMap<String, Option<(String, u64)>> = BTreeMap::new();
        for (name, value) in counters {
            let metric = self.metric(&name);
            metrics.entry(metric).and_modify(|clash| *clash = None).or_insert(Some((name, value)));
        }
        let renamed = |name: &str| RENAMED.iter().find(|(of, _)| *of == name).map(|(_, to)| (*to).to_owned());
        let shown = metrics.into_iter().filter_map(|(metric, counter)| Some((metric, counter?)));
        shown.map(|(metric, (name, value))| (renamed(&name).unwrap_or(metric), value)).collect()
    }

    /// `rx-Queue: 0 drops` becomes `node_ethtool_received_queue_0_drops`.
    fn metric(&mut self, name: &str) -> String {
        /// So many names are kept.
        const REMEMBERED: usize = 65_536;
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let clean = self.forbidden.replace_all(name, "_").to_lowercase();
        let clean = self.received.replace_all(clean.trim_start_matches('_'), "${1}received${2}").into_owned();
        let clean = self.transmitted.replace_all(&clean, "${1}transmitted${2}");
        let metric = format!("node_ethtool_{clean}");
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(name.to_owned(), metric.clone());
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;

    fn clean(counters: &[(&str, u64)], wanted: &str) -> Vec<(String, u64)> {
        let mut wanted = Filter::new(Some(Regex::new(wanted).unwrap()), None);
        Names::new().unwrap().clean(counters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(), &mut wanted)
    }

    fn pairs(counters: &[(String, u64)]) -> Vec<(&str, u64)> {
        counters.iter().map(|(name, value)| (name.as_str(), *value)).collect()
    }

    #[test]
    fn names_are_cleaned() {
        let cleaned = clean(
            &[
                ("rx_bytes", 1),
                ("tx_dropped", 2),
                (" Rx-Queue: 0_drops", 3),
                ("port.rx_dropped", 4),
                ("tx_single_collisions", 5),
                ("rxtx", 6),
                ("_alloc_rx", 7),
            ],
            ".*",
        );
        let expected = [
            ("node_ethtool_alloc_received", 7),
            ("node_ethtool_port_received_dropped", 4),
            // Named for itself once its clashes are known.
            ("node_ethtool_received_bytes_total", 1),
            ("node_ethtool_received_queue_0_drops", 3),
            ("node_ethtool_rxtx", 6),
            ("node_ethtool_transmitted_dropped", 2),
            ("node_ethtool_transmitted_single_collisions", 5),
        ];
        assert_eq!(pairs(&cleaned), expected);
    }

    #[test]
    fn of_names_that_become_one_none_is_shown() {
        let cleaned = clean(&[("rx bytes", 1), ("rx_bytes", 2), ("rx.bytes", 3), ("a", 4), ("a", 5), ("b", 6)], "^[ar]");
        assert_eq!(pairs(&cleaned), [("node_ethtool_a", 5)]);
    }

    #[test]
    fn modes_become_series() {
        let mut out = Samples::new();
        let modes = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 31;
        let settings = LinkSettings { supported: modes, advertised: 1 << 5 | 1 << 13, autonegotiation: 1 };
        show_link(&Labels::of(&[("device", "eth0")]), settings, &mut out);
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        let samples: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("node_network_")).collect();
        let expected = [
            "advertised_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"1000baseT\"} 125000000",
            "asymmetricpause_advertised{device=\"eth0\"} 0",
            "asymmetricpause_supported{device=\"eth0\"} 0",
            "autonegotiate{device=\"eth0\"} 1",
            "autonegotiate_advertised{device=\"eth0\"} 0",
            "autonegotiate_supported{device=\"eth0\"} 1",
            "pause_advertised{device=\"eth0\"} 1",
            "pause_supported{device=\"eth0\"} 0",
            "supported_port_info{device=\"eth0\",type=\"TP\"} 1",
            "supported_speed_bytes{device=\"eth0\",duplex=\"half\",mode=\"1000baseT\"} 125000000",
            "supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"1000baseT\"} 125000000",
            "supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"25000baseCR\"} 3125000000",
        ];
        assert_eq!(samples, expected);
    }

    proptest::proptest! {
        #[test]
        fn any_name_becomes_a_metrics_name(name: String) {
            let metric = Names::new().unwrap().metric(&name);
            assert!(metric.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name:?}: {metric:?}");
        }
    }
}
