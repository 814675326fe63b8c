//! A real Redis in a container of a real Podman.

use crate::support::podman::Podman;
use crate::support::{Agent, free_port};
use crate::{SOON, is_told, is_up};

#[test]
fn a_redis_in_podman_is_found() {
    let mut podman = Podman::new("podman.sock");
    podman.start();
    podman.docker.image("redis:6", &["ENV PATH=/usr/bin:/bin", "EXPOSE 6379"]);
    let port = free_port().to_string();
    let label = format!("--label=stack-exporter.redis=port={port}");
    let run = ["run", "-d", "--network=host", "--name=cache", "-v", "/usr:/usr:ro", &label, "redis:6"];
    podman.docker.run(&[&run[..], &["redis-server", "--bind", "127.0.0.1", "--save", "", "--port", &port]].concat());
    let engines = format!("--containers.engines=podman={}", podman.docker.host);
    let agent = Agent::start(&["--docker=", &engines, "--no-host", "--no-containers"], &[]);
    let found = is_told(&agent, "cache", None);
    assert_eq!((found.labels["part"].as_str(), found.labels["how"].as_str()), ("redis", "host"));
    is_up(&agent, "redis_up", "cache");
    podman.docker.run(&["rm", "-f", "cache"]);
    crate::support::wait_for("the end of its target", SOON, || crate::told(&agent, "cache").is_none());
}
