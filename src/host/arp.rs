//! Counts the IPv4 neighbours of each network interface, by rtnetlink (RTM_GETNEIGH) or from `/proc/net/arp`. Emits `node_arp_entries`.

use std::collections::BTreeMap;

use super::filter::{Filter, Pair};
use super::interfaces;
use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, System, text};

static ENTRIES: Family = Family::gauge("node_arp_entries", "Neighbours in the ARP table, failed ones included, by interface.");

const DEVICES: Pair = Pair::new(
    Flag::text("collector.arp.device-include", "", "Only interfaces that match this pattern."),
    Flag::text("collector.arp.device-exclude", "", "No interface that matches this pattern."),
);
const NETLINK: Flag = Flag::switch("collector.arp.netlink", true, "Ask rtnetlink instead of reading /proc/net/arp.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "arp",
    enabled: Flag::switch("collector.arp", true, "Entries of the ARP table."),
    flags: &[DEVICES.include, DEVICES.exclude, NETLINK],
    new: |settings| Ok(Box::new(Arp::new(settings)?)),
};

struct Arp {
    filter: Filter,
    netlink: bool,
}

impl Arp {
    fn new(settings: &Settings) -> Result<Self, Error> {
        let filter = DEVICES.both(settings)?.and(interfaces::filter(settings)?);
        Ok(Arp { filter, netlink: settings.switch(&NETLINK) })
    }
}

impl Collector for Arp {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        // Where netlink may not be asked, or would answer for another network namespace, the host's file says the same.
        let neighbours = if self.netlink { system.neighbours().ok().flatten() } else { None };
        match neighbours {
            Some(interfaces) => {
                let links = system.links()?.unwrap_or_default();
                for index in interfaces {
                    // An interface that is gone already has no name, and no neighbours.
                    if let Some(link) = links.iter().find(|link| link.index == index) {
                        *counts.entry(link.name.clone()).or_default() += 1;
                    }
                }
            }
            None => {
                for device in text::lines(system.net("arp")?).skip(1).filter_map(device) {
                    *counts.entry(text::utf8(device).into_owned()).or_default() += 1;
                }
            }
        }
        for (device, count) in counts.iter().filter(|(device, _)| self.filter.passes(device)) {
            out.family(&ENTRIES).add([("device", device)], *count);
        }
        Ok(())
    }
}

/// `192.168.1.1    0x1         0x2         cc:aa:dd:ee:aa:bb     *        eth0`: the interface.
fn device(line: &[u8]) -> Option<&[u8]> {
    text::fields(line).nth(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_the_interface() {
        assert_eq!(device(b"192.168.1.1  0x1  0x2  cc:aa:dd:ee:aa:bb  *  eth0"), Some(&b"eth0"[..]));
        assert_eq!(device(b"192.168.1.1  0x1"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            device(&line);
        }
    }
}
