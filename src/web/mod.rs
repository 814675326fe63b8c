//! HTTP: listeners, TLS, passwords, routes, pages, probes. Knows pages of bytes, not collectors.
//!
//! ```text
//! listen -> server (crowd: who may stay, connection: how long) -> handshake -> gate (config, rate, auth) -> routes -> body
//! ```

mod auth;
mod body;
mod config;
mod connection;
mod crowd;
#[cfg(fuzzing)]
mod fuzzing;
mod gate;
mod gzip;
mod health;
mod listen;
mod rate;
mod reload;
mod request;
mod routes;
mod sd;
mod server;
mod status;

use std::time::Duration;

use crate::settings::Flag;

#[cfg(fuzzing)]
pub use fuzzing::read_query;

pub use config::{check as check_config, subject_alternative_names};
pub use gate::Gate;
pub use health::{COMMAND as HEALTHCHECK, arguments as served_arguments};
pub use listen::{Listener, bind};
pub use reload::{Orders, Reload, Verdict};
pub use server::Server;

pub(crate) static LISTEN: Flag = Flag::list(
    "web.listen-address",
    &[":9100"],
    "Address to listen on: host:port, :port, unix:///absolute/path or vsock://:port.",
);
pub(crate) static SYSTEMD: Flag =
    Flag::switch("web.systemd-socket", false, "Listen on the sockets that systemd passes, instead of --web.listen-address.");
static CONFIG_FILE: Flag = Flag::text(
    "web.config.file",
    "",
    "YAML file with TLS, users, headers and rate limit, in the format of Prometheus' exporters; read again when it changes.",
);
static ROUTE_PREFIX: Flag = Flag::text("web.route-prefix", "/", "What the paths of all pages begin with.");
static TELEMETRY_PATH: Flag =
    Flag::text("web.telemetry-path", "/metrics", "Path of the page of all parts; each part's own page lies below it.");
static MAX_REQUESTS: Flag =
    Flag::number("web.max-requests", 40, "Scrapes answered at once, 0 for no limit; one more gets a 503.");
static COMPRESSION: Flag = Flag::text(
    "web.compression",
    "auto",
    "gzip for scrapers that take it: on, off, or auto, which spares those on this machine.",
);
static LIFECYCLE: Flag = Flag::switch(
    "web.enable-lifecycle",
    false,
    "Answer POST and PUT of /-/reload, which reads the settings again as SIGHUP does.",
);
pub(crate) static TIMEOUT: Flag =
    Flag::time("scrape.timeout", Duration::from_secs(10), "Longest time a scrape may take, whatever the scraper allows.");
static MARGIN: Flag = Flag::time(
    "scrape.timeout-margin",
    Duration::from_millis(250),
    "How long before the scraper's own timeout (X-Prometheus-Scrape-Timeout-Seconds) the page leaves.",
);

/// The flags of the web side.
pub static FLAGS: [&Flag; 10] =
    [&LISTEN, &SYSTEMD, &CONFIG_FILE, &TELEMETRY_PATH, &ROUTE_PREFIX, &LIFECYCLE, &MAX_REQUESTS, &COMPRESSION, &TIMEOUT, &MARGIN];
