//! The sockets of a network namespace: /proc/<pid>/net/{tcp,tcp6,udp,udp6}, and TCP's counters: netstat, snmp.

use std::io::{self, BufRead};

use crate::system::text::{fields, hex, lines, number};

/// The values of the label `tcp_state`, in the order of the kernel's numbers from 1 on.
pub(super) const STATES: [&str; 11] = [
    "established",
    "synsent",
    "synrecv",
    "finwait1",
    "finwait2",
    "timewait",
    "close",
    "closewait",
    "lastack",
    "listen",
    "closing",
];

/// How many TCP sockets there are in each of [`STATES`].
pub(super) type Tcp = [u64; 11];

/// All UDP sockets together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Udp {
    pub(super) sockets: u64,
    pub(super) dropped: u64,
    /// Bytes that wait to be read.
    pub(super) received: u64,
    /// Bytes that wait to be sent.
    pub(super) sending: u64,
}

/// Calls `row` with each line below the headings. There may be a million: no more than one is held at a time.
fn rows(mut text: impl BufRead, mut row: impl FnMut(&[u8])) -> io::Result<()> {
    let (mut line, mut first) = (Vec::new(), true);
    while text.read_until(b'\n', &mut line)? > 0 {
        if !std::mem::take(&mut first) {
            row(&line);
        }
        line.clear();
    }
    Ok(())
}

/// `   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 35 1 ffff8f 100 0 0 10 0`: the fourth
/// field is the state
pub(super) fn tcp(text: impl BufRead) -> io::Result<Tcp> {
    let mut states = Tcp::default();
    rows(text, |row| {
        let state = fields(row).nth(3).and_then(hex).and_then(|state| usize::try_from(state).ok()?.checked_sub(1));
        if let Some(count) = state.and_then(|state| states.get_mut(state)) {
            *count += 1;
        }
    })?;
    Ok(states)
}

/// `  77: 00000000:0044 00000000:0000 07 00000000:00000100 00:00000000 00000000     0        0 17 2 ffff8f 3`: the fifth field is what
/// waits to be sent and to be read, the last counts drops
pub(super) fn udp(text: impl BufRead) -> io::Result<Udp> {
    let mut all = Udp::default();
    rows(text, |row| {
        let mut fields = fields(row);
        let Some((queues, at)) = fields.nth(4).and_then(|queues| Some((queues, memchr::memchr(b':', queues)?))) else { return };
        let queue = |part: Option<&[u8]>| part.and_then(hex).unwrap_or(0);
        all.sockets += 1;
        all.sending = all.sending.saturating_add(queue(queues.get(..at)));
        all.received = all.received.saturating_add(queue(queues.get(at + 1..)));
        all.dropped = all.dropped.saturating_add(fields.last().and_then(number).unwrap_or(0));
    })?;
    Ok(all)
}

/// Pairs of lines, of which the first has the names: `Tcp: RtoAlgorithm RtoMin` and `Tcp: 1 200`. Calls `counter` with each name, in
/// small letters as cAdvisor has them, of the protocol `wanted`.
pub(super) fn counters(text: &[u8], wanted: &[u8], mut counter: impl FnMut(String, i64)) {
    let mut lines = lines(text).filter_map(|line| line.strip_prefix(wanted)?.strip_prefix(b":"));
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        for (name, value) in fields(names).zip(fields(values)) {
            if let Some(value) = number(value) {
                counter(String::from_utf8_lossy(name).to_ascii_lowercase(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_by_state_and_queue() {
        let text = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 35 1 ffff8f 100 0 0 10 0\n\
            \x20  1: 0100007F:1F90 0100007F:8EB8 01 00000000:00000000 00:00000000 00000000     0        0 36 1 ffff8f 20 4 30 10 -1\n\
            \x20  2: 0100007F:1F90 0100007F:8EB8 01 00000000:00000000 00:00000000 00000000     0        0 37 1 ffff8f 20 4 30 10 -1\n\
            \x20  3: short\n";
        let mut expected = Tcp::default();
        (expected[0], expected[9]) = (2, 1);
        assert_eq!(tcp(&text[..]).unwrap(), expected);
        let text = b"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            \x20  77: 00000000:0044 00000000:0000 07 00000010:00000100 00:00000000 00000000     0        0 17 2 ffff8f 3\n\
            \x20  78: 00000000:0045 00000000:0000 07 00000000:00000001 00:00000000 00000000     0        0 18 2 ffff8f 4\n";
        assert_eq!(udp(&text[..]).unwrap(), Udp { sockets: 2, dropped: 7, received: 257, sending: 16 });
    }

    #[test]
    fn counters_have_small_letters() {
        let text = b"Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm MaxConn\nTcp: 1 -1\nTcpExt: SyncookiesSent\n";
        let mut found = Vec::new();
        counters(text, b"Tcp", |name, value| found.push((name, value)));
        assert_eq!(found, [("rtoalgorithm".to_owned(), 1), ("maxconn".to_owned(), -1)]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, near in "\n([0-9A-F]{1,8}|:| |\n|Tcp: ){0,60}") {
            for text in [&text[..], near.as_bytes()] {
                tcp(text).unwrap();
                udp(text).unwrap();
                counters(text, b"Tcp", |_, _| {});
            }
        }
    }
}
