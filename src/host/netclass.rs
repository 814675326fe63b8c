//! What network interfaces are and how they stand: `/sys/class/net/<interface>/*`. Emits `node_network_info`, `_up`, `_mtu_bytes`, ….
//!
//! sysfs asks 25 files of each interface, many under the RTNL lock. Where the kernel's netlink tells of the same interfaces, the same
//! values come from one dump of rtnetlink (shared with `netdev`) and one of ethtool; what only sysfs knows never changes but with
//! the interface's name or address, and is kept. Elsewhere (another tree, another network namespace) the files are read.

use std::collections::HashMap;

use super::filter::Filter;
use super::interfaces;
use super::netclass_files::{self as files, Facts, Files};
use super::netclass_speed::Modes;
use super::netdev::{NO_HANDLER, STATS64};
use crate::exposition::{Family, Kind, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, Link, System};

const IGNORED: Flag = Flag::text("collector.netclass.ignored-devices", "^$", "No interface that matches this pattern.");
const INVALID_SPEED: Flag =
    Flag::switch("collector.netclass.ignore-invalid-speed", false, "Show no speed where the driver does not know it (-1).");
const NETLINK: Flag =
    Flag::switch("collector.netclass.netlink", false, "Show what netlink says, in node_exporter's shape of it.");
const WITH_STATS: Flag =
    Flag::switch("collector.netclass_rtnl.with-stats", false, "With collector.netclass.netlink: also the counters, as gauges.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "netclass",
    enabled: Flag::switch("collector.netclass", true, "Properties and state of network interfaces."),
    flags: &[IGNORED, INVALID_SPEED, NETLINK, WITH_STATS],
    new: |settings| Ok(Box::new(NetClass::new(settings)?)),
};

static UP: Family = Family::gauge("node_network_up", "1 if the operational state is up: operstate.");
static INFO: Family = Family::gauge("node_network_info", "Addresses, alias, duplex and states as labels; 1.");
static SPEED: Family =
    Family::gauge("node_network_speed_bytes", "Speed of the link in bytes a second: speed, which counts megabits.");
static OTHER_NAMES: Family = Family::gauge("node_network_altnames_info", "1 for each further name: IFLA_ALT_IFNAME.");

/// A family and the file of sysfs that it shows.
type Field = (Family, &'static str);

/// The numbers, in the order of [`Interface::values`].
#[rustfmt::skip]
pub(super) static FIELDS: [Field; 16] = [
    (Family::gauge("node_network_address_assign_type", "How the address came about: addr_assign_type."), "addr_assign_type"),
    (Family::gauge("node_network_device_id", "Tells ports apart that share an address: dev_id."), "dev_id"),
    (Family::gauge("node_network_name_assign_type", "How the name came about: name_assign_type."), "name_assign_type"),
    (Family::gauge("node_network_carrier", "1 if the link has a carrier: carrier."), "carrier"),
    (Family::counter("node_network_carrier_changes_total", "Carrier losses and returns: carrier_changes."), "carrier_changes"),
    (Family::counter("node_network_carrier_up_changes_total", "Carrier returns: carrier_up_count."), "carrier_up_count"),
    (Family::counter("node_network_carrier_down_changes_total", "Carrier losses: carrier_down_count."), "carrier_down_count"),
    (Family::gauge("node_network_dormant", "1 if the link waits for something: dormant."), "dormant"),
    (Family::gauge("node_network_flags", "IFF_* bits: flags."), "flags"),
    (Family::gauge("node_network_iface_id", "Number of the interface: ifindex."), "ifindex"),
    (Family::gauge("node_network_iface_link", "Number of the interface below or at the other end: iflink."), "iflink"),
    (Family::gauge("node_network_iface_link_mode", "1 if user space says when the link is up: link_mode."), "link_mode"),
    (Family::gauge("node_network_mtu_bytes", "Largest packet: mtu."), "mtu"),
    (Family::gauge("node_network_net_dev_group", "Group of the interface: netdev_group."), "netdev_group"),
    (Family::gauge("node_network_transmit_queue_length", "Packets that may wait to be sent: tx_queue_len."), "tx_queue_len"),
    (Family::gauge("node_network_protocol_type", "ARPHRD_* type: type."), "type"),
];

/// `IF_OPER_*`
const STATES: [&str; 7] = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

/// One interface of this scrape, wherever it was read.
#[derive(Default)]
pub(super) struct Interface {
    /// `device="…"`
    pub(super) device: Labels,
    pub(super) info: Labels,
    pub(super) up: bool,
    /// Megabits a second, -1 for unknown.
    pub(super) speed: Option<i64>,
    pub(super) values: [Option<i64>; FIELDS.len()],
}

struct NetClass {
    filter: Filter,
    ignore_invalid_speed: bool,
    /// `--collector.netclass.netlink`: another shape, not whether netlink is asked.
    rtnl_shape: bool,
    with_stats: bool,
    /// Whether sysfs shows the interfaces that netlink tells of.
    same: Option<bool>,
    modes: Modes,
    facts: HashMap<i32, Known>,
    files: Files,
    scrape: u64,
    interfaces: Vec<Interface>,
}

/// What only sysfs knows of an interface, and of which it is true.
struct Known {
    name: String,
    address: crate::system::Address,
    facts: Facts,
    scrape: u64,
}

impl NetClass {
    fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(NetClass {
            filter: Filter::new(None, settings.pattern(&IGNORED)?).and(interfaces::filter(settings)?),
            ignore_invalid_speed: settings.switch(&INVALID_SPEED),
            rtnl_shape: settings.switch(&NETLINK),
            with_stats: settings.switch(&WITH_STATS),
            same: None,
            modes: Modes::default(),
            facts: HashMap::new(),
            files: Files::default(),
            scrape: 0,
            interfaces: Vec::new(),
        })
    }

    fn emit(&self, out: &mut Samples) {
        for interface in &self.interfaces {
            out.family(&UP).add_to(&interface.device, [], interface.up);
        }
        for interface in &self.interfaces {
            out.family(&INFO).add_to(&interface.info, [], 1u8);
        }
        for (at, (family, _)) in FIELDS.iter().enumerate() {
            let mut rows = out.family(family);
            for interface in &self.interfaces {
                if let Some(value) = interface.values.get(at).copied().flatten() {
                    rows.add_to(&interface.device, [], value);
                }
            }
        }
        for interface in &self.interfaces {
            let shown = |speed: &i64| *speed >= 0 || !(self.ignore_invalid_speed || self.rtnl_shape);
            if let Some(speed) = interface.speed.filter(shown) {
                // An unknown speed, -1, becomes -125000 bytes a second.
                out.family(&SPEED).add_to(&interface.device, [], speed.saturating_mul(1_000_000) / 8);
            }
        }
    }

    /// What node_exporter shows besides with `--collector.netclass.netlink`.
    fn emit_more(&mut self, links: &[Link], out: &mut Samples) {
        for link in links.iter().filter(|link| self.filter.passes(&link.name)) {
            for name in &link.other_names {
                out.family(&OTHER_NAMES).add([("altname", name), ("device", &link.name)], 1u8);
            }
            if let Some(counters) = link.counters.filter(|_| self.with_stats) {
                for (family, value) in STATS64.iter().chain(&NO_HANDLER) {
                    out.named(family.name, family.help, Kind::Gauge).add([("device", &link.name)], value(&counters));
                }
            }
        }
    }

    fn read_links(&mut self, links: &[Link], system: &mut System) {
        self.scrape += 1;
        self.modes.ask(system);
        let mut count = 0;
        for link in links.iter().filter(|link| self.filter.passes(&link.name)) {
            if self.interfaces.len() == count {
                self.interfaces.push(Interface::default());
            }
            if let Some(interface) = self.interfaces.get_mut(count) {
                let facts = known(&mut self.facts, link, self.scrape, system);
                let (speed, duplex) = self.modes.of(link, self.rtnl_shape, system);
                interface.read(link, facts, self.rtnl_shape, system);
                interface.speed = speed;
                interface.info.push("duplex", &duplex);
                count += 1;
            }
        }
        self.interfaces.truncate(count);
        self.facts.retain(|_, known| known.scrape == self.scrape);
    }
}

impl Collector for NetClass {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        // Where netlink may not be asked (a sandbox) the files are there still.
        let links = system.links().ok().flatten().filter(|_| self.same != Some(false));
        if let (Some(links), None) = (&links, self.same) {
            self.same = Some(files::show(links, system)?);
        }
        let mut result = Ok(());
        match links.filter(|_| self.same == Some(true)) {
            Some(links) => {
                self.files = Files::default();
                self.read_links(&links, system);
                if self.rtnl_shape {
                    self.emit_more(&links, out);
                }
            }
            None => result = self.files.read(&mut self.filter, system, &mut self.interfaces),
        }
        self.emit(out);
        result
    }
}

/// The facts of `link`, read if it is new, or has another name or address.
fn known(facts: &mut HashMap<i32, Known>, link: &Link, scrape: u64, system: &System) -> Facts {
    match facts.get_mut(&link.index) {
        Some(known) if known.name == link.name && known.address == link.address => {
            known.scrape = scrape;
            known.facts
        }
        _ => {
            let read = files::facts(&link.name, system);
            facts.insert(link.index, Known { name: link.name.clone(), address: link.address, facts: read, scrape });
            read
        }
    }
}

pub(super) fn is_up(link: &Link) -> bool {
    has(link.flags, libc::IFF_UP)
}

fn has(flags: u32, bit: libc::c_int) -> bool {
    i64::from(flags) & i64::from(bit) != 0
}

impl Interface {
    /// Takes everything but speed and duplex from `link`.
    fn read(&mut self, link: &Link, facts: Facts, rtnl_shape: bool, system: &System) {
        let operstate = link.operstate.and_then(|state| STATES.get(usize::from(state))).copied().unwrap_or("unknown");
        let flags = if rtnl_shape { Some(i64::from(link.flags)) } else { files_flags(link, system) };
        // carrier and dormant are errors in sysfs while the interface is down.
        let while_up = |value: Option<i64>| value.filter(|_| is_up(link) || rtnl_shape);
        let dormant = if rtnl_shape { link.mode.map(i64::from) } else { Some(i64::from(has(link.flags, libc::IFF_DORMANT))) };
        self.up = operstate == "up";
        self.values = [
            facts.address_assign_type,
            facts.device_id,
            facts.name_assign_type,
            while_up(link.carrier.map(i64::from)),
            link.carrier_changes.map(i64::from),
            link.carrier_ups.map(i64::from),
            link.carrier_downs.map(i64::from),
            while_up(dormant),
            flags,
            Some(i64::from(link.index)),
            Some(link.link.map_or(i64::from(link.index), i64::from)),
            link.mode.map(i64::from),
            link.mtu.map(i64::from),
            link.group.map(i64::from),
            link.queue_length.map(i64::from),
            Some(i64::from(link.kind)),
        ];
        self.device.clear();
        self.device.push("device", &link.name);
        self.info.clear();
        self.info.push("device", &link.name);
        self.info.push("address", &link.address.to_string());
        self.info.push("broadcast", &link.broadcast.to_string());
        self.info.push("ifalias", &link.alias);
        self.info.push("operstate", operstate);
        if !rtnl_shape {
            self.info.push("adminstate", admin_state(flags));
        }
    }
}

pub(super) fn admin_state(flags: Option<i64>) -> &'static str {
    match flags {
        None => "unknown",
        Some(flags) if flags & i64::from(libc::IFF_UP) != 0 => "up",
        Some(_) => "down",
    }
}

/// The flags as sysfs has them: without what rtnetlink adds of the link's state, and with promiscuous and all-multicast mode
/// whoever asked for it.
fn files_flags(link: &Link, system: &System) -> Option<i64> {
    let Some(all_multicast) = link.all_multicast else {
        // Linux before 6.0 does not tell.
        return files::flags(&link.name, system);
    };
    let added = libc::IFF_PROMISC | libc::IFF_ALLMULTI | libc::IFF_RUNNING | libc::IFF_LOWER_UP | libc::IFF_DORMANT;
    let asked = |count: u32, bit| i64::from(if count > 0 { bit } else { 0 });
    let modes = asked(link.promiscuity.unwrap_or(0), libc::IFF_PROMISC) | asked(all_multicast, libc::IFF_ALLMULTI);
    Some(i64::from(link.flags) & !i64::from(added) | modes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;

    fn speeds(change: impl FnOnce(&mut NetClass)) -> Vec<String> {
        let mut collector = NetClass::new(&Settings::default()).unwrap();
        collector.interfaces = [("eth0", Some(1000)), ("eth1", Some(-1)), ("lo", None)]
            .map(|(name, speed)| Interface { device: Labels::of(&[("device", name)]), speed, ..Interface::default() })
            .into();
        change(&mut collector);
        let mut out = Samples::new();
        collector.emit(&mut out);
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        page.lines().filter_map(|line| line.strip_prefix("node_network_speed_bytes")).map(str::to_owned).collect()
    }

    #[test]
    fn an_unknown_speed_is_negative_unless_it_is_ignored() {
        let known = "{device=\"eth0\"} 125000000";
        assert_eq!(speeds(|_| {}), [known, "{device=\"eth1\"} -125000"]);
        assert_eq!(speeds(|collector| collector.ignore_invalid_speed = true), [known]);
        assert_eq!(speeds(|collector| collector.rtnl_shape = true), [known]);
    }

    #[test]
    fn flags_are_those_of_sysfs() {
        let link = |flags: i32, promiscuity, all_multicast| Link {
            flags: flags.cast_unsigned(),
            promiscuity: Some(promiscuity),
            all_multicast: Some(all_multicast),
            ..Link::default()
        };
        let system = System::default();
        let running = libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_LOWER_UP | libc::IFF_BROADCAST;
        assert_eq!(files_flags(&link(running, 0, 0), &system), Some(0x3));
        // A bridge made it promiscuous, which rtnetlink's flags do not tell.
        assert_eq!(files_flags(&link(running, 1, 0), &system), Some(0x103));
        assert_eq!(files_flags(&link(running | libc::IFF_PROMISC, 0, 2), &system), Some(0x203));
    }
}
