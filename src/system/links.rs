//! The host's network interfaces as rtnetlink tells of them: one RTM_GETLINK dump a scrape, shared by all who ask.

use std::io;
use std::sync::Arc;

use nix::sys::socket::SockProtocol;

use super::netlink::{self, attributes, number};
use super::{Fault, System, text};

/// A hardware address is at most this long (`MAX_ADDR_LEN`).
const LONGEST: usize = 32;

/// A dump that the kernel calls inconsistent is asked for again so often.
const TRIES: usize = 3;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// `ifi_index`
    pub index: i32,
    /// `ifi_type`: the protocol type, `ARPHRD_*`.
    pub kind: u16,
    /// `ifi_flags`: `IFF_*`, where promiscuous and all-multicast mode stand only if the user set them.
    pub flags: u32,
    /// `IFLA_IFNAME`
    pub name: String,
    /// `IFLA_IFALIAS`
    pub alias: String,
    /// `IFLA_ALT_IFNAME` in `IFLA_PROP_LIST`
    pub other_names: Vec<String>,
    /// `IFLA_ADDRESS`
    pub address: Address,
    /// `IFLA_BROADCAST`
    pub broadcast: Address,
    /// `IFLA_LINK`; the kernel leaves it out where it is the interface itself.
    pub link: Option<u32>,
    /// `IFLA_MTU`
    pub mtu: Option<u32>,
    /// `IFLA_TXQLEN`
    pub queue_length: Option<u32>,
    /// `IFLA_GROUP`
    pub group: Option<u32>,
    /// `IFLA_OPERSTATE`
    pub operstate: Option<u8>,
    /// `IFLA_LINKMODE`
    pub mode: Option<u8>,
    /// `IFLA_PROMISCUITY`: how many want to see all packets.
    pub promiscuity: Option<u32>,
    /// `IFLA_ALLMULTI`: how many want to see all multicasts (Linux 6.0).
    pub all_multicast: Option<u32>,
    /// `IFLA_CARRIER`
    pub carrier: Option<u8>,
    /// `IFLA_CARRIER_CHANGES`
    pub carrier_changes: Option<u32>,
    /// `IFLA_CARRIER_UP_COUNT`
    pub carrier_ups: Option<u32>,
    /// `IFLA_CARRIER_DOWN_COUNT`
    pub carrier_downs: Option<u32>,
    /// `IFLA_STATS64`, else `IFLA_STATS`
    pub counters: Option<Counters>,
}

/// A hardware address of 0 to 32 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Address {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Address {
    /// The address in `bytes`, cut at 32.
    pub fn new(bytes: &[u8]) -> Self {
        let mut address = Address { length: bytes.len().min(LONGEST), ..Address::default() };
        address.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        address
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, byte) in self.as_bytes().iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What an interface has counted: `struct rtnl_link_stats64`, in its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub struct Counters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub multicast: u64,
    pub collisions: u64,
    pub rx_length_errors: u64,
    pub rx_over_errors: u64,
    pub rx_crc_errors: u64,
    pub rx_frame_errors: u64,
    pub rx_fifo_errors: u64,
    pub rx_missed_errors: u64,
    pub tx_aborted_errors: u64,
    pub tx_carrier_errors: u64,
    pub tx_fifo_errors: u64,
    pub tx_heartbeat_errors: u64,
    pub tx_window_errors: u64,
    pub rx_compressed: u64,
    pub tx_compressed: u64,
    pub rx_nohandler: u64,
}

/// What [`System`] keeps for [`System::links`].
#[derive(Debug, Default)]
pub(super) struct Kept {
    links: Arc<Vec<Link>>,
    pub(super) fresh: bool,
}

impl System {
    /// The interfaces of the host's network namespace, asked for once in a scrape; `None` where netlink would answer for another
    /// namespace, a container's, than the one that the host's /proc stands for.
    pub fn links(&mut self) -> Result<Option<Arc<Vec<Link>>>, Fault> {
        if !self.links.fresh {
            let mut links = std::mem::take(&mut self.links.links);
            let dumped = self.dump_links(Arc::make_mut(&mut links));
            self.links.links = links;
            if dumped.map_err(|error| Fault::read("netlink: RTM_GETLINK", error))?.is_none() {
                return Ok(None);
            }
            self.links.fresh = true;
        }
        Ok(Some(self.links.links.clone()))
    }

    /// Asks rtnetlink for one more dump; `None` as with [`System::links`].
    pub(super) fn route(&mut self, kind: u16, payload: &[u8], each: impl FnMut(&[u8])) -> Result<Option<()>, Fault> {
        let asked = self.dump(SockProtocol::NetlinkRoute, kind, payload, each);
        asked.map(|consistent| consistent.map(drop)).map_err(|error| Fault::read(format!("netlink: request {kind}"), error))
    }

    /// Fills `links` with all interfaces. What stood there is overwritten, so that texts keep their memory.
    fn dump_links(&mut self, links: &mut Vec<Link>) -> io::Result<Option<()>> {
        for _ in 0..TRIES {
            let mut count = 0;
            let consistent = self.dump(SockProtocol::NetlinkRoute, libc::RTM_GETLINK, &[0; 16], |payload| {
                if links.len() == count {
                    links.push(Link::default());
                }
                count += usize::from(links.get_mut(count).is_some_and(|link| link.read(payload).is_some()));
            })?;
            links.truncate(count);
            match consistent {
                None => return Ok(None),
                Some(true) => break,
                Some(false) => {}
            }
        }
        Ok(Some(()))
    }
}

impl Link {
    /// Reads `struct ifinfomsg` and the attributes behind it. Attributes that are not known, or too short, are stepped over.
    pub fn read(&mut self, payload: &[u8]) -> Option<()> {
        let (mut name, mut alias) = (std::mem::take(&mut self.name), std::mem::take(&mut self.alias));
        name.clear();
        alias.clear();
        *self = Link { name, alias, ..Link::default() };
        self.kind = u16::from_ne_bytes(number(payload.get(2..)?)?);
        self.index = i32::from_ne_bytes(number(payload.get(4..)?)?);
        self.flags = u32::from_ne_bytes(number(payload.get(8..)?)?);
        for (kind, value) in attributes(payload.get(16..)?) {
            self.attribute(kind, value);
        }
        if self.name.is_empty() { None } else { Some(()) }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let word = || number(value).map(u32::from_ne_bytes);
        match kind {
            libc::IFLA_IFNAME => self.name.push_str(&text::utf8(netlink::string(value))),
            libc::IFLA_IFALIAS => self.alias.push_str(&text::utf8(netlink::string(value))),
            libc::IFLA_ADDRESS => self.address = Address::new(value),
            libc::IFLA_BROADCAST => self.broadcast = Address::new(value),
            libc::IFLA_LINK => self.link = word(),
            libc::IFLA_MTU => self.mtu = word(),
            libc::IFLA_TXQLEN => self.queue_length = word(),
            libc::IFLA_GROUP => self.group = word(),
            libc::IFLA_OPERSTATE => self.operstate = value.first().copied(),
            libc::IFLA_LINKMODE => self.mode = value.first().copied(),
            libc::IFLA_PROMISCUITY => self.promiscuity = word(),
            libc::IFLA_ALLMULTI => self.all_multicast = word(),
            libc::IFLA_CARRIER => self.carrier = value.first().copied(),
            libc::IFLA_CARRIER_CHANGES => self.carrier_changes = word(),
            libc::IFLA_CARRIER_UP_COUNT => self.carrier_ups = word(),
            libc::IFLA_CARRIER_DOWN_COUNT => self.carrier_downs = word(),
            libc::IFLA_STATS64 => self.counters = Counters::of(value.chunks_exact(8).map_while(number).map(u64::from_ne_bytes)),
            libc::IFLA_STATS if self.counters.is_none() => {
                let words = value.chunks_exact(4).map_while(number).map(u32::from_ne_bytes);
                self.counters = Counters::of(words.map(u64::from));
            }
            libc::IFLA_PROP_LIST => {
                let names = attributes(value).filter(|(kind, _)| *kind == libc::IFLA_ALT_IFNAME);
                self.other_names.extend(names.map(|(_, name)| text::utf8(netlink::string(name)).into_owned()));
            }
            _ => {}
        }
    }
}

impl Counters {
    fn of(mut words: impl Iterator<Item = u64>) -> Option<Self> {
        Some(Counters {
            rx_packets: words.next()?,
            tx_packets: words.next()?,
            rx_bytes: words.next()?,
            tx_bytes: words.next()?,
            rx_errors: words.next()?,
            tx_errors: words.next()?,
            rx_dropped: words.next()?,
            tx_dropped: words.next()?,
            multicast: words.next()?,
            collisions: words.next()?,
            rx_length_errors: words.next()?,
            rx_over_errors: words.next()?,
            rx_crc_errors: words.next()?,
            rx_frame_errors: words.next()?,
            rx_fifo_errors: words.next()?,
            rx_missed_errors: words.next()?,
            tx_aborted_errors: words.next()?,
            tx_carrier_errors: words.next()?,
            tx_fifo_errors: words.next()?,
            tx_heartbeat_errors: words.next()?,
            tx_window_errors: words.next()?,
            rx_compressed: words.next()?,
            tx_compressed: words.next()?,
            // Linux 4.6.
            rx_nohandler: words.next().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_a_link() {
        let mut payload = vec![0, 0, 1, 0];
        payload.extend([7i32.to_ne_bytes(), 0x1003u32.to_ne_bytes(), [0; 4]].concat());
        payload.extend(netlink::attribute(libc::IFLA_IFNAME, b"eth0\0"));
        payload.extend(netlink::attribute(libc::IFLA_ADDRESS, &[2, 0xfc, 0, 0, 0, 1]));
        payload.extend(netlink::attribute(libc::IFLA_MTU, &1400u32.to_ne_bytes()));
        payload.extend(netlink::attribute(999, b"from a newer kernel"));
        let other = netlink::attribute(libc::IFLA_ALT_IFNAME, b"enp0s1\0");
        payload.extend(netlink::attribute(libc::IFLA_PROP_LIST | 0x8000, &other));
        let stats: Vec<u8> = (1..=23u64).flat_map(u64::to_ne_bytes).collect();
        payload.extend(netlink::attribute(libc::IFLA_STATS64, &stats));
        let mut link = Link { name: "old".into(), alias: "old".into(), ..Link::default() };
        link.read(&payload).unwrap();
        assert_eq!((link.index, link.kind, link.flags, link.name.as_str(), link.alias.as_str()), (7, 1, 0x1003, "eth0", ""));
        assert_eq!((link.address.to_string().as_str(), link.mtu, link.group), ("02:fc:00:00:00:01", Some(1400), None));
        assert_eq!(link.other_names, ["enp0s1"]);
        let counters = link.counters.unwrap();
        assert_eq!((counters.rx_packets, counters.tx_compressed, counters.rx_nohandler), (1, 23, 0));
    }

    #[test]
    fn the_loopback_is_there_and_the_dump_is_shared() {
        let mut system = System::default();
        let links = system.links().unwrap().expect("the test runs in the host's network namespace");
        let lo = links.iter().find(|link| link.name == "lo").expect("a loopback interface");
        assert_eq!((lo.kind, lo.flags & 8, lo.counters.is_some()), (772, 8, true));
        assert!(Arc::ptr_eq(&links, &system.links().unwrap().unwrap()));
        drop(links);
        system.begin(std::time::Instant::now());
        assert!(system.links().unwrap().unwrap().iter().any(|link| link.name == "lo"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, mut head in proptest::collection::vec(0u8..64, 16..64)) {
            Link::default().read(&bytes);
            head.extend(bytes);
            Link::default().read(&head);
        }
    }
}
