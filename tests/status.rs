//! The operator's page and `/api/v1/status` of the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use serde_json::Value;
use support::Agent;
use support::postgres::Postgres;
use support::redis::Redis;

fn status(agent: &Agent) -> Value {
    let response = agent.request("/api/v1/status", &[]);
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    serde_json::from_str(&response.text()).unwrap()
}

/// The element of a list whose fields have these values.
fn find<'a>(list: &'a Value, fields: &[(&str, &str)]) -> &'a Value {
    let fits = |item: &&Value| fields.iter().all(|(name, value)| item[*name] == *value);
    list.as_array().unwrap().iter().find(fits).unwrap_or_else(|| panic!("{fields:?} in {list}"))
}

#[test]
fn the_status_tells_what_the_last_scrape_knew() {
    let redis = Redis::start(&[]);
    let args = ["--containers.engines=none", "--no-postgres", "--redis.addr", &redis.addr()];
    let agent = Agent::start(&args, &[]);

    let before = status(&agent);
    assert_eq!(before["last_scrape"], Value::Null);
    assert_eq!(find(&before["parts"], &[("part", "host")])["state"], "not asked yet");
    assert_eq!(find(&before["parts"], &[("part", "postgres")])["state"], "off");
    assert_eq!(find(&before["targets"], &[("part", "redis")])["up"], Value::Null);
    assert!(agent.get("/").contains("Not scraped yet"));
    assert_eq!(status(&agent)["last_scrape"], Value::Null, "a look is no scrape");

    let series = agent.scrape("/metrics").series.len();
    let after = status(&agent);
    assert_eq!(after["version"], env!("CARGO_PKG_VERSION"));
    assert!(!after["host"].as_str().unwrap().is_empty() && after["uptime_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(after["last_scrape"]["series"], series);
    assert!(after["last_scrape"]["bytes"].as_u64().unwrap() > 10_000);
    assert!(after["cost"]["resident_bytes"].as_u64().unwrap() > 1_000_000 && after["cost"]["open_files"].as_u64().unwrap() > 3);
    let cpu = find(&after["collectors"], &[("part", "host"), ("collector", "cpu")]);
    assert_eq!((cpu["state"].as_str(), &cpu["last_error"]), (Some("ok"), &Value::Null));
    assert!(cpu["series"].as_u64().unwrap() >= 8 && cpu["duration_seconds"].as_f64().unwrap() > 0.0);
    let target = find(&after["targets"], &[("part", "redis")]);
    assert_eq!((&target["up"], target["found"].as_str()), (&Value::Bool(true), Some("settings")));
    assert_eq!(target["address"], redis.addr());
    assert_eq!(after["containers"]["engines"], Value::Array(Vec::new()), "none is asked");
    // What redis_audit_finding tells by name, in words.
    let finding = find(&after["findings"], &[("remedy", "set maxmemory, and maxmemory-policy for what then happens")]);
    assert_eq!((finding["severity"].as_str(), finding["part"].as_str()), (Some("warning"), Some("redis")));
    for field in ["parts", "collectors", "targets", "findings"] {
        assert!(after[field].is_array(), "{field}");
    }

    // One collector of another scrape changes that collector alone, and looking takes no turn of Redis.
    let commands = redis.info()["total_commands_processed"].clone();
    agent.get("/metrics/node?collect[]=loadavg");
    for _ in 0..5 {
        agent.get("/");
        status(&agent);
    }
    let asked: u64 = redis.info()["total_commands_processed"].parse().unwrap();
    assert_eq!(asked, commands.parse::<u64>().unwrap() + 1, "the one is the test's own INFO");
    let age = |name: &str| find(&status(&agent)["collectors"], &[("collector", name)])["age_seconds"].as_f64().unwrap();
    assert!(age("loadavg") < age("cpu"));
}

#[test]
fn a_target_that_goes_is_down_with_advice_and_its_error_outlives_it() {
    let mut redis = Redis::start(&[]);
    let args = ["--docker=", "--no-postgres", "--no-host", "--no-containers", "--redis.addr", &redis.addr()];
    let agent = Agent::start(&args, &[]);
    redis.stop();
    agent.get("/metrics");
    let down = status(&agent);
    let target = find(&down["targets"], &[("part", "redis")]);
    assert_eq!(target["up"], false);
    assert!(target["last_error"]["text"].as_str().unwrap().contains("Connection refused"), "{target}");
    let finding = find(&down["findings"], &[("severity", "critical"), ("part", "redis")]);
    assert_eq!(finding["remedy"], "nothing listens there: start the server, or correct its address");
    assert_eq!(find(&down["parts"], &[("part", "redis")])["state"], "failing");
    assert!(agent.get("/").contains("nothing listens there"));

    redis.restart();
    agent.get("/metrics");
    let up = status(&agent);
    let target = find(&up["targets"], &[("part", "redis")]);
    assert_eq!(target["up"], true);
    assert!(target["last_error"]["text"].as_str().unwrap().contains("Connection refused"));
    assert!(!up["findings"].to_string().contains("Connection refused"), "{up}");
    assert_eq!(find(&up["parts"], &[("part", "redis")])["state"], "ok");
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let agent = Agent::start(&["--docker=", "--no-postgres", "--no-redis"], &[]);
    let page = agent.request("/", &[]);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"));
    for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store"), ("refresh", "15")] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    let text = page.text();
    for foreign in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!text.contains(foreign), "{foreign}");
    }
    let still = agent.request("/status?refresh=off", &[]);
    assert_eq!((still.status, still.header("refresh")), (200, None));
    assert!(still.text().contains("stands still"));
}

#[test]
fn what_postgres_does_not_allow_is_told_beside_what_it_does() {
    let server = Postgres::start(&[]);
    server.sql("postgres", "CREATE ROLE poor LOGIN");
    let dsn = server.dsn("postgres").replace("postgres@", "poor@");
    let args = ["--docker=", "--no-redis", "--no-host", "--no-containers"];
    let agent = Agent::start(&args, &[("DATA_SOURCE_NAME", &dsn)]);
    agent.get("/metrics");
    let status = status(&agent);
    let target = find(&status["targets"], &[("part", "postgres")]);
    assert_eq!(target["up"], true, "{target}");
    let failed: Vec<_> =
        status["collectors"].as_array().unwrap().iter().filter(|collector| collector["state"] == "failed").collect();
    assert!(!failed.is_empty() && target["failed_collectors"] == failed.len(), "{target}");
    for collector in &failed {
        assert!(collector["last_error"]["text"].as_str().unwrap().contains("SQLSTATE 42501"), "{collector}");
        assert!(collector["last_error"]["advice"].as_str().unwrap().contains("stack-exporter postgres grants"), "{collector}");
    }
    assert_eq!(find(&status["parts"], &[("part", "postgres")])["state"], "failing");
    assert!(agent.get("/").contains(&format!("collectors: {}", failed[0]["collector"].as_str().unwrap())));
}
