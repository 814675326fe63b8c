//! Asks rtnetlink (RTM_GETROUTE) for all unicast routes, of all tables. Emits `node_network_routes` for each interface and
//! `node_network_route_info` for each route, or each of its next hops.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::filter::Filter;
use super::interfaces;
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, Route, System};

static ROUTES: Family = Family::gauge("node_network_routes", "Unicast routes by interface, from RTM_GETROUTE.");
static INFO: Family = Family::gauge("node_network_route_info", "A unicast route or one of its next hops, from RTM_GETROUTE; 1.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "network_route",
    enabled: Flag::switch("collector.network_route", false, "Routes of network interfaces."),
    flags: &[],
    new: |settings| Ok(Box::new(NetworkRoute { filter: interfaces::filter(settings)? })),
};

struct NetworkRoute {
    filter: Filter,
}

const LABELS: [&str; 7] = ["device", "src", "dest", "gw", "priority", "proto", "weight"];

impl Collector for NetworkRoute {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let (Some(links), Some(routes)) = (system.links()?, system.routes()?) else { return Err(Fault::Foreign("routes")) };
        // Two tables may hold the same route, which is one series and counts twice.
        let (mut counts, mut infos) = (BTreeMap::<_, u64>::new(), BTreeSet::new());
        for route in routes {
            let name = links.iter().find(|link| link.index == route.index).map_or("", |link| link.name.as_str());
            if self.filter.passes(name) {
                *counts.entry(name).or_default() += 1;
                infos.insert(values(name, &route));
            }
        }
        for info in &infos {
            let labels: Vec<_> = LABELS.into_iter().zip(info.iter().map(String::as_str)).collect();
            out.family(&INFO).line("", &Labels::new(), &labels, 1u8);
        }
        for (device, count) in counts {
            out.family(&ROUTES).add([("device", device)], count);
        }
        Ok(())
    }
}

/// The values of [`LABELS`].
fn values(device: &str, route: &Route) -> [String; 7] {
    let address = |address: Option<IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
    let destination = route.destination.map_or("default".to_owned(), |(address, prefix)| format!("{address}/{prefix}"));
    [
        device.to_owned(),
        address(route.source),
        destination,
        address(route.gateway),
        route.priority.to_string(),
        protocol(route.protocol).to_owned(),
        route.weight.map(|weight| weight.to_string()).unwrap_or_default(),
    ]
}

/// `RTPROT_*`
fn protocol(number: u8) -> &'static str {
    match number {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_becomes_labels() {
        let mut route = Route {
            index: 2,
            destination: Some(([10, 1, 0, 0].into(), 16)),
            source: Some([10, 1, 0, 5].into()),
            gateway: None,
            priority: 600,
            protocol: 2,
            weight: None,
        };
        assert_eq!(values("eth0", &route), ["eth0", "10.1.0.5", "10.1.0.0/16", "", "600", "kernel", ""]);
        (route.destination, route.source, route.protocol, route.weight) = (None, None, 16, Some(10));
        route.gateway = Some("fe80::1".parse().unwrap());
        assert_eq!(values("eth0", &route), ["eth0", "", "default", "fe80::1", "600", "dhcp", "10"]);
        assert_eq!(protocol(99), "unknown");
    }
}
