//! What is answered where.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::body::Reply;
use super::{MARGIN, MAX_REQUESTS, TELEMETRY_PATH, TIMEOUT, request};
use crate::scrape::{Catalog, Part, Scraper, Selection};
use crate::settings::{Error, Settings};
use crate::telemetry::Telemetry;

const TEXT: &str = "text/plain; charset=utf-8";
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that answering needs.
pub(super) struct Routes {
    scraper: Arc<Scraper>,
    telemetry: Arc<Telemetry>,
    catalog: Catalog,
    path: String,
    max_requests: u64,
    timeout: Duration,
    margin: Duration,
}

impl Routes {
    pub(super) fn new(
        settings: &Settings,
        catalog: Catalog,
        scraper: Arc<Scraper>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, Error> {
        let path = settings.text(&TELEMETRY_PATH);
        if !path.starts_with('/') || path.len() < 2 || path.ends_with('/') {
            return Err(Error::new(format!("{}: {path:?} is not a path such as /metrics", TELEMETRY_PATH.name)));
        }
        Ok(Routes {
            scraper,
            telemetry,
            catalog,
            path,
            max_requests: settings.number(&MAX_REQUESTS),
            timeout: settings.time(&TIMEOUT),
            margin: settings.time(&MARGIN),
        })
    }

    pub(super) async fn answer<B>(&self, request: Request<B>) -> Response<Reply> {
        let path = request.uri().path();
        let parts = self.parts_of(path);
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match (parts, path) {
            (Some(parts), _) => self.scrape(&parts, request.uri().query().unwrap_or_default(), request.headers()).await,
            (None, "/") => self.landing(),
            (None, "/-/healthy") => plain(StatusCode::OK, "healthy\n"),
            (None, "/-/ready") => plain(StatusCode::OK, "ready\n"),
            (None, _) => plain(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    /// The parts that `path` shows: all for the telemetry path, one for a page below it.
    fn parts_of(&self, path: &str) -> Option<Vec<Part>> {
        match path.strip_prefix(self.path.as_str())? {
            "" => Some(self.catalog.parts.clone()),
            below => {
                let page = below.strip_prefix('/')?;
                self.catalog.parts.iter().find(|part| part.page() == page).map(|part| vec![*part])
            }
        }
    }

    async fn scrape(&self, parts: &[Part], query: &str, headers: &HeaderMap) -> Response<Reply> {
        let in_flight = self.telemetry.begin();
        if self.max_requests > 0 && u64::try_from(self.telemetry.in_flight()).unwrap_or(0) > self.max_requests {
            self.telemetry.answered("503");
            let text = format!("Limit of concurrent requests reached ({}), try again later.\n", self.max_requests);
            return plain(StatusCode::SERVICE_UNAVAILABLE, text);
        }
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
        let gzip = request::takes_gzip(headers);
        let mut response = Response::new(Reply::page(page, gzip, in_flight));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EXPOSITION));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn landing(&self) -> Response<Reply> {
        let mut links = format!("<li><a href=\"{0}\">{0}</a>: everything</li>\n", escape(&self.path));
        for part in &self.catalog.parts {
            let link = escape(&format!("{}/{}", self.path, part.page()));
            links.push_str(&format!("<li><a href=\"{link}\">{link}</a>: {}</li>\n", part.name()));
        }
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>stack-exporter</title></head>\n<body>\n\
             <h1>stack-exporter</h1>\n<p>Version {}. One Prometheus page for host, containers, PostgreSQL and Redis.</p>\n\
             <ul>\n{links}<li><a href=\"/-/healthy\">/-/healthy</a></li>\n<li><a href=\"/-/ready\">/-/ready</a></li>\n</ul>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION"),
        );
        let mut response = Response::new(Reply::text(page));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    }
}

fn plain(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Reply> {
    let mut response = Response::new(Reply::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Text for HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
