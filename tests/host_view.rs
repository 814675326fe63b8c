//! In a container: where the host's trees and namespaces are not shared, the page says which figures are not the host's.
//!
//! The containers are made of namespaces alone, with a root of their own, as engines make them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::exposition::{Exposition, parse};
use support::{Agent, free_port, wait_for};

/// The agent with a root of its own on a tmpfs, in which the host's is mounted at /host.
struct Contained {
    child: Child,
    port: u16,
    log: Arc<Mutex<String>>,
}

impl Contained {
    /// In new namespaces as unshare(1) names them, besides the one for mounts.
    fn start(namespaces: &[&str], args: &[&str]) -> Contained {
        let (root, port) = (tempfile::tempdir().unwrap(), free_port());
        // What a dynamically linked binary needs, the host's trees, and a /proc and /sys of these namespaces.
        let script = r#"set -e
            root=$1 binary=$2 name=$3; shift 3
            mount -t tmpfs none "$root"
            cd "$root"; mkdir -p usr etc tmp proc sys host agent
            for link in bin lib lib64; do cp -a /$link .; done
            mount --bind /usr usr
            cp "$binary" agent/stack-exporter
            mount --rbind / host
            mount -t proc proc proc
            mount -t sysfs sysfs sys 2>/dev/null || mount --rbind /sys sys
            if [ "$name" ]; then hostname "$name"; fi
            ip link set lo up
            exec chroot . /agent/stack-exporter "$@""#;
        let mut command = Command::new("unshare");
        command.arg("--mount").args(namespaces).args(["sh", "-c", script, "sh"]);
        command.arg(root.path()).arg(env!("CARGO_BIN_EXE_stack-exporter"));
        // Only a name that is the namespace's own may be set.
        command.arg(if namespaces.contains(&"--uts") { "somewhere-else" } else { "" });
        command.args(["--no-containers", "--no-postgres", "--no-redis"]).arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut child = command.args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, copy) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *copy.lock().unwrap() += &(line + "\n");
            }
        });
        let contained = Contained { child, port, log };
        wait_for("the contained agent starts", Duration::from_secs(20), || contained.log().contains("stack-exporter starts"));
        contained
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The host's page, asked for inside of its network.
    fn scrape(&self) -> Exposition {
        let mut curl = Command::new("nsenter");
        curl.arg(format!("--net=/proc/{}/ns/net", self.child.id()));
        let output = curl.args(["curl", "-sS", &format!("http://127.0.0.1:{}/metrics/node", self.port)]).output().unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stderr), self.log());
        parse(&String::from_utf8(output.stdout).unwrap()).unwrap()
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is missing, and the advice.
fn warnings(page: &Exposition) -> BTreeMap<String, String> {
    let series = page.series.iter().filter(|series| series.name == "stack_exporter_warning");
    series.map(|series| (series.labels["missing"].clone(), series.labels["advice"].clone())).collect()
}

const MOUNTED: [&str; 4] =
    ["--path.procfs=/host/proc", "--path.sysfs=/host/sys", "--path.rootfs=/host", "--path.udev.data=/host/run/udev/data"];

#[test]
fn the_host_itself_is_warned_of_nothing() {
    let agent = Agent::start(&["--no-containers", "--no-postgres", "--no-redis"], &[]);
    assert_eq!(warnings(&agent.scrape("/metrics/node")), BTreeMap::new());
}

#[test]
fn a_container_with_the_hosts_trees_and_network_is_warned_of_nothing() {
    let contained = Contained::start(&["--uts"], &[&MOUNTED[..], &["--no-collector.uname"]].concat());
    let page = contained.scrape();
    assert_eq!(warnings(&page), BTreeMap::new(), "{}", contained.log());
    // And the figures are the host's: as many file systems as process 1 of the host sees.
    let host = Agent::start(&["--no-containers", "--no-postgres", "--no-redis"], &[]);
    let of = |page: &Exposition, name: &str| -> Vec<_> {
        let series = page.series.iter().filter(|series| series.name == name);
        series.map(|series| (series.labels.clone(), series.value.to_string())).collect()
    };
    let host = host.scrape("/metrics/node");
    for name in ["node_filesystem_size_bytes", "node_network_info", "node_os_info", "node_boot_time_seconds"] {
        assert!(!of(&host, name).is_empty(), "{name}");
        assert_eq!(of(&page, name), of(&host, name));
    }
}

#[test]
fn a_container_that_shares_nothing_is_told_what_to_mount_first() {
    let contained = Contained::start(&["--uts", "--net", "--pid", "--fork", "--kill-child"], &[]);
    let found = warnings(&contained.scrape());
    assert_eq!(found.keys().collect::<Vec<_>>(), ["procfs", "rootfs"], "{}", contained.log());
    assert!(found["rootfs"].contains("filesystem, os show the container's figures"), "{found:?}");
    assert!(found["rootfs"].contains("--path.rootfs=/host"), "{found:?}");
    let log = contained.log();
    assert_eq!(log.matches("level=warn").count(), found.len(), "{log}");
    assert!(log.contains("missing=procfs") && log.contains("missing=rootfs"), "{log}");
}

#[test]
fn each_thing_that_is_missing_is_named() {
    let without = |flag: &str| MOUNTED.into_iter().filter(|other| !other.starts_with(flag)).collect::<Vec<_>>();
    let missing = |namespaces: &[&str], args: &[&str]| {
        let contained = Contained::start(namespaces, args);
        warnings(&contained.scrape()).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(missing(&["--uts", "--net"], &MOUNTED), ["hostname", "network"]);
    assert_eq!(missing(&["--net"], &without("--path.sysfs")), ["network", "sysfs"]);
    assert_eq!(missing(&[], &without("--path.rootfs")), ["rootfs"]);
    assert_eq!(missing(&["--pid", "--fork", "--kill-child"], &without("--path.procfs")), ["procfs"]);
    // What nobody reads misses nothing.
    let few = ["--collector.disable-defaults", "--collector.loadavg"];
    assert!(missing(&["--uts", "--net"], &few).is_empty());
}
