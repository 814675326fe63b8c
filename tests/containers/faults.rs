//! What goes wrong: a daemon that is killed, comes back, hangs; containers that go away while they are read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::docker::{Container, Daemon, Docker};
use crate::support::exposition::Exposition;
use crate::support::{Agent, wait_for};

const PAGE: &str = "/metrics/containers";
/// No scrape may take longer, whatever the daemon does: less than its patience with the daemon, and enough for a debug build
/// on a busy machine.
const IN_TIME: Duration = Duration::from_secs(2);

fn scrape(agent: &Agent) -> Exposition {
    let start = Instant::now();
    let page = agent.scrape(PAGE);
    assert!(start.elapsed() < IN_TIME, "a scrape took {:?}", start.elapsed());
    page
}

fn engine_is(up: bool, agent: &Agent) {
    wait_for(&format!("the engine to be up: {up}"), Duration::from_secs(30), || {
        scrape(agent).value("container_engine_up", &[("engine", "docker")]) == Some(f64::from(u8::from(up)))
    });
}

fn name_of(agent: &Agent, container: &Container<'_>) -> Option<String> {
    let page = scrape(agent);
    let found: Vec<_> =
        page.all("container_memory_usage_bytes").filter(|series| series.has(&[("id", &container.cgroup())])).collect();
    assert_eq!(found.len(), 1, "the numbers are there");
    found[0].labels.get("name").cloned()
}

fn has_name(name: &str, agent: &Agent, container: &Container<'_>) {
    wait_for(&format!("the name {name}"), Duration::from_secs(30), || name_of(agent, container).as_deref() == Some(name));
}

#[test]
fn a_daemon_is_killed_restarted_and_stopped() {
    let mut daemon = Daemon::start();
    let docker = Docker { host: daemon.docker.host.clone() };
    let first = docker.container(&["--network", "none", "--name", "first"], &["sleep", "600"]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    has_name("first", &agent, &first);

    daemon.kill();
    engine_is(false, &agent);
    assert_eq!(name_of(&agent, &first).as_deref(), Some("first"), "what was known is kept");
    daemon.restart();
    engine_is(true, &agent);
    let second = docker.container(&["--network", "none", "--name", "second"], &["sleep", "600"]);
    has_name("second", &agent, &second);

    // A daemon that hangs, and an agent that has never seen it answer.
    daemon.freeze();
    let newcomer = Agent::start(&["--docker", &docker.host], &[]);
    assert_eq!(name_of(&newcomer, &first), None);
    engine_is(false, &agent);
    engine_is(false, &newcomer);
    let reason = [("engine", "docker"), ("reason", "no answer within 5 s")];
    assert_eq!(scrape(&agent).value("container_engine_last_error_info", &reason), Some(1.0));
    assert_eq!(name_of(&agent, &second).as_deref(), Some("second"));
    daemon.thaw();
    engine_is(true, &agent);
    has_name("first", &newcomer, &first);
    assert!(scrape(&agent).all("container_engine_last_error_info").next().is_none());
    drop((first, second));
}

#[test]
fn containers_that_go_away_take_nothing_with_them() {
    let docker = Docker::shared();
    let stays = docker.container(&["--network", "none", "--name", "stays"], &["sleep", "600"]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    has_name("stays", &agent, &stays);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count();
    let usual = descriptors();
    let done = AtomicBool::new(false);
    let mut gone = Vec::new();
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            let mut ids = Vec::new();
            for _ in 0..6 {
                let containers = ["a", "b"].map(|_| docker.container(&["--network", "none"], &["sleep", "600"]));
                ids.extend(containers.iter().map(Container::cgroup));
            }
            done.store(true, Ordering::Relaxed);
            ids
        });
        let mut scrapes = 0;
        while !done.load(Ordering::Relaxed) {
            assert_eq!(name_of(&agent, &stays).as_deref(), Some("stays"));
            let page = scrape(&agent);
            assert_eq!(page.value("stack_exporter_collector_success", &[("collector", "containers")]), Some(1.0));
            scrapes += 1;
        }
        assert!(scrapes > 20, "{scrapes}");
        gone = churn.join().unwrap();
    });
    assert_eq!(gone.len(), 12);
    // The engine tells of the last removal when it gets to it.
    wait_for("the last to be forgotten", Duration::from_secs(10), || {
        scrape(&agent).series.iter().all(|series| series.labels.get("id").is_none_or(|id| !gone.contains(id)))
    });
    wait_for("closed descriptors", Duration::from_secs(10), || {
        scrape(&agent);
        descriptors() <= usual + 16
    });
}
