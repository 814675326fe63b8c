//! What is told of a target itself: whether it answers, what it is, and how its last scrape went.

use std::time::Duration;

use super::collector::Server;
use super::options::Options;
use crate::exposition::{Family, Samples};

static UP: Family = Family::gauge("pg_up", "1 if the server let us in and answered in this scrape.");
static STATIC: Family = Family::untyped("pg_static", "1, with version() of the server as labels.");
static DURATION: Family = Family::gauge("pg_exporter_last_scrape_duration_seconds", "Time this scrape of the server took.");
static ERROR: Family = Family::gauge("pg_exporter_last_scrape_error", "1 if the server could not be reached in this scrape.");
static SCRAPES: Family = Family::counter("pg_exporter_scrapes_total", "Scrapes of the server since the start.");

static BUILD: Family =
    Family::gauge("postgres_exporter_build_info", "The version of this program in the labels of postgres_exporter; always 1.");
static CONFIG: Family = Family::gauge(
    "postgres_exporter_config_last_reload_successful",
    "1: the program does not start with settings that it cannot read.",
);
static CONFIG_TIME: Family = Family::gauge(
    "postgres_exporter_config_last_reload_success_timestamp_seconds",
    "When the settings were read, at the start, as a Unix time.",
);

/// The name under which a target's own state is told among the collectors.
pub(super) const NAME: &str = "up";

/// Writes the families of one scrape; `server` is `None` where it did not let us in.
pub(super) fn emit(server: Option<&Server>, options: &Options, took: Duration, scrapes: u64, out: &mut Samples) {
    out.family(&UP).add([], server.is_some());
    if let Some(server) = server.filter(|_| options.default_metrics) {
        let labels =
            [("server", server.address.as_str()), ("short_version", &server.short_version), ("version", &server.version)];
        out.family(&STATIC).add(labels, 1u8);
    }
    out.family(&DURATION).add([], took.as_secs_f64());
    out.family(&ERROR).add([], server.is_none());
    out.family(&SCRAPES).add([], scrapes);
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let build = [
        ("branch", ""),
        ("goarch", arch),
        ("goos", "linux"),
        ("goversion", ""),
        ("revision", ""),
        ("tags", ""),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    out.family(&BUILD).add(build, 1u8);
    out.family(&CONFIG).add([], 1u8);
    out.family(&CONFIG_TIME).add([], options.read_at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn a_server_that_is_down_has_no_version() {
        let down = text(|out| {
            emit(None, &Options::default(), Duration::from_millis(1_500), 3, out);
            Ok(())
        });
        let own = "pg_exporter_last_scrape_duration_seconds 1.5\npg_exporter_last_scrape_error 1\npg_exporter_scrapes_total 3\npg_up 0\n";
        assert!(down.starts_with(own), "{down}");
        assert!(!down.contains("pg_static") && down.contains("\npostgres_exporter_config_last_reload_successful 1\n"), "{down}");
        let up = text(|out| {
            emit(Some(&server(15)), &Options::default(), Duration::ZERO, 4, out);
            Ok(())
        });
        assert!(
            up.contains("pg_static{server=\"localhost:5432\",short_version=\"15.0.0\",version=\"PostgreSQL 15\"} 1\n"),
            "{up}"
        );
        assert!(up.contains("pg_up 1\n"));
    }
}
