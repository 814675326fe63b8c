//! The TCP sockets of the host: two dumps, IPv4 and IPv6, of the kernel's sock_diag.
//!
//! `/proc/net/tcp` tells the same, as 150 bytes of text for each socket, while the table of sockets is locked.

use nix::sys::socket::SockProtocol;

use super::netlink::number;
use super::{Fault, System};

const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// One TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSocket {
    /// `idiag_state`: `TCP_ESTABLISHED` 1 … `TCP_CLOSING` 11.
    pub state: u8,
    /// `idiag_rqueue`: bytes that wait to be read; of a listening socket, connections that wait to be accepted.
    pub receive_queue: u32,
    /// `idiag_wqueue`: bytes that wait to be sent or acknowledged; of a listening socket, how many connections may wait.
    pub send_queue: u32,
}

impl System {
    /// Gives every TCP socket of the host's network namespace to `each`; `None` where netlink would answer for another
    /// ([`System::links`]), an absence where this kernel has no such dump.
    pub fn tcp_sockets(&mut self, mut each: impl FnMut(TcpSocket)) -> Result<Option<()>, Fault> {
        for family in [libc::AF_INET, libc::AF_INET6] {
            let asked = self.dump(SockProtocol::NetlinkSockDiag, SOCK_DIAG_BY_FAMILY, &request(family), |payload| {
                if let Some(socket) = parse(payload) {
                    each(socket);
                }
            });
            if asked.map_err(|error| Fault::read("netlink: inet_diag", error))?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

/// `struct inet_diag_req_v2`: the family, the protocol, and which states; any address.
fn request(family: libc::c_int) -> [u8; 56] {
    let mut request = [0; 56];
    let head = [u8::try_from(family).unwrap_or_default(), u8::try_from(libc::IPPROTO_TCP).unwrap_or_default(), 0, 0];
    let all_states = 0xfff_u32.to_ne_bytes();
    request.iter_mut().zip(head.into_iter().chain(all_states)).for_each(|(byte, value)| *byte = value);
    request
}

/// `struct inet_diag_msg`
pub(super) fn parse(payload: &[u8]) -> Option<TcpSocket> {
    let word = |at| Some(u32::from_ne_bytes(number(payload.get(at..)?)?));
    Some(TcpSocket { state: *payload.get(1)?, receive_queue: word(56)?, send_queue: word(60)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn sockets_of_both_families_are_there() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let accepted = listener.accept().unwrap();
            std::io::Write::write_all(&mut client, &[7; 12_345]).unwrap();
            let mut found = Vec::new();
            System::default().tcp_sockets(|socket| found.push(socket)).unwrap().unwrap();
            assert!(found.iter().any(|socket| socket.state == 10), "{found:?}");
            let waits = TcpSocket { state: 1, receive_queue: 12_345, send_queue: 0 };
            assert!(found.contains(&waits), "{address}: {found:?}");
            drop(accepted);
        }
    }

    #[test]
    fn a_short_message_is_none() {
        assert_eq!(parse(&[1; 63]), None);
        assert!(parse(&[1; 64]).is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
