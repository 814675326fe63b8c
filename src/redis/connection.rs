//! One kept connection to one server: opened when needed, pipelined, bounded in what it reads, closed after any doubt.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::ready;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use super::address::Endpoint;
use super::reply;
use super::resp::{Cmd, Finder, Found, Value};
use crate::settings::Tls;
use crate::tls;

/// The most that is read for one round trip. INFO ALL, LATENCY HISTOGRAM and CONFIG GET of a server that has seen all of its
/// commands stay below 300 KiB; lists cost about 10 times their bytes in memory, so the bound is kept tight.
const LIMIT: usize = 2 * 1024 * 1024;

/// What one read takes: INFO and all that comes with it fit.
const ROOM: usize = 64 * 1024;

thread_local! {
    /// What the connections of a thread read into. Of many servers each one's own would be much, and stay empty while all are awaited.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; ROOM].into());
}

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

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection. Dropping it closes it.
pub(super) struct Connection {
    endpoint: Endpoint,
    stream: Box<dyn Stream>,
    /// Whether the server has answered once.
    answered: bool,
}

impl Connection {
    /// Connects, and sends nothing yet: AUTH goes with the first commands, so that even the first scrape is one round trip.
    pub(super) async fn open(endpoint: &Endpoint, tls: &Tls) -> Result<Self, Failure> {
        let stream: Box<dyn Stream> = match endpoint {
            Endpoint::Tcp(host, port) => Box::new(tcp(endpoint, host, *port).await?),
            Endpoint::Tls(host, port) => {
                let stream = tcp(endpoint, host, *port).await?;
                Box::new(tls::greet(stream, host, tls).await.map_err(|reason| Failure::Tls(endpoint.clone(), reason))?)
            }
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                Box::new(stream.map_err(|error| Failure::Connect(endpoint.clone(), error))?)
            }
        };
        Ok(Connection { endpoint: endpoint.clone(), stream, answered: false })
    }

    /// Sends all of `commands` at once and waits for all replies, errors of the server among them. After a failure, and where it was
    /// dropped before its end, the connection is of no more use.
    pub(super) async fn ask(&mut self, commands: impl IntoIterator<Item = Cmd>) -> Result<Vec<Value>, Failure> {
        let (mut request, mut count) = (Vec::new(), 0);
        for command in commands {
            command.write(&mut request);
            count += 1;
        }
        // A server that closes at once may have said why before it took what we send.
        let sent = self.send(&request).await;
        let mut replies = self.receive(count, sent.err()).await?;
        self.answered = true;
        (0..count).map(|_| Value::take(&mut replies).ok_or_else(|| self.nonsense())).collect()
    }

    async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await
    }

    /// The bytes of so many replies; `broken`: what became of the request.
    async fn receive(&mut self, count: usize, mut broken: Option<io::Error>) -> Result<Bytes, Failure> {
        let (mut bytes, mut finder) = (BytesMut::new(), Finder::new(count));
        loop {
            match finder.find(&bytes).map_err(|_| self.nonsense())? {
                Found::All(length) if length == bytes.len() => return Ok(bytes.freeze()),
                // More than was asked for: who knows what belongs to what.
                Found::All(_) => return Err(self.nonsense()),
                Found::More(length) if length > LIMIT => return Err(Failure::TooLarge(self.endpoint.clone())),
                Found::More(length) => bytes.reserve(length - bytes.len()),
            }
            let end = match self.read(&mut bytes).await {
                Ok(0) => "the server closed it".to_owned(),
                Ok(_) => continue,
                Err(error) => broken.take().unwrap_or(error).to_string(),
            };
            let words = (!self.answered).then(|| farewell(bytes.freeze())).flatten();
            return Err(words.map_or_else(|| Failure::Lost(self.endpoint.clone(), end), Failure::Refused));
        }
    }

    /// Appends what has come; nothing at the end of the stream.
    async fn read(&mut self, bytes: &mut BytesMut) -> io::Result<usize> {
        std::future::poll_fn(|context| {
            READ.with_borrow_mut(|room| {
                let mut room = ReadBuf::new(room);
                ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
                bytes.extend_from_slice(room.filled());
                std::task::Poll::Ready(Ok(room.filled().len()))
            })
        })
        .await
    }

    fn nonsense(&self) -> Failure {
        Failure::Nonsense(self.endpoint.clone())
    }
}

/// The error that is all a server said before it closed: it sends one and not one for each command when it takes no more
/// clients, or none from here.
///
/// `-ERR max number of clients reached`
fn farewell(mut bytes: Bytes) -> Option<String> {
    let words = Value::take(&mut bytes)?;
    bytes.is_empty().then(|| reply::refusal(&words)).flatten()
}

async fn tcp(endpoint: &Endpoint, host: &str, port: u16) -> Result<TcpStream, Failure> {
    let addresses = lookup_host((host, port)).await.map_err(|error| Failure::Resolve(endpoint.clone(), error))?;
    let addresses: Vec<_> = addresses.collect();
    let connected = TcpStream::connect(&*addresses).await.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    connected.map_err(|error| Failure::Connect(endpoint.clone(), error))
}
