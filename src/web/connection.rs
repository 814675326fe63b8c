//! One connection's patience: how long it may be idle, how long a header and an answer may take.
//!
//! hyper has one timeout for the header and the wait before it, but a scraper's kept connection is idle for a whole scrape interval
//! while a header that takes more than seconds is an attack. So the bytes are watched on their way in.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Two scrape intervals of the laziest usual kind.
const IDLE: Duration = Duration::from_secs(150);
const HEADER: Duration = Duration::from_secs(10);
/// Collecting (bounded by --scrape.timeout) and a slow peer's reading.
const ANSWER: Duration = Duration::from_secs(90);

/// When this connection will be given up, unless something happens.
#[derive(Clone)]
pub(super) struct Patience(Arc<Mutex<(Phase, Instant)>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Header,
    Answer,
}

impl Patience {
    pub(super) fn new() -> Self {
        // A connection that was opened is expected to say something soon; only a kept one may be silent.
        Patience(Arc::new(Mutex::new((Phase::Header, Instant::now() + HEADER))))
    }

    fn enter(&self, phase: Phase, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (phase, Instant::now() + time);
    }

    fn bytes_came(&self) {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).0 == Phase::Idle;
        if idle {
            self.enter(Phase::Header, HEADER);
        }
    }

    /// A request's header is complete.
    pub(super) fn answering(&self) {
        self.enter(Phase::Answer, ANSWER);
    }

    /// The answer is written; nothing is due any more.
    fn answered(&self) {
        self.enter(Phase::Idle, IDLE);
    }

    /// A guard for the answer's body: when hyper has taken all of it, the connection is idle.
    pub(super) fn until_answered(&self) -> Answering {
        Answering(self.clone())
    }

    /// Returns when the connection's time is over.
    pub(super) async fn ends(&self) {
        loop {
            let until = self.0.lock().unwrap_or_else(PoisonError::into_inner).1;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Lives as long as an answer's body.
pub(super) struct Answering(Patience);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// The stream, with its bytes watched.
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) patience: Patience,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.patience.bytes_came();
        }
        poll
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
