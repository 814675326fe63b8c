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

const NODE: [&str; 6] = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--requirepass", "s3cret"];

/// Three masters that know each other, with the password `s3cret`.
fn cluster(more: &[&str]) -> Vec<Redis> {
    let nodes: Vec<Redis> = (0..3).map(|_| Redis::start(&[&NODE[..], more].concat())).collect();
    nodes[1..].iter().for_each(|other| meet(&nodes[0], other));
    nodes.iter().for_each(|node| knows(node, nodes.len()));
    nodes
}

fn meet(node: &Redis, other: &Redis) {
    let meet = ["CLUSTER", "MEET", "127.0.0.1", &other.port.to_string()];
    assert!(node.send_all(&[&["AUTH", "s3cret"], &meet]).ends_with("+OK\r\n"));
}

fn knows(node: &Redis, count: usize) {
    wait_for("the nodes to know each other", Duration::from_secs(60), || {
        node.send_all(&[&["AUTH", "s3cret"], &["CLUSTER", "NODES"]]).matches(" connected").count() == count
    });
}

/// Waits for a page on which just these servers are up.
fn are_up(agent: &Agent, what: &str, wanted: impl IntoIterator<Item = String>) {
    let (wanted, mut last) = (wanted.into_iter().collect::<BTreeSet<_>>(), BTreeSet::new());
    let end = std::time::Instant::now() + Duration::from_secs(120);
    while last != wanted {
        assert!(std::time::Instant::now() < end, "{what}: {last:?} instead of {wanted:?}\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(200));
        last = up(&agent.scrape("/metrics/redis"));
    }
}

#[test]
fn all_nodes_of_a_cluster_from_one_seed() {
    let nodes = cluster(&[]);
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

/// The nodes call themselves by another address than the one that the operator gave for the seed.
#[test]
fn a_seed_by_its_name_is_none_of_its_nodes() {
    let nodes = cluster(&["--bind", "127.0.0.1", "127.0.0.2", "--cluster-announce-ip", "127.0.0.2"]);
    let seed = format!("redis://localhost:{}", nodes[0].port);
    let agent = agent(&["--redis.cluster-nodes"], &[("REDIS_ADDR", &seed), ("REDIS_PASSWORD", "s3cret")]);
    let announced = nodes[1..].iter().map(|node| format!("127.0.0.2:{}", node.port));
    are_up(&agent, "the seed once, the others where they announce", announced.chain([String::new()]));
}

#[test]
fn nodes_that_move_and_come_are_followed_without_the_seed() {
    let mut nodes = cluster(&[]);
    let agent = agent(&["--redis.cluster-nodes"], &[("REDIS_ADDR", &nodes[0].addr()), ("REDIS_PASSWORD", "s3cret")]);
    let name = |node: &Redis| format!("127.0.0.1:{}", node.port);
    are_up(&agent, "all nodes", [String::new(), name(&nodes[1]), name(&nodes[2])]);
    // The same node on another port, as after a move to another host.
    let before = name(&nodes[2]);
    nodes[2].stop();
    nodes[2].port = support::redis::free_port_for_a_cluster();
    nodes[2].start_again();
    are_up(&agent, "the node that moved", [String::new(), name(&nodes[1]), name(&nodes[2])]);
    assert!(!agent.get("/metrics/redis").contains(&before), "the place that it left is forgotten");
    // The seed is gone for good; another node tells of a new one.
    nodes[0].stop();
    let new = Redis::start(&NODE);
    meet(&nodes[1], &new);
    are_up(&agent, "the new node", [name(&nodes[1]), name(&nodes[2]), name(&new)]);
    let page = agent.scrape("/metrics/redis");
    let seed = page.all("redis_up").find(|series| series.labels.is_empty());
    assert_eq!(seed.map(|series| series.value), Some(0.0), "the seed is told to be down");
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

#[test]
fn two_sentinels_tell_of_the_same_servers_through_a_failover() {
    let mut master = Redis::start(&["--requirepass", "s3cret", "--masterauth", "s3cret"]);
    let port = master.port.to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port, "--masterauth", "s3cret", "--requirepass", "s3cret"]);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let sentinels = ["one", "two"].map(|name| {
        let text = format!(
            "sentinel monitor m 127.0.0.1 {port} 2\nsentinel auth-pass m s3cret\nsentinel down-after-milliseconds m 1000\n\
             sentinel failover-timeout m 5000\n"
        );
        std::fs::write(path(name), text).unwrap();
        Redis::start_from("redis-server".as_ref(), &[path(name).to_str().unwrap(), "--sentinel"])
    });
    for sentinel in &sentinels {
        wait_for("the Sentinels to know each other and the replica", Duration::from_secs(60), || {
            let told = sentinel.send(&["SENTINEL", "MASTER", "m"]);
            told.contains("num-slaves\r\n$1\r\n1") && told.contains("num-other-sentinels\r\n$1\r\n1")
        });
    }
    let targets: String = sentinels
        .iter()
        .zip(["one", "two"])
        .map(|(sentinel, name)| format!("    - {{name: {name}, address: \"{}\"}}\n", sentinel.addr()))
        .collect();
    std::fs::write(path("agent.yml"), format!("redis:\n  targets:\n{targets}")).unwrap();
    std::fs::write(path("password"), "s3cret\n").unwrap();
    let (file, secret) = (path("agent.yml"), path("password"));
    let args = ["--config.file", file.to_str().unwrap(), "--redis.sentinel-discover", "--redis.sentinel-master-password-file"];
    let agent = agent(&[&args[..], &[secret.to_str().unwrap()]].concat(), &[]);
    let place = |server: &Redis| format!("127.0.0.1:{}", server.port);
    let both = ["one".to_owned(), "two".to_owned()];
    are_up(&agent, "each server once", both.iter().cloned().chain([place(&master), place(&replica)]));
    let role = |server: &Redis| {
        let page = agent.scrape("/metrics/redis");
        let of = page.all("redis_instance_info").find(|series| series.labels["target"] == place(server)).cloned();
        of.map(|series| series.labels["role"].clone())
    };
    assert_eq!((role(&master), role(&replica)), (Some("master".into()), Some("slave".into())));
    master.stop();
    wait_for("the replica to be the master", Duration::from_secs(60), || role(&replica).as_deref() == Some("master"));
    are_up(&agent, "all but the one that is down", both.into_iter().chain([place(&replica)]));
    let page = agent.scrape("/metrics/redis");
    assert_eq!(page.value("redis_up", &[("target", &place(&master))]), Some(0.0), "it is still told of");
}
