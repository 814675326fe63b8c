//! What labels may and may not do.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::wait_for;
use crate::{Network, SECRET, SOON, agent, docker, is_told, is_up, keeps_secrets, told, up};

const SERVER: [&str; 7] = ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""];

#[test]
fn servers_are_called_as_swarm_and_the_operator_call_them() {
    let docker = docker();
    let network = Network::new(&docker, "label-names");
    let swarm = |name: &str| {
        let label = |key: &str, value: &str| format!("--label=com.docker.swarm.{key}={value}");
        let labels = [label("service.name", "shop_cache"), label("task.name", "shop_cache.3.t4sk"), label("task.id", "t4sk")];
        network.start(name, &labels.each_ref().map(String::as_str), "redis:6", &SERVER)
    };
    let first = swarm("label-swarm-1");
    let agent = agent(&docker, &[]);
    is_up(&agent, "redis_up", "shop_cache.3");
    let same = ["--label", "stack-exporter.redis.name=twin"];
    let _one = network.start("label-one", &same, "redis:6", &SERVER);
    is_up(&agent, "redis_up", "twin");
    // Of two with one name the older keeps it, and the engine's list tells their age in seconds.
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let made = now();
    wait_for("the next second", SOON, || now() > made);
    let _two = network.start("label-two", &same, "redis:6", &SERVER);
    is_up(&agent, "redis_up", "twin@label-two");
    is_up(&agent, "redis_up", "twin");
    // Swarm stops a task and makes another; the old container lies about for a while.
    docker.run(&["stop", "-t", "0", "label-swarm-1"]);
    wait_for("the stopped task to be gone", SOON, || up(&agent, "redis_up", "shop_cache.3").is_none());
    let _second = swarm("label-swarm-2");
    is_up(&agent, "redis_up", "shop_cache.3");
    drop(first);
    is_up(&agent, "redis_up", "shop_cache.3");
}

#[test]
fn hostile_labels_do_no_harm() {
    let docker = docker();
    let network = Network::new(&docker, "label-hostile");
    let long = "x".repeat(100_000);
    let label = |key: &str, value: &str| format!("--label=stack-exporter.redis.{key}={value}");
    let start = |name: &str, key: &str, value: &str| network.start(name, &[&label(key, value)], "redis:6", &SERVER);
    let secrets = tempfile::tempdir().unwrap();
    let folder = secrets.path().join("in");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(secrets.path().join("out"), SECRET).unwrap();
    let _all = [
        start("label-path", "password-file", "../out"),
        start("label-root", "password-file", secrets.path().join("out").to_str().unwrap()),
        start("label-long", "name", &long),
        start("label-line", "name", "two\nlines\" \\"),
        start("label-port", "port", "70000"),
        start("label-user", "user", &long),
    ];
    let agent = agent(&docker, &[&format!("--discovery.secrets={}", folder.display())]);
    is_told(&agent, "label-path", Some("secret"));
    is_told(&agent, "label-root", Some("secret"));
    is_told(&agent, &"x".repeat(128), None);
    is_told(&agent, "two_lines\" \\", None);
    is_told(&agent, "label-port", Some("label"));
    is_told(&agent, "label-user", Some("label"));
    keeps_secrets(&agent);
    assert!(agent.log().lines().all(|line| line.len() < 1000), "no line is flooded");
}

#[test]
fn labels_of_an_image_are_not_the_operators() {
    let docker = docker();
    let network = Network::new(&docker, "label-image");
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("stolen"), SECRET).unwrap();
    let _tricky = network.start("label-tricky", &[], "tricky:1", &SERVER);
    let _same = network.start("label-mine", &["--label", "stack-exporter.redis=port=6379"], "tricky:1", &SERVER);
    let agent = agent(&docker, &[&format!("--discovery.secrets={}", secrets.path().display())]);
    is_told(&agent, "label-mine", None);
    assert_eq!((told(&agent, "good"), told(&agent, "label-tricky")), (None, None));
}
