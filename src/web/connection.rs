//! One connection's patience: how long it may be idle, how long a header and an answer may take.
//!
//! hyper has one timeout for the header and the wait before it, but a scraper's kept connection is idle for a whole scrape interval
//! while a header that takes more than seconds is an attack. So the bytes are watched on their way in.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Two scrape intervals of the laziest usual kind.
const IDLE: Duration = Duration::from_secs(150);
const HEADER: Duration = Duration::from_secs(10);
/// Collecting (bounded by --scrape.timeout) and a slow peer's reading.
const ANSWER: Duration = Duration::from_secs(90);

/// When this connection will be given up, unless something happens.
#[derive(Clone)]
pub(super) struct Patience(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Tells who waits for the end that it has come nearer.
    hurry: Notify,
}

struct State {
    phase: Phase,
    since: Instant,
    until: Instant,
    /// Answers under way; more than one with HTTP/2 only.
    answers: usize,
    /// HTTP/2: its bytes may be a ping, so they do not say that a request begins.
    multiplexed: bool,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The peer's part of the TLS handshake.
    Handshake,
    /// A request, a new connection's first one too, and whether it may come in.
    Header,
    /// Anything at all, between requests.
    Idle,
    /// Our own answer.
    Answer,
    /// Nothing: it was given up.
    Over,
}

impl Phase {
    fn patience(self) -> Duration {
        match self {
            Phase::Handshake | Phase::Header => HEADER,
            Phase::Idle => IDLE,
            Phase::Answer => ANSWER,
            Phase::Over => Duration::ZERO,
        }
    }
}

impl Patience {
    /// With a connection that was just opened, and begins with a `handshake` or a request.
    pub(super) fn new(handshake: bool) -> Self {
        let (phase, now) = (if handshake { Phase::Handshake } else { Phase::Header }, Instant::now());
        let state = State { phase, since: now, until: now + phase.patience(), answers: 0, multiplexed: false };
        Patience(Arc::new(Shared { state: Mutex::new(state), hurry: Notify::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// When the phase began.
    pub(super) fn since(&self) -> Instant {
        self.state().since
    }

    /// Whether both are about the same connection.
    pub(super) fn is(&self, other: &Patience) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The handshake is done.
    pub(super) fn greeted(&self, multiplexed: bool) {
        let mut state = self.state();
        state.multiplexed = multiplexed;
        state.enter(Phase::Header);
    }

    fn bytes_came(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle && !state.multiplexed {
            state.enter(Phase::Header);
        }
    }

    /// A request was admitted, or refused. When hyper has taken all of the answer's body, which holds the guard, nothing is due any more.
    pub(super) fn answering(&self) -> Answering {
        let mut state = self.state();
        state.answers += 1;
        // Answers that overlap share one time, or a peer that reads none of them could go on asking for ever.
        if state.phase != Phase::Answer {
            state.enter(Phase::Answer);
        }
        Answering(self.clone())
    }

    /// Ends the connection now.
    pub(super) fn give_up(&self) {
        self.state().enter(Phase::Over);
        self.0.hurry.notify_one();
    }

    /// Returns when the connection's time is over.
    pub(super) async fn ends(&self) {
        loop {
            let until = self.state().until;
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.0.hurry.notified() => {}
            }
        }
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        // Whoever was given up is not taken back.
        if self.phase != Phase::Over {
            let now = Instant::now();
            (self.phase, self.since, self.until) = (phase, now, now + phase.patience());
        }
    }
}

/// Lives as long as an answer's body.
pub(super) struct Answering(Patience);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.answers = state.answers.saturating_sub(1);
        if state.answers == 0 {
            state.enter(Phase::Idle);
        }
    }
}

/// What a connection's bytes come and go through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The stream, with its bytes watched.
pub(super) struct Watched {
    pub(super) stream: Box<dyn Stream>,
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
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
