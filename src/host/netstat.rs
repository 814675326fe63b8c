//! Reads `/proc/net/netstat`, `/proc/net/snmp` and `/proc/net/snmp6`: what the network stack counts, protocol by protocol.
//! Emits `node_netstat_<Protocol>_<Field>`, untyped, for the fields that `--collector.netstat.fields` matches.

use super::filter::Filter;
use crate::exposition::{Kind, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, System, text};

const FIELDS: Flag = Flag::text(
    "collector.netstat.fields",
    "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
    "Which fields to show: a pattern for <Protocol>_<Field>.",
);

const HELP: &str = "Field of this name in /proc/net/netstat, /proc/net/snmp or /proc/net/snmp6.";

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "netstat",
    enabled: Flag::switch("collector.netstat", true, "Counters of IP, ICMP, TCP and UDP."),
    flags: &[FIELDS],
    new: |settings| Ok(Box::new(NetStat::new(settings)?)),
};

struct NetStat {
    fields: Filter,
    /// `node_netstat_<Protocol>_<Field>` of the sample being written.
    name: String,
}

const PREFIX: &str = "node_netstat_";

impl NetStat {
    fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(NetStat { fields: Filter::new(settings.pattern(&FIELDS)?, None), name: String::new() })
    }

    fn emit(&mut self, protocol: &[u8], field: &[u8], value: f64, out: &mut Samples) {
        self.name.clear();
        self.name.push_str(PREFIX);
        for (part, separator) in [(protocol, "_"), (field, "")] {
            // What is not a name cannot be a metric's.
            let Some(part) = std::str::from_utf8(part).ok().filter(|part| is_name(part)) else { return };
            self.name.push_str(part);
            self.name.push_str(separator);
        }
        if self.fields.passes(self.name.get(PREFIX.len()..).unwrap_or_default()) {
            out.named(&self.name, HELP, Kind::Untyped).add([], value);
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Collector for NetStat {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for file in ["netstat", "snmp"] {
            let text = system.net(file)?;
            pairs(text, |protocol, field, value| match value {
                Some(value) => self.emit(protocol, field, value, out),
                None => bad = Some(Fault::parse(format!("net/{file}"), protocol)),
            });
        }
        match system.net("snmp6") {
            Ok(text) => snmp6(text, |protocol, field, value| self.emit(protocol, field, value, out)),
            // IPv6 is switched off.
            Err(fault) if fault.is_absence() => {}
            Err(fault) => return Err(fault),
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `Tcp: RtoAlgorithm RtoMin MaxConn` above `Tcp: 1 200 -1`. `None` for a field without a number, and for what lacks its second line.
fn pairs<'a>(text: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8], Option<f64>)) {
    let mut lines = text::lines(text);
    while let Some(names) = lines.next() {
        let Some((protocol, names)) = text::pair(names, b':') else {
            each(names, b"", None);
            continue;
        };
        let values = lines.next().and_then(|line| text::pair(line, b':')).filter(|(same, _)| *same == protocol);
        let mut values = text::fields(values.map_or(&[], |(_, values)| values));
        for name in text::fields(names) {
            each(protocol, name, values.next().and_then(text::number));
        }
    }
}

/// `Ip6InReceives    7`: the protocol's name ends with the first 6; lines without one are skipped.
fn snmp6<'a>(text: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8], f64)) {
    for line in text::lines(text) {
        let mut fields = text::fields(line);
        let (Some(key), Some(value)) = (fields.next(), fields.next().and_then(text::number)) else { continue };
        if let Some((protocol, field)) = memchr::memchr(b'6', key).and_then(|at| key.split_at_checked(at + 1)) {
            each(protocol, field, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_stand_in_two_lines() {
        let mut read = Vec::new();
        let text = b"Tcp: RtoMin MaxConn\nTcp: 200 -1\nUdp: A B\nUdp: 1\nIp: C\nIcmp: 1\n";
        pairs(text, |protocol, field, value| read.push((protocol, field, value)));
        let expected: [(&[u8], &[u8], _); 5] = [
            (b"Tcp", b"RtoMin", Some(200.0)),
            (b"Tcp", b"MaxConn", Some(-1.0)),
            (b"Udp", b"A", Some(1.0)),
            (b"Udp", b"B", None),
            (b"Ip", b"C", None),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn the_first_6_parts_protocol_and_field() {
        let mut read = Vec::new();
        snmp6(b"Icmp6OutType136   \t2\nUdpLite6InErrors 0\nodd 1\nIp6X\n", |protocol, field, value| {
            read.push((protocol, field, value));
        });
        let expected: [(&[u8], &[u8], _); 2] = [(b"Icmp6", b"OutType136", 2.0), (b"UdpLite6", b"InErrors", 0.0)];
        assert_eq!(read, expected);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            let (mut collector, mut out) = (NetStat::new(&Settings::default()).unwrap(), Samples::new());
            pairs(&text, |protocol, field, value| collector.emit(protocol, field, value.unwrap_or(0.0), &mut out));
            snmp6(&text, |protocol, field, value| collector.emit(protocol, field, value, &mut out));
        }
    }
}
