//! HTTP: listener, routes, pages, probes. Knows pages of bytes, not collectors.

mod body;
mod connection;
mod request;
mod routes;
mod server;

use std::time::Duration;

use crate::settings::Flag;

pub use server::{Server, bind};

pub(crate) static LISTEN: Flag = Flag::list("web.listen-address", &[":9100"], "Address to listen on, host:port or :port.");
static TELEMETRY_PATH: Flag =
    Flag::text("web.telemetry-path", "/metrics", "Path of the page of all parts; each part's own page lies below it.");
static MAX_REQUESTS: Flag =
    Flag::number("web.max-requests", 40, "Scrapes answered at once, 0 for no limit; one more gets a 503.");
static TIMEOUT: Flag =
    Flag::time("scrape.timeout", Duration::from_secs(10), "Longest time a scrape may take, whatever the scraper allows.");
static MARGIN: Flag = Flag::time(
    "scrape.timeout-margin",
    Duration::from_millis(250),
    "How long before the scraper's own timeout (X-Prometheus-Scrape-Timeout-Seconds) the page leaves.",
);

/// The flags of the web side.
pub static FLAGS: [&Flag; 5] = [&LISTEN, &TELEMETRY_PATH, &MAX_REQUESTS, &TIMEOUT, &MARGIN];
