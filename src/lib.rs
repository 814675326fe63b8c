//! One process on each host that reads the kernel, cgroups, PostgreSQL and Redis and answers a Prometheus scrape with the names,
//! labels, types and units of node_exporter, cAdvisor, postgres_exporter and redis_exporter.
//!
//! # The way of a sample
//!
//! ```text
//! kernel file, INFO, row -> parser (pure: bytes in, plain values out) -> Samples (finished lines of one source)
//!                        -> Page (all sources, grouped by family)     -> 64 KiB chunks -> gzip -> socket
//! ```
//!
//! # What lives where
//!
//! | module | what it is |
//! | --- | --- |
//! | [`exposition`] | samples and the text format; knows no collector. A package of its own: what a scrape does most is built for speed, the rest for size |
//! | [`system`] | kernel bytes: where /proc, /sys and / are, how their files are read; knows no metrics |
//! | [`scrape`] | what a collector and a source are; one scrape: selection, deadline, isolation, outcome metrics |
//! | [`host`], [`containers`], [`postgres`], [`redis`] | the four parts, each known to the rest by its [`scrape::Module`] alone |
//! | [`audit`] | what brings hosts down: findings over what a scrape told |
//! | [`discovery`] | the container engine: its containers, and the databases in them |
//! | [`settings`], [`cli`], [`config`] | one table of flags becomes one `Settings` value |
//! | [`tls`] | TLS to the servers that are asked |
//! | [`web`] | listener, routes, bodies; knows pages, not collectors |
//! | [`telemetry`], [`log`] | what the agent tells of itself |
//! | [`service`] | what systemd is told: ready, alive, stopping |
//! | [`agent`] | puts it all together |
//!
//! Imports point one way: the audit imports `scrape`, `discovery` and Redis' list of checks; `agent` and `web` to `scrape`, `scrape` to `exposition` and `system`; the parts to those three and to `settings`,
//! never to each other (`tests/architecture.rs` sees to it).
//!
//! # Who does the work
//!
//! One single-threaded tokio runtime waits (HTTP, databases, the container engine); four named threads block (`host`, `mounts`, `bus`,
//! `containers`). A source is asked by one scrape at a time and hands its samples in collector by collector, so a page leaves at
//! its deadline with all that is done.

pub mod agent;
pub mod audit;
pub mod cli;
pub mod config;
pub mod containers;
pub mod discovery;
pub mod generation;
pub mod host;
pub mod log;
pub mod postgres;
pub mod redis;
pub mod scrape;
pub mod service;
pub mod settings;
pub mod system;
pub mod telemetry;
pub mod tls;
pub mod web;

pub use exposition;

/// All parts, in the order of their flags and pages.
pub static MODULES: [&scrape::Module; 4] = [&host::MODULE, &containers::MODULE, &postgres::MODULE, &redis::MODULE];
