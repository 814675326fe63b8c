//! `--collector.wifi.fixtures`: the files that stand in for wireless interfaces in node_exporter's end-to-end test.
//!
//! `interfaces.json`, and for each interface `<name>/bss.json` and `<name>/stationinfo.json`. Times are in nanoseconds, bytes in base 64.

use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};

use crate::system::{Address, Fault, System, WifiInterface, WifiNetwork, WifiStation};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Interface {
    name: String,
    frequency: u32,
}

#[derive(Deserialize)]
struct Bss {
    ssid: String,
    #[serde(deserialize_with = "address")]
    bssid: Address,
    status: u32,
}

#[derive(Deserialize)]
struct Station {
    #[serde(deserialize_with = "address")]
    hardwareaddr: Address,
    connected: u64,
    inactive: u64,
    receivebitrate: u64,
    transmitbitrate: u64,
    signal: i8,
    transmitretries: u32,
    transmitfailed: u32,
    beaconloss: u32,
}

pub(super) fn interfaces(folder: &Path, system: &mut System) -> Result<Vec<WifiInterface>, Fault> {
    let list: Vec<Interface> = read(&folder.join("interfaces.json"), system)?;
    let named = list.into_iter().filter(|interface| !interface.name.is_empty());
    Ok(named.map(|Interface { name, frequency }| WifiInterface { index: 0, name, frequency }).collect())
}

pub(super) fn network(folder: &Path, name: &str, system: &mut System) -> Result<WifiNetwork, Fault> {
    let Bss { ssid, bssid, status } = read(&folder.join(name).join("bss.json"), system)?;
    Ok(WifiNetwork { ssid, bssid, status })
}

pub(super) fn stations(folder: &Path, name: &str, system: &mut System) -> Result<Vec<WifiStation>, Fault> {
    let list: Vec<Station> = read(&folder.join(name).join("stationinfo.json"), system)?;
    let whole = |nanoseconds: u64, unit: u64| u32::try_from(nanoseconds / unit).unwrap_or(u32::MAX);
    let station = |one: Station| WifiStation {
        address: one.hardwareaddr,
        connected_seconds: whole(one.connected, 1_000_000_000),
        inactive_milliseconds: whole(one.inactive, 1_000_000),
        receive_bitrate: one.receivebitrate,
        transmit_bitrate: one.transmitbitrate,
        signal: one.signal,
        transmit_retries: one.transmitretries,
        transmit_failed: one.transmitfailed,
        beacon_loss: one.beaconloss,
        ..WifiStation::default()
    };
    Ok(list.into_iter().map(station).collect())
}

fn read<T: DeserializeOwned>(path: &Path, system: &mut System) -> Result<T, Fault> {
    let text = system.read(path)?;
    serde_json::from_slice(text).map_err(|_| Fault::parse(path.display().to_string(), text))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    let text = String::deserialize(deserializer)?;
    base64(&text).map(|bytes| Address::new(&bytes)).ok_or_else(|| D::Error::custom("not in base 64"))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        bits = bits << 6 | u32::try_from(memchr::memchr(digit, DIGITS)?).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_base_64() {
        assert_eq!(base64("qrvM3e7/"), Some(vec![0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]));
        assert_eq!((base64("AQ=="), base64("AQI="), base64("")), (Some(vec![1]), Some(vec![1, 2]), Some(vec![])));
        assert_eq!(base64("A-"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text: String) {
            base64(&text);
        }
    }
}
