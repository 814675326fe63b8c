//! What an engine has beside containers: images, volumes, counts of containers, and a Swarm of one node, beside what the docker command says.

use std::process::Command;
use std::time::Duration;

use crate::support::docker::Daemon;
use crate::support::exposition::Exposition;
use crate::support::{Agent, wait_for};

const PAGE: &str = "/metrics/containers";

fn agent(daemon: &Daemon) -> Agent {
    let args = ["--no-host", "--no-postgres", "--no-redis", "--containers.disk-interval=1s"];
    Agent::start(&[&["--docker", &daemon.docker.host], &args[..]].concat(), &[])
}

fn eventually(agent: &Agent, what: &str, holds: impl Fn(&Exposition) -> bool) -> Exposition {
    let mut page = Exposition::default();
    wait_for(what, Duration::from_secs(100), || {
        page = agent.scrape(PAGE);
        holds(&page)
    });
    page
}

#[test]
fn images_volumes_and_counts_are_the_engine_s() {
    let daemon = Daemon::start();
    let docker = &daemon.docker;
    docker.run(&["volume", "create", "data"]);
    docker.run(&["volume", "create", "empty"]);
    docker.run(&["tag", "busybox:test", "another:name"]);
    let write = "dd if=/dev/zero of=/data/file bs=4096 count=500; sleep 600";
    let writer = docker.container(&["--network=none", "--name=writer", "-v=data:/data"], &["sh", "-c", write]);
    let _idle = docker.created(&["--network=none"], &["sleep", "600"]);
    let over = docker.container(&["--network=none", "--name=over"], &["sh", "-c", "exit 0"]);
    let frozen = docker.container(&["--network=none", "--name=frozen"], &["sleep", "600"]);
    docker.run(&["pause", "frozen"]);
    let folder = docker.run(&["volume", "inspect", "-f", "{{.Mountpoint}}", "data"]);
    let du = || {
        let output = Command::new("du").args(["-sx", "--block-size=1", &folder]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    wait_for("the volume to be filled", Duration::from_secs(20), || du() > 4096.0 * 500.0);
    let agent = agent(&daemon);
    let size = |page: &Exposition, name: &str| page.value("docker_volume_size_bytes", &[("volume", name), ("driver", "local")]);
    let page = eventually(&agent, "sizes of volumes", |page| size(page, "data") == Some(du()));
    assert_eq!((du(), size(&page, "empty")), (4096.0 * 501.0, Some(4096.0)));

    // One image under two names is one series.
    let image = |format: &str| docker.run(&["image", "inspect", "-f", format, "busybox:test"]);
    let labels = [("image", "another:name"), ("image_id", &image("{{.Id}}")), ("engine", "docker"), ("address", &docker.host)];
    assert_eq!(page.value("docker_image_size_bytes", &labels), Some(image("{{.Size}}").parse().unwrap()));
    assert_eq!(page.all("docker_image_size_bytes").count(), 1);

    let counted = |page: &Exposition| -> Vec<f64> {
        let count = |state| page.value("docker_containers", &[("state", state)]).unwrap();
        ["created", "running", "paused", "restarting", "removing", "exited", "dead"].into_iter().map(count).collect()
    };
    assert_eq!(counted(&page), [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    docker.run(&["unpause", "frozen"]);
    drop(over);
    eventually(&agent, "new counts", |page| counted(page) == [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(page.all("docker_swarm_node_info").count() + page.all("docker_swarm_service_replicas").count(), 0);
    drop((writer, frozen));
    docker.run(&["volume", "rm", "empty"]);
}

#[test]
fn a_manager_tells_of_its_services() {
    // Without --live-restore, which a Swarm does not go with.
    let daemon = Daemon::start_with(&["--storage-driver=vfs"]);
    let docker = &daemon.docker;
    docker.run(&["swarm", "init", "--advertise-addr=127.0.0.1", "--listen-addr=127.0.0.1:0"]);
    let create = |name: &str, more: &[&str]| {
        let args = ["service", "create", "--detach", "--no-resolve-image", "--network=host", "--name", name];
        docker.run(&[&args[..], more, &["busybox:test", "sleep", "600"]].concat())
    };
    let id = create("web", &["--replicas=2"]);
    create("everywhere", &["--mode=global"]);
    // No node has such a label.
    create("waiting", &["--replicas=3", "--constraint=node.labels.none==1"]);
    wait_for("tasks", Duration::from_secs(60), || docker.run(&["ps", "-q"]).lines().count() == 3);
    let agent = agent(&daemon);
    let is = |page: &Exposition, name: &str, desired: f64, running: f64| {
        let of = |kind| page.value("docker_swarm_service_replicas", &[("service_name", name), ("kind", kind)]);
        (of("desired"), of("running")) == (Some(desired), Some(running))
    };
    let page = eventually(&agent, "all services", |page| {
        is(page, "web", 2.0, 2.0) && is(page, "everywhere", 1.0, 1.0) && is(page, "waiting", 3.0, 0.0)
    });
    assert!(page.all("docker_swarm_service_replicas").any(|series| series.has(&[("service_name", "web"), ("service_id", &id)])));
    let node = docker.run(&["info", "-f", "{{.Swarm.NodeID}}"]);
    let name = docker.run(&["info", "-f", "{{.Name}}"]);
    let labels = [("node_id", node.as_str()), ("node_name", &name), ("role", "manager")];
    assert_eq!(page.value("docker_swarm_node_info", &labels), Some(1.0));
    // The label by which it is joined is on the tasks' series.
    let tasks =
        page.all("container_last_seen").filter(|series| series.has(&[("container_label_com_docker_swarm_node_id", &node)]));
    assert_eq!(tasks.count(), 3);
    docker.run(&["service", "scale", "--detach", "web=1"]);
    eventually(&agent, "the smaller service", |page| is(page, "web", 1.0, 1.0));
    docker.run(&["service", "rm", "web", "everywhere", "waiting"]);
    docker.run(&["swarm", "leave", "--force"]);
}
