//! Redis in containers.

use crate::support::docker::{Container, Docker};
use crate::support::wait_for;
use crate::{Network, SECRET, SOON, agent, docker, is_told, is_up, keeps_secrets, told, up};

const SERVER: [&str; 7] = ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""];

pub(crate) fn start<'a>(network: &Network<'a>, name: &str, options: &[&str]) -> Container<'a> {
    network.start(name, options, "redis:6", &SERVER)
}

fn address(container: &Container<'_>) -> String {
    container.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
}

#[test]
fn a_server_is_followed_through_rename_restart_and_removal() {
    let docker = docker();
    let network = Network::new(&docker, "redis-life");
    let agent = agent(&docker, &[]);
    let server = start(&network, "redis-before", &[]);
    assert_eq!(is_told(&agent, "redis-before", None).labels["how"], "network");
    is_up(&agent, "redis_up", "redis-before");

    docker.run(&["rename", "redis-before", "redis-after"]);
    is_up(&agent, "redis_up", "redis-after");
    assert_eq!((told(&agent, "redis-before"), up(&agent, "redis_up", "redis-before")), (None, None));

    let before = address(&server);
    docker.run(&["stop", "-t", "0", "redis-after"]);
    wait_for("the stopped server to be down", SOON, || up(&agent, "redis_up", "redis-after") == Some(0.0));
    let _other = network.start("redis-squatter", &[], "registry.test:5000/tools/other:1", &["sleep", "600"]);
    docker.run(&["start", "redis-after"]);
    assert_ne!(address(&server), before, "the test needs another address");
    is_up(&agent, "redis_up", "redis-after");

    drop(server);
    wait_for("the target to be gone", SOON, || up(&agent, "redis_up", "redis-after").is_none());
    assert_eq!(told(&agent, "redis-after"), None);
}

#[test]
fn a_server_made_anew_keeps_its_name() {
    let docker = docker();
    let network = Network::new(&docker, "redis-anew");
    let agent = agent(&docker, &[]);
    let labels = ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=cache"];
    let first = start(&network, "redis-anew-1", &labels);
    is_up(&agent, "redis_up", "shop/cache");
    let id = |agent| crate::support::Agent::scrape(agent, "/metrics/redis");
    let run = |agent| id(agent).all("redis_instance_info").find(|series| series.has(&[("target", "shop/cache")])).cloned();
    let before = run(&agent).unwrap().labels["run_id"].clone();
    drop(first);
    let _second = start(&network, "redis-anew-2", &labels);
    wait_for("the second server", SOON, || run(&agent).is_some_and(|series| series.labels["run_id"] != before));
    assert_eq!(up(&agent, "redis_up", "shop/cache"), Some(1.0));
}

#[test]
fn the_host_and_the_containers_limit_are_judged() {
    let docker = docker();
    let network = Network::new(&docker, "redis-judged");
    let agent = agent(&docker, &[]);
    let _server = start(&network, "redis-judged", &["--memory", "64m"]);
    is_up(&agent, "redis_up", "redis-judged");
    let page = agent.scrape("/metrics/redis");
    let value = |family, label, of| page.value(family, &[("target", "redis-judged"), (label, of)]);
    assert_eq!(value("redis_memory_limit_bytes", "source", "cgroup"), Some(67_108_864.0));
    assert!(value("redis_memory_limit_bytes", "source", "host").unwrap() > 67_108_864.0);
    let overcommit = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap();
    let finding = page
        .all("redis_audit_finding")
        .find(|series| series.has(&[("check", "overcommit_memory_0"), ("target", "redis-judged")]));
    assert_eq!(finding.unwrap().value, f64::from(u8::from(overcommit.trim() == "0")));
    // The network of the container has a somaxconn of its own, which cannot be read from here.
    assert!(!page.all("redis_audit_finding").any(|series| series.labels["check"] == "somaxconn_below_tcp_backlog"));
}

#[test]
fn a_password_comes_from_a_file_that_a_label_names_or_with_the_switch() {
    let docker = docker();
    let network = Network::new(&docker, "redis-password");
    let command = [&SERVER[..], &["--requirepass", SECRET]].concat();
    let _plain = network.start("redis-plain", &[], "redis:6", &command);
    let label = ["--label", "stack-exporter.redis.password-file=/run/secrets/redis"];
    let _labelled = network.start("redis-labelled", &label, "redis:6", &command);
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("redis"), SECRET).unwrap();
    let folder = format!("--discovery.secrets={}", secrets.path().display());
    let careful = agent(&docker, &[&folder]);
    let allowed = agent(&docker, &[&folder, "--discovery.environment"]);
    is_told(&careful, "redis-plain", Some("password"));
    assert_eq!(up(&careful, "redis_up", "redis-plain"), None);
    is_told(&careful, "redis-labelled", Some("secret"));
    is_up(&allowed, "redis_up", "redis-plain");
    docker.run(&["rm", "-f", "redis-labelled"]);
    let _again = network.start("redis-labelled", &["--label", "stack-exporter.redis.password-file=redis"], "redis:6", &command);
    is_up(&careful, "redis_up", "redis-labelled");
    keeps_secrets(&careful);
    keeps_secrets(&allowed);
}

#[test]
fn what_the_settings_name_is_not_found_twice() {
    let docker = docker();
    let network = Network::new(&docker, "redis-named");
    let named = start(&network, "redis-named", &[]);
    let _other = start(&network, "redis-unnamed", &[]);
    let by = |env: &str| {
        let agent =
            crate::support::Agent::start(&["--docker", &docker.host, "--no-host", "--no-containers"], &[("REDIS_ADDR", env)]);
        is_up(&agent, "redis_up", "redis-unnamed");
        assert_eq!((told(&agent, "redis-named"), up(&agent, "redis_up", "redis-named")), (None, None), "{env}");
        agent
    };
    let agent = by(&format!("redis://{}:6379", address(&named)));
    assert_eq!(up(&agent, "redis_up", ""), None);
    assert!(agent.scrape("/metrics/redis").all("redis_up").any(|series| series.labels.is_empty() && series.value == 1.0));
    by("redis-named:6379");
    let off = crate::agent(&docker, &["--no-redis.find"]);
    is_told_nothing(&off);
}

#[test]
fn a_socket_that_is_shared_with_the_host_is_one_server() {
    let docker = docker();
    let network = Network::new(&docker, "redis-shared");
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let mount = format!("{}:/run/redis", folder.path().display());
    let command = [&SERVER[..], &["--unixsocket", "/run/redis/redis.sock", "--unixsocketperm", "777"]].concat();
    let _shared = network.start("redis-shared", &["-v", &mount], "redis:6", &command);
    let _other = start(&network, "redis-unshared", &[]);
    let address = format!("unix://{}/redis.sock", folder.path().display());
    let args = ["--docker", &docker.host, "--no-host", "--no-containers"];
    let agent = crate::support::Agent::start(&args, &[("REDIS_ADDR", &address)]);
    is_up(&agent, "redis_up", "redis-unshared");
    wait_for("the server of the settings", SOON, || {
        agent.scrape("/metrics/redis").all("redis_up").any(|series| series.labels.is_empty() && series.value == 1.0)
    });
    assert_eq!(told(&agent, "redis-shared"), None);
}

fn is_told_nothing(agent: &crate::support::Agent) {
    // What this agent does find it has found after what it does not look for would have been.
    let page = agent.scrape("/metrics/redis");
    assert_eq!(page.all("stack_exporter_discovered_target").count() + page.all("redis_up").count(), 0);
}

#[test]
fn a_server_in_the_hosts_network_is_found_by_a_label() {
    let docker: Docker = docker();
    let port = crate::support::free_port().to_string();
    let label = format!("stack-exporter.redis=port={port}");
    let options = ["--network", "host", "--name", "redis-host", "-v", "/usr:/usr:ro", "--label", &label];
    let image = "registry.test:5000/tools/other:1";
    let command = ["redis-server", "--port", &port, "--bind", "127.0.0.1", "--save", ""];
    let _server = docker.start(&[&options[..], &[image], &command[..]].concat());
    let agent = agent(&docker, &[]);
    assert_eq!(is_told(&agent, "redis-host", None).labels["how"], "host");
    is_up(&agent, "redis_up", "redis-host");
}
