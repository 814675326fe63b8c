//! Families, types and labels against the contract and against cAdvisor's own expected page.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::containers::BEYOND;
use crate::support::docker::Docker;
use crate::support::{Agent, exposition, shared};

/// What stands on every series of a container.
fn is_identity(label: &str) -> bool {
    matches!(label, "id" | "name" | "image") || label.starts_with("container_label_")
}

/// Families of the contract that are left out, and why.
const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "figures of the whole host's partition in each container, which the host part shows once",
        &[
            "container_fs_sector_reads_total",
            "container_fs_reads_merged_total",
            "container_fs_read_seconds_total",
            "container_fs_sector_writes_total",
            "container_fs_writes_merged_total",
            "container_fs_write_seconds_total",
            "container_fs_io_current",
            "container_fs_io_time_seconds_total",
            "container_fs_io_time_weighted_seconds_total",
        ],
    ),
    (
        "perf events need a library and a configuration",
        &[
            "container_perf_events_total",
            "container_perf_events_scaling_ratio",
            "container_perf_uncore_events_total",
            "container_perf_uncore_events_scaling_ratio",
        ],
    ),
    (
        "needs resctrl mounted and a group made for each container",
        &["container_memory_bandwidth_bytes", "container_memory_bandwidth_local_bytes", "container_llc_occupancy_bytes"],
    ),
];

struct Promise {
    kind: String,
    labels: BTreeSet<String>,
}

fn contract() -> BTreeMap<String, Promise> {
    let text = std::fs::read_to_string(shared("contract/cadvisor.tsv")).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap()[..5], ["family", "type", "labels", "metric_set", "default"]);
    lines
        .map(|columns| {
            let labels = columns[2].split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
            (columns[0].to_owned(), Promise { kind: columns[1].to_owned(), labels })
        })
        .collect()
}

/// The families of the source and what they are: the page of a machine never shows them all at once.
fn families() -> BTreeMap<String, String> {
    let mut families = BTreeMap::new();
    let files =
        ["families.rs", "machine.rs", "topology.rs", "processes/families.rs", "disk/families.rs", "beyond.rs", "engines.rs"];
    for file in files {
        let path = format!("{}/src/containers/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['"']) {
            let (before, after) = rest.split_at(at);
            let literal = after[1..].split('"').next().unwrap();
            let is_name = ["container_", "docker_", "machine_", "cadvisor_"].iter().any(|prefix| literal.starts_with(prefix));
            if is_name
                && !matches!(literal, "machine_id" | "container_id" | "container_label_com_docker_swarm_node_id")
                && !literal.contains(' ')
            {
                let call = before.trim_end().trim_end_matches('(');
                let kind = if call.ends_with("gauge") { "gauge" } else { "counter" };
                families.insert(literal.to_owned(), kind.to_owned());
            }
            rest = &after[1 + literal.len() + 1..];
        }
    }
    families
}

#[test]
fn every_family_is_there_or_left_out_for_a_reason() {
    let (contract, families) = (contract(), families());
    assert!(families.len() > 60, "{families:?}");
    let left_out: BTreeSet<&str> = LEFT_OUT.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    for (name, promise) in &contract {
        assert_ne!(families.contains_key(name), left_out.contains(name.as_str()), "{name}");
        assert_eq!(families.get(name).unwrap_or(&promise.kind), &promise.kind, "{name}");
    }
    for name in families.keys().filter(|name| !BEYOND.contains(&name.as_str())) {
        assert!(contract.contains_key(name), "{name} is not in the contract");
    }
    for name in BEYOND {
        assert!(families.contains_key(name) && !contract.contains_key(name), "{name}");
    }
    // The fixture is a page of a machine that has everything at once, with the labels of the test that made it.
    let fixture = std::fs::read_to_string(shared("fixtures/cadvisor/prometheus_metrics")).unwrap();
    for line in fixture.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        if let Some(ours) = families.get(name) {
            assert_eq!(ours, kind, "{name}");
        }
    }
}

#[test]
fn the_page_of_a_real_host_has_the_contracts_labels() {
    let docker = Docker::shared();
    let limits = ["--network", "none", "-m", "32m", "--cpus", "0.2", "--label", "com.docker.compose.service=web"];
    let container = docker.container(&limits, &["sh", "-c", "cat /bin/busybox > /x; sync; sleep 600"]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    let cgroup = container.cgroup();
    let mut page = exposition::Exposition::default();
    crate::support::wait_for("the container's name", std::time::Duration::from_secs(10), || {
        page = agent.scrape("/metrics/containers");
        page.all("container_last_seen").any(|series| series.has(&[("id", &cgroup)]) && series.labels.contains_key("name"))
    });
    let contract = contract();
    let mut families = BTreeSet::new();
    let is_ours = |name: &str| ["container_", "machine_", "cadvisor_"].iter().any(|prefix| name.starts_with(prefix));
    for series in page.series.iter().filter(|series| is_ours(&series.name) && !BEYOND.contains(&series.name.as_str())) {
        let promise = contract.get(&series.name).unwrap_or_else(|| panic!("{} is not in the contract", series.name));
        assert_eq!(page.types[&series.name], promise.kind, "{}", series.name);
        for (label, value) in &series.labels {
            assert!(promise.labels.contains(label) || is_identity(label), "{} has the label {label}", series.name);
            assert!(!value.is_empty(), "{} has an empty {label}", series.name);
        }
        for label in promise.labels.iter().filter(|_| series.name.starts_with("container_")) {
            assert!(series.labels.contains_key(label), "{} lacks the label {label}", series.name);
        }
        families.insert(&series.name);
    }
    assert!(families.len() > 45, "{families:?}");
}
