//! One kept connection to one server: opened when needed, pipelined, bounded in what it reads, closed after any doubt.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use redis::aio::{AsyncStream, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinHandle;

use super::address::Endpoint;
use super::reply;
use crate::settings::Tls;
use crate::tls;

/// The most that is read for one round trip. INFO ALL, LATENCY HISTOGRAM and CONFIG GET of a server that has seen all of its
/// commands stay below 300 KiB; lists cost about 15 times their bytes in memory, so the bound is kept tight.
const LIMIT: usize = 2 * 1024 * 1024;

/// How much is kept of what a server says first: more than the longest of the errors it may close with.
const FAREWELL: usize = 2048;

/// Why a server could not be asked. The text is the same for the same cause, since it becomes a label.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot connect to {0}: {1}")]
    Connect(Endpoint, io::Error),
    #[error("cannot find the address of {0}: {1}")]
    Resolve(Endpoint, io::Error),
    #[error("no TLS with {0}: {1}")]
    Tls(Endpoint, String),
    #[error("{0} gave no answer in time")]
    Late(Endpoint),
    #[error("lost the connection to {0}: {1}")]
    Lost(Endpoint, String),
    #[error("{0} sent something that is not an answer of Redis")]
    Nonsense(Endpoint),
    #[error("{0} sent more than {mib} MiB in answer to one scrape", mib = LIMIT / 1024 / 1024)]
    TooLarge(Endpoint),
    /// The server's own words.
    #[error("{}", reply::short(.0))]
    Refused(String),
    #[error("{0}")]
    Password(String),
}

impl Failure {
    /// The cause as one of a few words: the label `reason`.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Failure::Connect(_, error) if error.kind() == io::ErrorKind::ConnectionRefused => "refused",
            Failure::Connect(_, error) if error.kind() == io::ErrorKind::TimedOut => "timeout",
            Failure::Late(_) => "timeout",
            Failure::Resolve(..) => "dns",
            Failure::Tls(..) => "tls",
            Failure::Password(_) => "auth",
            Failure::TooLarge(_) | Failure::Nonsense(_) => "protocol",
            Failure::Refused(words) => refused(words),
            Failure::Connect(..) | Failure::Lost(..) => "other",
        }
    }
}

/// `NOAUTH Authentication required.`, `WRONGPASS invalid username-password pair or user is disabled.`; before Redis 6
/// `ERR invalid password`, and `ERR Client sent AUTH, but no password is set`.
fn refused(words: &str) -> &'static str {
    match words.split(' ').next() {
        Some("NOPERM") => "noperm",
        Some("NOAUTH" | "WRONGPASS") => "auth",
        Some("LOADING") => "loading",
        Some("ERR") if words.contains("invalid password") || words.contains("AUTH") => "auth",
        _ => "other",
    }
}

/// An open connection. Dropping it closes it.
pub(super) struct Connection {
    endpoint: Endpoint,
    client: MultiplexedConnection,
    driver: JoinHandle<()>,
    state: Arc<State>,
}

/// What becomes of the stream below the library, which tells only that it gave up.
#[derive(Debug, Default)]
struct State {
    /// Bytes that may still be read for this round trip.
    left: AtomicUsize,
    /// How the stream ended.
    end: OnceLock<String>,
    /// The first bytes from the server, until it has answered once.
    first: Mutex<Option<Vec<u8>>>,
}

impl State {
    fn first(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error that is all a server said before it closed: it sends one and not one for each command when it takes no more
    /// clients, or none from here.
    ///
    /// `-ERR max number of clients reached`
    fn farewell(&self) -> Option<String> {
        let first = self.first();
        let bytes =
            first.as_ref().filter(|bytes| bytes.starts_with(b"-") && bytes.iter().filter(|byte| **byte == b'\n').count() == 1)?;
        reply::refusal(&redis::parse_redis_value(bytes).ok()?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects, and sends nothing yet: AUTH goes with the first commands, so that even the first scrape is one round trip.
    pub(super) async fn open(endpoint: &Endpoint, tls: &Tls) -> Result<Self, Failure> {
        let stream: Pin<Box<dyn AsyncStream + Send>> = match endpoint {
            Endpoint::Tcp(host, port) => Box::pin(tcp(endpoint, host, *port).await?),
            Endpoint::Tls(host, port) => {
                let stream = tcp(endpoint, host, *port).await?;
                Box::pin(tls::greet(stream, host, tls).await.map_err(|reason| Failure::Tls(endpoint.clone(), reason))?)
            }
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                Box::pin(stream.map_err(|error| Failure::Connect(endpoint.clone(), error))?)
            }
        };
        let state = Arc::new(State::default());
        *state.first() = Some(Vec::new());
        let stream = Bounded { stream, state: state.clone() };
        let silent = RedisConnectionInfo::default().set_skip_set_lib_name();
        // The scrape's deadline is the only timeout; the library's own half second would cut off a busy server.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (client, driver) = MultiplexedConnection::new_with_config(&silent, stream, config)
            .await
            .map_err(|error| Failure::Lost(endpoint.clone(), error.category().to_owned()))?;
        Ok(Connection { endpoint: endpoint.clone(), client, driver: tokio::spawn(driver), state })
    }

    /// Sends all of `commands` at once and waits for all replies, errors of the server among them.
    pub(super) async fn ask(&mut self, commands: impl IntoIterator<Item = Cmd>) -> Result<Vec<Value>, Failure> {
        self.state.left.store(LIMIT, Ordering::Relaxed);
        let mut pipeline = Pipeline::new();
        for command in commands {
            pipeline.add_command(command);
        }
        let replies = self.client.send_packed_commands(&pipeline, 0, pipeline.len()).await;
        let replies = replies.map_err(|_| self.failure());
        *self.state.first() = None;
        replies
    }

    fn failure(&self) -> Failure {
        let endpoint = self.endpoint.clone();
        match self.state.end.get() {
            _ if self.state.left.load(Ordering::Relaxed) == 0 => Failure::TooLarge(endpoint),
            Some(end) => self.state.farewell().map_or_else(|| Failure::Lost(endpoint, end.clone()), Failure::Refused),
            // The stream is fine: the library could make nothing of what came.
            None => Failure::Nonsense(endpoint),
        }
    }
}

async fn tcp(endpoint: &Endpoint, host: &str, port: u16) -> Result<TcpStream, Failure> {
    let addresses = lookup_host((host, port)).await.map_err(|error| Failure::Resolve(endpoint.clone(), error))?;
    let addresses: Vec<_> = addresses.collect();
    let connected = TcpStream::connect(&*addresses).await.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    connected.map_err(|error| Failure::Connect(endpoint.clone(), error))
}

/// A stream that ends in an error when more was read than is left.
struct Bounded {
    stream: Pin<Box<dyn AsyncStream + Send>>,
    state: Arc<State>,
}

impl Bounded {
    /// Remembers an error.
    fn note<T>(&self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &poll {
            let _ = self.state.end.set(error.to_string());
        }
        poll
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = self.stream.as_mut().poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        if let Some(first) = self.state.first().as_mut().filter(|first| first.len() < FAREWELL) {
            first.extend(buffer.filled().get(before..).unwrap_or_default().iter().take(FAREWELL));
        }
        if read == 0 && matches!(poll, Poll::Ready(Ok(()))) {
            let _ = self.state.end.set("the server closed it".to_owned());
        }
        let left = self.state.left.load(Ordering::Relaxed).saturating_sub(read);
        self.state.left.store(left, Ordering::Relaxed);
        if left == 0 { Poll::Ready(Err(io::ErrorKind::FileTooLarge.into())) } else { self.note(poll) }
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = self.stream.as_mut().poll_write(context, bytes);
        self.note(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}
