//! What the Redis part shows beyond redis_exporter, on recorded states and on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::exposition::Exposition;
use support::redis::{BEYOND, Redis, Stub};
use support::{Agent, shared, wait_for};

fn watch(addr: &str) -> Agent {
    Agent::start(&["--no-host", "--no-containers", "--no-postgres"], &[("REDIS_ADDR", addr)])
}

fn page(agent: &Agent) -> Exposition {
    agent.scrape("/metrics/redis")
}

/// The page of a recorded state, after as many scrapes as it takes to get to know the server.
fn recorded(state: &str) -> Exposition {
    let stub = Stub::recorded(&shared("fixtures/redis").join(state));
    page(&watch(&stub.addr()))
}

/// The findings of a page.
fn findings(page: &Exposition) -> BTreeSet<String> {
    page.all("redis_audit_finding").filter(|series| series.value == 1.0).map(|series| series.labels["check"].clone()).collect()
}

fn blocked(page: &Exposition) -> Vec<(String, f64)> {
    page.all("redis_writes_blocked").map(|series| (series.labels["reason"].clone(), series.value)).collect()
}

#[test]
fn no_name_is_redis_exporters() {
    let contract = std::fs::read_to_string(shared("contract/redis.tsv")).unwrap();
    let theirs: BTreeSet<&str> = contract.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    assert!(theirs.len() > 400);
    for family in BEYOND {
        let parts = ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{family}{suffix}"));
        assert!(!parts.iter().any(|name| theirs.contains(name.as_str())), "{family}");
    }
}

#[test]
fn why_writes_are_refused() {
    let only =
        |reason: &str| ["bgsave", "aof", "oom", "min_replicas"].map(|name| (name.to_owned(), f64::from(name == reason))).to_vec();
    for (state, reason) in [("standalone-fresh", ""), ("bgsave-failed", "bgsave"), ("oom-noeviction", "oom"), ("eviction", "")] {
        for server in ["redis-7.0", "redis-8.0", "valkey-8.1", "valkey-9.1"] {
            assert_eq!(blocked(&recorded(&format!("{server}/{state}"))), only(reason), "{server} {state}");
        }
    }
    assert!(findings(&recorded("redis-7.0/bgsave-failed")).contains("save_failing"));
    assert!(findings(&recorded("redis-7.0/oom-noeviction")).contains("noeviction_with_limit"));
    assert!(blocked(&recorded("redis-7.0/sentinel")).is_empty() && findings(&recorded("redis-7.0/sentinel")).is_empty());
}

#[test]
fn replication_in_bytes_and_seconds() {
    let master = recorded("valkey-9.1/master-1-replica");
    assert_eq!(master.all("redis_connected_slave_lag_bytes").count(), 1);
    assert!(master.value("redis_min_slaves_good_slaves", &[]) == Some(1.0));
    let down = recorded("redis-7.0/replica-link-down");
    assert_eq!(down.all("redis_master_link_down_since_seconds").next().unwrap().value, 3.0);
    assert!(recorded("redis-7.0/replica").all("redis_master_link_down_since_seconds").next().is_none());
}

#[test]
fn loading_and_its_end() {
    let page = recorded("redis-7.0/loading");
    assert_eq!(page.value("redis_loading_total_bytes", &[]), Some(1_308_988.0));
    assert_eq!(page.value("redis_loading_loaded_bytes", &[]), Some(110_587.0));
    assert_eq!(page.value("redis_loading_eta_seconds", &[]), Some(21.0));
}

#[test]
fn who_the_server_is() {
    for (server, version) in [("redis-7.0", "7.0.15"), ("redis-8.0", "8.0.6"), ("valkey-8.1", "8.1.1"), ("valkey-9.1", "9.1.2")] {
        let page = recorded(&format!("{server}/standalone-busy"));
        let labels = [("server", server.split('-').next().unwrap()), ("version", version), ("mode", "standalone")];
        assert_eq!(page.value("redis_server_info", &labels), Some(1.0), "{server}");
    }
    let eight = recorded("redis-8.0/standalone-busy");
    let strings = [("db", "db0"), ("type", "strings"), ("unit", "bytes")];
    assert_eq!(eight.value("redis_key_size_distribution_count", &strings), Some(605.0));
    assert_eq!(eight.value("redis_io_thread_reads_total", &[("thread", "0")]), Some(558.0));
}

#[test]
fn histograms_follow_each_command_at_once() {
    let redis = Redis::start(&[]);
    let agent = watch(&redis.addr());
    let calls = |command: &str| {
        let page = page(&agent);
        let ours = page.value("redis_command_latency_seconds_count", &[("cmd", command)]);
        let theirs = page.value("redis_commands_latencies_usec_count", &[("cmd", command)]);
        assert_eq!(ours, theirs);
        assert_eq!(ours, page.value("redis_commands_total", &[("cmd", command)]), "no histogram is older than INFO");
        ours
    };
    assert_eq!(calls("set"), None);
    for count in 1..4 {
        redis.send(&["SET", "a", "b"]);
        assert_eq!(calls("set"), Some(f64::from(count)));
    }
    redis.send(&["GET", "a"]);
    assert_eq!((calls("get"), calls("set")), (Some(1.0), Some(3.0)));
    redis.send(&["CONFIG", "RESETSTAT"]);
    assert_eq!((calls("get"), calls("set")), (None, None));
    redis.send(&["GET", "a"]);
    assert_eq!(calls("get"), Some(1.0));
}

#[test]
fn histograms_that_were_followed_are_the_servers_own() {
    let redis = Redis::start(&[]);
    let agent = watch(&redis.addr());
    let commands: [&[&str]; 9] = [
        &["SET", "a", "1"],
        &["GET", "a"],
        &["INCR", "a"],
        &["LPUSH", "l", "x"],
        &["LRANGE", "l", "0", "-1"],
        &["EVAL", "for i = 1, 2000 do redis.call('exists', i) end", "0"],
        &["BLPOP", "l", "1"],
        &["CLIENT", "NO-EVICT", "off"],
        &["GET", "a", "too", "much"],
    ];
    for round in 0..30 {
        redis.send_all(&commands[round % 4..]);
        redis.send(&["EVAL", "for i = 1, tonumber(ARGV[1]) do redis.call('ping') end", "0", &(1 << (round % 15)).to_string()]);
        page(&agent);
    }
    let histogram = |page: &Exposition| -> BTreeSet<String> {
        // Both agents ask, and so count these.
        let own = [
            "info",
            "latency|histogram",
            "latency|latest",
            "slowlog|len",
            "slowlog|get",
            "config|get",
            "command|info",
            "client|setname",
        ];
        let all = page.series.iter().filter(|series| series.name.starts_with("redis_commands_latencies_usec"));
        let all = all.filter(|series| !own.contains(&series.labels["cmd"].as_str()));
        all.map(|series| format!("{} {:?} {}", series.name, series.labels, series.value)).collect()
    };
    let asked =
        redis.info()["cmdstat_latency|histogram"].split(',').next().unwrap().trim_start_matches("calls=").parse::<u32>().unwrap();
    assert!(asked < 60, "asked {asked} times");
    let (followed, fresh) = (histogram(&page(&agent)), histogram(&page(&watch(&redis.addr()))));
    assert!(followed.len() > 30, "{followed:?}");
    assert_eq!(followed, fresh);
}

#[test]
fn slow_commands_are_counted_once_and_without_arguments() {
    let redis = Redis::start(&["--slowlog-log-slower-than", "1000000", "--slowlog-max-len", "4"]);
    let agent = watch(&redis.addr());
    page(&agent);
    redis.send_all(&[&["CONFIG", "SET", "slowlog-log-slower-than", "0"], &["SET", "hunter2", "x"], &["SET", "hunter2", "y"]]);
    redis.send(&["CONFIG", "SET", "slowlog-log-slower-than", "1000000"]);
    let count = |page: &Exposition| page.value("redis_slowlog_command_duration_seconds_count", &[("cmd", "set")]);
    for _ in 0..2 {
        let page = page(&agent);
        assert_eq!((count(&page), page.value("redis_slowlog_missed_total", &[])), (Some(2.0), Some(0.0)));
    }
    let text = agent.request("/metrics/redis", &[]).text();
    assert!(!text.contains("hunter2"));
}

#[test]
fn the_host_of_a_local_server() {
    let redis = Redis::start(&["--maxmemory", "100mb"]);
    let agent = watch(&redis.addr());
    let page = page(&agent);
    assert_eq!(page.value("redis_memory_limit_bytes", &[("source", "maxmemory")]), Some(104_857_600.0));
    assert!(page.value("redis_memory_limit_bytes", &[("source", "host")]).unwrap() > 1e8);
    assert!(page.all("redis_audit_finding").any(|series| series.labels["check"] == "overcommit_memory_0"));
    assert!(findings(&page).contains("default_user_nopass"));
    assert!(page.value("redis_scrape_command_duration_seconds", &[("command", "pipeline")]).unwrap() > 0.0);
    // Every family of ours has a HELP, and none stands under a name that is not in the list.
    wait_for("a second page", Duration::from_secs(5), || agent.scrape("/metrics/redis").value("redis_up", &[]) == Some(1.0));
}
