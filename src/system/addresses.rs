//! The addresses of the host's network interfaces: an RTM_GETADDR dump of rtnetlink.

use std::net::IpAddr;

use super::netlink::{attributes, number};
use super::{Fault, System};

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// One address of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// `ifa_index`: the interface.
    pub index: u32,
    /// `IFA_LOCAL`, else `IFA_ADDRESS`: on a point-to-point link the latter is the peer's.
    pub address: IpAddr,
    /// `ifa_prefixlen`
    pub prefix: u8,
}

impl System {
    /// All addresses of the host's network namespace; none where netlink would answer for another ([`System::links`]).
    pub fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, Fault> {
        let mut addresses = Vec::new();
        self.route(libc::RTM_GETADDR, &[0; 8], |payload| addresses.extend(parse(payload)))?;
        Ok(addresses)
    }
}

/// `struct ifaddrmsg`, then attributes.
pub(super) fn parse(payload: &[u8]) -> Option<InterfaceAddress> {
    let prefix = *payload.get(1)?;
    let index = u32::from_ne_bytes(number(payload.get(4..)?)?);
    let find = |wanted| attributes(payload.get(8..)?).find(|(kind, _)| *kind == wanted).and_then(|(_, value)| ip(value));
    Some(InterfaceAddress { index, address: find(IFA_LOCAL).or_else(|| find(IFA_ADDRESS))?, prefix })
}

pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(number::<4>(bytes)?)),
        16 => Some(IpAddr::from(number::<16>(bytes)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::netlink::attribute;
    use super::*;

    #[test]
    fn the_own_end_of_a_link_is_taken() {
        let head = [[2, 24, 0, 0], 9u32.to_ne_bytes()].concat();
        let own = attribute(IFA_LOCAL, &[10, 0, 0, 1]);
        let peer = attribute(IFA_ADDRESS, &[10, 0, 0, 2]);
        let read = parse(&[head.clone(), peer.clone(), own].concat()).unwrap();
        assert_eq!((read.index, read.address.to_string().as_str(), read.prefix), (9, "10.0.0.1", 24));
        assert_eq!(parse(&[head, peer].concat()).unwrap().address.to_string(), "10.0.0.2");
    }

    #[test]
    fn the_loopback_address_is_there() {
        let addresses = System::default().addresses().unwrap();
        assert!(addresses.iter().any(|one| one.address.is_loopback() && one.index == 1), "{addresses:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
