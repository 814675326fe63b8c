//! The audit of real containers: each check is provoked by one that is run carelessly, and stays silent for one that is not. None is
//! privileged: a machine may forbid that (`audit::containers` holds that check to an engine's words).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::docker::Docker;
use crate::support::{Agent, wait_for};

fn found(agent: &Agent, subject: &str) -> BTreeSet<String> {
    let page = agent.scrape("/metrics/containers");
    let findings = page.all("stack_audit_finding").filter(|series| series.labels["subject"] == subject);
    findings.map(|series| series.labels["check"].clone()).collect()
}

#[test]
fn careless_containers_are_told_until_they_are_gone() {
    let docker = Docker::shared();
    let args = [
        "--docker",
        &docker.host,
        "--no-host",
        "--no-postgres",
        "--no-redis",
        "--containers.disk-interval=1s",
        "--audit.threshold=log_large=100",
    ];
    let agent = Agent::start(&args, &[]);
    let is = |name: &str, wanted: &[&str]| {
        let wanted: BTreeSet<String> = wanted.iter().map(|check| (*check).to_owned()).collect();
        wait_for(&format!("{name}: {wanted:?}, not {:?}", found(&agent, name)), Duration::from_secs(90), || {
            found(&agent, name).is_superset(&wanted)
        });
    };
    let careful = [
        "--name=audit-careful",
        "--memory=32m",
        "--cpus=0.5",
        "--pids-limit=50",
        "--log-opt=max-size=1m",
        "--log-opt=max-file=2",
        "--health-cmd=true",
        "--health-interval=1s",
    ];
    docker.run(&["tag", "busybox:test", "audit-careless:latest"]);
    let careful = docker.container(&careful, &["sleep", "600"]);
    let chatter = "i=0; while [ $i -lt 50 ]; do echo a line of a log; i=$((i+1)); done; sleep 600";
    let careless = docker.start(&["--name=audit-careless", "audit-careless:latest", "sh", "-c", chatter]);
    let ill = docker
        .container(&["--name=audit-ill", "--health-cmd=exit 1", "--health-interval=1s", "--health-retries=1"], &["sleep", "600"]);
    let looping = docker.container(&["--name=audit-looping", "--restart=always"], &["sh", "-c", "exit 3"]);
    let hungry = ["--name=audit-hungry", "--memory=8m", "--memory-swap=8m"];
    let hungry = docker.container(&hungry, &["sh", "-c", "sleep 1; dd if=/dev/zero of=/dev/null bs=64M count=4; sleep 600"]);
    let unlimited = ["memory_unlimited", "cpu_unlimited", "pids_unlimited"];
    is("audit-careless", &[&unlimited[..], &["health_check_absent", "image_latest", "log_unbounded", "log_large"]].concat());
    is("audit-ill", &["health_check_failing"]);
    is("audit-hungry", &["oom_killed"]);
    is("audit-looping", &["restart_loop"]);
    assert_eq!(found(&agent, "audit-careful"), BTreeSet::new());
    drop((careless, ill, looping, hungry));
    for name in ["audit-careless", "audit-ill", "audit-looping", "audit-hungry"] {
        wait_for(name, Duration::from_secs(30), || found(&agent, name).is_empty());
    }
    let muted = docker.container(
        &["--name=audit-muted", "--label=stack-exporter.audit.disable=pids_unlimited, cpu_unlimited"],
        &["sleep", "600"],
    );
    is("audit-muted", &["memory_unlimited"]);
    assert!(found(&agent, "audit-muted").is_disjoint(&["pids_unlimited", "cpu_unlimited"].map(str::to_owned).into()));
    drop((careful, muted));
}
