//! A real containerd: containers of ctr in its namespaces, as nerdctl and Kubernetes label them; killed, started again, stopped.

use std::path::PathBuf;
use std::time::Duration;

use crate::disk::du;
use crate::matrix::HOG;
use crate::support::containerd::Containerd;
use crate::support::exposition::Exposition;
use crate::support::{Agent, wait_for};

const PAGE: &str = "/metrics/containers";
const SOON: Duration = Duration::from_secs(40);
const ID: &str = "5b0d1f10fa44541b0d1b167cdb6a2300c4536157403232852e2badc3c15c0c3a";

fn engine_is(up: bool, agent: &Agent, labels: &[(&str, &str)]) -> Exposition {
    let mut page = Exposition::default();
    wait_for(&format!("{labels:?} to be up: {up}\n{}", agent.log()), SOON, || {
        page = agent.scrape(PAGE);
        page.value("container_engine_up", labels) == Some(f64::from(u8::from(up)))
    });
    page
}

fn name_of(agent: &Agent, cgroup: &str) -> Option<String> {
    let page = agent.scrape(PAGE);
    let found: Vec<_> = page.all("container_memory_usage_bytes").filter(|series| series.has(&[("id", cgroup)])).collect();
    assert_eq!(found.len(), 1, "the numbers of {cgroup} are there");
    found[0].labels.get("name").cloned()
}

fn has_name(name: &str, agent: &Agent, cgroup: &str) {
    wait_for(&format!("the name {name} of {cgroup}\n{}", agent.log()), SOON, || name_of(agent, cgroup).as_deref() == Some(name));
}

#[test]
fn containers_of_a_containerd_have_names_without_docker() {
    let mut containerd = Containerd::start();
    let address = containerd.address();
    let labels = [("engine", "containerd"), ("address", address.as_str())];
    containerd.sleep("default", "plain", &[]);
    let agent = Agent::start(&["--docker=", &format!("--containers.engines=containerd={address}")], &[]);
    engine_is(true, &agent, &labels);
    // Known by its cgroup's path, since its id is none that stands out.
    has_name("plain", &agent, "/default/plain");
    let page = agent.scrape(PAGE);
    let identity = [("id", "/default/plain"), ("image", "docker.io/library/busybox:test")];
    assert_eq!(page.value("container_threads", &identity), Some(1.0));

    // By the events: one as nerdctl labels them, and one of Docker's, which is passed over.
    containerd.sleep("default", ID, &["--label", "nerdctl/name=web", "--label", "com.docker.compose.service=shop"]);
    let cgroup = format!("/default/{ID}");
    has_name("web", &agent, &cgroup);
    let identity = [("id", cgroup.as_str()), ("container_label_com_docker_compose_service", "shop")];
    assert_eq!(agent.scrape(PAGE).value("container_threads", &identity), Some(1.0));
    containerd.run("default", &["containers", "label", ID, "nerdctl/name=renamed"]);
    has_name("renamed", &agent, &cgroup);
    containerd.run("moby", &["images", "ls"]);

    containerd.kill();
    engine_is(false, &agent, &labels);
    assert_eq!(name_of(&agent, &cgroup).as_deref(), Some("renamed"), "what was known is kept");
    containerd.restart();
    engine_is(true, &agent, &labels);
    containerd.freeze();
    let page = engine_is(false, &agent, &labels);
    let reason = [labels[0], labels[1], ("reason", "no answer within 5 s")];
    assert_eq!(page.value("container_engine_last_error_info", &reason), Some(1.0));
    assert_eq!(name_of(&agent, &cgroup).as_deref(), Some("renamed"));
    containerd.thaw();
    engine_is(true, &agent, &labels);
    containerd.remove("default", ID);
    wait_for("the end of its series", SOON, || {
        agent.scrape(PAGE).series.iter().all(|series| series.labels.get("id") != Some(&cgroup))
    });
    has_name("plain", &agent, "/default/plain");
}

#[test]
fn kills_for_want_of_memory_are_counted_over_restarts_and_removal() {
    let containerd = Containerd::start();
    let address = containerd.address();
    let agent = Agent::start(&["--docker=", &format!("--containers.engines=containerd={address}")], &[]);
    engine_is(true, &agent, &[("engine", "containerd"), ("address", &address)]);
    let mut last = 0.0;
    let mut reaches = |expected: f64| {
        wait_for(&format!("{expected} kills\n{}", agent.log()), SOON, || {
            let page = agent.scrape(PAGE);
            let found: Vec<_> = page.all("container_oom_events_total").filter(|series| series.has(&[("name", "hog")])).collect();
            assert!(found.len() <= 1 && found.iter().all(|series| series.labels["id"] == "/default/hog"), "{found:?}");
            // Not there yet, or not there again.
            let Some(now) = found.first().map(|series| series.value) else { return false };
            assert!(now >= last && now <= expected, "{last}, then {now}, at most {expected}");
            last = now;
            now == expected
        });
    };
    let value = |family: &str| agent.scrape(PAGE).value(family, &[("name", "hog"), ("id", "/default/hog")]);
    let limit = ["--memory-limit", "8388608"];
    containerd.start_container("default", "hog", &limit, &["sh", "-c", HOG]);
    // Its cgroup goes with its only process.
    reaches(1.0);
    wait_for("its end", SOON, || value("container_exit_code") == Some(137.0));
    containerd.run("default", &["task", "rm", "hog"]);
    containerd.run("default", &["task", "start", "-d", "hog"]);
    reaches(2.0);
    // Made anew under the same name; the first process lives on, and the kernel counts as well.
    containerd.remove("default", "hog");
    let survivor = format!("while :; do sh -c '{HOG}'; sleep 600; done");
    containerd.start_container("default", "hog", &limit, &["sh", "-c", &survivor]);
    reaches(3.0);
    containerd.remove("default", "hog");
    containerd.start_container("default", "hog", &limit, &["sh", "-c", &survivor]);
    reaches(4.0);
}

/// Nobody tells where its layer is: the mounts of its process do.
#[test]
fn what_a_container_wrote_is_measured_without_docker() {
    let containerd = Containerd::start();
    let engines = format!("--containers.engines=containerd={}", containerd.address());
    let agent = Agent::start(&["--docker=", &engines, "--containers.disk-interval=1s"], &[]);
    let write = "dd if=/dev/zero of=/plain bs=4096 count=1000; sleep 600";
    let image = "docker.io/library/busybox:test";
    containerd.run("default", &["run", "-d", "--snapshotter=overlayfs", image, "writer", "sh", "-c", write]);
    let snapshots = containerd.socket().with_file_name("data").join("io.containerd.snapshotter.v1.overlayfs/snapshots");
    let layers = || std::fs::read_dir(&snapshots).unwrap().map(|layer| layer.unwrap().path().join("fs"));
    let is_written = |layer: &PathBuf| std::fs::metadata(layer.join("plain")).is_ok_and(|file| file.len() == 4_096_000);
    wait_for("what it writes", SOON, || layers().any(|layer| is_written(&layer)));
    let layer = layers().find(is_written).unwrap();
    let labels = [("id", "/default/writer"), ("name", "writer"), ("image", image)];
    for family in ["container_writable_layer_size_bytes", "container_fs_usage_bytes"] {
        wait_for(&format!("{family} as du has it\n{}", agent.log()), SOON, || {
            agent.scrape(PAGE).value(family, &labels) == Some(du(layer.to_str().unwrap(), "--block-size=1"))
        });
    }
}
