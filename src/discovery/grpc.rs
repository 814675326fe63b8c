//! gRPC over a Unix socket, for containerd and Kubernetes' runtime API.
//!
//! As with Docker, whoever may speak here is root on the host: nothing leaves but the questions of [`Method`], none of which changes anything.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

use super::engine::Address;
use super::envelope::{Envelopes, seal};
use super::transport::{Refusal, frame, in_time};

/// All that is ever asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    Version,
    Namespaces,
    Containers,
    Container,
    Tasks,
    Task,
    Events,
    CriVersion,
    CriContainers,
    CriSandboxes,
    CriStatus,
}

impl Method {
    const fn path(self) -> &'static str {
        match self {
            Method::Version => "/containerd.services.version.v1.Version/Version",
            Method::Namespaces => "/containerd.services.namespaces.v1.Namespaces/List",
            Method::Containers => "/containerd.services.containers.v1.Containers/List",
            Method::Container => "/containerd.services.containers.v1.Containers/Get",
            Method::Tasks => "/containerd.services.tasks.v1.Tasks/List",
            Method::Task => "/containerd.services.tasks.v1.Tasks/Get",
            Method::Events => "/containerd.services.events.v1.Events/Subscribe",
            Method::CriVersion => "/runtime.v1.RuntimeService/Version",
            Method::CriContainers => "/runtime.v1.RuntimeService/ListContainers",
            Method::CriSandboxes => "/runtime.v1.RuntimeService/ListPodSandbox",
            Method::CriStatus => "/runtime.v1.RuntimeService/ContainerStatus",
        }
    }
}

/// gRPC's word for "there is no such thing".
const NOT_FOUND: u16 = 5;

/// A connection for as many questions as you like.
#[derive(Clone)]
pub(super) struct Channel {
    sender: http2::SendRequest<Question>,
}

impl Channel {
    /// Connects to the engine at `address`, which must be a socket.
    pub(super) async fn open(address: &Address) -> Result<Self, Refusal> {
        let Address::Unix(path) = address else { return Err(Refusal::Broken("not a socket".to_owned())) };
        in_time(Self::connect(path)).await
    }

    async fn connect(path: &Path) -> Result<Self, Refusal> {
        let stream = match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Refusal::NoSocket(path.to_owned())),
            stream => stream?,
        };
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // It ends with the last of its senders and answers, which say what went wrong.
        tokio::spawn(async move { _ = connection.await });
        Ok(Channel { sender })
    }

    /// The answer to one question about things in containerd's `namespace`; `None` where there is no such thing.
    pub(super) async fn find(&self, method: Method, namespace: &str, question: Vec<u8>) -> Result<Option<Bytes>, Refusal> {
        let answer = in_time(async { self.stream(method, namespace, &question)?.next().await });
        match answer.await {
            Err(Refusal::Remote(NOT_FOUND)) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// As [`find`](Self::find), where not to find it is an error.
    pub(super) async fn ask(&self, method: Method, namespace: &str, question: Vec<u8>) -> Result<Bytes, Refusal> {
        self.find(method, namespace, question).await?.ok_or(Refusal::Remote(NOT_FOUND))
    }

    /// The answers to a question that go on for ever. Not even their head comes before there is one.
    pub(super) fn stream(&self, method: Method, namespace: &str, question: &[u8]) -> Result<Answers, Refusal> {
        let request = Request::post(format!("http://localhost{}", method.path()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("containerd-namespace", namespace)
            .body(Question(Some(seal(question)?)));
        let head = self.sender.clone().send_request(request.map_err(|_| Refusal::Nonsense)?);
        Ok(Answers { head: Some(Box::pin(head)), body: None, envelopes: Envelopes::default() })
    }
}

/// What the head or the end of an answer says of how it went.
fn failure(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get("grpc-status").map(|status| status.to_str().ok().and_then(|status| status.parse().ok())) {
        None | Some(Some(0)) => Ok(()),
        Some(Some(status)) => Err(Refusal::Remote(status)),
        Some(None) => Err(Refusal::Nonsense),
    }
}

/// Messages as they come.
pub(super) struct Answers {
    head: Option<BoxFuture<'static, hyper::Result<Response<Incoming>>>>,
    body: Option<Incoming>,
    envelopes: Envelopes,
}

impl Answers {
    /// The next message, however long it takes. Nothing is lost where the wait is given up.
    pub(super) async fn next(&mut self) -> Result<Bytes, Refusal> {
        if let Some(head) = &mut self.head {
            let answer = head.await?;
            self.head = None;
            if !answer.status().is_success() {
                return Err(Refusal::Status(answer.status().as_u16()));
            }
            failure(answer.headers())?;
            self.body = Some(answer.into_body());
        }
        loop {
            if let Some(message) = self.envelopes.take()? {
                return Ok(message);
            }
            let frame = frame(self.body.as_mut().ok_or(Refusal::Ended)?).await?.ok_or(Refusal::Ended)?;
            match frame.into_data() {
                Ok(bytes) => self.envelopes.push(&bytes),
                Err(frame) => failure(frame.trailers_ref().unwrap_or(&HeaderMap::new()))?,
            }
        }
    }
}

/// A question's one message.
struct Question(Option<Bytes>);

impl Body for Question {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|message| Ok(Frame::data(message))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_went_is_understood() {
        let of = |status: &str| {
            failure(&HeaderMap::from_iter([(hyper::header::HeaderName::from_static("grpc-status"), status.parse().unwrap())]))
        };
        assert!(of("0").is_ok() && failure(&HeaderMap::new()).is_ok());
        assert_eq!(of("12").unwrap_err().to_string(), "answered with gRPC status 12");
        assert!(matches!(of("x"), Err(Refusal::Nonsense)));
    }
}
