//! Reads `/proc/net/ip_vs_stats` and `/proc/net/ip_vs`: the kernel's load balancer. Emits `node_ipvs_*`.
//!
//! A service and one of its backends:
//!
//! ```text
//! TCP  C0A80016:0CEA wlc
//!   -> C0A85216:0CEA      Tunnel  100    248        2
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, System, text};

static TOTALS: [Family; 5] = [
    Family::counter("node_ipvs_connections_total", "Connections made: Conns of /proc/net/ip_vs_stats."),
    Family::counter("node_ipvs_incoming_packets_total", "Packets received: Incoming Packets."),
    Family::counter("node_ipvs_outgoing_packets_total", "Packets sent: Outgoing Packets."),
    Family::counter("node_ipvs_incoming_bytes_total", "Bytes received: Incoming Bytes."),
    Family::counter("node_ipvs_outgoing_bytes_total", "Bytes sent: Outgoing Bytes."),
];

/// Of the backends, in the order of the line.
static BACKENDS: [Family; 3] = [
    Family::gauge("node_ipvs_backend_weight", "Weights of the backends with these labels, added up: Weight of /proc/net/ip_vs."),
    Family::gauge("node_ipvs_backend_connections_active", "Their active connections: ActiveConn."),
    Family::gauge("node_ipvs_backend_connections_inactive", "Their inactive connections: InActConn."),
];

/// What may label a backend, in the order of [`Backend::labels`].
const LABELS: [&str; 6] = ["local_address", "local_port", "remote_address", "remote_port", "proto", "local_mark"];

const BACKEND_LABELS: Flag = Flag::text(
    "collector.ipvs.backend-labels",
    "local_address,local_port,remote_address,remote_port,proto,local_mark",
    "Labels of the backends; what differs in no other is added up.",
);

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "ipvs",
    enabled: Flag::switch("collector.ipvs", true, "Connections and backends of the kernel's load balancer."),
    flags: &[BACKEND_LABELS],
    new: |settings| Ok(Box::new(Ipvs { labels: chosen(settings)? })),
};

struct Ipvs {
    /// Which of [`LABELS`] are shown.
    labels: [bool; LABELS.len()],
}

fn chosen(settings: &Settings) -> Result<[bool; LABELS.len()], Error> {
    let text = settings.text(&BACKEND_LABELS);
    let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    match names.iter().find(|name| !LABELS.contains(name)) {
        Some(name) => Err(Error::new(format!("{}: {name:?} is none of {}", BACKEND_LABELS.name, LABELS.join(",")))),
        None => Ok(LABELS.map(|label| names.contains(&label))),
    }
}

impl Collector for Ipvs {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let text = system.net("ip_vs_stats")?;
        let totals = totals(text).ok_or_else(|| Fault::parse("net/ip_vs_stats", text))?;
        for (family, total) in TOTALS.iter().zip(totals) {
            out.family(family).add([], total);
        }
        let (mut sums, mut bad) = (BTreeMap::<_, [u64; 3]>::new(), None);
        backends(system.net("ip_vs")?, |backend| match backend {
            Ok(backend) => {
                let shown = self.labels.iter().zip(backend.labels).map(|(shown, value)| shown.then_some(value));
                let sum = sums.entry(shown.collect::<Vec<_>>()).or_default();
                sum.iter_mut().zip(backend.counts).for_each(|(sum, count)| *sum = sum.saturating_add(count));
            }
            Err(line) => bad = Some(Fault::parse("net/ip_vs", line)),
        });
        for (at, family) in BACKENDS.iter().enumerate() {
            let mut rows = out.family(family);
            for (values, sum) in &sums {
                let pairs = LABELS.iter().zip(values).filter_map(|(label, value)| Some((*label, value.as_deref()?)));
                rows.line("", &Labels::new(), &pairs.collect::<Vec<_>>(), sum.get(at).copied().unwrap_or_default());
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// The third line: `1 16AA370 E33656E5 …`, hexadecimal.
fn totals(text: &[u8]) -> Option<[u64; 5]> {
    let mut fields = text::fields(text::lines(text).nth(2)?).map(text::hex);
    let mut totals = [0; 5];
    for total in &mut totals {
        *total = fields.next()??;
    }
    Some(totals)
}

struct Backend {
    labels: [String; LABELS.len()],
    counts: [u64; 3],
}

/// Gives every backend to `each`, or a line that cannot be read: that of a service costs its backends.
fn backends<'a>(text: &'a [u8], mut each: impl FnMut(Result<Backend, &'a [u8]>)) {
    let mut service = None;
    // Three lines of titles.
    for line in text::lines(text).skip(3) {
        if let Some(rest) = line.trim_ascii_start().strip_prefix(b"->") {
            if let Some(service) = &service {
                each(backend(service, rest).ok_or(line));
            }
        } else {
            service = self::service(line);
            if service.is_none() {
                each(Err(line));
            }
        }
    }
}

/// Protocol, address, port and firewall mark of a service.
type Service = [String; 4];

/// `TCP  C0A80016:0CEA wlc`, `UDP  [2620:…:0001]:0035 wlc` or `FWM  10001000 wlc`, by a mark of the firewall.
fn service(line: &[u8]) -> Option<Service> {
    let mut fields = text::fields(line);
    let (proto, place) = (text::utf8(fields.next()?).into_owned(), fields.next()?);
    if proto == "FWM" {
        return Some([proto, String::new(), "0".to_owned(), text::utf8(place).into_owned()]);
    }
    let (address, port) = address(place)?;
    Some([proto, address.to_string(), port.to_string(), String::new()])
}

/// ` C0A85216:0CEA      Tunnel  100    248        2`
fn backend([proto, local_address, local_port, mark]: &Service, rest: &[u8]) -> Option<Backend> {
    let mut fields = text::fields(rest);
    let (remote_address, remote_port) = address(fields.next()?)?;
    let _way_of_forwarding = fields.next()?;
    let mut count = || text::number(fields.next()?);
    let counts = [count()?, count()?, count()?];
    let (remote_address, remote_port) = (remote_address.to_string(), remote_port.to_string());
    let [proto, local_address, local_port, mark] = [proto, local_address, local_port, mark].map(String::clone);
    Some(Backend { labels: [local_address, local_port, remote_address, remote_port, proto, mark], counts })
}

/// `C0A80016:0CEA` or `[2620:0000:0000:0000:0000:0000:0000:0001]:0050`; the port is hexadecimal too.
fn address(text: &[u8]) -> Option<(IpAddr, u16)> {
    let at = memchr::memrchr(b':', text)?;
    let (address, port) = (text.get(..at)?, u16::try_from(text::hex(text.get(at + 1..)?)?).ok()?);
    let address = match address.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        Some(v6) => IpAddr::V6(std::str::from_utf8(v6).ok()?.parse().ok()?),
        None => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(text::hex(address)?).ok()?)),
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::settings::{Origin, Setting};
    use crate::system::Roots;

    const STATS: &str = "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
       A       1F        0               FF                1
";
    const LIST: &str = "IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0A80016:0050 wlc
  -> C0A85216:0050      Tunnel  100    248        2
  -> C0A85217:0050      Tunnel  nonsense
SCTP [2620:0000:0000:0000:0000:0000:0000:0001]:0035 rr
  -> [2620:0000:0000:0000:0000:0000:0000:0002]:0035      Route   1      2          3
UDP  nonsense rr
  -> C0A85216:0050      Tunnel  100    248        2
";

    fn page(labels: &str) -> (String, Result<(), Fault>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("net")).unwrap();
        std::fs::write(dir.path().join("net/ip_vs_stats"), STATS).unwrap();
        std::fs::write(dir.path().join("net/ip_vs"), LIST).unwrap();
        let mut system = System::new(Roots { proc: dir.path().into(), ..Roots::default() });
        let mut settings = Settings::default();
        settings.set(&BACKEND_LABELS, Origin::CommandLine, Setting::Text(labels.to_owned()));
        let mut out = Samples::new();
        let result = (ENTRY.new)(&settings).unwrap().collect(&mut system, &mut out);
        (String::from_utf8(Page::new(vec![out]).to_vec()).unwrap(), result)
    }

    #[test]
    fn a_bad_line_costs_a_backend_or_a_service() {
        let (page, result) = page(match BACKEND_LABELS.default {
            crate::settings::Default::Text(text) => text,
            _ => panic!(),
        });
        assert!(result.unwrap_err().to_string().contains("net/ip_vs"));
        let weights: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("node_ipvs_backend_weight")).collect();
        let expected = [
            "{local_address=\"192.168.0.22\",local_port=\"80\",remote_address=\"192.168.82.22\",remote_port=\"80\",proto=\"TCP\",local_mark=\"\"} 100",
            "{local_address=\"2620::1\",local_port=\"53\",remote_address=\"2620::2\",remote_port=\"53\",proto=\"SCTP\",local_mark=\"\"} 1",
        ];
        assert_eq!(weights, expected);
        assert!(page.contains("node_ipvs_incoming_bytes_total 255\n"), "{page}");
    }

    #[test]
    fn what_differs_in_no_label_is_added_up() {
        assert!(page("").0.contains("node_ipvs_backend_connections_active 250\n"), "{}", page("").0);
        assert!(page(" proto ").0.contains("node_ipvs_backend_weight{proto=\"SCTP\"} 1\n"));
    }

    #[test]
    fn a_label_that_there_is_not_is_refused() {
        let mut settings = Settings::default();
        settings.set(&BACKEND_LABELS, Origin::CommandLine, Setting::Text("proto,colour".to_owned()));
        assert!(chosen(&settings).unwrap_err().to_string().contains("\"colour\""));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            totals(&text);
            backends(&[b"\n-\n-\n-\nTCP  C0A80016:0050 wlc\n  -> ", &text[..]].concat(), |_| {});
            backends(&text, |_| {});
            address(&text);
        }
    }
}
