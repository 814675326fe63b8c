//! The netlink sockets that a thread keeps open, one for each protocol, and whether they answer for the host.

use std::collections::HashMap;
use std::io;

use nix::sys::socket::SockProtocol;

use super::netlink::{Netlink, attribute, attributes, number};
use super::{Fault, System, text};

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// What [`System`] keeps of netlink.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: HashMap<SockProtocol, Netlink>,
    /// Numbers of the families of generic netlink.
    families: HashMap<&'static str, u16>,
    /// Whether our sockets stand in the host's network namespace.
    of_host: Option<bool>,
}

impl System {
    /// Asks for a dump of `kind` over the kept socket of `protocol` and gives every message to `each`: whether the kernel calls it
    /// consistent, or `None` where it would be of another network namespace than the host's.
    pub(super) fn dump(
        &mut self,
        protocol: SockProtocol,
        kind: u16,
        payload: &[u8],
        each: impl FnMut(&[u8]),
    ) -> io::Result<Option<bool>> {
        let Some(socket) = self.socket(protocol)? else { return Ok(None) };
        let asked = socket.ask(kind, true, payload, each);
        if asked.is_err() {
            // Whatever may still be on its way would answer the next question.
            self.sockets.open.remove(&protocol);
        }
        asked.map(Some)
    }

    /// Asks `family` of generic netlink to dump what `command` stands for; as [`dump`](Self::dump). A family that this kernel has not
    /// is an absence.
    pub(super) fn generic(
        &mut self,
        family: &'static str,
        command: u8,
        attributes: &[u8],
        each: impl FnMut(&[u8]),
    ) -> Result<Option<bool>, Fault> {
        let fault = |error| Fault::read(format!("netlink: {family}"), error);
        let Some(number) = self.family(family).map_err(fault)? else { return Ok(None) };
        let asked = self.dump(SockProtocol::NetlinkGeneric, number, &generic(command, attributes), each);
        if asked.is_err() {
            // A module that was loaded anew has another number.
            self.sockets.families.remove(family);
        }
        asked.map_err(fault)
    }

    fn family(&mut self, name: &'static str) -> io::Result<Option<u16>> {
        if let Some(&known) = self.sockets.families.get(name) {
            return Ok(Some(known));
        }
        let Some(socket) = self.socket(SockProtocol::NetlinkGeneric)? else { return Ok(None) };
        let name_attribute = attribute(CTRL_ATTR_FAMILY_NAME, &[name.as_bytes(), b"\0"].concat());
        let mut family = None;
        socket.ask(GENL_ID_CTRL, false, &generic(CTRL_CMD_GETFAMILY, &name_attribute), |payload| {
            let mut found = attributes(payload.get(4..).unwrap_or_default());
            family = found.find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID).and_then(|(_, value)| number(value)).or(family);
        })?;
        let family = family.map(u16::from_ne_bytes).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        self.sockets.families.insert(name, family);
        Ok(Some(family))
    }

    fn socket(&mut self, protocol: SockProtocol) -> io::Result<Option<&mut Netlink>> {
        if !self.sockets.open.contains_key(&protocol) {
            let socket = Netlink::open(protocol)?;
            if self.sockets.of_host.is_none() {
                self.sockets.of_host = Some(self.is_of_host(&socket)?);
            }
            self.sockets.open.insert(protocol, socket);
        }
        Ok(if self.sockets.of_host == Some(true) { self.sockets.open.get_mut(&protocol) } else { None })
    }

    /// Whether our own socket stands in the list of netlink sockets of the host's init process. This needs no privilege, where
    /// comparing the two `/proc/<pid>/ns/net` would. A list that cannot be read (hidepid, a tree made for a test) is no evidence
    /// against it.
    fn is_of_host(&mut self, socket: &Netlink) -> io::Result<bool> {
        let inode = socket.inode()?;
        let path = self.roots.proc("1/net/netlink");
        Ok(self.read(&path).map_or(true, |list| lists(list, inode)))
    }
}

/// `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode`, one line for each netlink socket of a namespace.
pub(super) fn lists(list: &[u8], inode: u64) -> bool {
    text::lines(list).any(|line| text::fields(line).nth(9).and_then(text::number) == Some(inode))
}

/// `struct genlmsghdr`, then attributes.
pub(super) fn generic(command: u8, attributes: &[u8]) -> Vec<u8> {
    [&[command, 1, 0, 0], attributes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_namespace_is_known_by_its_list_of_sockets() {
        let list = b"sk  Eth Pid  Groups Rmem Wmem Dump Locks Drops Inode\n0 0 1 0 0 0 0 2 0 42\n";
        assert!(lists(list, 42));
        assert!(!lists(list, 43));
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("1/net")).unwrap();
        std::fs::write(dir.path().join("1/net/netlink"), list).unwrap();
        let mut system = System::new(crate::system::Roots { proc: dir.path().into(), ..Default::default() });
        let nothing = |_: &[u8]| panic!("asked another namespace");
        assert_eq!(system.dump(SockProtocol::NetlinkRoute, libc::RTM_GETLINK, &[0; 16], nothing).unwrap(), None);
        assert_eq!(system.generic("nlctrl", CTRL_CMD_GETFAMILY, &[], nothing).unwrap(), None);
        assert_eq!(system.links().unwrap(), None);
    }

    #[test]
    fn sockets_stay_open_and_families_known() {
        let mut system = System::default();
        for _ in 0..3 {
            let mut families = 0;
            system.generic("nlctrl", CTRL_CMD_GETFAMILY, &[], |_| families += 1).unwrap().unwrap();
            assert!(families > 0);
            system.dump(SockProtocol::NetlinkRoute, libc::RTM_GETLINK, &[0; 16], |_| {}).unwrap().unwrap();
        }
        assert_eq!((system.sockets.open.len(), system.sockets.families.get("nlctrl")), (2, Some(&GENL_ID_CTRL)));
        assert!(system.generic("nobody", 1, &[], |_| {}).unwrap_err().is_absence());
    }

    #[test]
    fn a_refused_dump_costs_the_socket_not_the_next_dump() {
        let mut system = System::default();
        // No request has that number.
        system.dump(SockProtocol::NetlinkRoute, 15, &[], |_| {}).unwrap_err();
        assert!(system.sockets.open.is_empty());
        assert!(system.dump(SockProtocol::NetlinkRoute, libc::RTM_GETLINK, &[0; 16], |_| {}).unwrap().is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            lists(&bytes, 0);
        }
    }
}
