//! A server of gRPC on a socket of its own, as good or as bad as the test wants it to be.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::HeaderName;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// How a server answers.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    /// As it should.
    Good,
    /// Each byte in a frame of its own.
    Pieces,
    /// With a message, and the status 0 behind it.
    Message(fn() -> Vec<u8>),
    /// With these bytes, in frames of at most 1 MiB, and the status 0 behind them.
    Body(fn() -> Vec<u8>),
    /// With a status of HTTP.
    Status(u16),
    /// With a status of gRPC in its head, and nothing else.
    Head(&'static str),
    /// With a status of gRPC at its end.
    End(&'static str),
    /// It begins to, and resets the stream.
    Reset,
    /// Never.
    Silent,
    /// With these bytes on the connection, whatever it is asked, which it closes then.
    Raw(&'static [u8]),
}

/// The server, which answers until the program of tests ends.
pub(crate) struct Server {
    manner: Arc<Mutex<Manner>>,
    folder: tempfile::TempDir,
}

/// A good answer to the question of this path.
pub(crate) type Answer = fn(&str) -> Vec<u8>;

impl Server {
    pub(crate) fn start(manner: Manner, answer: Answer) -> Server {
        let server = Server {
            manner: Arc::new(Mutex::new(manner)),
            // Short, since a socket's path may have 107 bytes only.
            folder: tempfile::Builder::new().prefix("grpc.").tempdir_in("/tmp").unwrap(),
        };
        let (socket, manner) = (server.folder.path().join("socket"), server.manner.clone());
        let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(stream, manner.clone(), answer));
                }
            });
        });
        server
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

async fn serve(stream: UnixStream, manner: Arc<Mutex<Manner>>, answer: Answer) {
    let raw = match *manner.lock().unwrap() {
        Manner::Raw(bytes) => Some(bytes),
        _ => None,
    };
    if let Some(bytes) = raw {
        _ = reply(stream, bytes).await;
        return;
    }
    let service = service_fn(|question: Request<Incoming>| {
        let (manner, answer) = (*manner.lock().unwrap(), answer(question.uri().path()));
        async move { respond(manner, answer).await }
    });
    _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// Waits for the first question, as no answer comes before it, and sends these bytes.
async fn reply(mut stream: UnixStream, bytes: &[u8]) -> io::Result<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    stream.read_exact(&mut [0; PREFACE]).await?;
    let mut head = [0; 9];
    while head[3] != HEADERS {
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await?;
    }
    stream.write_all(bytes).await
}

async fn respond(manner: Manner, answer: Vec<u8>) -> Result<Response<Frames>, Infallible> {
    let status = |status: &'static str| HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), status.parse().unwrap())]);
    let end = || Ok(Frame::trailers(status("0")));
    let whole = |bytes: Vec<u8>, piece: usize| -> VecDeque<io::Result<Frame<Bytes>>> {
        bytes.chunks(piece).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).chain([end()]).collect()
    };
    let (mut code, mut head) = (200, HeaderMap::new());
    let frames = match manner {
        Manner::Good => whole(sealed(&answer), usize::MAX),
        Manner::Pieces => whole(sealed(&answer), 1),
        Manner::Message(message) => whole(sealed(&message()), usize::MAX),
        Manner::Body(bytes) => whole(bytes(), 1 << 20),
        Manner::Status(status) => {
            code = status;
            VecDeque::new()
        }
        Manner::Head(word) => {
            head = status(word);
            VecDeque::new()
        }
        Manner::End(word) => VecDeque::from([Ok(Frame::trailers(status(word)))]),
        // A connection that was there before it was to answer so ends first.
        Manner::Reset | Manner::Raw(_) => {
            VecDeque::from([Ok(Frame::data(Bytes::from_static(b"\0"))), Err(io::Error::other("as it was told"))])
        }
        Manner::Silent => std::future::pending().await,
    };
    let mut response = Response::new(Frames(frames));
    *response.status_mut() = code.try_into().unwrap();
    *response.headers_mut() = head;
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    Ok(response)
}

fn sealed(message: &[u8]) -> Vec<u8> {
    [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

struct Frames(VecDeque<io::Result<Frame<Bytes>>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}
