//! Counts the TCP sockets of each state, by the kernel's sock_diag (`inet_diag`) or from `/proc/net/tcp` and `/proc/net/tcp6`. Emits
//! `node_tcp_connection_states`, with the bytes in all their queues as two states more.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, TcpSocket, text};

static STATES: Family =
    Family::gauge("node_tcp_connection_states", "TCP sockets in this state; bytes in all their queues for the *_queued_bytes.");

/// `TCP_*` of the kernel, from 1 on.
const NAMES: [&str; 11] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
];

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "tcpstat",
    enabled: Flag::switch("collector.tcpstat", false, "TCP sockets by state."),
    flags: &[],
    new: |_| Ok(Box::new(TcpStat)),
};

struct TcpStat;

#[derive(Debug, Default, PartialEq)]
struct Counts {
    states: [u64; NAMES.len()],
    /// `TCP_NEW_SYN_RECV` and whatever comes after it.
    unknown: u64,
    sockets: u64,
    receive_queue: u64,
    send_queue: u64,
}

impl Counts {
    fn add(&mut self, socket: TcpSocket) {
        let known = usize::from(socket.state).checked_sub(1).and_then(|at| self.states.get_mut(at));
        *known.unwrap_or(&mut self.unknown) += 1;
        self.sockets += 1;
        self.receive_queue += u64::from(socket.receive_queue);
        self.send_queue += u64::from(socket.send_queue);
    }

    /// A state without sockets is not shown; the queues are, unless there is no socket at all.
    fn emit(&self, out: &mut Samples) {
        let states = NAMES.into_iter().zip(self.states).chain([("unknown", self.unknown)]).filter(|(_, count)| *count > 0);
        let queues = [("rx_queued_bytes", self.receive_queue), ("tx_queued_bytes", self.send_queue)];
        for (state, count) in states.chain(queues.into_iter().filter(|_| self.sockets > 0)) {
            out.family(&STATES).add([("state", state)], count);
        }
    }
}

impl Collector for TcpStat {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut counts = Counts::default();
        let mut result = Ok(());
        // Where netlink may not be asked, or would answer for another network namespace, the host's files say the same.
        if !matches!(system.tcp_sockets(|socket| counts.add(socket)), Ok(Some(()))) {
            counts = Counts::default();
            result = files(system, &mut counts);
        }
        counts.emit(out);
        result
    }
}

fn files(system: &mut System, counts: &mut Counts) -> Result<(), Fault> {
    let mut bad = None;
    for file in ["tcp", "tcp6"] {
        match system.net(file) {
            Ok(text) => {
                for line in text::lines(text).skip(1) {
                    match parse(line) {
                        Some(socket) => counts.add(socket),
                        None => bad = Some(Fault::parse(format!("net/{file}"), line)),
                    }
                }
            }
            // That IP version is switched off.
            Err(fault) if fault.is_absence() && file == "tcp6" => {}
            Err(fault) => return Err(fault),
        }
    }
    bad.map_or(Ok(()), Err)
}

/// `   0: 00000000:0016 00000000:0000 0A 00000015:00000000 00:00000000 …`: the state, then the bytes to be sent and to be read.
fn parse(line: &[u8]) -> Option<TcpSocket> {
    let mut fields = text::fields(line).skip(3);
    let state = u8::try_from(text::hex(fields.next()?)?).ok()?;
    let (send, receive) = text::pair(fields.next()?, b':')?;
    let number = |field| u32::try_from(text::hex(field)?).ok();
    Some(TcpSocket { state, receive_queue: number(receive)?, send_queue: number(send)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn in_a_namespace_of_its_own_the_hosts_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("1/net")).unwrap();
        // A list of sockets in which ours is not.
        std::fs::write(dir.path().join("1/net/netlink"), "sk Eth Pid\n").unwrap();
        let lines = "  sl  local_address rem_address   st tx_queue rx_queue
   0: 00000000:0016 00000000:0000 0A 00000000:00000003 00:00000000 00000000
   1: 0100007F:1F90 0100007F:9C40 01 0000000A:00000000 00:00000000 00000000
   2: nonsense
   3: 0100007F:1F90 0100007F:9C41 01 00000000:00000007 00:00000000 00000000
   4: 0100007F:1F90 0100007F:9C42 0C 00000000:00000000 00:00000000 00000000
";
        std::fs::write(dir.path().join("1/net/tcp"), lines).unwrap();
        let mut system = System::new(Roots { proc: dir.path().into(), ..Roots::default() });
        let mut out = Samples::new();
        assert!(TcpStat.collect(&mut system, &mut out).unwrap_err().to_string().contains("nonsense"));
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        let samples: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("node_tcp_connection_states{state=")).collect();
        let expected =
            ["\"established\"} 2", "\"listen\"} 1", "\"unknown\"} 1", "\"rx_queued_bytes\"} 10", "\"tx_queued_bytes\"} 10"];
        assert_eq!(samples, expected);
    }

    #[test]
    fn files_and_netlink_agree() {
        let listeners: Vec<_> = (0..5).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let mut system = System::default();
        let (mut dumped, mut read) = (Counts::default(), Counts::default());
        system.tcp_sockets(|socket| dumped.add(socket)).unwrap().unwrap();
        files(&mut system, &mut read).unwrap();
        let [listening, also_listening] = [dumped.states[9], read.states[9]];
        assert!(listening >= 5 && listening.abs_diff(also_listening) < 5, "{listening} {also_listening}");
        drop(listeners);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>, state: u8, queue: u32) {
            parse(&line);
            Counts::default().add(TcpSocket { state, receive_queue: queue, send_queue: queue });
        }
    }
}
