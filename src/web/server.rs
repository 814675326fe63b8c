//! The listeners and their connections.

use std::convert::Infallible;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::LISTEN;
use super::connection::{Patience, Watched};
use super::routes::Routes;
use crate::scrape::{Catalog, Scraper};
use crate::settings::{Error, Settings};
use crate::telemetry::Telemetry;

/// Open connections at most, all listeners together; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 512;
/// What a request's header may have: a scraper's has a few hundred bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// How long answers that are under way may go on after a signal to stop.
const DRAIN: Duration = Duration::from_millis(700);

/// The addresses of `--web.listen-address`, listened on.
pub fn bind(settings: &Settings) -> Result<Vec<std::net::TcpListener>, Error> {
    let mut listeners = Vec::new();
    for text in settings.list(&LISTEN) {
        let wrong = |reason: &dyn std::fmt::Display| Error::new(format!("{} {text}: {reason}", LISTEN.name));
        let listener = addresses(&text)
            .map_err(|error| wrong(&error))
            .and_then(|addresses| std::net::TcpListener::bind(&*addresses).map_err(|error| wrong(&error)))?;
        listener.set_nonblocking(true).map_err(|error| wrong(&error))?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// `host:port`, `[v6]:port` or `:port`, which is every address of both families (or of IPv4 where there is no IPv6).
fn addresses(text: &str) -> std::io::Result<Vec<SocketAddr>> {
    match text.strip_prefix(':') {
        Some(port) => {
            let port: u16 =
                port.parse().map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a port number"))?;
            Ok(vec![SocketAddr::from(([0u16; 8], port)), SocketAddr::from(([0u8; 4], port))])
        }
        None => Ok(text.to_socket_addrs()?.collect()),
    }
}

/// The web side, ready to serve.
pub struct Server {
    routes: Arc<Routes>,
    connections: Arc<Semaphore>,
}

impl Server {
    /// A server of `scraper`'s pages, of what `catalog` offers.
    pub fn new(settings: &Settings, catalog: Catalog, scraper: Arc<Scraper>, telemetry: Arc<Telemetry>) -> Result<Self, Error> {
        let routes = Arc::new(Routes::new(settings, catalog, scraper, telemetry)?);
        Ok(Server { routes, connections: Arc::new(Semaphore::new(CONNECTIONS)) })
    }

    /// Serves `listeners` until `stop` resolves, then lets answers under way finish for a moment.
    pub async fn serve(&self, listeners: Vec<std::net::TcpListener>, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let (stopping, _) = watch::channel(false);
        for listener in listeners {
            let listener = TcpListener::from_std(listener)?;
            tracing::info!(address = %listener.local_addr()?, "listening");
            tokio::spawn(accept(listener, self.routes.clone(), self.connections.clone(), stopping.subscribe()));
        }
        stop.await;
        let _ = stopping.send(true);
        // Every connection holds a receiver: when the last is gone, nothing is under way.
        let _ = tokio::time::timeout(DRAIN, stopping.closed()).await;
        Ok(())
    }
}

async fn accept(listener: TcpListener, routes: Arc<Routes>, connections: Arc<Semaphore>, mut stopping: watch::Receiver<bool>) {
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (routes, stopping) = (routes.clone(), stopping.clone());
                tokio::spawn(async move {
                    serve(stream, routes, stopping).await;
                    drop(permit);
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

async fn serve(stream: TcpStream, routes: Arc<Routes>, mut stopping: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let patience = Patience::new();
    let watched = TokioIo::new(Watched { stream, patience: patience.clone() });
    let answering = patience.clone();
    let service = service_fn(move |request| {
        let (routes, patience) = (routes.clone(), answering.clone());
        async move {
            patience.answering();
            let guard = patience.until_answered();
            let response = routes.answer(request).await;
            Ok::<_, Infallible>(response.map(|body| body.with_guard(guard)))
        }
    });
    let mut http = http1::Builder::new();
    http.max_buf_size(HEADER_BYTES).header_read_timeout(None).half_close(true);
    let connection = http.serve_connection(watched, service);
    tokio::pin!(connection);
    // A peer's mistakes and its leaving are its own business: not logged, or anyone could fill the disk.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = patience.ends() => {}
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that the server is gone, which is as good.
    let _ = stopping.wait_for(|stop| *stop).await;
}
