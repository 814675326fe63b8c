//! What a request must pass before it is answered: configuration, rate limit, password, in this order.

use std::sync::Arc;
use std::time::Instant;

use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio_rustls::rustls::ServerConfig;

use super::CONFIG_FILE;
use super::auth::Passwords;
use super::body::Reply;
use super::config::{Config, Current};
use super::rate::Bucket;
use super::reload::Reload;
use super::routes::{Routes, plain};
use crate::scrape::{Catalog, Scraper};
use crate::settings::{Error, Settings};
use crate::telemetry::Telemetry;

/// The gate before the routes, and all that lies behind it; wide open without `--web.config.file`.
pub struct Gate {
    config: Option<Config>,
    bucket: Option<Bucket>,
    passwords: Passwords,
    routes: Routes,
}

/// How a connection begins.
pub(super) enum Greeting {
    Plain,
    /// With a handshake; there can be none while the configuration is wrong.
    Tls(Option<Arc<ServerConfig>>),
}

/// What became of a request at the gate.
#[derive(Default)]
pub(super) struct Admission {
    /// `None`: come in.
    refusal: Option<Response<Reply>>,
    /// The configuration it was judged by.
    current: Option<Arc<Current>>,
}

impl Gate {
    /// A gate to `scraper`'s pages, of what `catalog` offers.
    pub fn new(
        settings: &Settings,
        catalog: Catalog,
        scraper: Arc<Scraper>,
        telemetry: Arc<Telemetry>,
        reload: Reload,
    ) -> Result<Self, Error> {
        let routes = Routes::new(settings, catalog, scraper, telemetry, reload.allowed(settings))?;
        let path = settings.text(&CONFIG_FILE);
        let config = if path.is_empty() { None } else { Some(Config::open(path.into())?) };
        let bucket = config.as_ref().and_then(Config::rate).map(Bucket::new);
        Ok(Gate { config, bucket, passwords: Passwords::new()?, routes })
    }

    /// Whether connections begin with a handshake.
    pub(super) fn tls(&self) -> bool {
        self.config.as_ref().is_some_and(Config::tls)
    }

    pub(super) fn greeting(&self) -> Greeting {
        match &self.config {
            Some(config) if config.tls() => Greeting::Tls(config.current().and_then(|current| current.tls.clone())),
            _ => Greeting::Plain,
        }
    }

    /// Whether a request with these `headers` may come in. That may take a comparison of passwords, and waiting for those before it.
    pub(super) async fn admit(&self, headers: &HeaderMap) -> Admission {
        let Some(config) = &self.config else { return Admission::default() };
        match config.current() {
            Some(current) => Admission { refusal: self.refusal(&current, headers).await, current: Some(current) },
            None => {
                Admission { refusal: Some(plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n")), current: None }
            }
        }
    }

    async fn refusal(&self, current: &Current, headers: &HeaderMap) -> Option<Response<Reply>> {
        if self.bucket.as_ref().is_some_and(|bucket| !bucket.take(Instant::now())) {
            return Some(plain(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n"));
        }
        if current.users.is_empty() || self.passwords.admit(&current.users, headers).await {
            return None;
        }
        let mut refusal = plain(StatusCode::UNAUTHORIZED, "Unauthorized\n");
        refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        Some(refusal)
    }

    /// The answer to a request that was admitted, or refused. `near` says that the peer is on this machine.
    pub(super) async fn answer<B>(&self, admission: Admission, request: Request<B>, near: bool) -> Response<Reply> {
        let mut response = match admission.refusal {
            Some(refusal) => refusal,
            None => self.routes.answer(request, near).await,
        };
        for (name, value) in admission.current.iter().flat_map(|current| &current.headers) {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
}
