//! Many scrapers at once: wrk asks 10,000 times on 64 connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Agent, wait_for};

const REQUESTS: usize = 10_000;
const CONNECTIONS: usize = 64;
const THREADS: usize = 2;

/// What the agent holds in memory, in KiB.
fn resident(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How many answers came with each status; none may fail to come.
fn load(agent: &Agent, requests: usize) -> BTreeMap<u16, usize> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/web_load.lua");
    // A page as wide as the collectors are cheap: it is the web side that is to be at work.
    let url = format!("http://127.0.0.1:{}/metrics?collect[]=loadavg&collect[]=meminfo&collect[]=vmstat", agent.port);
    let mut wrk = Command::new("wrk")
        .args([
            "--threads",
            &THREADS.to_string(),
            "--connections",
            &CONNECTIONS.to_string(),
            "--timeout",
            "10s",
            "--duration",
            "300s",
        ])
        .args(["--script", script, &url, "--", &(requests / THREADS).to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("wrk; tests/run installs what the tests need");
    let mut lines = BufReader::new(wrk.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut counts = BTreeMap::new();
    for line in lines.by_ref().filter(|line| line.starts_with("answers ")).take(THREADS) {
        for pair in line.split_ascii_whitespace().skip(1) {
            let (status, count) = pair.split_once('=').unwrap();
            *counts.entry(status.parse().unwrap()).or_insert(0) += count.parse::<usize>().unwrap();
        }
    }
    Command::new("kill").args(["-INT", &wrk.id().to_string()]).status().unwrap();
    let rest: Vec<String> = lines.collect();
    assert!(wrk.wait().unwrap().success() && rest.iter().any(|line| line == "broken 0"), "{rest:?}");
    counts
}

#[test]
fn ten_thousand_requests_at_64_at_once_are_answered() {
    for limit in [0, 8] {
        let agent =
            Agent::start(&["--no-containers", "--no-postgres", "--no-redis", &format!("--web.max-requests={limit}")], &[]);
        // After these, all connections, buffers and threads that there will be have been there.
        load(&agent, REQUESTS / 10);
        let before = resident(&agent);
        let counts = load(&agent, REQUESTS);
        let after = resident(&agent);
        println!("limit {limit}: {counts:?}; resident {before} KiB, then {after} KiB");
        let allowed: &[u16] = if limit == 0 { &[200] } else { &[200, 503] };
        assert!(counts.values().sum::<usize>() == REQUESTS && counts.keys().eq(allowed), "limit {limit}: {counts:?}");
        assert!(after <= before + before / 10, "limit {limit}: resident {before} KiB, then {after} KiB");
        // What wrk had asked when it ended is still being answered, and counts towards the limit until it is.
        wait_for("a page after the crowd", Duration::from_secs(10), || agent.request("/metrics", &[]).status == 200);
        assert!(!agent.log().contains("level=error"), "{}", agent.log());
    }
}
