//! Beside cAdvisor 0.38.7 (Debian 11's package) on the same machine: every series of its page is on ours with the same type and
//! a value between two readings of its own, or it is one of those that are left out for a reason.

use std::collections::{BTreeMap, HashMap};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::docker::Docker;
use crate::support::exposition::{self, Exposition, Series};
use crate::support::{Agent, free_port, http, wait_for};

struct Cadvisor {
    child: Child,
    port: u16,
}

impl Cadvisor {
    fn start(docker: &Docker) -> Cadvisor {
        let binary = std::env::var("STACK_EXPORTER_TEST_CADVISOR");
        let binary = binary.expect("run this test with tests/run, which fetches Debian 11's package of cAdvisor");
        let port = free_port();
        let child = Command::new(binary)
            .args(["-logtostderr", "-listen_ip=127.0.0.1", "-housekeeping_interval=1s"])
            .args([format!("-docker={}", docker.host), format!("-port={port}")])
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
    let cadvisor = Cadvisor::start(&docker);
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
    for series in before.series.iter().filter(|series| !series.name.starts_with("go_") && !series.name.starts_with("process_")) {
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
