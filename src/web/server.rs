//! The listeners' connections.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use socket2::{SockAddr, Socket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::connection::{Patience, Stream, Watched};
use super::crowd::Crowd;
use super::gate::{Gate, Greeting};
use super::listen::Listener;
use crate::system::syscalls;

/// What a request's header may have: a scraper's has a few hundred bytes.
const HEADER_BYTES: u16 = 16 * 1024;
/// Requests at once on one connection of HTTP/2.
const STREAMS: u32 = 32;
/// How long answers that are under way may go on after a signal to stop.
const DRAIN: Duration = Duration::from_millis(700);

/// The web side, ready to serve.
pub struct Server {
    gate: Arc<Entrance>,
    crowd: Arc<Crowd>,
}

/// The gate that requests come to now.
struct Entrance(RwLock<Arc<Gate>>);

impl Entrance {
    fn gate(&self) -> Arc<Gate> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Server {
    /// A server of what lies behind `gate`.
    pub fn new(gate: Gate) -> Self {
        Server { gate: Arc::new(Entrance(RwLock::new(Arc::new(gate)))), crowd: Crowd::new() }
    }

    /// From now on every request, those on kept connections too, comes to another gate.
    pub fn replace(&self, gate: Gate) {
        *self.gate.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(gate);
    }

    /// Serves `listeners` until `stop` resolves, then lets answers under way finish for a moment.
    pub async fn serve(&self, listeners: Vec<Listener>, stop: impl Future<Output = ()>) -> io::Result<()> {
        let (stopping, _) = watch::channel(false);
        let mut files = Vec::new();
        for Listener { socket, name, file } in listeners {
            tracing::info!(address = name, tls = self.gate.gate().tls(), "listening");
            let socket = syscalls::watch(socket)?;
            tokio::spawn(accept(socket, self.gate.clone(), self.crowd.clone(), stopping.subscribe()));
            files.push(file);
        }
        stop.await;
        let _ = stopping.send(true);
        // Every connection holds a receiver: when the last is gone, nothing is under way.
        let _ = tokio::time::timeout(DRAIN, stopping.closed()).await;
        drop(files);
        Ok(())
    }
}

async fn accept(listener: AsyncFd<Socket>, entrance: Arc<Entrance>, crowd: Arc<Crowd>, mut stopping: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.async_io(Interest::READABLE, Socket::accept) => accepted,
            () = stopped(&mut stopping) => return,
        };
        match accepted.and_then(|(socket, peer)| Ok((stream(socket, &peer)?, near(&peer)))) {
            Ok((stream, near)) => {
                let (entrance, stopping, patience) = (entrance.clone(), stopping.clone(), Patience::new(entrance.gate().tls()));
                let Some(place) = crowd.enter(&patience).await else { return };
                tokio::spawn(async move {
                    serve(stream, near, entrance, patience, stopping).await;
                    drop(place);
                });
            }
            // EMFILE and the like: the kernel keeps the connection in its queue, and trying again at once would spin.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A connection as tokio knows it. All but TCP is a stream like any Unix socket once it is connected, vsock too.
fn stream(socket: Socket, peer: &SockAddr) -> io::Result<Box<dyn Stream>> {
    socket.set_nonblocking(true)?;
    if peer.as_socket().is_none() {
        return Ok(Box::new(UnixStream::from_std(socket.into())?));
    }
    let _ = socket.set_tcp_nodelay(true);
    Ok(Box::new(TcpStream::from_std(socket.into())?))
}

/// Whether the peer is on this machine, or next to it on the same hardware.
fn near(peer: &SockAddr) -> bool {
    peer.as_socket().is_none_or(|address| address.ip().to_canonical().is_loopback())
}

/// One connection from its first byte to its last.
///
/// A peer's mistakes and its leaving are its own business: not logged (but for handshakes, at level debug), or anyone could fill
/// the disk.
async fn serve(
    stream: Box<dyn Stream>,
    near: bool,
    entrance: Arc<Entrance>,
    patience: Patience,
    mut stopping: watch::Receiver<bool>,
) {
    let gate = entrance.gate();
    let tls = gate.tls();
    let (stream, http2) = match gate.greeting() {
        Greeting::Plain => (stream, false),
        Greeting::Tls(None) => return,
        Greeting::Tls(Some(config)) => {
            let greeted = tokio::select! {
                greeted = greet(stream, config) => greeted,
                () = patience.ends() => return,
                () = stopped(&mut stopping) => return,
            };
            match greeted {
                Ok((stream, http2)) => {
                    patience.greeted(http2);
                    (stream, http2)
                }
                Err(error) => return tracing::debug!(%error, "a TLS handshake failed"),
            }
        }
    };
    let watched = TokioIo::new(Watched { stream, patience: patience.clone() });
    let waiting = patience.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (gate, patience) = (entrance.gate(), waiting.clone());
        async move {
            // Settings that were read anew want TLS, or none any more: this connection is of another time.
            if gate.tls() != tls {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            // Up to here the peer is one of those that can be given up: it may be guessing passwords.
            let admission = gate.admit(request.headers()).await;
            let guard = patience.answering();
            Ok(gate.answer(admission, request, near).await.map(|body| body.with_guard(guard)))
        }
    });
    let http = http(http2);
    let connection = http.serve_connection(watched, service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = patience.ends() => {}
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// The handshake, and whether it settled on HTTP/2.
async fn greet(stream: Box<dyn Stream>, config: Arc<ServerConfig>) -> io::Result<(Box<dyn Stream>, bool)> {
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Box::new(stream), http2))
}

fn http(http2: bool) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    if http2 {
        http.http2().max_concurrent_streams(STREAMS).max_header_list_size(HEADER_BYTES.into());
        http.http2_only()
    } else {
        http.http1().max_buf_size(HEADER_BYTES.into()).header_read_timeout(None).half_close(true);
        http.http1_only()
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that the server is gone, which is as good.
    let _ = stopping.wait_for(|stop| *stop).await;
}
