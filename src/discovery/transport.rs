//! The way to the engine: a connection for each question, and only for questions that change nothing.
//!
//! Whoever may write to the engine's socket is root on the host. So nothing leaves here but GET, and that only for the paths of
//! [`is_asked`]: a proxy in front of the socket that lets these pass is enough. Every answer has a time limit and a length.

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming};
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::engine::Address;
use crate::tls;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What one answer may bring: the list of 10,000 containers has a tenth of it.
pub(super) const LONGEST: usize = 64 * 1024 * 1024;
/// What one event may bring: all labels of a container.
const LONGEST_LINE: usize = 1024 * 1024;

/// Why a question has no answer, in words that are the same each time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Nothing was ever there, or no more.
    #[error("no socket at {}", .0.display())]
    NoSocket(PathBuf),
    /// It hangs.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    /// It does not want to, with this status of HTTP.
    #[error("answered with status {0}")]
    Status(u16),
    /// As before, with this status of gRPC.
    #[error("answered with gRPC status {0}")]
    Remote(u16),
    /// What it said is not what was asked for.
    #[error("answer not understood")]
    Nonsense,
    /// Longer than any answer should be.
    #[error("the answer is longer than {} MiB", LONGEST >> 20)]
    TooLong,
    /// It ended what has no end.
    #[error("the stream ended")]
    Ended,
    /// A question that changes something, or one that was never meant.
    #[error("{0} is never asked of an engine")]
    Forbidden(String),
    /// Anything else that befell the connection.
    #[error("{0}")]
    Broken(String),
}

impl Refusal {
    /// What we or TLS found wrong is said in words; what the kernel says may hold numbers that change.
    fn of(error: &io::Error) -> Self {
        Refusal::Broken(if error.get_ref().is_some() { error.to_string() } else { error.kind().to_string() })
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::of(&error)
    }
}

impl From<hyper::Error> for Refusal {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() {
            return Refusal::Nonsense;
        }
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            match error.downcast_ref::<io::Error>() {
                // The same end of a connection, by what was under way: nothing to tell apart, and to change with each attempt.
                Some(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted | UnexpectedEof) => break,
                Some(error) => return Refusal::of(error),
                None => {}
            }
            cause = error.source();
        }
        Refusal::Broken("connection failed".to_owned())
    }
}

/// The answer to one question, such as `/containers/json`.
pub(super) async fn ask<T: DeserializeOwned>(address: &Address, question: &str) -> Result<T, Refusal> {
    let answer = in_time(async {
        let mut body = get(address, question).await?.into_body();
        let mut answer = Vec::new();
        while let Some(bytes) = next(&mut body).await? {
            if answer.len() + bytes.len() > LONGEST {
                return Err(Refusal::TooLong);
            }
            answer.extend_from_slice(&bytes);
        }
        Ok(answer)
    });
    serde_json::from_slice(&answer.await?).map_err(|_| Refusal::Nonsense)
}

/// Whether the engine is still there; what it answers says nothing more.
pub(super) async fn ping(address: &Address) -> Result<(), Refusal> {
    in_time(get(address, "/_ping")).await.map(drop)
}

/// An answer that goes on for ever, line by line.
pub(super) struct Lines {
    body: Incoming,
    /// What has come of the lines that were not taken yet.
    buffer: Vec<u8>,
}

/// The lines of the answer to `/events`, or of a container's `stats`.
pub(super) async fn lines(address: &Address, question: &str) -> Result<Lines, Refusal> {
    let answer = in_time(get(address, question)).await?;
    Ok(Lines { body: answer.into_body(), buffer: Vec::new() })
}

impl Lines {
    /// The next line, however long it takes. Nothing is lost where the wait is given up.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return serde_json::from_slice(&line).map_err(|_| Refusal::Nonsense);
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(Refusal::Nonsense);
            }
            let bytes = next(&mut self.body).await?.ok_or(Refusal::Ended)?;
            self.buffer.extend_from_slice(&bytes);
        }
    }
}

/// An answer in time.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    timeout(PATIENCE, answer).await.unwrap_or(Err(Refusal::Late))
}

/// The next piece of an answer; `None` at its end.
async fn next(body: &mut Incoming) -> Result<Option<bytes::Bytes>, Refusal> {
    while let Some(frame) = frame(body).await? {
        // What is no data is a trailer.
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// The next data or trailer of an answer; `None` at its end.
pub(super) async fn frame(body: &mut Incoming) -> Result<Option<Frame<bytes::Bytes>>, Refusal> {
    Ok(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await.transpose()?)
}

/// Sends one question on a connection of its own, if it is one of ours.
///
/// There is no version in the path, so that every engine answers in its own: Docker 29 refuses what is older than 1.44, engines before
/// Docker 25 what is newer. We read only what all of them tell.
async fn get(address: &Address, question: &str) -> Result<Response<Incoming>, Refusal> {
    if !is_asked(question.split('?').next().unwrap_or_default()) {
        return Err(Refusal::Forbidden(question.to_owned()));
    }
    let answer = match address {
        Address::Unix(path) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Refusal::NoSocket(path.clone())),
            stream => exchange(stream?, "localhost", question).await,
        },
        Address::Tcp { host, port, tls } => {
            let (stream, name) = (TcpStream::connect((host.as_str(), *port)).await?, format!("{host}:{port}"));
            match tls {
                None => exchange(stream, &name, question).await,
                Some(tls) => exchange(tls::greet(stream, host, tls).await.map_err(Refusal::Broken)?, &name, question).await,
            }
        }
    };
    match answer? {
        answer if answer.status().is_success() => Ok(answer),
        answer => Err(Refusal::Status(answer.status().as_u16())),
    }
}

/// Whether the agent ever asks for this path.
fn is_asked(path: &str) -> bool {
    let one = |kind: &str, what: &[&str]| {
        let parts = path.strip_prefix(kind).and_then(|rest| rest.split_once('/'));
        parts.is_some_and(|(id, rest)| !matches!(id, "" | "." | "..") && what.contains(&rest))
    };
    matches!(path, "/_ping" | "/version" | "/info" | "/events" | "/containers/json" | "/images/json" | "/volumes" | "/services")
        || one("/containers/", &["json", "stats"])
        || one("/images/", &["json"])
}

async fn exchange<S>(stream: S, host: &str, question: &str) -> Result<Response<Incoming>, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer, or when the answer is dropped; what went wrong the answer says as well.
    tokio::spawn(async move { _ = connection.await });
    let request = Request::get(question).header(HOST, host).body(String::new());
    // An id or a host that no URL can hold.
    Ok(sender.send_request(request.map_err(|_| Refusal::Nonsense)?).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_read_is_asked_for() {
        let lists = ["/_ping", "/version", "/info", "/events", "/containers/json", "/images/json", "/volumes", "/services"];
        for path in lists.into_iter().chain(["/containers/0af3/json", "/containers/0af3/stats", "/images/sha256:0af3/json"]) {
            assert!(is_asked(path), "{path}");
        }
        for path in [
            "/",
            "/containers/0af3/archive",
            "/containers/0af3/logs",
            "/containers/0af3/export",
            "/containers//json",
            "/containers/../json",
            "/containers/a/b/json",
            "/images/search",
            "/images/0af3/stats",
            "/volumes/data",
            "/services/0af3",
            "/system/df",
            "/secrets",
            "/v1.44/version",
            "/../version",
        ] {
            assert!(!is_asked(path), "{path}");
        }
    }

    #[tokio::test]
    async fn nothing_else_leaves_the_client() {
        // Nobody listens here: what was let through would find no socket.
        let address = Address::Unix("/nonexistent/docker.sock".into());
        let refused = async |question| ask::<serde_json::Value>(&address, question).await.unwrap_err().to_string();
        assert_eq!(refused("/version").await, "no socket at /nonexistent/docker.sock");
        for question in ["/containers/0af3/kill?signal=9", "/images/search"] {
            assert_eq!(refused(question).await, format!("{question} is never asked of an engine"));
        }
    }
}
