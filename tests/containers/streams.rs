//! Containers whose cgroups are out of sight: the page beside what the engine's stats API says.

use std::time::Duration;

use serde_json::Value;

use crate::support::docker::{Container, Daemon};
use crate::support::exposition::Exposition;
use crate::support::{Agent, wait_for};

const PAGE: &str = "/metrics/containers";

/// Containers whose figures are the engine's.
fn streams(page: &Exposition) -> f64 {
    page.value("container_engine_stats_streams", &[]).unwrap()
}

fn sum(page: &Exposition, family: &str, name: &str) -> f64 {
    page.all(family).filter(|series| series.has(&[("name", name)])).map(|series| series.value).sum()
}

/// A machine that shows none of its containers: one cgroup, its own.
fn machine_without_cgroups() -> tempfile::TempDir {
    let machine = tempfile::tempdir().unwrap();
    let (proc, tree) = (machine.path().join("proc"), machine.path().join("cgroup"));
    std::fs::create_dir_all(proc.join("self")).unwrap();
    std::fs::create_dir_all(&tree).unwrap();
    let root = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = root.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    let mounts = format!("{root}\n1 0 0:1 / {} rw - cgroup2 cgroup2 rw\n", tree.display());
    std::fs::write(proc.join("self/mountinfo"), mounts).unwrap();
    std::fs::copy("/proc/meminfo", proc.join("meminfo")).unwrap();
    machine
}

/// The bytes that a container has written, in the API's words.
fn written(daemon: &Daemon, container: &Container<'_>) -> f64 {
    let blocks = &daemon.stats(container)["blkio_stats"]["io_service_bytes_recursive"];
    let blocks = blocks.as_array().cloned().unwrap_or_default();
    let written = blocks.iter().filter(|block| block["op"] == "write" || block["op"] == "Write");
    written.filter_map(|block| block["value"].as_f64()).sum()
}

#[test]
fn the_engine_tells_of_what_the_kernel_does_not_show() {
    let daemon = Daemon::start();
    let machine = machine_without_cgroups();
    let disk = crate::engine::disk();
    let work = "dd if=/dev/zero of=/x bs=4096 count=512 conv=fsync; while :; do :; done";
    let limit = format!("{disk}:1gb");
    let options = ["--network=none", "--name=busy", "--cpus=0.2", "-m=64m", "--device-write-bps", &limit];
    let busy = daemon.docker.container(&options, &["sh", "-c", work]);
    let idle = daemon.docker.container(&["--network=none", "--name=idle"], &["sleep", "600"]);
    let blind = format!("--path.procfs={}/proc", machine.path().display());
    let args = ["--docker", &daemon.docker.host, "--no-host", "--no-postgres", "--no-redis", &blind];
    let agent = Agent::start(&args, &[]);
    let mut page = Exposition::default();
    wait_for("written blocks", Duration::from_secs(20), || written(&daemon, &busy) >= 512.0 * 4096.0);
    wait_for("two streams", Duration::from_secs(30), || {
        page = agent.scrape(PAGE);
        streams(&page) == 2.0 && sum(&page, "container_fs_writes_bytes_total", "busy") >= 512.0 * 4096.0
    });

    // A stream tells once a second: the page lies between what was true up to two seconds before, and now.
    let before = daemon.stats(&busy);
    std::thread::sleep(Duration::from_secs(3));
    page = agent.scrape(PAGE);
    let after = daemon.stats(&busy);
    let between = |family: &str, labels: &[(&str, &str)], at: &str, unit: f64| {
        let cgroup = busy.cgroup();
        let labels = [&[("name", "busy"), ("id", cgroup.as_str()), ("image", "busybox:test")], labels].concat();
        let value = page.value(family, &labels).unwrap_or_else(|| panic!("no {family}"));
        let of = |stats: &Value| stats.pointer(at).and_then(Value::as_f64).unwrap() / unit;
        assert!(of(&before) <= value && value <= of(&after), "{family}: {} <= {value} <= {}", of(&before), of(&after));
        value
    };
    let used = between("container_cpu_usage_seconds_total", &[("cpu", "total")], "/cpu_stats/cpu_usage/total_usage", 1e9);
    assert!(used > 0.1, "{used}");
    between("container_cpu_cfs_periods_total", &[], "/cpu_stats/throttling_data/periods", 1.0);
    between("container_cpu_cfs_throttled_seconds_total", &[], "/cpu_stats/throttling_data/throttled_time", 1e9);
    let memory = |stats: &Value| stats["memory_stats"]["usage"].as_f64().unwrap();
    let found = sum(&page, "container_memory_usage_bytes", "busy");
    assert!((found - memory(&after)).abs() <= 0.1 * memory(&after), "{found} beside {}", memory(&after));
    assert_eq!(sum(&page, "container_fs_writes_bytes_total", "busy"), written(&daemon, &busy));
    assert!(page.all("container_fs_writes_bytes_total").any(|series| series.has(&[("name", "busy"), ("device", &disk)])));
    assert_eq!(sum(&page, "container_threads", "idle") + sum(&page, "container_pids", "idle"), 2.0);
    assert_eq!(page.value("container_spec_memory_limit_bytes", &[("name", "busy")]), Some(67_108_864.0));
    assert_eq!(page.value("container_spec_cpu_quota", &[("name", "busy")]), Some(20_000.0));
    let shown = daemon.docker.run(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "idle"]);
    assert_eq!(shown, "idle 1");

    // A stream ends with its container.
    drop(busy);
    wait_for("one stream less", Duration::from_secs(20), || streams(&agent.scrape(PAGE)) == 1.0);
    assert_eq!(sum(&agent.scrape(PAGE), "container_last_seen", "busy"), 0.0);

    // Where cgroups are seen there is none.
    let seeing = Agent::start(&["--docker", &daemon.docker.host, "--no-host", "--no-postgres", "--no-redis"], &[]);
    wait_for("the container's name", Duration::from_secs(20), || sum(&seeing.scrape(PAGE), "container_last_seen", "idle") > 0.0);
    for _ in 0..5 {
        assert_eq!(streams(&seeing.scrape(PAGE)), 0.0);
        std::thread::sleep(Duration::from_millis(300));
    }
    drop(idle);
    wait_for("no stream", Duration::from_secs(20), || streams(&agent.scrape(PAGE)) == 0.0);
}
