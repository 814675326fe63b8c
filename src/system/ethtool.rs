//! What the drivers of network interfaces tell through SIOCETHTOOL (linux/ethtool.h): who they are, what they count, what their links can.
//!
//! The ethtool family of netlink knows no driver's own counters.

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::netlink::{number, string};
use super::syscalls::{ETHTOOL_ROOM, ethtool};
use super::text;

const ETHTOOL_GSET: u32 = 1;
const ETHTOOL_GDRVINFO: u32 = 3;
const ETHTOOL_GSTRINGS: u32 = 27;
const ETHTOOL_GSTATS: u32 = 29;
const ETH_SS_STATS: u32 = 1;

/// Every name of a counter takes so many bytes.
const NAME: usize = 32;

/// A driver with more counters than this is not asked for them. Even if it gets more between two questions (more queues, in most cases), they
/// do not reach the end of the room.
const MOST: usize = ETHTOOL_ROOM / NAME / 4;

/// A socket to ask over, and the room for answers, of which only what was filled is ever resident.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
    room: Box<[u8; ETHTOOL_ROOM]>,
}

/// Who drives an interface: `struct ethtool_drvinfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub struct Driver {
    pub driver: String,
    pub version: String,
    pub firmware_version: String,
    pub bus_info: String,
    pub expansion_rom_version: String,
    /// How many counters it has.
    pub counters: u32,
}

/// What a link can do, of which this form tells the first 32 modes only: `struct ethtool_cmd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// `ETHTOOL_LINK_MODE_*`: what the interface can.
    pub supported: u32,
    /// `ETHTOOL_LINK_MODE_*`: what it offers.
    pub advertised: u32,
    /// 1 if it comes to terms with the other end by itself.
    pub autonegotiation: u8,
}

impl Ethtool {
    /// Opens a socket.
    pub fn open() -> io::Result<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let room = vec![0; ETHTOOL_ROOM].into_boxed_slice();
        let room = room.try_into().map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Ethtool { socket, room })
    }

    /// Who drives `interface`.
    pub fn driver(&mut self, interface: &str) -> io::Result<Driver> {
        driver(self.ask(interface, &[ETHTOOL_GDRVINFO])?).ok_or_else(cut)
    }

    /// What the link of `interface` can do.
    pub fn settings(&mut self, interface: &str) -> io::Result<LinkSettings> {
        settings(self.ask(interface, &[ETHTOOL_GSET])?).ok_or_else(cut)
    }

    /// The names and values of the counters of `interface`, which `driver` says that it has.
    pub fn counters(&mut self, interface: &str, driver: &Driver) -> io::Result<Vec<(String, u64)>> {
        let count = usize::try_from(driver.counters).ok().filter(|count| *count <= MOST);
        let count = count.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let names = self.ask(interface, &[ETHTOOL_GSTRINGS, ETH_SS_STATS, driver.counters])?;
        let names = names_of(names, count).ok_or_else(cut)?;
        let values = values_of(self.ask(interface, &[ETHTOOL_GSTATS, driver.counters])?, count).ok_or_else(cut)?;
        Ok(names.into_iter().zip(values).collect())
    }

    fn ask(&mut self, interface: &str, request: &[u32]) -> io::Result<&[u8]> {
        let bytes = request.iter().flat_map(|word| word.to_ne_bytes());
        self.room.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        ethtool(&self.socket, interface, &mut self.room)?;
        Ok(self.room.as_slice())
    }
}

/// The driver got more or fewer counters between two questions.
fn cut() -> io::Error {
    io::ErrorKind::Interrupted.into()
}

fn word(answer: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(number(answer.get(at..)?)?))
}

pub(super) fn driver(answer: &[u8]) -> Option<Driver> {
    let text = |at| Some(text::utf8(string(answer.get(at..at + NAME)?)).into_owned());
    Some(Driver {
        driver: text(4)?,
        version: text(36)?,
        firmware_version: text(68)?,
        bus_info: text(100)?,
        expansion_rom_version: text(132)?,
        counters: word(answer, 180)?,
    })
}

pub(super) fn settings(answer: &[u8]) -> Option<LinkSettings> {
    Some(LinkSettings { supported: word(answer, 4)?, advertised: word(answer, 8)?, autonegotiation: *answer.get(18)? })
}

/// `struct ethtool_gstrings` with `count` names, or none if there are not so many.
fn names_of(answer: &[u8], count: usize) -> Option<Vec<String>> {
    if usize::try_from(word(answer, 8)?) != Ok(count) {
        return None;
    }
    let names = answer.get(12..)?.get(..count.checked_mul(NAME)?)?;
    Some(names.chunks_exact(NAME).map(|name| text::utf8(string(name)).into_owned()).collect())
}

/// `struct ethtool_stats`, likewise.
fn values_of(answer: &[u8], count: usize) -> Option<impl Iterator<Item = u64>> {
    if usize::try_from(word(answer, 4)?) != Ok(count) {
        return None;
    }
    let values = answer.get(8..)?.get(..count.checked_mul(8)?)?;
    Some(values.chunks_exact(8).map_while(number).map(u64::from_ne_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let mut answer = vec![0; 196];
        for (at, text) in [(4, "e1000e"), (36, "6.1"), (68, "0.5-4"), (100, "0000:00:1f.6"), (132, "1")] {
            answer[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        answer[180..184].copy_from_slice(&12u32.to_ne_bytes());
        let read = driver(&answer).unwrap();
        assert_eq!((read.driver.as_str(), read.version.as_str(), read.firmware_version.as_str()), ("e1000e", "6.1", "0.5-4"));
        assert_eq!((read.bus_info.as_str(), read.expansion_rom_version.as_str(), read.counters), ("0000:00:1f.6", "1", 12));

        let words = [27u32, 1, 2].iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
        let names = [words, [[b'r'; 32], [b't'; 32]].concat()].concat();
        assert_eq!(names_of(&names, 2).unwrap(), ["r".repeat(32), "t".repeat(32)]);
        assert_eq!(names_of(&names, 3), None);
        let values = [[29u32, 2].map(u32::to_ne_bytes).concat(), [7u64, 8].map(u64::to_ne_bytes).concat()].concat();
        assert_eq!(values_of(&values, 2).unwrap().collect::<Vec<_>>(), [7, 8]);
        assert!(values_of(&values, 1).is_none() && values_of(&values[..20], 2).is_none());
    }

    #[test]
    fn the_kernel_answers_and_refuses() {
        let mut ethtool = Ethtool::open().unwrap();
        // The loopback has no driver that tells of itself.
        assert!(ethtool.settings("lo").is_err());
        assert_eq!(ethtool.driver("none").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(ethtool.driver("a-name-that-is-too-long").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let many = Driver { counters: u32::MAX, ..Driver::default() };
        assert_eq!(ethtool.counters("lo", &many).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, count: usize) {
            driver(&bytes);
            settings(&bytes);
            names_of(&bytes, count);
            values_of(&bytes, count).map(Iterator::count);
        }
    }
}
