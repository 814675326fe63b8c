//! Speed and duplex of all interfaces in one answer: the ethtool family of generic netlink (Linux 5.6).
//!
//! The files `speed` and `duplex` of sysfs tell the same, two system calls and two turns at the RTNL lock for each interface.

use super::netlink::{attribute, attributes, number};
use super::{Fault, System};

const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
const ETHTOOL_A_LINKMODES_HEADER: u16 = 1;
const ETHTOOL_A_LINKMODES_SPEED: u16 = 5;
const ETHTOOL_A_LINKMODES_DUPLEX: u16 = 6;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
const ETHTOOL_FLAG_COMPACT_BITSETS: u32 = 1;

/// What an interface's driver says of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkMode {
    /// `ifindex` of the interface.
    pub index: i32,
    /// Megabits a second; -1 where the driver does not know.
    pub speed: i32,
    /// `DUPLEX_HALF` 0, `DUPLEX_FULL` 1, anything else unknown.
    pub duplex: u8,
}

impl System {
    /// Fills `modes` with every interface whose driver can tell; `None` where netlink would answer for another namespace
    /// ([`System::links`]), an absence where the kernel has no such family.
    ///
    /// An error leaves the interfaces that came before it: a single driver that fails (a sleeping card: ENODEV) ends the
    /// kernel's dump.
    pub fn link_modes(&mut self, modes: &mut Vec<LinkMode>) -> Result<Option<()>, Fault> {
        modes.clear();
        let flags = attribute(ETHTOOL_A_HEADER_FLAGS, &ETHTOOL_FLAG_COMPACT_BITSETS.to_ne_bytes());
        let header = attribute(ETHTOOL_A_LINKMODES_HEADER | 0x8000, &flags);
        let asked = self.generic("ethtool", ETHTOOL_MSG_LINKMODES_GET, &header, |payload| modes.extend(parse(payload)));
        Ok(asked?.map(drop))
    }
}

/// One ETHTOOL_MSG_LINKMODES_GET_REPLY.
pub(super) fn parse(payload: &[u8]) -> Option<LinkMode> {
    let (mut index, mut speed, mut duplex) = (None, None, None);
    for (kind, value) in attributes(payload.get(4..)?) {
        match kind {
            ETHTOOL_A_LINKMODES_HEADER => {
                let mut header = attributes(value);
                index = header.find(|(kind, _)| *kind == ETHTOOL_A_HEADER_DEV_INDEX).and_then(|(_, value)| number(value));
            }
            ETHTOOL_A_LINKMODES_SPEED => speed = number(value),
            ETHTOOL_A_LINKMODES_DUPLEX => duplex = value.first().copied(),
            _ => {}
        }
    }
    Some(LinkMode { index: i32::from_ne_bytes(index?), speed: i32::from_ne_bytes(speed?), duplex: duplex? })
}

#[cfg(test)]
mod tests {
    use super::super::sockets::generic;
    use super::*;

    #[test]
    fn a_reply_is_read() {
        let header = attribute(1 | 0x8000, &[attribute(1, &5i32.to_ne_bytes()), attribute(2, b"veth0\0")].concat());
        let reply = generic(4, &[header, attribute(5, &10_000u32.to_ne_bytes()), attribute(6, &[1])].concat());
        assert_eq!(parse(&reply), Some(LinkMode { index: 5, speed: 10_000, duplex: 1 }));
        let unknown = generic(4, &[attribute(1, &attribute(1, &5i32.to_ne_bytes())), attribute(5, &[255; 4])].concat());
        assert_eq!(parse(&unknown), None);
    }

    #[test]
    fn the_kernel_answers_or_has_no_such_family() {
        let mut modes = vec![LinkMode { index: 0, speed: 0, duplex: 0 }];
        match System::default().link_modes(&mut modes) {
            Ok(asked) => assert!(asked.is_some()),
            Err(fault) => assert!(fault.is_absence(), "{fault}"),
        }
        assert!(modes.iter().all(|mode| mode.index > 0));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
