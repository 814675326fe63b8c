//! A real Podman: found later, killed, stopped; its containers renamed and removed.

use std::time::Duration;

use crate::support::exposition::Exposition;
use crate::support::podman::Podman;
use crate::support::{Agent, wait_for};

const PAGE: &str = "/metrics/containers";
const SOON: Duration = Duration::from_secs(40);

fn engine_is(up: bool, agent: &Agent, labels: &[(&str, &str)]) -> Exposition {
    let mut page = Exposition::default();
    wait_for(&format!("{labels:?} to be up: {up}\n{}", agent.log()), SOON, || {
        page = agent.scrape(PAGE);
        page.value("container_engine_up", labels) == Some(f64::from(u8::from(up)))
    });
    page
}

fn name_of(agent: &Agent, id: &str) -> Option<String> {
    let (page, id) = (agent.scrape(PAGE), Podman::cgroup(id));
    let found: Vec<_> = page.all("container_memory_usage_bytes").filter(|series| series.has(&[("id", &id)])).collect();
    assert_eq!(found.len(), 1, "the numbers are there");
    found[0].labels.get("name").cloned()
}

fn has_name(name: &str, agent: &Agent, id: &str) {
    wait_for(&format!("the name {name}"), SOON, || name_of(agent, id).as_deref() == Some(name));
}

#[test]
fn a_podman_that_comes_later_is_found_killed_and_stopped() {
    let mut podman = Podman::new("run/podman/podman.sock");
    let address = podman.docker.host.clone();
    let labels = [("engine", "podman"), ("address", address.as_str())];
    // Nothing but the usual sockets below the root.
    let root = format!("--path.rootfs={}", podman.root().display());
    let agent = Agent::start(&[&root, "--docker="], &[]);
    assert!(agent.scrape(PAGE).all("container_engine_up").next().is_none());

    podman.start();
    let run =
        ["run", "-d", "--network=none", "--name=first", "--label=com.docker.compose.service=web", "busybox:test", "sleep", "600"];
    let id = podman.docker.run(&run);
    let cgroup = Podman::cgroup(&id);
    engine_is(true, &agent, &labels);
    has_name("first", &agent, &id);
    let page = agent.scrape(PAGE);
    let identity = [
        ("id", cgroup.as_str()),
        ("image", "docker.io/library/busybox:test"),
        ("container_label_com_docker_compose_service", "web"),
    ];
    assert_eq!(page.value("container_threads", &identity), Some(1.0));
    assert_eq!(page.value("container_health_state", &identity), Some(-1.0), "it has no health check");
    // conmon's cgroup is nobody's container.
    assert!(page.series.iter().all(|series| !series.labels.get("id").is_some_and(|id| id.contains("conmon")) || !series.labels.contains_key("name")));

    podman.docker.run(&["rename", "first", "renamed"]);
    has_name("renamed", &agent, &id);
    let second = podman.docker.container(&["--network", "none", "--name", "second"], &["sleep", "600"]);
    has_name("second", &agent, &second.id);
    let gone = Podman::cgroup(&second.id);
    drop(second);
    wait_for("the end of its series", SOON, || {
        agent.scrape(PAGE).series.iter().all(|series| series.labels.get("id") != Some(&gone))
    });

    podman.kill();
    engine_is(false, &agent, &labels);
    assert_eq!(name_of(&agent, &id).as_deref(), Some("renamed"), "what was known is kept");
    podman.start();
    engine_is(true, &agent, &labels);

    podman.freeze();
    let page = engine_is(false, &agent, &labels);
    let reason = [labels[0], labels[1], ("reason", "no answer within 5 s")];
    assert_eq!(page.value("container_engine_last_error_info", &reason), Some(1.0));
    assert_eq!(name_of(&agent, &id).as_deref(), Some("renamed"));
    podman.thaw();
    engine_is(true, &agent, &labels);
    has_name("renamed", &agent, &id);
    wait_for("no error", SOON, || agent.scrape(PAGE).all("container_engine_last_error_info").next().is_none());
}
