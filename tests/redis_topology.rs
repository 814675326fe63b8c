//! Pages of one Redis server, and servers that others tell of: a real cluster, a real Sentinel.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::exposition::Exposition;
use support::redis::{Answer, Redis, Stub};
use support::{Agent, wait_for};

fn agent(args: &[&str], env: &[(&str, &str)]) -> Agent {
    let only = ["--no-host", "--no-containers", "--no-postgres"];
    Agent::start(&[&only[..], args].concat(), env)
}

/// The targets that are up on a page.
fn up(page: &Exposition) -> BTreeSet<String> {
    let up = page.all("redis_up").filter(|series| series.value == 1.0);
    up.map(|series| series.labels.get("target").cloned().unwrap_or_default()).collect()
}

fn is_plain(page: &Exposition) -> bool {
    page.value("redis_up", &[]) == Some(1.0) && page.all("redis_up").all(|series| series.labels.is_empty())
}

// --- /scrape ---

#[test]
fn only_configured_servers_are_scraped() {
    let (given, listed, other) = (Redis::start(&[]), Redis::start(&["--requirepass", "s3cret"]), Redis::start(&[]));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.yaml");
    let text = format!("redis:\n  targets:\n    - name: cache\n      address: {}\n      password: s3cret\n", listed.addr());
    std::fs::write(&file, text).unwrap();
    let agent = agent(&["--config.file", file.to_str().unwrap()], &[("REDIS_ADDR", &given.addr())]);
    for target in ["cache", &listed.addr(), &format!("127.0.0.1:{}", listed.port), &given.addr()] {
        let page = agent.scrape(&format!("/scrape?target={target}"));
        assert!(is_plain(&page), "{target}");
        assert!(!agent.get(&format!("/scrape?target={target}")).contains("target=\""), "{target}");
    }
    assert_eq!(up(&agent.scrape("/metrics/redis")), BTreeSet::from([String::new(), "cache".to_owned()]));
    for (wrong, words) in [("", "missing"), ("?target=", "missing"), ("?target=nobody", "--redis.scrape-any")] {
        let response = agent.request(&format!("/scrape{wrong}"), &[]);
        assert_eq!(response.status, 400, "{wrong}");
        assert!(response.text().contains(words), "{}", response.text());
    }
    assert_eq!(agent.request(&format!("/scrape?target={}", other.addr()), &[]).status, 400);
    assert_eq!(agent.request("/discover-cluster-nodes", &[]).status, 400);
}

#[test]
fn the_kept_connection_serves_both_pages() {
    let stub = Stub::recorded(&support::shared("fixtures/redis/redis-7.0/standalone-busy"));
    let agent = agent(&[], &[("REDIS_ADDR", &stub.addr())]);
    for _ in 0..3 {
        assert!(is_plain(&agent.scrape(&format!("/scrape?target={}", stub.addr()))));
        assert!(is_plain(&agent.scrape("/metrics/redis")));
    }
    assert_eq!(stub.connections(), 1);
}

#[test]
fn no_password_reaches_a_server_that_it_is_not_for() {
    let stub = Stub::start(|_| Answer::Send(b"-ERR unknown command\r\n".to_vec()));
    let (given, locked) = (Redis::start(&["--requirepass", "s3cret"]), Redis::start(&["--requirepass", "0ther"]));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("passwords.json");
    let map = format!(r#"{{"{}": "s3cret", "{}": "0ther"}}"#, given.addr(), locked.addr());
    std::fs::write(&file, map).unwrap();
    let secrets = file.to_str().unwrap();
    for password in [["--redis.password", "s3cret"], ["--redis.password-file", secrets]] {
        let address = given.addr();
        let args = [&["--redis.scrape-any", "--redis.addr", &*address][..], &password].concat();
        let agent = agent(&args, &[]);
        assert!(is_plain(&agent.scrape(&format!("/scrape?target={}", given.addr()))));
        let page = agent.scrape(&format!("/scrape?target=redis://:hunter2@127.0.0.1:{}", stub.port));
        assert_eq!(page.value("redis_up", &[]), Some(0.0));
        let other = agent.scrape(&format!("/scrape?target={}", locked.addr()));
        let with_map = password[1] == secrets;
        assert_eq!(other.value("redis_up", &[]), Some(f64::from(with_map)));
        for wrong in ["unix:///run/redis.sock", "http://127.0.0.1:80", "/etc/passwd", "redis://h:x"] {
            assert_eq!(agent.request(&format!("/scrape?target={wrong}"), &[]).status, 400, "{wrong}");
        }
    }
    let commands = stub.commands.lock().unwrap();
    assert!(commands.iter().all(|command| !command.starts_with("AUTH")), "{commands:?}");
}

// --- Cluster ---

/// Three masters that know each other, with the password `s3cret`.
fn cluster() -> Vec<Redis> {
    let args = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--requirepass", "s3cret"];
    let nodes: Vec<Redis> = (0..3).map(|_| Redis::start(&args)).collect();
    for other in &nodes[1..] {
        let meet = ["CLUSTER", "MEET", "127.0.0.1", &other.port.to_string()];
        assert!(nodes[0].send_all(&[&["AUTH", "s3cret"], &meet]).ends_with("+OK\r\n"));
    }
    for node in &nodes {
        wait_for("the nodes to know each other", Duration::from_secs(60), || {
            node.send_all(&[&["AUTH", "s3cret"], &["CLUSTER", "NODES"]]).matches(" connected").count() == 3
        });
    }
    nodes
}

#[test]
fn all_nodes_of_a_cluster_from_one_seed() {
    let nodes = cluster();
    let env = [("REDIS_ADDR", &*nodes[0].addr()), ("REDIS_PASSWORD", "s3cret"), ("REDIS_EXPORTER_IS_CLUSTER", "true")];
    let agent = agent(&["--redis.cluster-nodes"], &env);
    let members = nodes[1..].iter().map(|node| format!("127.0.0.1:{}", node.port));
    let all: BTreeSet<String> = members.chain([String::new()]).collect();
    wait_for("all nodes on the page", Duration::from_secs(60), || up(&agent.scrape("/metrics/redis")) == all);
    // The list of service discovery leads to pages of one node.
    let list: serde_json::Value = serde_json::from_str(&agent.get("/discover-cluster-nodes")).unwrap();
    let targets: BTreeSet<&str> = list[0]["targets"].as_array().unwrap().iter().map(|target| target.as_str().unwrap()).collect();
    let addresses: Vec<String> = nodes.iter().map(Redis::addr).collect();
    assert_eq!(targets, addresses.iter().map(String::as_str).collect());
    assert_eq!(list[0]["labels"], serde_json::json!({}));
    for target in targets {
        assert!(is_plain(&agent.scrape(&format!("/scrape?target={target}"))), "{target}");
    }
}

// --- Sentinel ---

#[test]
fn the_masters_and_replicas_of_a_sentinel() {
    let master = Redis::start(&["--requirepass", "s3cret"]);
    let port = master.port.to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port, "--masterauth", "s3cret", "--requirepass", "s3cret"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sentinel.conf");
    std::fs::write(&file, format!("sentinel monitor m 127.0.0.1 {port} 1\nsentinel auth-pass m s3cret\n")).unwrap();
    let sentinel = Redis::start_from("redis-server".as_ref(), &[file.to_str().unwrap(), "--sentinel"]);
    wait_for("the Sentinel to know the replica", Duration::from_secs(60), || {
        sentinel.send(&["SENTINEL", "SLAVES", "m"]).contains(&replica.port.to_string())
    });
    let secret = dir.path().join("password");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let args = ["--redis.sentinel-discover", "--redis.sentinel-master-password-file", secret.to_str().unwrap()];
    let agent = agent(&args, &[("REDIS_ADDR", &sentinel.addr())]);
    let all = BTreeSet::from([String::new(), format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", replica.port)]);
    wait_for("master and replica on the page", Duration::from_secs(60), || up(&agent.scrape("/metrics/redis")) == all);
}
