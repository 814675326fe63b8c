//! A real Docker daemon: names, labels, limits and counters beside what `docker inspect` and the kernel say.

use std::time::Duration;

use crate::support::docker::{Container, Docker};
use crate::support::exposition::{Exposition, Series};
use crate::support::{Agent, wait_for};

const PAGE: &str = "/metrics/containers";

fn number(text: &str) -> f64 {
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// Seconds since 1970 of a time of the engine's.
fn seconds(time: &str) -> f64 {
    let output = std::process::Command::new("date").args(["-u", "+%s", "-d", time]).output().unwrap();
    number(&String::from_utf8(output.stdout).unwrap())
}

/// Scrapes until the page tells of `container` by `name`.
fn named(agent: &Agent, container: &Container<'_>, name: &str) -> Exposition {
    let mut page = Exposition::default();
    wait_for(&format!("{name} on the page"), Duration::from_secs(15), || {
        page = agent.scrape(PAGE);
        page.value("container_last_seen", &[("id", &container.cgroup()), ("name", name)]).is_some()
    });
    page
}

fn kernel(controller: &str, container: &Container<'_>, file: &str) -> f64 {
    let path = format!("/sys/fs/cgroup/{controller}{}/{file}", container.cgroup());
    number(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

#[test]
fn limits_and_times_are_those_of_inspect() {
    let docker = Docker::shared();
    let options = "--name limited --network none -m 64m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --pids-limit 77";
    let container = docker.container(&options.split(' ').collect::<Vec<_>>(), &["sleep", "600"]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    let page = named(&agent, &container, "limited");
    let value = |family: &str| page.value(family, &[("id", &container.cgroup()), ("name", "limited"), ("image", "busybox:test")]);
    for (family, field) in [
        ("container_spec_memory_limit_bytes", "{{.HostConfig.Memory}}"),
        ("container_spec_memory_reservation_limit_bytes", "{{.HostConfig.MemoryReservation}}"),
        ("container_spec_memory_swap_limit_bytes", "{{.HostConfig.MemorySwap}}"),
        ("container_spec_cpu_shares", "{{.HostConfig.CpuShares}}"),
        ("container_threads_max", "{{.HostConfig.PidsLimit}}"),
    ] {
        assert_eq!(value(family), Some(number(&container.inspect(field))), "{family}");
    }
    assert_eq!(value("container_spec_cpu_quota"), Some(50_000.0));
    assert_eq!(value("container_spec_cpu_period"), Some(100_000.0));
    assert_eq!(value("container_start_time_seconds"), Some(seconds(&container.inspect("{{.State.StartedAt}}")).floor()));
    assert_eq!(value("container_creation_time_seconds"), Some(seconds(&container.inspect("{{.Created}}")).floor()));
    assert_eq!(value("container_health_state"), Some(-1.0));
    assert_eq!(value("container_threads"), Some(1.0));
}

/// The disk below /, for a limit that is no limit: without one, Linux 6.8 and later do not count a cgroup's I/O on v1.
pub(crate) fn disk() -> String {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = mountinfo.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| fields[4] == "/").unwrap();
    let device = std::fs::canonicalize(format!("/sys/dev/block/{}", root[2])).expect("/ on a disk");
    let disk = if device.join("partition").exists() { device.parent().unwrap() } else { &device };
    format!("/dev/{}", disk.file_name().unwrap().to_str().unwrap())
}

#[test]
fn counters_are_the_kernels() {
    let docker = Docker::shared();
    let write = "dd if=/dev/zero of=/x bs=4096 count=512 conv=fsync; while :; do :; done";
    let limit = format!("{}:1gb", disk());
    let options = ["--network", "none", "--cpus", "0.2", "--device-write-bps", &limit];
    let container = docker.container(&options, &["sh", "-c", write]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    let name = container.inspect("{{.Name}}");
    let name = name.trim_start_matches('/');
    let blkio = || {
        let path = format!("/sys/fs/cgroup/blkio{}/blkio.throttle.io_service_bytes_recursive", container.cgroup());
        let text = std::fs::read_to_string(path).unwrap();
        let of_all = |operation: &str| -> f64 {
            text.lines()
                .filter(|line| line.split(' ').nth(1) == Some(operation))
                .map(|line| number(line.rsplit(' ').next().unwrap()))
                .sum()
        };
        (of_all("Read"), of_all("Write"))
    };
    wait_for("written blocks", Duration::from_secs(20), || blkio().1 >= 512.0 * 4096.0);
    named(&agent, &container, name);
    // The page's value lies between two readings of the kernel's own file.
    let between = |family: &str, labels: &[(&str, &str)], read: &dyn Fn() -> f64| {
        let before = read();
        let page = agent.scrape(PAGE);
        let after = read();
        let id = container.cgroup();
        let labels = [&[("id", id.as_str())], labels].concat();
        let value = page.value(family, &labels).unwrap_or_else(|| panic!("no {family}"));
        assert!((before..=after).contains(&value), "{family}: {before} <= {value} <= {after}");
    };
    between("container_cpu_usage_seconds_total", &[("cpu", "total")], &|| kernel("cpuacct", &container, "cpuacct.usage") / 1e9);
    between("container_threads", &[], &|| kernel("pids", &container, "pids.current"));
    between("container_memory_max_usage_bytes", &[], &|| kernel("memory", &container, "memory.max_usage_in_bytes"));
    let throttled = || {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/cpu{}/cpu.stat", container.cgroup())).unwrap();
        number(text.lines().find_map(|line| line.strip_prefix("nr_periods ")).unwrap())
    };
    between("container_cpu_cfs_periods_total", &[], &throttled);
    let page = agent.scrape(PAGE);
    let sum = |family: &str| -> f64 {
        let all: Vec<_> = page.all(family).filter(|series| series.has(&[("id", &container.cgroup())])).collect();
        assert!(all.iter().all(|series| series.labels["device"].starts_with("/dev/")), "{all:?}");
        all.iter().map(|series| series.value).sum()
    };
    assert_eq!((sum("container_fs_reads_bytes_total"), sum("container_fs_writes_bytes_total")), blkio());
}

#[test]
fn a_rename_is_followed_and_labels_are_kept_whole() {
    let docker = Docker::shared();
    let value = "quo\"te\\ new\nline é 🐳";
    let labels = [format!("com.docker.compose.service={value}"), "com.docker.compose.project=".into(), "private=x".into()];
    let options = ["--network", "none", "--name", "before", "--label", &labels[0], "--label", &labels[1], "--label", &labels[2]];
    let container = docker.container(&options, &["sleep", "600"]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    let page = named(&agent, &container, "before");
    let series = page.all("container_last_seen").find(|series| series.has(&[("name", "before")])).unwrap();
    let expected = [
        ("container_label_com_docker_compose_service", value),
        ("id", &container.cgroup()),
        ("image", "busybox:test"),
        ("name", "before"),
    ];
    assert_eq!(series.labels, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    docker.run(&["rename", "before", "after"]);
    let page = named(&agent, &container, "after");
    assert!(page.series.iter().all(|series| !series.has(&[("name", "before")])), "the old name is on no series");
}

#[test]
fn a_storm_of_labels_and_variables_does_no_harm() {
    let docker = Docker::shared();
    let value = "quo\"te\\ new\nline é 🐳";
    let long = "é".repeat(5000);
    let mut labels: Vec<String> = (0..300).map(|number| format!("storm.{number}={value}")).collect();
    labels.extend(["a.b=".into(), format!("a-b={value}"), "a_b=third".into(), format!("0={long}"), format!("ключ={value}")]);
    let mut options = vec!["--network", "none", "--name", "storm", "-e", "STAGE=pro\"duction", "-e", "STAGE_SECRET=hunter2"];
    labels.iter().for_each(|label| options.extend(["--label", label]));
    let container = docker.container(&options, &["sleep", "600"]);
    let agent = Agent::start(&["--docker", &docker.host, "--containers.labels=all", "--containers.env=STAGE,PATH_"], &[]);
    let page = named(&agent, &container, "storm");
    let series = page.all("container_last_seen").find(|series| series.has(&[("name", "storm")])).unwrap();
    let value_of = |label: &str| series.labels.get(label).map(String::as_str);
    assert_eq!(value_of("container_label_storm_0"), Some(value));
    // Of two keys of one name the first that is not empty, and long ones cut at a character.
    assert_eq!(value_of("container_label_a_b"), Some(value));
    assert_eq!(value_of("container_label_0"), Some(&*"é".repeat(512)));
    assert_eq!(value_of("container_label_____"), Some(value));
    assert_eq!(value_of("container_env_stage"), Some("pro\"duction"));
    assert!(series.labels.values().all(|value| !value.is_empty()) && series.labels.len() <= 3 + 256, "{}", series.labels.len());
    let text = agent.get(PAGE);
    assert!(!text.contains("hunter2") && !agent.log().contains("hunter2"), "a variable that nobody asked for");
    // The same labels at each scrape.
    let again = agent.scrape(PAGE);
    let again = again.all("container_last_seen").find(|series| series.has(&[("name", "storm")])).unwrap();
    assert_eq!(again.labels, series.labels);
}

#[test]
fn a_namespace_of_the_network_is_shown_once() {
    let docker = Docker::shared();
    let own = docker.container(&["--network", "none", "--name", "own"], &["sleep", "600"]);
    let joined = docker.container(&["--network", &format!("container:{}", own.id), "--name", "joined"], &["sleep", "600"]);
    let hosted = docker.container(&["--network", "host", "--name", "hosted"], &["sleep", "600"]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    named(&agent, &own, "own");
    named(&agent, &joined, "joined");
    let page = named(&agent, &hosted, "hosted");
    let received = |id: &str| -> Vec<Series> {
        page.all("container_network_receive_bytes_total").filter(|series| series.has(&[("id", id)])).cloned().collect()
    };
    assert!(received(&joined.cgroup()).is_empty() && received(&hosted.cgroup()).is_empty());
    assert!(received(&own.cgroup()).iter().all(|series| series.labels["interface"] != "lo"));
    let host = received("/");
    assert!(!host.is_empty());
    for series in host {
        let path = format!("/sys/class/net/{}/statistics/rx_bytes", series.labels["interface"]);
        assert!(series.value <= number(&std::fs::read_to_string(path).unwrap()), "{series:?}");
    }
}

#[test]
fn without_an_engine_the_numbers_come_by_path() {
    let docker = Docker::shared();
    let container = docker.container(&["--network", "none"], &["sleep", "600"]);
    let agent = Agent::start(&["--docker=unix:///nonexistent/docker.sock"], &[]);
    let page = agent.scrape(PAGE);
    let found: Vec<_> =
        page.all("container_memory_usage_bytes").filter(|series| series.has(&[("id", &container.cgroup())])).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].labels.len(), 1, "{found:?}");
    assert_eq!(page.value("container_engine_up", &[("engine", "docker")]), Some(0.0));
    let reason = [("engine", "docker"), ("reason", "no socket at /nonexistent/docker.sock")];
    assert_eq!(page.value("container_engine_last_error_info", &reason), Some(1.0));
}

#[test]
fn the_engine_is_named_by_the_environment_too() {
    let docker = Docker::shared();
    let container = docker.container(&["--network", "none", "--name", "by-environment"], &["sleep", "600"]);
    let agent = Agent::start(&[], &[("DOCKER_HOST", &docker.host)]);
    named(&agent, &container, "by-environment");
}
