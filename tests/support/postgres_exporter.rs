//! Debian's postgres_exporter, 0.11.1, to compare with.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::exposition::{self, Exposition};
use super::{free_port, http, wait_for};

/// Debian's postgres_exporter, running.
pub struct Exporter(Child, u16);

impl Exporter {
    pub fn start(dsn: &str) -> Exporter {
        let (program, port) = ("/usr/bin/prometheus-postgres-exporter", free_port());
        assert!(Path::new(program).exists(), "this test compares with {program} (Debian: prometheus-postgres-exporter)");
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).env_clear().env("DATA_SOURCE_NAME", dsn);
        let exporter = Exporter(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), port);
        wait_for("postgres_exporter", Duration::from_secs(20), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        exporter
    }

    pub fn scrape(&self) -> Exposition {
        exposition::parse(&http("GET", self.1, "/metrics", &[]).text()).unwrap()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
