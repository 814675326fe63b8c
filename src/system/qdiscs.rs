//! The queues in front of the host's network interfaces: an RTM_GETQDISC dump of rtnetlink.

use super::netlink::{attributes, number, string};
use super::{Fault, System, text};

const TC_H_ROOT: u32 = u32::MAX;

const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_STATS_PKT64: u16 = 8;

/// A queueing discipline at the root of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qdisc {
    /// `tcm_ifindex`
    pub index: i32,
    /// `TCA_KIND`
    pub kind: String,
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent; 32 bits wide before Linux 5.5.
    pub packets: u64,
    /// Packets that wait.
    pub queue_length: u32,
    /// Bytes that wait.
    pub backlog: u32,
    /// Packets dropped.
    pub drops: u32,
    /// Packets taken out and put back.
    pub requeues: u32,
    /// Packets that came over the limit of the rate.
    pub overlimits: u32,
}

impl System {
    /// The root queueing disciplines of the host's network namespace; `None` where netlink would answer for another
    /// ([`System::links`]).
    pub fn qdiscs(&mut self) -> Result<Option<Vec<Qdisc>>, Fault> {
        let mut qdiscs = Vec::new();
        let asked = self.route(libc::RTM_GETQDISC, &[0; 20], |payload| qdiscs.extend(parse(payload)))?;
        Ok(asked.map(|()| qdiscs))
    }
}

/// `struct tcmsg`, then attributes. `None` if another queueing discipline is its parent.
pub(super) fn parse(payload: &[u8]) -> Option<Qdisc> {
    let word = |at| Some(u32::from_ne_bytes(number(payload.get(at..)?)?));
    if ![0, TC_H_ROOT].contains(&word(12)?) {
        return None;
    }
    let mut qdisc = Qdisc { index: i32::from_ne_bytes(number(payload.get(4..)?)?), ..Qdisc::default() };
    let mut newer = false;
    for (kind, value) in attributes(payload.get(20..)?) {
        match kind {
            libc::TCA_KIND => qdisc.kind = text::utf8(string(value)).into_owned(),
            libc::TCA_STATS2 => {
                attributes(value).for_each(|(kind, value)| qdisc.count(kind, value));
                newer = true;
            }
            // The form that has no requeues, of kernels that have no other.
            libc::TCA_STATS if !newer => qdisc.count_old(value),
            _ => {}
        }
    }
    Some(qdisc)
}

impl Qdisc {
    /// An attribute of `TCA_STATS2`. The one of 64 bits comes behind the one of 32.
    fn count(&mut self, kind: u16, value: &[u8]) {
        match kind {
            TCA_STATS_BASIC => {
                self.bytes = number(value).map_or(0, u64::from_ne_bytes);
                self.packets = u64::from(word(value, 2));
            }
            TCA_STATS_PKT64 => self.packets = number(value).map_or(self.packets, u64::from_ne_bytes),
            TCA_STATS_QUEUE => {
                (self.queue_length, self.backlog) = (word(value, 0), word(value, 1));
                (self.drops, self.requeues, self.overlimits) = (word(value, 2), word(value, 3), word(value, 4));
            }
            _ => {}
        }
    }

    /// `struct tc_stats`
    fn count_old(&mut self, value: &[u8]) {
        self.bytes = number(value).map_or(0, u64::from_ne_bytes);
        (self.packets, self.drops, self.overlimits) = (u64::from(word(value, 2)), word(value, 3), word(value, 4));
        (self.queue_length, self.backlog) = (word(value, 7), word(value, 8));
    }
}

/// The number of 32 bits at place `at`; 0 where an older kernel gives fewer.
fn word(value: &[u8], at: usize) -> u32 {
    value.get(4 * at..).and_then(number).map_or(0, u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::netlink::attribute;
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn message(parent: u32, stats: &[u8]) -> Vec<u8> {
        [words(&[0, 7, 0, parent, 2]), attribute(libc::TCA_KIND, b"fq\0"), stats.to_vec()].concat()
    }

    #[test]
    fn counters_are_those_of_the_newest_form() {
        let basic = attribute(TCA_STATS_BASIC, &[1_000u64.to_ne_bytes().to_vec(), words(&[5, 0])].concat());
        let wide = attribute(TCA_STATS_PKT64, &(5 + (1u64 << 32)).to_ne_bytes());
        let queue = attribute(TCA_STATS_QUEUE, &words(&[1, 2, 3, 4, 5]));
        let old = attribute(libc::TCA_STATS, &[9u64.to_ne_bytes().to_vec(), words(&[1, 2, 3, 0, 0, 4, 5])].concat());
        let stats2 = attribute(libc::TCA_STATS2 | 0x8000, &[basic, wide, queue].concat());
        let mut expected = Qdisc {
            index: 7,
            kind: "fq".to_owned(),
            bytes: 1_000,
            packets: 5 + (1 << 32),
            queue_length: 1,
            backlog: 2,
            drops: 3,
            requeues: 4,
            overlimits: 5,
        };
        assert_eq!(parse(&message(TC_H_ROOT, &[stats2, old.clone()].concat())), Some(expected.clone()));
        (expected.bytes, expected.packets, expected.drops, expected.overlimits) = (9, 1, 2, 3);
        (expected.requeues, expected.queue_length, expected.backlog) = (0, 4, 5);
        assert_eq!(parse(&message(0, &old)), Some(expected));
        assert_eq!(parse(&message(0x8001_0001, &old)), None);
    }

    #[test]
    fn the_loopback_has_one() {
        let qdiscs = System::default().qdiscs().unwrap().unwrap();
        assert!(qdiscs.iter().any(|qdisc| qdisc.index == 1 && qdisc.kind == "noqueue"), "{qdiscs:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, kind in 0u16..9, inner in 0u16..9) {
            parse(&bytes);
            parse(&message(0, &attribute(kind, &attribute(inner, &bytes))));
        }
    }
}
