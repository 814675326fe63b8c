//! The socket under a session, which keeps a peer that is no PostgreSQL, or an evil one, from costing memory.
//!
//! The driver reserves as many bytes as a message's header says; a web server's `HTTP/1.1` read as a header asks for 1.4 GB. So
//! the stream is followed here, message by message, and ends at a header that no honest server sends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest message that is read: a row of statistics has a few hundred bytes.
const LONGEST: u32 = 16 * 1024 * 1024;

/// What one scrape may read: the answers about 100,000 tables.
pub(super) const BUDGET: usize = 128 * 1024 * 1024;

/// A socket of any kind, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A socket whose messages are checked as they come in.
pub(super) struct Wire {
    socket: Box<dyn Stream>,
    /// What ties a login to the server's certificate.
    pub(super) binding: Option<Vec<u8>>,
    frame: Frame,
    budget: Arc<AtomicUsize>,
}

impl Wire {
    /// Reads at most `budget` bytes, which the session renews for every scrape.
    pub(super) fn new(socket: Box<dyn Stream>, binding: Option<Vec<u8>>, budget: Arc<AtomicUsize>) -> Self {
        Wire { socket, binding, frame: Frame::default(), budget }
    }
}

/// Where in the stream of messages we are: each is one byte of type and four of length, which count themselves.
#[derive(Debug, Default)]
struct Frame {
    header: [u8; 5],
    /// How many bytes of the header are there.
    filled: usize,
    /// How many bytes of the body are still to come.
    body: usize,
}

impl Frame {
    /// Follows `bytes`; false where they are not messages of an honest server.
    fn follow(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let taken = if self.body > 0 {
                let taken = self.body.min(bytes.len());
                self.body -= taken;
                taken
            } else {
                let missing = self.header.iter_mut().skip(self.filled);
                let taken = missing.zip(bytes).map(|(place, byte)| *place = *byte).count();
                self.filled += taken;
                if self.filled == self.header.len() {
                    let [kind, length @ ..] = self.header;
                    let length = u32::from_be_bytes(length);
                    if !kind.is_ascii_alphanumeric() || !(4..=LONGEST).contains(&length) {
                        return false;
                    }
                    (self.filled, self.body) = (0, usize::try_from(length - 4).unwrap_or(usize::MAX));
                }
                taken
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        true
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let fresh = buf.filled().get(start..).unwrap_or_default();
        if self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(fresh.len())).is_err() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, "the answers are longer than 128 MiB")));
        }
        if !self.frame.follow(fresh) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the peer does not speak PostgreSQL's protocol")));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_messages_pass_and_others_do_not() {
        assert!(Frame::default().follow(b"R\0\0\0\x08\0\0\0\0S\0\0\0\x06a\0Z\0\0\0\x05I"));
        assert!(!Frame::default().follow(b"HTTP/1.1 400 Bad Request\r\n"));
        assert!(!Frame::default().follow(b"-ERR unknown command\r\n"));
        assert!(!Frame::default().follow(b"D\0\0\0\x03"));
        assert!(!Frame::default().follow(&[0; 5]));
    }

    proptest::proptest! {
        #[test]
        fn cuts_make_no_difference(bodies: Vec<Vec<u8>>, cut in 1usize..9, odd: bool) {
            let mut stream = Vec::new();
            for body in &bodies {
                stream.push(b'D');
                stream.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
                stream.extend_from_slice(body);
            }
            if odd {
                stream.extend_from_slice(b"HTTP/");
            }
            let mut frame = Frame::default();
            proptest::prop_assert_eq!(stream.chunks(cut).all(|chunk| frame.follow(chunk)), !odd);
        }
    }
}
