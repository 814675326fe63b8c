//! Databases in containers: real ones of a real Docker daemon, found, reached or not, renamed, restarted, removed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod fake;
mod labels;
mod podman;
mod postgres;
mod redis;
mod soak;

use std::sync::Once;
use std::time::Duration;

use support::Agent;
use support::docker::{Container, Docker};
use support::exposition::Series;

/// What no page and no log may hold.
const SECRET: &str = "hunter2-of-the-test";

const SOON: Duration = Duration::from_secs(30);

/// A network of its own for each test, in which the host has an address too.
struct Network<'a> {
    docker: &'a Docker,
    name: String,
}

impl<'a> Network<'a> {
    fn new(docker: &'a Docker, name: &str) -> Self {
        docker.run(&["network", "create", name]);
        Network { docker, name: name.to_owned() }
    }

    /// A container of `image` with this name in this network, in which the host's programs run.
    fn start(&self, name: &str, options: &[&str], image: &str, command: &[&str]) -> Container<'a> {
        let first = ["--network", &self.name, "--name", name, "-v", "/usr:/usr:ro"];
        self.docker.start(&[&first, options, &[image], command].concat())
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["-H", &self.docker.host, "network", "rm", &self.name]).output();
    }
}

/// The daemon of all tests, with images called as the real ones are.
fn docker() -> Docker {
    static IMAGES: Once = Once::new();
    let docker = Docker::shared();
    IMAGES.call_once(|| {
        let path = "ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin";
        docker.image("postgres:14", &[path, "EXPOSE 5432"]);
        docker.image("redis:6", &[path, "EXPOSE 6379"]);
        docker.image("registry.test:5000/tools/other:1", &[path]);
        let of_image = "LABEL stack-exporter.redis=true stack-exporter.redis.password-file=stolen stack-exporter.redis.name=good";
        docker.image("tricky:1", &[path, of_image]);
    });
    docker
}

/// An agent that looks for databases in the daemon's containers.
fn agent(docker: &Docker, args: &[&str]) -> Agent {
    Agent::start(&[&["--docker", &docker.host, "--no-host", "--no-containers"], args].concat(), &[])
}

/// What the page tells of a found server.
fn told(agent: &Agent, target: &str) -> Option<Series> {
    let page = agent.scrape("/metrics");
    page.all("stack_exporter_discovered_target").find(|series| series.has(&[("target", target)])).cloned()
}

/// Waits until the page tells that the server is reached (`None`) or what is missing.
fn is_told(agent: &Agent, target: &str, missing: Option<&str>) -> Series {
    let mut last = None;
    let end = std::time::Instant::now() + SOON;
    loop {
        last = told(agent, target).or(last);
        if let Some(series) = &last
            && series.labels.get("missing").map(String::as_str) == missing
        {
            assert_eq!(series.labels["reached"], if missing.is_some() { "no" } else { "yes" });
            return series.clone();
        }
        assert!(std::time::Instant::now() < end, "{target} is to lack {missing:?}, and the page has {last:?}\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn up(agent: &Agent, family: &str, target: &str) -> Option<f64> {
    agent.scrape("/metrics").value(family, &[("target", target)])
}

fn is_up(agent: &Agent, family: &str, target: &str) {
    let end = std::time::Instant::now() + SOON;
    while up(agent, family, target) != Some(1.0) {
        assert!(std::time::Instant::now() < end, "{family} of {target} is not 1\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn keeps_secrets(agent: &Agent) {
    for page in ["/metrics", "/", "/api/v1/status"] {
        assert!(!agent.get(page).contains(SECRET), "{page}");
    }
    assert!(!agent.log().contains(SECRET), "{}", agent.log());
}
