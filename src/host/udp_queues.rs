//! Reads `/proc/net/udp` and `/proc/net/udp6`: bytes that wait in the queues of all UDP sockets. Emits `node_udp_queues`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static QUEUES: Family = Family::gauge("node_udp_queues", "Bytes in UDP queues: tx_queue and rx_queue of all sockets together.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "udp_queues",
    enabled: Flag::switch("collector.udp_queues", true, "Bytes waiting in UDP sockets."),
    flags: &[],
    new: |_| Ok(Box::new(UdpQueues)),
};

struct UdpQueues;

impl Collector for UdpQueues {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for (file, ip) in [("udp", "v4"), ("udp6", "v6")] {
            let text = match system.net(file) {
                Ok(text) => text,
                // That IP version is switched off.
                Err(fault) if fault.is_absence() => continue,
                Err(fault) => return Err(fault),
            };
            let (mut sent, mut received) = (0, 0);
            for line in text::lines(text).skip(1) {
                match parse(line) {
                    Some((tx, rx)) => {
                        sent += tx;
                        received += rx;
                    }
                    None => bad = Some(Fault::parse(format!("net/{file}"), line)),
                }
            }
            out.family(&QUEUES).add([("ip", ip), ("queue", "tx")], sent);
            out.family(&QUEUES).add([("ip", ip), ("queue", "rx")], received);
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `   0: 00000000:0016 00000000:0000 0A 00000015:00000000 00:00000000 …`: bytes to be sent, and to be read. Both are 32-bit numbers, so
/// that sums over all sockets cannot overflow.
fn parse(line: &[u8]) -> Option<(u64, u64)> {
    let (tx, rx) = text::pair(text::fields(line).nth(4)?, b':')?;
    let number = |field| text::hex(field).filter(|bytes| u32::try_from(*bytes).is_ok());
    Some((number(tx)?, number(rx)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_hexadecimal() {
        assert_eq!(parse(b"   0: 00000000:0016 00000000:0000 0A 00000015:0000000A 00:00000000"), Some((21, 10)));
        assert_eq!(parse(b"   0: 00000000:0016 00000000:0000 0A 00000015"), None);
        assert_eq!(parse(b"0: a b c FFFFFFFFFF:0"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            parse(&line);
        }
    }
}
