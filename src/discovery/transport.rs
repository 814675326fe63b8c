//! The way to the engine: a connection for each question, and only for questions that change nothing.
//!
//! Whoever may write to the engine's socket is root on the host. So nothing leaves here but GET, and that only for the paths of
//! [`is_asked`]: a proxy in front of the socket that lets these pass is enough.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::engine::Address;
use crate::tls;

/// What one answer may bring: the list of 10,000 containers has a tenth of it. A stream of events that has grown so long is
/// opened anew.
const LONGEST: usize = 64 * 1024 * 1024;

/// A client for the engine at `address`; nothing is sent yet.
pub(super) fn client(address: &Address, timeout: u64) -> Result<Docker, Error> {
    let address = address.clone();
    let transport = move |request: BollardRequest| {
        let address = address.clone();
        async move { send(&address, request).await }
    };
    Docker::connect_with_custom_transport(transport, Some("http://engine"), timeout, API_DEFAULT_VERSION)
}

/// Sends one question on a connection of its own, if it is one of ours.
async fn send(address: &Address, request: BollardRequest) -> Result<Response<Incoming>, Error> {
    if request.method() != Method::GET || !is_asked(request.uri().path()) {
        let refused = format!("{} {} is never asked of an engine", request.method(), request.uri().path());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, refused).into());
    }
    match address {
        Address::Unix(path) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::SocketNotFoundError(path.display().to_string())),
            stream => exchange(stream?, "localhost", request).await,
        },
        Address::Tcp { host, port, tls } => {
            let (stream, name) = (TcpStream::connect((host.as_str(), *port)).await?, format!("{host}:{port}"));
            match tls {
                None => exchange(stream, &name, request).await,
                Some(tls) => exchange(tls::greet(stream, host, tls).await.map_err(io::Error::other)?, &name, request).await,
            }
        }
    }
}

/// Whether the agent ever asks for this path.
fn is_asked(path: &str) -> bool {
    let one = |rest: &str| rest.split_once('/').is_some_and(|(id, rest)| !id.is_empty() && rest == "json");
    matches!(path, "/_ping" | "/version" | "/events" | "/containers/json")
        || ["/containers/", "/images/"].into_iter().any(|kind| path.strip_prefix(kind).is_some_and(one))
}

async fn exchange<S>(stream: S, host: &str, request: BollardRequest) -> Result<Response<Incoming>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Bounded { stream, left: LONGEST };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer, or when the answer is dropped; what went wrong the answer says as well.
    tokio::spawn(async move { _ = connection.await });
    let (mut parts, body) = request.into_parts();
    // An engine wants the path alone, as from anyone who does not take it for a proxy.
    parts.uri = Uri::from(parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    parts.headers.insert(HOST, HeaderValue::from_str(host).map_err(hyper::http::Error::from)?);
    Ok(sender.send_request(BollardRequest::from_parts(parts, body)).await?)
}

/// A stream that ends with an error where an answer is longer than any should be.
struct Bounded<S> {
    stream: S,
    left: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let fresh = buf.filled().len().saturating_sub(before);
        self.left = match self.left.checked_sub(fresh) {
            Some(left) => left,
            None => return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, "the answer is longer than 64 MiB"))),
        };
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::query_parameters::{KillContainerOptions, ListImagesOptions};

    #[test]
    fn only_what_we_read_is_asked_for() {
        for path in ["/_ping", "/version", "/events", "/containers/json", "/containers/0af3/json", "/images/sha256:0af3/json"] {
            assert!(is_asked(path), "{path}");
        }
        for path in [
            "/",
            "/containers/0af3/archive",
            "/containers/0af3/logs",
            "/containers/0af3/export",
            "/containers//json",
            "/containers/a/b/json",
            "/images/json",
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
        let docker = client(&Address::Unix("/nonexistent/docker.sock".into()), 5).unwrap();
        assert!(matches!(docker.version().await, Err(Error::SocketNotFoundError(_))));
        let refused = [
            docker.kill_container("0af3", None::<KillContainerOptions>).await.unwrap_err(),
            docker.list_images(None::<ListImagesOptions>).await.unwrap_err(),
        ];
        for error in refused {
            assert!(error.to_string().contains("is never asked of an engine"), "{error}");
        }
    }
}
