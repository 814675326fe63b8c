//! The scrape configurations of the README: promtool takes all, and a real Prometheus gets what they promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::postgres::Postgres;
use support::redis::Redis;
use support::{Agent, free_port, http, wait_for};

/// The README's blocks, without their first line `scrape_configs:`.
fn blocks() -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = text.split("```yaml\nscrape_configs:\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn promtool_takes_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prometheus.yml");
    let blocks = blocks();
    assert_eq!(blocks.len(), 5);
    // Debian builds Prometheus without the discovery of Kubernetes; what is made of its labels is checked.
    let discovery = "kubernetes_sd_configs: [{role: pod}]";
    assert!(blocks[4].contains(discovery));
    let text = blocks.concat().replace(discovery, "static_configs: [{targets: [pod]}]");
    std::fs::write(&file, "scrape_configs:\n".to_owned() + &text).unwrap();
    let output = Command::new("promtool").args(["check", "config"]).arg(&file).output().expect("promtool (prometheus)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What promtool complains of on a page that it can read: names, most of which are the four exporters'.
fn complaints(page: &str) -> Vec<String> {
    let mut promtool = Command::new("promtool");
    let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool (prometheus)");
    let mut input = child.stdin.take().unwrap();
    let page = page.to_owned();
    let writer = std::thread::spawn(move || input.write_all(page.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    // 1: it cannot be read; 3: it can, and there are complaints.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{told}");
    told.lines().map(str::to_owned).collect()
}

#[test]
fn promtool_reads_every_page() {
    let (redis, postgres) = (Redis::start(&[]), Postgres::start(&[]));
    let args = ["--docker=", "--redis.addr", &redis.addr()];
    let agent = Agent::start(&args, &[("DATA_SOURCE_NAME", &postgres.dsn("postgres"))]);
    for (path, least) in [("", 1_000), ("/node", 300), ("/containers", 1), ("/postgres", 300), ("/redis", 150)] {
        let page = agent.get(&format!("/metrics{path}"));
        let series = page.lines().filter(|line| !line.starts_with('#')).count();
        assert!(series >= least, "{path}: {series} series");
        let complaints = complaints(&page);
        let own: Vec<_> = complaints.iter().filter(|line| line.starts_with("stack_")).collect();
        assert!(own.is_empty(), "{path}: {own:?}");
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What Prometheus answers to a query: the labels asked for, and the value, of each series.
fn query(port: u16, query: &str, label: &str) -> Vec<(String, String)> {
    let answer = http("GET", port, &format!("/api/v1/query?query={query}"), &[]).text();
    let Ok(answer) = serde_json::from_str::<Value>(&answer) else { return Vec::new() };
    let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    series.iter().map(|one| (text(&one["metric"][label]), text(&one["value"][1]))).collect()
}

#[test]
fn prometheus_gets_what_they_promise() {
    let mut servers = [Redis::start(&[]), Redis::start(&[])];
    let folder = tempfile::tempdir().unwrap();
    let target = |server: &Redis| format!("    - {{name: cache-{}, address: \"{}\"}}\n", server.port, server.addr());
    let mut postgres = Postgres::start(&[]);
    let shop = format!("postgres:\n  targets:\n    - {{name: shop-db, address: \"{}\"}}\n", postgres.dsn("postgres"));
    let settings = shop + "redis:\n  targets:\n" + &servers.each_ref().map(target).concat();
    std::fs::write(folder.path().join("stack.yml"), settings).unwrap();
    let agent = Agent::start_in(folder.path().to_str().unwrap(), &["--docker=", "--config.file=stack.yml"], &[]);
    let jobs = blocks()[..3].concat().replace("myhost:9100", &format!("127.0.0.1:{}", agent.port));
    let text = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}");
    std::fs::write(folder.path().join("prometheus.yml"), text).unwrap();
    let port = free_port();
    let mut prometheus = Command::new("prometheus");
    prometheus.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]);
    prometheus.arg(format!("--web.listen-address=127.0.0.1:{port}")).current_dir(folder.path());
    let _prometheus = Running(prometheus.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let soon = Duration::from_secs(60);
    wait_for("Prometheus", soon, || TcpStream::connect(("127.0.0.1", port)).is_ok());

    // Every page is scraped: one of the merged job, four of the four jobs, one for each server.
    let mut jobs = Vec::new();
    wait_for("eight targets that are up", soon, || {
        jobs = query(port, "up", "job");
        jobs.len() == 8 && jobs.iter().all(|(_, value)| value == "1")
    });
    jobs.sort();
    let jobs: Vec<&str> = jobs.iter().map(|(job, _)| job.as_str()).collect();
    assert_eq!(jobs, ["cadvisor", "databases", "databases", "databases", "node", "postgres", "redis", "stack"]);
    // What is not a part's own stands on the merged page alone.
    for (family, expected) in [("node_load1", ["node", "stack"]), ("container_last_seen", ["cadvisor", "stack"])] {
        let mut found: Vec<String> = query(port, family, "job").into_iter().map(|(job, _)| job).collect();
        found.sort();
        found.dedup();
        assert_eq!(found, expected, "{family}");
    }
    // Each server is one instance, and the one that ends is the one that is down.
    let ups = || {
        let mut ups = query(port, "redis_up%7Bjob=%22databases%22%7D", "instance");
        ups.sort();
        ups
    };
    let listed: Value = serde_json::from_str(&agent.get("/sd/redis")).unwrap();
    let mut names: Vec<String> =
        listed.as_array().unwrap().iter().map(|group| group["labels"]["instance"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let expect = |values: [&str; 2]| names.iter().cloned().zip(values.map(str::to_owned)).collect::<Vec<_>>();
    wait_for("both servers", soon, || ups() == expect(["1", "1"]));
    let first = servers.iter().position(|server| names[0].contains(&server.port.to_string())).unwrap();
    servers[first].stop();
    wait_for("one of them down", soon, || ups() == expect(["0", "1"]));
    assert!(query(port, "redis_up%7Bjob=%22databases%22,target!=%22%22%7D", "target").is_empty(), "instance tells them apart");
    // PostgreSQL by `/probe`: a page of its own that comes with the server's name alone, and still comes when it is down.
    let shop = || query(port, "pg_up%7Bjob=%22databases%22%7D", "instance");
    wait_for("PostgreSQL", soon, || shop() == [("shop-db".to_owned(), "1".to_owned())]);
    assert!(query(port, "%7B__name__=~%22pg_.*%22,job=%22databases%22,target!=%22%22%7D", "target").is_empty());
    assert!(query(port, "pg_settings_max_connections%7Bjob=%22databases%22%7D", "instance").len() == 1);
    postgres.stop("INT");
    wait_for("PostgreSQL down", soon, || shop() == [("shop-db".to_owned(), "0".to_owned())]);
}
