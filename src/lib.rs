//! stack-exporter: host, containers, PostgreSQL and Redis on one Prometheus page.

pub mod agent;
pub mod cli;
pub mod config;
pub mod containers;
pub mod exposition;
pub mod host;
pub mod log;
pub mod postgres;
pub mod redis;
pub mod scrape;
pub mod settings;
pub mod system;
pub mod telemetry;
pub mod web;

/// All parts, in the order of their flags and pages.
pub static MODULES: [&scrape::Module; 4] = [&host::MODULE, &containers::MODULE, &postgres::MODULE, &redis::MODULE];
