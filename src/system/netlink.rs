//! Asking the kernel over netlink: one blocking socket, requests as bytes, answers message by message.
//!
//! No netlink crate: what is needed is a socket (`nix`) and a walk over length-prefixed attributes. The crates decode every
//! attribute of every message into allocated values and lose a whole message over one attribute of a newer kernel; here
//! what is not known is stepped over.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, setsockopt, sockopt::ReceiveTimeout,
};
use nix::sys::time::TimeVal;

/// The kernel fills at most this much in one answer to a dump, however much room there is.
const ANSWER: usize = 32 * 1024;

/// Dumps are answered at once; a kernel that does not must not hold the thread for ever.
const PATIENCE: TimeVal = TimeVal::new(2, 0);

const HEADER: usize = 16;

/// A netlink socket.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// One message of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`
    pub kind: u16,
    /// `nlmsg_flags`
    pub flags: u16,
    /// `nlmsg_seq`
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl Netlink {
    /// Opens a socket of `protocol`, known to the kernel by a port of its own.
    pub fn open(protocol: SockProtocol) -> io::Result<Self> {
        let socket = socket::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, ReceiveTimeout, &PATIENCE)?;
        socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// The socket's inode number, by which `/proc/net/netlink` lists it.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(nix::sys::stat::fstat(&self.socket)?.st_ino)
    }

    /// Sends one request of type `kind`, as a dump or with an acknowledgement asked for, and gives every message of the answer to `each`.
    ///
    /// False if the kernel says that the dump is inconsistent because what it lists changed meanwhile.
    pub fn ask(&mut self, kind: u16, dump: bool, payload: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        let flags = libc::NLM_F_REQUEST | if dump { libc::NLM_F_DUMP } else { libc::NLM_F_ACK };
        let request = request(kind, flags, self.sequence, payload)?;
        socket::send(self.socket.as_raw_fd(), &request, MsgFlags::empty())?;
        let (mut answer, mut consistent) = (vec![0; ANSWER], true);
        loop {
            let length = socket::recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::MSG_TRUNC)?;
            let datagram = answer.get(..length).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
            // Left-overs of a dump that was given up half-way carry an earlier number.
            for message in messages(datagram).filter(|message| message.sequence == self.sequence) {
                consistent &= i32::from(message.flags) & libc::NLM_F_DUMP_INTR == 0;
                match i32::from(message.kind) {
                    libc::NLMSG_DONE | libc::NLMSG_ERROR => {
                        return match number::<4>(message.payload).map(i32::from_ne_bytes) {
                            Some(error) if error < 0 => Err(io::Error::from_raw_os_error(error.saturating_neg())),
                            _ => Ok(consistent),
                        };
                    }
                    _ => each(message.payload),
                }
            }
        }
    }
}

/// A request's bytes: `nlmsghdr`, then the payload.
fn request(kind: u16, flags: i32, sequence: u32, payload: &[u8]) -> io::Result<Vec<u8>> {
    let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(&u32::try_from(HEADER + payload.len()).map_err(too_long)?.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&u16::try_from(flags).map_err(too_long)?.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// The messages of one datagram, up to the first whose length cannot be.
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(number(datagram)?)).ok()?;
        let (kind, flags) = (number(datagram.get(4..)?)?, number(datagram.get(6..)?)?);
        let sequence = u32::from_ne_bytes(number(datagram.get(8..)?)?);
        let payload = datagram.get(HEADER..length)?;
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind: u16::from_ne_bytes(kind), flags: u16::from_ne_bytes(flags), sequence, payload })
    })
}

/// The attributes (type without the flags "nested" and "network order", value) in `bytes`, up to the first whose length cannot be.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(number(bytes)?));
        let kind = u16::from_ne_bytes(number(bytes.get(2..)?)?) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// An attribute's bytes, for requests. The value must be shorter than 64 KiB.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(aligned(bytes.len()), 0);
    bytes
}

/// The first `N` bytes.
pub fn number<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}

/// Text up to its NUL.
pub fn string(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_reads_back() {
        let payload = [attribute(7, b"abcde"), attribute(0x8001, &[])].concat();
        let mut bytes = request(18, libc::NLM_F_REQUEST, 42, &payload).unwrap();
        bytes.extend(request(3, 0, 43, &[]).unwrap());
        let read: Vec<_> = messages(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (18, 1, 42));
        assert_eq!(attributes(read[0].payload).collect::<Vec<_>>(), [(7, &b"abcde"[..]), (1, &[])]);
        assert_eq!((read[1].kind, read[1].sequence, read[1].payload), (3, 43, &[][..]));
    }

    #[test]
    fn the_kernel_answers_and_refuses() {
        let mut route = Netlink::open(SockProtocol::NetlinkRoute).unwrap();
        let mut links = 0;
        assert!(route.ask(libc::RTM_GETLINK, true, &[0; 16], |_| links += 1).unwrap());
        assert!(links > 0);
        // An interface of no such number.
        let mut nobody = [0; 16];
        nobody[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        let refused = route.ask(libc::RTM_GETLINK, false, &nobody, |_| {}).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENODEV));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, lengths: Vec<u16>) {
            let lengths: Vec<u8> = lengths.iter().flat_map(|length| u32::from(length % 64).to_ne_bytes()).collect();
            for bytes in [bytes, lengths] {
                for message in messages(&bytes) {
                    attributes(message.payload).count();
                }
                attributes(&bytes).count();
            }
        }
    }
}
