//! Wireless interfaces, the networks they are in and the stations they hear: nl80211 over generic netlink (linux/nl80211.h).

use super::links::Address;
use super::netlink::{attribute, attributes, number, string};
use super::{Fault, System, text};

const FAMILY: &str = "nl80211";

const NL80211_CMD_GET_INTERFACE: u8 = 5;
const NL80211_CMD_GET_STATION: u8 = 17;
const NL80211_CMD_GET_SCAN: u8 = 32;

const NL80211_ATTR_IFINDEX: u16 = 3;
const NL80211_ATTR_IFNAME: u16 = 4;
const NL80211_ATTR_MAC: u16 = 6;
const NL80211_ATTR_STA_INFO: u16 = 21;
const NL80211_ATTR_WIPHY_FREQ: u16 = 38;
const NL80211_ATTR_BSS: u16 = 47;

const NL80211_BSS_BSSID: u16 = 1;
const NL80211_BSS_INFORMATION_ELEMENTS: u16 = 6;
const NL80211_BSS_STATUS: u16 = 9;

const NL80211_STA_INFO_INACTIVE_TIME: u16 = 1;
const NL80211_STA_INFO_RX_BYTES: u16 = 2;
const NL80211_STA_INFO_TX_BYTES: u16 = 3;
const NL80211_STA_INFO_SIGNAL: u16 = 7;
const NL80211_STA_INFO_TX_BITRATE: u16 = 8;
const NL80211_STA_INFO_RX_PACKETS: u16 = 9;
const NL80211_STA_INFO_TX_PACKETS: u16 = 10;
const NL80211_STA_INFO_TX_RETRIES: u16 = 11;
const NL80211_STA_INFO_TX_FAILED: u16 = 12;
const NL80211_STA_INFO_RX_BITRATE: u16 = 14;
const NL80211_STA_INFO_CONNECTED_TIME: u16 = 16;
const NL80211_STA_INFO_BEACON_LOSS: u16 = 18;
const NL80211_STA_INFO_RX_BYTES64: u16 = 23;
const NL80211_STA_INFO_TX_BYTES64: u16 = 24;

const NL80211_RATE_INFO_BITRATE: u16 = 1;
const NL80211_RATE_INFO_BITRATE32: u16 = 5;

/// The information element of a beacon that holds the network's name.
const SSID: u8 = 0;

/// A wireless interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WifiInterface {
    /// `ifindex`
    pub index: u32,
    /// Empty for devices that are no network interface.
    pub name: String,
    /// Megahertz; 0 while it is on no channel.
    pub frequency: u32,
}

/// The network (basic service set) that an interface belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WifiNetwork {
    /// Its name.
    pub ssid: String,
    /// The access point's address.
    pub bssid: Address,
    /// `NL80211_BSS_STATUS_*`: authenticated 0, associated 1, ad hoc 2.
    pub status: u32,
}

/// A station that an interface talks to: its access point, or one of its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of NL80211_STA_INFO_*")]
pub struct WifiStation {
    pub address: Address,
    pub connected_seconds: u32,
    pub inactive_milliseconds: u32,
    /// Bits a second.
    pub receive_bitrate: u64,
    /// Bits a second.
    pub transmit_bitrate: u64,
    pub receive_bytes: u64,
    pub transmit_bytes: u64,
    pub receive_packets: u32,
    pub transmit_packets: u32,
    /// dBm
    pub signal: i8,
    pub transmit_retries: u32,
    pub transmit_failed: u32,
    pub beacon_loss: u32,
}

impl System {
    /// The wireless interfaces of the host's network namespace; `None` where netlink would answer for another ([`System::links`]), an
    /// absence where the kernel has no wireless.
    pub fn wifi_interfaces(&mut self) -> Result<Option<Vec<WifiInterface>>, Fault> {
        let mut interfaces = Vec::new();
        let asked = self.generic(FAMILY, NL80211_CMD_GET_INTERFACE, &[], |payload| interfaces.extend(interface(payload)))?;
        Ok(asked.map(|_| interfaces))
    }

    /// The network that the interface `index` belongs to, if any.
    pub fn wifi_network(&mut self, index: u32) -> Result<Option<WifiNetwork>, Fault> {
        let mut found = None;
        let of = attribute(NL80211_ATTR_IFINDEX, &index.to_ne_bytes());
        self.generic(FAMILY, NL80211_CMD_GET_SCAN, &of, |payload| found = found.take().or_else(|| network(payload)))?;
        Ok(found)
    }

    /// The stations that the interface `index` talks to.
    pub fn wifi_stations(&mut self, index: u32) -> Result<Vec<WifiStation>, Fault> {
        let mut stations = Vec::new();
        let of = attribute(NL80211_ATTR_IFINDEX, &index.to_ne_bytes());
        self.generic(FAMILY, NL80211_CMD_GET_STATION, &of, |payload| stations.extend(station(payload)))?;
        Ok(stations)
    }
}

/// What follows `struct genlmsghdr`.
fn body(payload: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    attributes(payload.get(4..).unwrap_or_default())
}

fn word(value: &[u8]) -> u32 {
    number(value).map_or(0, u32::from_ne_bytes)
}

pub(super) fn interface(payload: &[u8]) -> Option<WifiInterface> {
    let mut interface = WifiInterface::default();
    for (kind, value) in body(payload) {
        match kind {
            NL80211_ATTR_IFINDEX => interface.index = word(value),
            NL80211_ATTR_IFNAME => interface.name = text::utf8(string(value)).into_owned(),
            NL80211_ATTR_WIPHY_FREQ => interface.frequency = word(value),
            _ => {}
        }
    }
    (!interface.name.is_empty()).then_some(interface)
}

/// One result of a scan, if it is the network that the interface belongs to: only that has a status.
pub(super) fn network(payload: &[u8]) -> Option<WifiNetwork> {
    let (_, bss) = body(payload).find(|(kind, _)| *kind == NL80211_ATTR_BSS)?;
    let (mut network, mut status) = (WifiNetwork::default(), None);
    for (kind, value) in attributes(bss) {
        match kind {
            NL80211_BSS_BSSID => network.bssid = Address::new(value),
            NL80211_BSS_STATUS => status = Some(word(value)),
            NL80211_BSS_INFORMATION_ELEMENTS => {
                let name = elements(value).find(|(id, _)| *id == SSID).map(|(_, name)| name);
                network.ssid = text::utf8(name.unwrap_or_default()).into_owned();
            }
            _ => {}
        }
    }
    Some(WifiNetwork { status: status?, ..network })
}

/// Information elements: number, length, that many bytes.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[id, length], rest) = bytes.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::from(length))?;
        bytes = rest;
        Some((id, value))
    })
}

pub(super) fn station(payload: &[u8]) -> Option<WifiStation> {
    let (mut station, mut info) = (WifiStation::default(), None);
    for (kind, value) in body(payload) {
        match kind {
            NL80211_ATTR_MAC => station.address = Address::new(value),
            NL80211_ATTR_STA_INFO => info = Some(value),
            _ => {}
        }
    }
    attributes(info?).for_each(|(kind, value)| station.note(kind, value));
    Some(station)
}

impl WifiStation {
    fn note(&mut self, kind: u16, value: &[u8]) {
        // Counters of 32 bits stand beside those of 64, before or behind them.
        let wider = |known: &mut u64, value: u64| *known = value.max(*known);
        match kind {
            NL80211_STA_INFO_CONNECTED_TIME => self.connected_seconds = word(value),
            NL80211_STA_INFO_INACTIVE_TIME => self.inactive_milliseconds = word(value),
            NL80211_STA_INFO_RX_BITRATE => self.receive_bitrate = bitrate(value),
            NL80211_STA_INFO_TX_BITRATE => self.transmit_bitrate = bitrate(value),
            NL80211_STA_INFO_RX_BYTES => wider(&mut self.receive_bytes, u64::from(word(value))),
            NL80211_STA_INFO_TX_BYTES => wider(&mut self.transmit_bytes, u64::from(word(value))),
            NL80211_STA_INFO_RX_BYTES64 => wider(&mut self.receive_bytes, number(value).map_or(0, u64::from_ne_bytes)),
            NL80211_STA_INFO_TX_BYTES64 => wider(&mut self.transmit_bytes, number(value).map_or(0, u64::from_ne_bytes)),
            NL80211_STA_INFO_RX_PACKETS => self.receive_packets = word(value),
            NL80211_STA_INFO_TX_PACKETS => self.transmit_packets = word(value),
            NL80211_STA_INFO_SIGNAL => self.signal = number(value).map_or(0, i8::from_ne_bytes),
            NL80211_STA_INFO_TX_RETRIES => self.transmit_retries = word(value),
            NL80211_STA_INFO_TX_FAILED => self.transmit_failed = word(value),
            NL80211_STA_INFO_BEACON_LOSS => self.beacon_loss = word(value),
            _ => {}
        }
    }
}

/// Bits a second; the kernel counts 100,000, in 16 bits and, if that is not enough, in 32.
fn bitrate(value: &[u8]) -> u64 {
    let find = |wanted| attributes(value).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let narrow = || find(NL80211_RATE_INFO_BITRATE).and_then(number).map(|bytes| u64::from(u16::from_ne_bytes(bytes)));
    find(NL80211_RATE_INFO_BITRATE32).map(|wide| u64::from(word(wide))).or_else(narrow).unwrap_or(0) * 100_000
}

#[cfg(test)]
mod tests {
    use super::super::sockets::generic;
    use super::*;

    fn message(rest: &[Vec<u8>]) -> Vec<u8> {
        generic(0, &rest.concat())
    }

    #[test]
    fn replies_are_read() {
        let name = attribute(NL80211_ATTR_IFNAME, b"wlan0\0");
        let index = attribute(NL80211_ATTR_IFINDEX, &3u32.to_ne_bytes());
        let frequency = attribute(NL80211_ATTR_WIPHY_FREQ, &2412u32.to_ne_bytes());
        let expected = WifiInterface { index: 3, name: "wlan0".to_owned(), frequency: 2412 };
        assert_eq!(interface(&message(&[index.clone(), name, frequency])), Some(expected));
        // A device for peer-to-peer has no name.
        assert_eq!(interface(&message(&[index])), None);
    }

    #[test]
    fn only_the_own_network_has_a_status() {
        let bssid = attribute(NL80211_BSS_BSSID, &[0, 0x11, 0x22, 0x33, 0x44, 0x55]);
        let beacon = attribute(NL80211_BSS_INFORMATION_ELEMENTS, b"\x01\x02ab\x00\x07Example\x03\x09cut");
        let status = attribute(NL80211_BSS_STATUS, &1u32.to_ne_bytes());
        let bss = |parts: &[Vec<u8>]| message(&[attribute(NL80211_ATTR_BSS | 0x8000, &parts.concat())]);
        let own = network(&bss(&[bssid.clone(), beacon.clone(), status])).unwrap();
        assert_eq!((own.ssid.as_str(), own.bssid.to_string().as_str(), own.status), ("Example", "00:11:22:33:44:55", 1));
        assert_eq!(network(&bss(&[bssid, beacon])), None);
    }

    #[test]
    fn a_stations_wider_counters_win() {
        let rate = |parts: &[Vec<u8>]| attribute(NL80211_STA_INFO_RX_BITRATE, &parts.concat());
        let info = [
            attribute(NL80211_STA_INFO_SIGNAL, &[0xcc]),
            attribute(NL80211_STA_INFO_RX_BYTES64, &(7 + (1u64 << 32)).to_ne_bytes()),
            attribute(NL80211_STA_INFO_RX_BYTES, &7u32.to_ne_bytes()),
            attribute(NL80211_STA_INFO_TX_BYTES, &8u32.to_ne_bytes()),
            rate(&[
                attribute(NL80211_RATE_INFO_BITRATE, &[1, 0]),
                attribute(NL80211_RATE_INFO_BITRATE32, &80_000u32.to_ne_bytes()),
            ]),
            attribute(NL80211_STA_INFO_TX_BITRATE, &attribute(NL80211_RATE_INFO_BITRATE, &540u16.to_ne_bytes())),
        ];
        let parts = [attribute(NL80211_ATTR_MAC, &[2, 0, 0, 0, 0, 1]), attribute(NL80211_ATTR_STA_INFO, &info.concat())];
        let station = station(&message(&parts)).unwrap();
        assert_eq!((station.address.to_string().as_str(), station.signal), ("02:00:00:00:00:01", -52));
        assert_eq!((station.receive_bytes, station.transmit_bytes), (7 + (1 << 32), 8));
        assert_eq!((station.receive_bitrate, station.transmit_bitrate), (8_000_000_000, 54_000_000));
    }

    #[test]
    fn the_kernel_answers_or_has_no_wireless() {
        match System::default().wifi_interfaces() {
            Ok(interfaces) => assert!(interfaces.is_some()),
            Err(fault) => assert!(fault.is_absence(), "{fault}"),
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, inner in 0u16..32) {
            for message in [bytes.clone(), message(&[attribute(NL80211_ATTR_STA_INFO, &attribute(inner, &bytes))])] {
                interface(&message);
                station(&message);
            }
            network(&message(&[attribute(NL80211_ATTR_BSS, &attribute(inner, &bytes))]));
            elements(&bytes).count();
        }
    }
}
