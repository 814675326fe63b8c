//! node_exporter as an oracle: its end-to-end test data, and Debian's binary on this machine.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::exposition::{Exposition, parse};
use super::{free_port, http, shared, wait_for};

/// A copy of upstream's end-to-end test data to work in, made whole: with the folders that git cannot hold, and with the symbolic
/// links that a checkout without links leaves as files of their targets' names.
pub fn fixtures() -> tempfile::TempDir {
    let (source, copy) = (shared("fixtures/node_exporter"), tempfile::tempdir().unwrap());
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("cp").arg("-a").arg(source.join("collector")).arg(copy.path()));
    run(Command::new("chmod").args(["-R", "u+w"]).arg(copy.path()));
    for folder in std::fs::read_to_string(source.join("EMPTY_DIRS.txt")).unwrap().lines().filter(|line| !line.starts_with('#')) {
        std::fs::create_dir_all(copy.path().join(folder.trim())).unwrap();
    }
    let data = copy.path().join("collector/fixtures");
    links(&data.join("sys"));
    link(&data.join("proc/self"));
    copy
}

fn links(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            links(&path);
        } else if kind.is_file() && std::fs::read(&path).is_ok_and(|text| text.starts_with(b"../") && !text.contains(&b'\n')) {
            link(&path);
        }
    }
}

fn link(path: &Path) {
    if path.is_file() {
        let target = std::fs::read_to_string(path).unwrap();
        std::fs::remove_file(path).unwrap();
        symlink(target.trim_end_matches('/'), path).unwrap();
    }
}

/// Debian's node_exporter on a free loopback port.
pub struct Reference {
    child: Child,
    port: u16,
}

impl Reference {
    pub fn start(arguments: &[String]) -> Reference {
        Reference::start_with(arguments, &[])
    }

    /// As [`start`](Self::start), with these variables in its environment.
    pub fn start_with(arguments: &[String], env: &[(&str, &str)]) -> Reference {
        let port = free_port();
        let child = Command::new("prometheus-node-exporter")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(arguments)
            .envs(env.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test compares with Debian's package prometheus-node-exporter, which is not installed");
        let mut reference = Reference { child, port };
        wait_for("node_exporter listens", Duration::from_secs(20), || {
            assert_eq!(reference.child.try_wait().unwrap(), None, "node_exporter refused {arguments:?}");
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        reference
    }

    /// The collectors of that version, 1.5.0.
    pub fn collectors() -> BTreeSet<String> {
        let help = Command::new("prometheus-node-exporter").arg("--help").output();
        let help = help.expect("this test compares with Debian's package prometheus-node-exporter, which is not installed");
        let text = String::from_utf8([help.stdout, help.stderr].concat()).unwrap();
        text.split_whitespace().filter_map(|word| word.strip_prefix("--collector.").map(str::to_owned)).collect()
    }

    pub fn scrape(&self) -> Exposition {
        parse(&http("GET", self.port, "/metrics", &[]).text()).unwrap()
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
