//! Reads the counters of all network interfaces from rtnetlink (`IFLA_STATS64`), or from `/proc/net/dev` where netlink is switched off
//! or would answer for another network namespace than the host's. Emits `node_network_<counter>_total`.
//!
//! The default names are those of the columns of /proc/net/dev, sums included, whichever source is read. `nohandler` has no column.

use std::net::IpAddr;

use super::filter::{Filter, Pair};
use super::interfaces;
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Counters, Fault, System, text};

static ADDRESS_INFO: Family = Family::gauge("node_network_address_info", "1 for each address of an interface, from RTM_GETADDR.");

const OLD_INCLUDE: Flag = Flag::text("collector.netdev.device-whitelist", "", "Old name of device-include.").hidden();
const OLD_EXCLUDE: Flag = Flag::text("collector.netdev.device-blacklist", "", "Old name of device-exclude.").hidden();
const DEVICES: Pair = Pair {
    old_include: Some(OLD_INCLUDE),
    old_exclude: Some(OLD_EXCLUDE),
    ..Pair::new(
        Flag::text("collector.netdev.device-include", "", "Only interfaces that match this pattern; excludes device-exclude."),
        Flag::text("collector.netdev.device-exclude", "", "No interface that matches this pattern; excludes device-include."),
    )
};
const NETLINK: Flag = Flag::switch("collector.netdev.netlink", true, "Ask rtnetlink instead of reading /proc/net/dev.");
const ADDRESSES: Flag = Flag::switch("collector.netdev.address-info", false, "Also show the addresses of every interface.");
const DETAILED: Flag =
    Flag::switch("collector.netdev.enable-detailed-metrics", false, "Show every counter under its own, other name.");
const ALIAS: Flag = Flag::switch("collector.netdev.label-ifalias", false, "Put the interface's alias on its series.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "netdev",
    enabled: Flag::switch("collector.netdev", true, "Traffic, errors and drops of network interfaces."),
    flags: &[DEVICES.include, DEVICES.exclude, OLD_INCLUDE, OLD_EXCLUDE, NETLINK, ADDRESSES, DETAILED, ALIAS],
    new: |settings| Ok(Box::new(NetDev::new(settings)?)),
};

/// A family and the counter that it shows.
pub(super) type Column = (Family, fn(&Counters) -> u64);

macro_rules! columns {
    ($($name:literal $help:literal $value:expr;)*) => {
        [$((Family::counter(concat!("node_network_", $name, "_total"), $help), $value)),*]
    };
}

/// The columns of /proc/net/dev.
static PROC: [Column; 16] = columns! {
    "receive_bytes" "Bytes received: rx_bytes." |c| c.rx_bytes;
    "receive_packets" "Packets received: rx_packets." |c| c.rx_packets;
    "receive_errs" "Bad packets received: rx_errors." |c| c.rx_errors;
    "receive_drop" "Packets received and dropped: rx_dropped and rx_missed_errors." |c| c.rx_dropped.wrapping_add(c.rx_missed_errors);
    "receive_fifo" "Receive buffer overruns: rx_fifo_errors." |c| c.rx_fifo_errors;
    "receive_frame" "Misframed packets: rx_frame_errors with rx_length_errors, rx_over_errors and rx_crc_errors."
        |c| [c.rx_length_errors, c.rx_over_errors, c.rx_crc_errors].into_iter().fold(c.rx_frame_errors, u64::wrapping_add);
    "receive_compressed" "Compressed packets received: rx_compressed." |c| c.rx_compressed;
    "receive_multicast" "Multicast packets received: multicast." |c| c.multicast;
    "transmit_bytes" "Bytes sent: tx_bytes." |c| c.tx_bytes;
    "transmit_packets" "Packets sent: tx_packets." |c| c.tx_packets;
    "transmit_errs" "Packets that could not be sent: tx_errors." |c| c.tx_errors;
    "transmit_drop" "Packets dropped instead of being sent: tx_dropped." |c| c.tx_dropped;
    "transmit_fifo" "Send buffer underruns: tx_fifo_errors." |c| c.tx_fifo_errors;
    "transmit_colls" "Collisions: collisions." |c| c.collisions;
    "transmit_carrier" "Carrier losses: tx_carrier_errors with tx_aborted_errors, tx_heartbeat_errors and tx_window_errors."
        |c| [c.tx_aborted_errors, c.tx_heartbeat_errors, c.tx_window_errors].into_iter().fold(c.tx_carrier_errors, u64::wrapping_add);
    "transmit_compressed" "Compressed packets sent: tx_compressed." |c| c.tx_compressed;
};

/// What only netlink knows.
pub(super) static NO_HANDLER: [Column; 1] = columns! {
    "receive_nohandler" "Packets received that nobody wanted: rx_nohandler." |c| c.rx_nohandler;
};

/// `--collector.netdev.enable-detailed-metrics`: `struct rtnl_link_stats64` as it stands.
pub(super) static STATS64: [Column; 23] = columns! {
    "receive_bytes" "Bytes received: rx_bytes." |c| c.rx_bytes;
    "receive_packets" "Packets received: rx_packets." |c| c.rx_packets;
    "receive_errors" "Bad packets received: rx_errors." |c| c.rx_errors;
    "receive_dropped" "Packets received and dropped: rx_dropped." |c| c.rx_dropped;
    "receive_length_errors" "Packets of a wrong length: rx_length_errors." |c| c.rx_length_errors;
    "receive_over_errors" "Packets lost to a full ring: rx_over_errors." |c| c.rx_over_errors;
    "receive_crc_errors" "Packets with a wrong checksum: rx_crc_errors." |c| c.rx_crc_errors;
    "receive_frame_errors" "Misframed packets: rx_frame_errors." |c| c.rx_frame_errors;
    "receive_fifo_errors" "Receive buffer overruns: rx_fifo_errors." |c| c.rx_fifo_errors;
    "receive_missed_errors" "Packets that the card had no room for: rx_missed_errors." |c| c.rx_missed_errors;
    "receive_compressed" "Compressed packets received: rx_compressed." |c| c.rx_compressed;
    "multicast" "Multicast packets received: multicast." |c| c.multicast;
    "transmit_bytes" "Bytes sent: tx_bytes." |c| c.tx_bytes;
    "transmit_packets" "Packets sent: tx_packets." |c| c.tx_packets;
    "transmit_errors" "Packets that could not be sent: tx_errors." |c| c.tx_errors;
    "transmit_dropped" "Packets dropped instead of being sent: tx_dropped." |c| c.tx_dropped;
    "transmit_aborted_errors" "Sendings aborted: tx_aborted_errors." |c| c.tx_aborted_errors;
    "transmit_carrier_errors" "Carrier losses: tx_carrier_errors." |c| c.tx_carrier_errors;
    "transmit_fifo_errors" "Send buffer underruns: tx_fifo_errors." |c| c.tx_fifo_errors;
    "transmit_heartbeat_errors" "Heartbeat errors: tx_heartbeat_errors." |c| c.tx_heartbeat_errors;
    "transmit_window_errors" "Late collisions: tx_window_errors." |c| c.tx_window_errors;
    "transmit_compressed" "Compressed packets sent: tx_compressed." |c| c.tx_compressed;
    "collisions" "Collisions: collisions." |c| c.collisions;
};

/// `--collector.netdev.enable-detailed-metrics` without netlink: four columns of /proc/net/dev have other names.
static DETAILED_PROC: [Column; 4] = columns! {
    "receive_errors" "Bad packets received: errs of /proc/net/dev." |c| c.rx_errors;
    "receive_dropped" "Packets received and dropped: drop of /proc/net/dev." |c| c.rx_dropped;
    "transmit_errors" "Packets that could not be sent: errs of /proc/net/dev." |c| c.tx_errors;
    "transmit_dropped" "Packets dropped instead of being sent: drop of /proc/net/dev." |c| c.tx_dropped;
};

struct NetDev {
    filter: Filter,
    netlink: bool,
    addresses: bool,
    detailed: bool,
    alias: bool,
    /// Label text and counters of each interface of this scrape; the texts keep their memory.
    devices: Vec<(Labels, Counters)>,
}

impl NetDev {
    fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(NetDev {
            filter: DEVICES.one(settings)?.and(interfaces::filter(settings)?),
            netlink: settings.switch(&NETLINK),
            addresses: settings.switch(&ADDRESSES),
            detailed: settings.switch(&DETAILED),
            alias: settings.switch(&ALIAS),
            devices: Vec::new(),
        })
    }

    /// Reads all interfaces into `devices`, from netlink if that may be asked and answers: whether it was netlink, and which line of
    /// the file could not be read.
    fn read(&mut self, system: &mut System) -> Result<(bool, Option<Fault>), Fault> {
        let (mut count, mut bad) = (0, None);
        // Where sockets of that family are forbidden (a sandbox), the file says nearly as much.
        let links = if self.netlink { system.links().ok().flatten() } else { None };
        if let Some(links) = &links {
            for link in links.iter() {
                if let Some(counters) = link.counters.filter(|_| self.filter.passes(&link.name)) {
                    self.device(&mut count, &link.name, &link.alias, counters);
                }
            }
        } else {
            let devices: Vec<_> = text::lines(system.net("dev")?).skip(2).map(parse).collect();
            for device in devices {
                let (name, counters) = match device {
                    Ok(device) => device,
                    Err(fault) => {
                        bad = Some(fault);
                        continue;
                    }
                };
                let passes = self.filter.passes(&name);
                let path = format!("class/net/{name}/ifalias");
                let alias = if passes && self.alias { system.sys(path).unwrap_or_default() } else { &[] };
                if passes {
                    self.device(&mut count, &name, &text::utf8(alias.trim_ascii()), counters);
                }
            }
        }
        self.devices.truncate(count);
        Ok((links.is_some(), bad))
    }

    fn device(&mut self, count: &mut usize, name: &str, alias: &str, counters: Counters) {
        if self.devices.len() == *count {
            self.devices.push(Default::default());
        }
        if let Some((labels, kept)) = self.devices.get_mut(*count) {
            labels.clear();
            labels.push("device", name);
            if self.alias {
                labels.push("ifalias", alias);
            }
            *kept = counters;
            *count += 1;
        }
    }
}

impl Collector for NetDev {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let (netlink, bad) = self.read(system)?;
        let (first, second): (&'static [Column], &'static [Column]) = match (self.detailed, netlink) {
            (false, true) => (&PROC, &NO_HANDLER),
            (false, false) => (&PROC, &[]),
            (true, true) => (&STATS64, &NO_HANDLER),
            (true, false) => (&PROC, &DETAILED_PROC),
        };
        let renamed = |name: &str| name.ends_with("_errs_total") || name.ends_with("_drop_total");
        for (family, value) in first.iter().chain(second).filter(|(family, _)| !(self.detailed && renamed(family.name))) {
            let mut rows = out.family(family);
            for (labels, counters) in &self.devices {
                rows.add_to(labels, [], value(counters));
            }
        }
        if self.addresses {
            addresses(system, out)?;
        }
        bad.map_or(Ok(()), Err)
    }
}

fn addresses(system: &mut System, out: &mut Samples) -> Result<(), Fault> {
    let (addresses, links) = (system.addresses()?, system.links()?.unwrap_or_default());
    for one in addresses {
        if let Some(link) = links.iter().find(|link| u32::try_from(link.index) == Ok(one.index)) {
            let (address, netmask) = (one.address.to_string(), one.prefix.to_string());
            let labels = [("address", &*address), ("device", &link.name), ("netmask", &netmask), ("scope", scope(one.address))];
            out.family(&ADDRESS_INFO).add(labels, 1u8);
        }
    }
    Ok(())
}

/// How far an address reaches, in node_exporter's words.
fn scope(address: IpAddr) -> &'static str {
    let (link_local, interface_local, broadcast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local() || v4.octets().starts_with(&[224, 0, 0]), false, v4.is_broadcast()),
        IpAddr::V6(v6) => {
            let multicast_scope = v6.is_multicast().then(|| v6.segments().first().map_or(0, |first| first & 15));
            (v6.is_unicast_link_local() || multicast_scope == Some(2), multicast_scope == Some(1), false)
        }
    };
    if address.is_loopback() || link_local {
        "link-local"
    } else if interface_local {
        "interface-local"
    } else if address.is_unspecified() || address.is_multicast() || broadcast {
        ""
    } else {
        "global"
    }
}

/// `  eth0: 10437182923 64001182    0    0    0     0          0         0 3936063 64001182    0    0    0     0       0          0`
fn parse(line: &[u8]) -> Result<(String, Counters), Fault> {
    let device = || {
        // An alias (eth0:1) has its colon in the name: the last one ends it.
        let at = memchr::memrchr(b':', line)?;
        let mut fields = text::fields(line.get(at + 1..)?).map(text::number);
        let mut next = || fields.next().flatten();
        let counters = Counters {
            rx_bytes: next()?,
            rx_packets: next()?,
            rx_errors: next()?,
            rx_dropped: next()?,
            rx_fifo_errors: next()?,
            rx_frame_errors: next()?,
            rx_compressed: next()?,
            multicast: next()?,
            tx_bytes: next()?,
            tx_packets: next()?,
            tx_errors: next()?,
            tx_dropped: next()?,
            tx_fifo_errors: next()?,
            collisions: next()?,
            tx_carrier_errors: next()?,
            tx_compressed: next()?,
            ..Counters::default()
        };
        Some((text::utf8(line.get(..at)?.trim_ascii()).into_owned(), counters))
    };
    device().ok_or_else(|| Fault::parse("net/dev", line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &[u8] = b"Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
eth0:1:100 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
";

    fn page(detailed: bool) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("net")).unwrap();
        std::fs::write(dir.path().join("net/dev"), DEV).unwrap();
        let mut system = System::new(crate::system::Roots { proc: dir.path().into(), ..Default::default() });
        let (mut collector, mut out) = (NetDev::new(&Settings::default()).unwrap(), Samples::new());
        (collector.netlink, collector.detailed) = (false, detailed);
        collector.collect(&mut system, &mut out).unwrap();
        String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap()
    }

    #[test]
    fn the_file_gives_the_same_names_but_nohandler() {
        let page = page(false);
        assert!(page.contains("node_network_receive_drop_total{device=\"lo\"} 4\n"), "{page}");
        assert!(page.contains("node_network_transmit_carrier_total{device=\"lo\"} 15\n"), "{page}");
        assert!(page.contains("node_network_receive_bytes_total{device=\"eth0:1\"} 100\n"), "{page}");
        assert!(!page.contains("nohandler"));
    }

    #[test]
    fn detailed_names_of_the_file_differ_in_four() {
        let page = page(true);
        assert!(page.contains("node_network_receive_dropped_total{device=\"lo\"} 4\n"), "{page}");
        assert!(page.contains("node_network_receive_fifo_total{device=\"lo\"} 5\n"), "{page}");
        assert!(!page.contains("_drop_total") && !page.contains("_errs_total"));
    }

    #[test]
    fn sums_are_those_of_proc_net_dev() {
        let counters = Counters { rx_dropped: 1, rx_missed_errors: 2, tx_window_errors: 4, ..Default::default() };
        let value = |name| PROC.iter().find(|(family, _)| family.name == name).map(|(_, value)| value(&counters));
        assert_eq!(value("node_network_receive_drop_total"), Some(3));
        assert_eq!(value("node_network_transmit_carrier_total"), Some(4));
    }

    #[test]
    fn scopes() {
        for (address, expected) in [
            ("127.0.0.1", "link-local"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("ff01::1", "interface-local"),
            ("10.0.0.1", "global"),
            ("2001:db8::1", "global"),
            ("0.0.0.0", ""),
            ("ff05::1", ""),
        ] {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            let _ = parse(&text);
        }
    }
}
