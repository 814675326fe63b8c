//! The host's routes: an RTM_GETROUTE dump of rtnetlink, all tables, IPv4 and IPv6.

use std::net::IpAddr;

use super::addresses::ip;
use super::netlink::{attributes, number};
use super::{Fault, System};

/// A way to a destination; a route with several next hops is several of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `RTA_OIF`: the interface.
    pub index: i32,
    /// `RTA_DST` and `rtm_dst_len`; `None` for the default route.
    pub destination: Option<(IpAddr, u8)>,
    /// `RTA_PREFSRC`: the sender's address.
    pub source: Option<IpAddr>,
    /// `RTA_GATEWAY`
    pub gateway: Option<IpAddr>,
    /// `RTA_PRIORITY`
    pub priority: u32,
    /// `rtm_protocol`: who made it.
    pub protocol: u8,
    /// Of one next hop of several, its share.
    pub weight: Option<u16>,
}

impl System {
    /// All unicast routes of the host's network namespace; `None` where netlink would answer for another ([`System::links`]).
    pub fn routes(&mut self) -> Result<Option<Vec<Route>>, Fault> {
        let mut routes = Vec::new();
        let asked = self.route(libc::RTM_GETROUTE, &[0; 12], |payload| routes.extend(parse(payload).into_iter().flatten()))?;
        Ok(asked.map(|()| routes))
    }
}

/// `struct rtmsg`, then attributes: a route, or one for each next hop. What is not unicast is left out, and so are entries of the
/// kernel's cache.
pub(super) fn parse(payload: &[u8]) -> Option<Vec<Route>> {
    let [family, prefix, _, _, _, protocol, _, kind] = number(payload)?;
    let flags = u32::from_ne_bytes(number(payload.get(8..)?)?);
    let is_ip = [libc::AF_INET, libc::AF_INET6].contains(&i32::from(family));
    if !is_ip || kind != libc::RTN_UNICAST || flags & libc::RTM_F_CLONED != 0 {
        return None;
    }
    let mut route = Route { index: 0, destination: None, source: None, gateway: None, priority: 0, protocol, weight: None };
    let mut hops: &[u8] = &[];
    for (kind, value) in attributes(payload.get(12..)?) {
        match kind {
            libc::RTA_DST if prefix > 0 => route.destination = ip(value).map(|address| (address, prefix)),
            libc::RTA_PREFSRC => route.source = ip(value),
            libc::RTA_GATEWAY => route.gateway = ip(value),
            libc::RTA_OIF => route.index = number(value).map_or(0, i32::from_ne_bytes),
            libc::RTA_PRIORITY => route.priority = number(value).map_or(0, u32::from_ne_bytes),
            libc::RTA_MULTIPATH => hops = value,
            _ => {}
        }
    }
    if hops.is_empty() {
        return Some(vec![route]);
    }
    let of_hop = |(index, weight, gateway)| Route { index, gateway, weight: Some(weight), ..route.clone() };
    Some(self::hops(hops).map(of_hop).collect())
}

/// `struct rtnexthop`, then attributes, one after the other: interface, share, gateway. Ends at the first whose length cannot be.
fn hops(mut bytes: &[u8]) -> impl Iterator<Item = (i32, u16, Option<IpAddr>)> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(number(bytes)?));
        let hop = bytes.get(..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let (hops, index) = (*hop.get(3)?, i32::from_ne_bytes(number(hop.get(4..)?)?));
        let gateway = attributes(hop.get(8..)?).find(|(kind, _)| *kind == libc::RTA_GATEWAY);
        Some((index, u16::from(hops) + 1, gateway.and_then(|(_, value)| ip(value))))
    })
}

#[cfg(test)]
mod tests {
    use super::super::netlink::attribute;
    use super::*;

    fn message(family: u8, prefix: u8, kind: u8, rest: &[Vec<u8>]) -> Vec<u8> {
        [&[family, prefix, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0][..], &rest.concat()].concat()
    }

    fn hop(hops: u8, index: i32, gateway: [u8; 4]) -> Vec<u8> {
        let gateway = attribute(libc::RTA_GATEWAY, &gateway);
        [&[16, 0, 0, hops][..], &index.to_ne_bytes(), &gateway].concat()
    }

    #[test]
    fn each_next_hop_is_a_way_of_its_own() {
        let hops = attribute(libc::RTA_MULTIPATH, &[hop(0, 2, [10, 0, 0, 1]), hop(9, 3, [10, 0, 1, 1])].concat());
        let priority = attribute(libc::RTA_PRIORITY, &100u32.to_ne_bytes());
        let routes = parse(&message(2, 0, 1, &[hops, priority])).unwrap();
        let of =
            |route: &Route| (route.index, route.gateway.unwrap().to_string(), route.weight, route.priority, route.destination);
        let expected = [(2, "10.0.0.1".to_owned(), Some(1), 100, None), (3, "10.0.1.1".to_owned(), Some(10), 100, None)];
        assert_eq!(routes.iter().map(of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_not_unicast_or_not_ip_is_left_out() {
        let rest = [attribute(libc::RTA_DST, &[10, 1, 0, 0]), attribute(libc::RTA_OIF, &4i32.to_ne_bytes())];
        assert_eq!(parse(&message(2, 16, 2, &rest)), None);
        assert_eq!(parse(&message(28, 16, 1, &rest)), None);
        let mut cached = message(2, 16, 1, &rest);
        cached[8..12].copy_from_slice(&libc::RTM_F_CLONED.to_ne_bytes());
        assert_eq!(parse(&cached), None);
        let routes = parse(&message(2, 16, 1, &rest)).unwrap();
        let [route] = routes.as_slice() else { panic!("{routes:?}") };
        assert_eq!((route.index, route.destination), (4, Some(([10, 1, 0, 0].into(), 16))));
        assert_eq!((route.protocol, route.weight), (3, None));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            parse(&bytes);
            parse(&message(2, 16, 1, &[attribute(libc::RTA_MULTIPATH, &bytes)]));
            hops(&bytes).count();
        }
    }
}
