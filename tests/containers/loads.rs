//! Loads of known size in containers of a real daemon: what the page says of them, beside that size and what `docker stats` says.

use std::time::Duration;

use serde_json::Value;

use crate::support::docker::{Container, Daemon};
use crate::support::exposition::Exposition;
use crate::support::{Agent, wait_for};

const PAGE: &str = "/metrics/containers";
const SOON: Duration = Duration::from_secs(60);
const MIB: f64 = 1_048_576.0;

/// A daemon, and an agent that asks it.
struct Machine {
    daemon: Daemon,
    agent: Agent,
}

impl Machine {
    fn start() -> Machine {
        let daemon = Daemon::start_alone();
        let agent = Agent::start(&["--docker", &daemon.docker.host], &[]);
        Machine { daemon, agent }
    }

    /// Starts a container of this name that runs `script`.
    fn container(&self, name: &str, options: &[&str], script: &str) -> Container<'_> {
        let container = self.daemon.docker.container(&[&["--name", name], options].concat(), &["sh", "-c", script]);
        wait_for(name, SOON, || self.agent.scrape(PAGE).value("container_last_seen", &[("name", name)]).is_some());
        container
    }

    /// Waits until the engine's figures of a container are as they should be.
    fn until(&self, what: &str, container: &Container<'_>, is_so: impl Fn(&Value) -> bool) {
        wait_for(what, SOON, || is_so(&self.daemon.stats(container)));
    }

    /// The page's sum of a family for a container of this name, which lies between what the engine tells before and after.
    fn between(&self, family: &str, name: &str, container: &Container<'_>, told: impl Fn(&Value) -> f64) -> f64 {
        let before = told(&self.daemon.stats(container));
        let value = sum(&self.agent.scrape(PAGE), family, name);
        let after = told(&self.daemon.stats(container));
        assert!((before..=after).contains(&value), "{family}: {before} <= {value} <= {after}");
        value
    }
}

fn sum(page: &Exposition, family: &str, name: &str) -> f64 {
    let all: Vec<f64> = page.all(family).filter(|series| series.has(&[("name", name)])).map(|series| series.value).collect();
    assert!(!all.is_empty(), "no {family} of {name}");
    all.iter().sum()
}

/// A number of the engine's figures, 0 where there is none.
fn at(stats: &Value, path: &str) -> f64 {
    stats.pointer(path).and_then(Value::as_f64).unwrap_or(0.0)
}

#[test]
fn a_second_of_cpu_time_under_a_quota() {
    let machine = Machine::start();
    // The kernel ends the loop by its own clock, when it has had a second of a fifth of a CPU.
    let script = "(ulimit -t 1; while :; do :; done); exec sleep 600";
    let container = machine.container("looped", &["--network=none", "--cpus=0.2"], script);
    let used = |stats: &Value| at(stats, "/cpu_stats/cpu_usage/total_usage") / 1e9;
    machine.until("the end of the loop", &container, |stats| used(stats) > 0.7 && at(stats, "/pids_stats/current") == 1.0);
    let cpu = machine.between("container_cpu_usage_seconds_total", "looped", &container, used);
    // The limit is looked at in ticks.
    assert!((0.7..2.0).contains(&cpu), "{cpu} s");
    let throttling = |key: &str| {
        let path = format!("/cpu_stats/throttling_data/{key}");
        move |stats: &Value| at(stats, &path)
    };
    // One period of 100 ms has 20 ms.
    let periods = machine.between("container_cpu_cfs_periods_total", "looped", &container, throttling("periods"));
    assert!(periods >= 30.0, "{periods} periods");
    let family = "container_cpu_cfs_throttled_periods_total";
    let throttled = machine.between(family, "looped", &container, throttling("throttled_periods"));
    assert!(throttled >= 1.0 && throttled <= periods, "{throttled} of {periods}");
    let seconds = throttling("throttled_time");
    let family = "container_cpu_cfs_throttled_seconds_total";
    assert!(machine.between(family, "looped", &container, |stats| seconds(stats) / 1e9) > 0.0);
}

#[test]
fn memory_of_known_sizes() {
    let machine = Machine::start();
    // Files in memory, and dd's buffer, which it never gets rid of.
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1048576 count=24; dd if=/dev/zero bs=16777216 count=1 | sleep 600";
    let container = machine.container("filled", &["--network=none", "-m=128m"], script);
    let of = |stats: &Value, v1: &str, v2: &str| {
        at(stats, &format!("/memory_stats/stats/{v1}")).max(at(stats, &format!("/memory_stats/stats/{v2}")))
    };
    machine.until("both sizes", &container, |stats| {
        of(stats, "total_cache", "file") >= 24.0 * MIB && of(stats, "total_rss", "anon") >= 16.0 * MIB
    });
    let value = |page: &Exposition, family: &str| sum(page, family, "filled");
    // Nothing moves any more, but the kernel counts in batches.
    wait_for("the same figures", SOON, || {
        let (page, stats) = (machine.agent.scrape(PAGE), machine.daemon.stats(&container));
        let usage = at(&stats, "/memory_stats/usage");
        // As `docker stats` shows it.
        let working_set = usage - of(&stats, "total_inactive_file", "inactive_file");
        [
            ("container_memory_usage_bytes", usage),
            ("container_memory_working_set_bytes", working_set),
            ("container_memory_cache", of(&stats, "total_cache", "file")),
            ("container_memory_rss", of(&stats, "total_rss", "anon")),
        ]
        .iter()
        .all(|(family, told)| value(&page, family) == *told)
    });
    let page = machine.agent.scrape(PAGE);
    assert_eq!(value(&page, "container_spec_memory_limit_bytes"), 128.0 * MIB);
    for (family, size) in
        [("container_memory_usage_bytes", 40.0), ("container_memory_cache", 24.0), ("container_memory_rss", 16.0)]
    {
        // Beside the load there are a shell, two commands, and what the kernel keeps for them.
        let found = value(&page, family);
        assert!((size * MIB..(size + 12.0) * MIB).contains(&found), "{family}: {found} of {size} MiB");
    }
}

#[test]
fn bytes_written_to_a_disk() {
    let machine = Machine::start();
    let limit = format!("--device-write-bps={}:1gb", crate::engine::disk());
    let script = "dd if=/dev/zero of=/x bs=1048576 count=8 conv=fsync; exec sleep 600";
    let container = machine.container("written", &["--network=none", &limit], script);
    let written = |stats: &Value| -> f64 {
        let blocks = stats["blkio_stats"]["io_service_bytes_recursive"].as_array().cloned().unwrap_or_default();
        let written = blocks.iter().filter(|block| block["op"].as_str().is_some_and(|op| op.eq_ignore_ascii_case("write")));
        written.filter_map(|block| block["value"].as_f64()).sum()
    };
    machine.until("written blocks", &container, |stats| written(stats) >= 8.0 * MIB);
    let found = machine.between("container_fs_writes_bytes_total", "written", &container, written);
    assert!((8.0 * MIB..16.0 * MIB).contains(&found), "{found} bytes");
}

#[test]
fn bytes_sent_over_a_custom_bridge() {
    const SIZE: f64 = 10_000_000.0;
    let machine = Machine::start();
    machine.daemon.docker.run(&["network", "create", "--subnet=10.213.7.0/24", "custom"]);
    // A shell that waits for both ends of the pipe: what listens is not to end its container.
    let script = "sleep 600 | busybox nc -l -p 9000 >/received";
    let receiver = machine.container("receiver", &["--network=custom"], script);
    let address = receiver.inspect("{{.NetworkSettings.Networks.custom.IPAddress}}");
    let script =
        format!("until busybox head -c 10000000 /dev/zero | busybox nc {address} 9000; do sleep 1; done; exec sleep 600");
    let sender = machine.container("sender", &["--network=custom"], &script);
    wait_for("all that was sent", SOON, || {
        machine.daemon.docker.run(&["exec", "receiver", "busybox", "stat", "-c", "%s", "/received"]) == "10000000"
    });
    for (name, container, family, counter) in [
        ("sender", &sender, "container_network_transmit_bytes_total", "tx_bytes"),
        ("receiver", &receiver, "container_network_receive_bytes_total", "rx_bytes"),
    ] {
        let path = format!("/networks/eth0/{counter}");
        let found = machine.between(family, name, container, |stats| at(stats, &path));
        // With the headers of every packet.
        assert!((SIZE..1.5 * SIZE).contains(&found), "{family}: {found}");
        let page = machine.agent.scrape(PAGE);
        assert!(page.all(family).all(|series| !series.has(&[("name", name)]) || series.labels["interface"] == "eth0"));
    }
}
