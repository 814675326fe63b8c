//! Asks the kernel's wireless part (nl80211, over generic netlink) for wireless interfaces, their network and the stations they talk to.
//! Emits `node_wifi_*`.

use std::path::PathBuf;

use super::filter::Filter;
use super::interfaces;
use super::wifi_fixtures as fixtures;
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, WifiInterface, WifiNetwork, WifiStation};

const FIXTURES: Flag = Flag::text("collector.wifi.fixtures", "", "For tests: a folder whose files are read instead.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "wifi",
    enabled: Flag::switch("collector.wifi", false, "Wireless interfaces and the stations they talk to."),
    flags: &[FIXTURES],
    new: |settings| {
        let fixtures = Some(settings.text(&FIXTURES)).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        Ok(Box::new(Wifi { filter: interfaces::filter(settings)?, fixtures }))
    },
};

static FREQUENCY: Family =
    Family::gauge("node_wifi_interface_frequency_hertz", "Frequency of the channel, 0 for none: NL80211_ATTR_WIPHY_FREQ.");
static INFO: Family = Family::gauge("node_wifi_station_info", "The network that the interface belongs to: NL80211_ATTR_BSS; 1.");

/// What is known of a station, in the unit of the family.
enum Value {
    Number(u64),
    Milliseconds(u32),
    Decibels(i8),
}

/// A family and the field of NL80211_ATTR_STA_INFO that it shows.
type Column = (Family, fn(&WifiStation) -> Value);

static STATION: [Column; 12] = [
    (Family::counter("node_wifi_station_connected_seconds_total", "Time since the station came: CONNECTED_TIME."), |station| {
        Value::Number(station.connected_seconds.into())
    }),
    (Family::gauge("node_wifi_station_inactive_seconds", "Time since it was last heard: INACTIVE_TIME."), |station| {
        Value::Milliseconds(station.inactive_milliseconds)
    }),
    (Family::gauge("node_wifi_station_receive_bits_per_second", "Rate of what it sends us: RX_BITRATE."), |station| {
        Value::Number(station.receive_bitrate)
    }),
    (Family::gauge("node_wifi_station_transmit_bits_per_second", "Rate of what we send it: TX_BITRATE."), |station| {
        Value::Number(station.transmit_bitrate)
    }),
    (Family::counter("node_wifi_station_receive_bytes_total", "Bytes received from it: RX_BYTES64."), |station| {
        Value::Number(station.receive_bytes)
    }),
    (Family::counter("node_wifi_station_transmit_bytes_total", "Bytes sent to it: TX_BYTES64."), |station| {
        Value::Number(station.transmit_bytes)
    }),
    (Family::counter("node_wifi_station_received_packets_total", "Packets received from it: RX_PACKETS."), |station| {
        Value::Number(station.receive_packets.into())
    }),
    (Family::counter("node_wifi_station_transmitted_packets_total", "Packets sent to it: TX_PACKETS."), |station| {
        Value::Number(station.transmit_packets.into())
    }),
    (Family::gauge("node_wifi_station_signal_dbm", "Strength of its signal: SIGNAL."), |station| Value::Decibels(station.signal)),
    (Family::counter("node_wifi_station_transmit_retries_total", "Packets sent to it again: TX_RETRIES."), |station| {
        Value::Number(station.transmit_retries.into())
    }),
    (Family::counter("node_wifi_station_transmit_failed_total", "Packets that did not reach it: TX_FAILED."), |station| {
        Value::Number(station.transmit_failed.into())
    }),
    (Family::counter("node_wifi_station_beacon_loss_total", "Times that its beacon was missed: BEACON_LOSS."), |station| {
        Value::Number(station.beacon_loss.into())
    }),
];

struct Wifi {
    filter: Filter,
    fixtures: Option<PathBuf>,
}

impl Collector for Wifi {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut interfaces = match &self.fixtures {
            Some(folder) => fixtures::interfaces(folder, system)?,
            None => system.wifi_interfaces()?.ok_or(Fault::Foreign("wireless interfaces"))?,
        };
        interfaces.retain(|interface| self.filter.passes(&interface.name));
        let mut bad = None;
        for interface in interfaces {
            out.family(&FREQUENCY).add([("device", &interface.name)], u64::from(interface.frequency) * 1_000_000);
            match self.network(&interface, system) {
                Ok(Some(network)) => show_network(&interface.name, &network, out),
                // A mode without networks, or an interface that is gone.
                Ok(None) => {}
                Err(fault) => bad = Some(fault),
            }
            match self.stations(&interface, system) {
                Ok(stations) => stations.iter().for_each(|station| show_station(&interface.name, station, out)),
                Err(fault) => bad = Some(fault),
            }
        }
        // That one interface has none is no absence of all.
        bad.filter(|fault| !fault.is_absence()).map_or(Ok(()), Err)
    }
}

impl Wifi {
    fn network(&self, interface: &WifiInterface, system: &mut System) -> Result<Option<WifiNetwork>, Fault> {
        match &self.fixtures {
            Some(folder) => fixtures::network(folder, &interface.name, system).map(Some),
            None => system.wifi_network(interface.index),
        }
    }

    fn stations(&self, interface: &WifiInterface, system: &mut System) -> Result<Vec<WifiStation>, Fault> {
        match &self.fixtures {
            Some(folder) => fixtures::stations(folder, &interface.name, system),
            None => system.wifi_stations(interface.index),
        }
    }
}

fn show_network(device: &str, network: &WifiNetwork, out: &mut Samples) {
    let mode = match network.status {
        0 | 1 => "client",
        2 => "ad-hoc",
        _ => "unknown",
    };
    let labels = [("device", device), ("bssid", &network.bssid.to_string()), ("ssid", &network.ssid), ("mode", mode)];
    out.family(&INFO).add(labels, 1u8);
}

fn show_station(device: &str, station: &WifiStation, out: &mut Samples) {
    let labels = Labels::of(&[("device", device), ("mac_address", &station.address.to_string())]);
    for (family, value) in &STATION {
        let mut rows = out.family(family);
        match value(station) {
            Value::Number(number) => rows.add_to(&labels, [], number),
            Value::Milliseconds(time) => rows.add_to(&labels, [], f64::from(time) / 1000.0),
            Value::Decibels(signal) => rows.add_to(&labels, [], i64::from(signal)),
        };
    }
}
