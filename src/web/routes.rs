//! What is answered where.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::body::Reply;
use super::reload::Reload;
use super::status::Pages;
use super::{COMPRESSION, MARGIN, MAX_REQUESTS, ROUTE_PREFIX, TELEMETRY_PATH, TIMEOUT, request, sd};
use crate::exposition::Page;
use crate::scrape::{Answer, Catalog, Part, Route, Scraper, Selection};
use crate::settings::{Error, Settings};
use crate::telemetry::{InFlight, Telemetry};

const TEXT: &str = "text/plain; charset=utf-8";
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Below this a page is sent as it is: setting the compressor up takes longer than the two packets that it saves.
const WORTH_PACKING: usize = 4096;

/// All that answering needs.
pub(super) struct Routes {
    scraper: Arc<Scraper>,
    telemetry: Arc<Telemetry>,
    /// `None` without --web.enable-lifecycle.
    reload: Option<Reload>,
    catalog: Catalog,
    pages: Pages,
    /// What every path begins with; empty, or `/agent`.
    prefix: String,
    /// Of the page of all parts, below the prefix: `/metrics`, or `/`.
    path: String,
    compression: Compression,
    max_requests: u64,
    timeout: Duration,
    margin: Duration,
}

/// `--web.compression`
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    /// For peers elsewhere: on the same machine it costs more than it saves.
    Auto,
    On,
    Off,
}

impl Compression {
    fn of(settings: &Settings) -> Result<Self, Error> {
        match settings.text(&COMPRESSION).as_str() {
            "auto" => Ok(Compression::Auto),
            "on" => Ok(Compression::On),
            "off" => Ok(Compression::Off),
            other => Err(Error::new(format!("{}: {other:?} is none of auto, on, off", COMPRESSION.name))),
        }
    }

    fn wants(self, near: bool) -> bool {
        self == Compression::On || self == Compression::Auto && !near
    }
}

impl Routes {
    pub(super) fn new(
        settings: &Settings,
        catalog: Catalog,
        scraper: Arc<Scraper>,
        telemetry: Arc<Telemetry>,
        reload: Option<Reload>,
    ) -> Result<Self, Error> {
        let path = settings.text(&TELEMETRY_PATH);
        if !path.starts_with('/') || path.len() > 1 && path.ends_with('/') {
            return Err(Error::new(format!("{}: {path:?} is not a path such as /metrics", TELEMETRY_PATH.name)));
        }
        let prefix = settings.text(&ROUTE_PREFIX);
        let prefix = prefix.strip_suffix('/').unwrap_or(&prefix).to_owned();
        if !prefix.is_empty() && !prefix.starts_with('/') {
            return Err(Error::new(format!("{}: {prefix:?} is not a path such as /agent", ROUTE_PREFIX.name)));
        }
        let pages = Pages::new(&prefix, &path, &catalog.parts);
        Ok(Routes {
            scraper,
            telemetry,
            reload,
            catalog,
            pages,
            prefix,
            path,
            compression: Compression::of(settings)?,
            max_requests: settings.number(&MAX_REQUESTS),
            timeout: settings.time(&TIMEOUT),
            margin: settings.time(&MARGIN),
        })
    }

    /// Answers a request of a peer that is `near`, on this machine, or is not.
    pub(super) async fn answer<B>(&self, request: Request<B>, near: bool) -> Response<Reply> {
        if let Some(refusal) = request::fault(&request) {
            return plain(StatusCode::BAD_REQUEST, refusal);
        }
        let below = request.uri().path().strip_prefix(self.prefix.as_str());
        let path = match below {
            // The prefix itself is as good as the page below it.
            Some("") => "/",
            Some(path) if path.starts_with('/') => path,
            _ => return plain(StatusCode::NOT_FOUND, "not found\n"),
        };
        if path == "/-/reload" {
            return self.reload(request.method()).await;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return only("GET, HEAD", "only GET and HEAD are answered\n");
        }
        if let Some(parts) = sd::parts(path) {
            return match sd::address(request.uri(), request.headers()) {
                Some(address) => json(sd::list(self.scraper.sources(), parts, address, &self.prefix)),
                None => plain(StatusCode::BAD_REQUEST, "the header Host names no address to be found at\n"),
            };
        }
        let gzip = self.compression.wants(near) && request::takes_gzip(request.headers());
        match (self.parts_of(path), path) {
            (Some(parts), _) => self.scrape(&parts, request.uri().query().unwrap_or_default(), request.headers(), gzip).await,
            // Where the page of all parts stands at the root, the operator's is at its second name.
            (None, "/" | "/status") => self.pages.page(&self.scraper, &self.telemetry, request.uri().query().unwrap_or_default()),
            (None, "/api/v1/status") => self.pages.json(&self.scraper, &self.telemetry),
            (None, "/-/healthy") => plain(StatusCode::OK, "healthy\n"),
            (None, "/-/ready") => plain(StatusCode::OK, "ready\n"),
            (None, _) => match self.scraper.sources().route(path) {
                Some(route) => self.of_part(&*route, &request, gzip).await,
                None => plain(StatusCode::NOT_FOUND, "not found\n"),
            },
        }
    }

    /// Prometheus' `/-/reload`, its words and its status codes.
    async fn reload(&self, method: &Method) -> Response<Reply> {
        if !matches!(*method, Method::POST | Method::PUT) {
            return only("POST, PUT", "This endpoint requires a POST request.\n");
        }
        let Some(reload) = &self.reload else { return plain(StatusCode::FORBIDDEN, "Lifecycle API is not enabled.\n") };
        match reload.order().await {
            Ok(note) => plain(StatusCode::OK, note),
            Err(reason) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("the settings stay as they were: {reason}\n")),
        }
    }

    /// The parts that `path` shows: all for the telemetry path, one for a page below it.
    fn parts_of(&self, path: &str) -> Option<Vec<Part>> {
        if path == self.path {
            return Some(self.catalog.parts.clone());
        }
        let page = path.strip_prefix(self.path.trim_end_matches('/'))?.strip_prefix('/')?;
        self.catalog.parts.iter().find(|part| part.page() == page).map(|part| vec![*part])
    }

    async fn scrape(&self, parts: &[Part], query: &str, headers: &HeaderMap, gzip: bool) -> Response<Reply> {
        let in_flight = match self.enter() {
            Ok(in_flight) => in_flight,
            Err(refusal) => return *refusal,
        };
        let (collect, exclude) = request::filters(query);
        let selection = match Selection::filtered(parts, collect, exclude, |name| self.catalog.state(name)) {
            Ok(selection) => selection,
            Err(refusal) => {
                self.telemetry.answered("400");
                return plain(StatusCode::BAD_REQUEST, format!("{refusal}\n"));
            }
        };
        let page = self.scraper.scrape(selection, request::time(headers, self.timeout, self.margin)).await;
        self.telemetry.answered("200");
        exposition(page, gzip, in_flight)
    }

    /// Answers a request for a path of a part's own.
    async fn of_part<B>(&self, route: &Route, request: &Request<B>, gzip: bool) -> Response<Reply> {
        let in_flight = match self.enter() {
            Ok(in_flight) => in_flight,
            Err(refusal) => return *refusal,
        };
        let (status, reply) = match route(request::pairs(request.uri().query().unwrap_or_default())).await {
            Answer::Page(source) => {
                let limit = request::time(request.headers(), self.timeout, self.margin);
                let page = self.scraper.page_of(source, limit).await;
                self.telemetry.answered("200");
                return exposition(page, gzip, in_flight);
            }
            Answer::Json(text) => ("200", json(text)),
            Answer::Refused(text) => ("400", plain(StatusCode::BAD_REQUEST, text)),
            Answer::Failed(text) => ("500", plain(StatusCode::INTERNAL_SERVER_ERROR, text)),
        };
        self.telemetry.answered(status);
        reply
    }

    /// Counts a request in, unless there are too many.
    fn enter(&self) -> Result<InFlight, Box<Response<Reply>>> {
        let in_flight = self.telemetry.begin();
        if self.max_requests > 0 && self.telemetry.in_flight() > self.max_requests {
            self.telemetry.answered("503");
            let text = format!("Limit of concurrent requests reached ({}), try again later.\n", self.max_requests);
            return Err(Box::new(plain(StatusCode::SERVICE_UNAVAILABLE, text)));
        }
        Ok(in_flight)
    }
}

fn exposition(page: Arc<Page>, gzip: bool, in_flight: InFlight) -> Response<Reply> {
    let gzip = gzip && page.len_hint() >= WORTH_PACKING;
    let mut response = Response::new(Reply::page(page, gzip, in_flight));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EXPOSITION));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A refusal of all methods but those `allowed`.
fn only(allowed: &'static str, text: &'static str) -> Response<Reply> {
    let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, text);
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refusal
}

fn json(text: String) -> Response<Reply> {
    let mut response = Response::new(Reply::text(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn plain(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Reply> {
    let mut response = Response::new(Reply::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
