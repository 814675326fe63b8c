//! Beside cAdvisor 0.38.7 (Debian 11's package) on the same machine: every series of its page is on ours with the same type and
//! a value between two readings of its own, or it is one of those that are left out for a reason.

use std::collections::{BTreeMap, HashMap};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::docker::{Container, Docker};
use crate::support::exposition::{self, Exposition, Series};
use crate::support::{Agent, free_port, http, wait_for};

struct Cadvisor {
    child: Child,
    port: u16,
}

impl Cadvisor {
    fn start(docker: &Docker, more: &[&str]) -> Cadvisor {
        let binary = std::env::var("STACK_EXPORTER_TEST_CADVISOR");
        let binary = binary.expect("run this test with tests/run, which fetches Debian 11's package of cAdvisor");
        let port = free_port();
        let child = Command::new(binary)
            .args(["-logtostderr", "-listen_ip=127.0.0.1", "-housekeeping_interval=1s"])
            .args([format!("-docker={}", docker.host), format!("-port={port}")])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Cadvisor { child, port }
    }

    /// Its page, with timestamps taken off, as our parser wants it.
    fn scrape(&self) -> Option<Exposition> {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let text = http("GET", self.port, "/metrics", &[]).text();
        let lines = text.lines().map(|line| {
            let mut words = line.rsplitn(3, ' ');
            let (timestamp, value, series) = (words.next(), words.next(), words.next());
            match (series, value.and_then(|value| value.parse::<f64>().ok()), timestamp) {
                (Some(_), Some(_), Some(timestamp)) if timestamp.len() == 13 => line.strip_suffix(timestamp).unwrap().trim_end(),
                _ => line,
            }
        });
        Some(exposition::parse(&lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap())
    }
}

impl Drop for Cadvisor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why a series of cAdvisor's is not on our page.
fn reason(series: &Series, theirs: &Exposition, ours: &Exposition) -> Option<&'static str> {
    let label = |name: &str| series.labels.get(name).map_or("", String::as_str);
    let has = |family: &str| ours.all(family).any(|other| other.has(&[("id", label("id"))]));
    let of_cgroup = [("id", label("id")), ("device", label("device"))];
    let bytes = theirs.all("container_fs_reads_bytes_total").any(|other| other.has(&of_cgroup));
    Some(match series.name.as_str() {
        "cadvisor_version_info" => "names another program",
        "container_tasks_state" | "container_cpu_load_average_10s" => "always 0",
        "container_memory_swap" if series.value == 0.0 => "no swap accounting in this kernel",
        "container_fs_inodes_free" | "container_fs_inodes_total" | "container_fs_limit_bytes" | "container_fs_usage_bytes" => {
            "of the driver vfs, which keeps no layer apart, it shows 0 or all layers"
        }
        // Only bytes and counts are a cgroup's, and counts only where there are bytes: the rest is a file system's entry.
        "container_fs_reads_bytes_total" | "container_fs_writes_bytes_total" => return None,
        "container_fs_reads_total" | "container_fs_writes_total" if bytes => return None,
        name if name.starts_with("container_fs_") => "the host's partition, shown by the host part",
        // The contract's newer version has these, the old one gives 0 to cgroups without that controller.
        name if series.value == 0.0 && !has(name) => "no such controller in this cgroup",
        name if name.starts_with("container_spec_") && !has(name) => "no such controller in this cgroup",
        _ => return None,
    })
}

/// The series as ours names it: per-CPU time is one total, empty labels are none, and container labels are those we show.
fn key(series: &Series) -> (String, BTreeMap<String, String>) {
    let shown = |name: &str| !name.starts_with("container_label_") || name.starts_with("container_label_com_docker_compose_");
    let machine = |name: &str| !matches!(name, "machine_id" | "boot_id" | "system_uuid");
    let labels = series.labels.iter().filter(|(name, value)| !value.is_empty() && shown(name) && machine(name));
    let mut labels: BTreeMap<_, _> = labels.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(cpu) = labels.get_mut("cpu") {
        *cpu = "total".to_owned();
    }
    (series.name.clone(), labels)
}

/// Whether a cgroup is of a container that another test made: what becomes of it between three readings is not ours to say.
fn is_foreign(series: &Series, own: [&Container; 2]) -> bool {
    let Some(id) = series.labels.get("id") else { return false };
    let cgroups = own.map(Container::cgroup);
    let (containers, _) = cgroups[0].rsplit_once('/').expect("a container's cgroup lies below that of all containers");
    let below = |parent: &str| id.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'));
    below(containers) && !cgroups.iter().any(|cgroup| id == cgroup || below(cgroup))
}

/// Whether a cgroup is still there in some tree.
fn exists(id: &str) -> bool {
    let trees = std::fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    trees.map(|tree| tree.join(id.trim_start_matches('/'))).any(|path| path.is_dir())
}

fn values(page: &Exposition) -> HashMap<(String, BTreeMap<String, String>), f64> {
    let mut values = HashMap::new();
    for series in &page.series {
        *values.entry(key(series)).or_insert(0.0) += series.value;
    }
    values
}

#[test]
fn every_series_of_cadvisors_page_is_ours_or_left_out_for_a_reason() {
    let docker = Docker::shared();
    let limits =
        ["--network", "none", "-m", "64m", "--cpus", "0.3", "--label", "com.docker.compose.service=web", "--name", "parity"];
    let busy = docker.container(&limits, &["sh", "-c", "while :; do :; done"]);
    let hosted = docker.container(&["--network", "host"], &["sleep", "600"]);
    let cadvisor = Cadvisor::start(&docker, &[]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    let mut before = Exposition::default();
    wait_for("both pages to tell of the container", Duration::from_secs(60), || {
        let named = |page: &Exposition| page.all("container_memory_rss").any(|series| series.has(&[("name", "parity")]));
        before = cadvisor.scrape().unwrap_or_default();
        named(&before)
            && before.value("container_cpu_cfs_periods_total", &[("name", "parity")]).is_some()
            && named(&agent.scrape("/metrics/containers"))
    });
    let ours = agent.scrape("/metrics/containers");
    let usage = |page: &Exposition| -> f64 {
        page.all("container_cpu_usage_seconds_total")
            .filter(|series| series.has(&[("id", &busy.cgroup())]))
            .map(|series| series.value)
            .sum()
    };
    // Its values are those of its last housekeeping: wait until that lies behind our scrape.
    let mut after = Exposition::default();
    wait_for("newer values of cAdvisor's", Duration::from_secs(60), || {
        after = cadvisor.scrape().unwrap();
        usage(&after) > usage(&ours)
    });
    let (lower, upper, found) = (values(&before), values(&after), values(&ours));
    let (mut same, mut left_out, mut wrong) = (0, BTreeMap::new(), Vec::new());
    let of_itself = |series: &Series| series.name.starts_with("go_") || series.name.starts_with("process_");
    for series in before.series.iter().filter(|series| !of_itself(series) && !is_foreign(series, [&busy, &hosted])) {
        let key = key(series);
        match (found.get(&key), upper.get(&key)) {
            // Gone with its cgroup meanwhile, as other tests' containers do.
            (_, None) => {}
            (None, _) if series.labels.get("id").is_some_and(|id| !exists(id)) => {}
            (Some(value), Some(&upper)) => {
                let (low, high) = (lower[&key].min(upper), lower[&key].max(upper));
                let slack = 0.02 * high.abs() + f64::from(u8::from(high.abs() < 1e3));
                // Of idle cgroups it shows values of up to two minutes ago, so a moving value proves nothing.
                let is_old = key.1.get("id").is_some_and(|id| id != &busy.cgroup());
                if is_old || (low - slack..=high + slack).contains(value) {
                    same += 1;
                } else {
                    wrong.push(format!("{key:?}: {low} <= {value} <= {high}"));
                }
                assert_eq!(ours.types[&series.name], before.types[&series.name], "{}", series.name);
            }
            (None, Some(_)) if series.name.starts_with("container_network_") && series.has(&[("id", &hosted.cgroup())]) => {
                *left_out.entry("the host's network, shown once").or_insert(0) += 1;
            }
            (None, Some(_)) => match reason(series, &before, &ours) {
                Some(reason) => *left_out.entry(reason).or_insert(0) += 1,
                None => wrong.push(format!("{key:?} is missing")),
            },
        }
    }
    assert!(wrong.is_empty(), "{same} series agree, left out: {left_out:?}, wrong:\n{}", wrong.join("\n"));
    assert!(same > 100, "{same}");
}

/// What is not compared, and why.
fn is_other(series: &Series) -> bool {
    let state = |label: &str, values: &[&str]| series.labels.get(label).is_some_and(|value| values.contains(&value.as_str()));
    match series.name.as_str() {
        // Exchanged there, and never asked for as a set here.
        "container_network_udp_usage_total" | "container_network_udp6_usage_total" => {
            state("udp_state", &["rxqueued", "txqueued"])
        }
        // The kernel has no such counter any more: 0 there, nothing here.
        "container_network_advance_tcp_stats_total" => state("tcp_state", &["tcpfackreorder"]),
        // No huge pages tree is mounted, and cAdvisor has 0 of them then.
        name => name.starts_with("container_hugetlb_") && !std::path::Path::new("/sys/fs/cgroup/hugetlb").exists(),
    }
}

/// cAdvisor with all sets on (nothing but one that needs a library disabled), beside ours with the same: a container with a server, a
/// client, a datagram socket and several processes.
#[test]
fn sets_that_are_off_by_default_say_what_cadvisors_say() {
    let docker = Docker::shared();
    let serve = "nc -ll -p 7777 -e sleep 600 & nc -u -l -p 7778 & sleep 1; sleep 600 | nc 127.0.0.1 7777 & sleep 600";
    let options = ["--network", "none", "--name", "sets", "--ulimit", "nofile=4321:5000", "-m", "64m"];
    let container = docker.container(&options, &["sh", "-c", serve]);
    let cadvisor = Cadvisor::start(&docker, &["-disable_metrics=percpu"]);
    let enable = "--containers.enable=sched,process,referenced_memory,hugetlb,memory_numa,cpuset,tcp,udp,advtcp,cpu_topology";
    let agent = Agent::start(&["--docker", &docker.host, enable], &[]);
    let families = [
        "container_cpu_schedstat_",
        "container_processes",
        "container_file_descriptors",
        "container_sockets",
        "container_threads",
        "container_ulimits_soft",
        "container_referenced_bytes",
        "container_hugetlb_",
        "container_memory_numa_pages",
        "container_memory_migrate",
        "container_network_tcp",
        "container_network_udp",
        "container_network_advance_tcp_",
        "machine_cpu_cache_",
        "machine_thread_siblings_count",
        "machine_node_",
    ];
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        let Some(theirs) = cadvisor.scrape() else { continue };
        let ours = agent.scrape("/metrics/containers");
        let found = values(&ours);
        let id = container.cgroup();
        let is_compared = |series: &&Series| {
            let is_its = series.name.starts_with("machine_") || series.has(&[("id", &id)]);
            is_its && families.iter().any(|start| series.name.starts_with(start)) && !is_other(series)
        };
        let (mut seen, mut wrong) = (BTreeMap::new(), Vec::new());
        for series in theirs.series.iter().filter(is_compared) {
            *seen.entry(series.name.clone()).or_insert(0) += 1;
            if theirs.types[&series.name] != ours.types.get(&series.name).cloned().unwrap_or_default() {
                wrong.push(format!("{} has another type", series.name));
            }
            match found.get(&key(series)) {
                // Times on the run queue of processes that sleep, a few milliseconds apart.
                Some(value) if (value - series.value).abs() <= 0.05 * series.value.abs().max(1.0) => {}
                other => wrong.push(format!("{:?}: {} there, {other:?} here", key(series), series.value)),
            }
        }
        let named = theirs.all("container_processes").any(|series| series.has(&[("name", "sets")]) && series.value >= 5.0);
        if named && seen.len() >= 15 && wrong.is_empty() {
            break;
        }
        assert!(Instant::now() < end, "{seen:#?}\n{}", wrong.join("\n"));
        std::thread::sleep(Duration::from_millis(200));
    }
}
