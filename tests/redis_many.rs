//! 500 Redis servers of which 50 hang: the page comes in time, and tells of each server what there is to tell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use support::Agent;
use support::redis::{Answer, Redis, Stub};

const TARGETS: usize = 500;
const HUNG: usize = 50;

#[test]
fn fifty_of_five_hundred_servers_hang() {
    let (redis, hung) = (Redis::start(&[]), Stub::start(|_| Answer::Hang));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.yml");
    let mut text = "redis:\n  targets:\n".to_owned();
    for number in 0..TARGETS {
        let address = if number % (TARGETS / HUNG) == 0 { hung.addr() } else { redis.addr() };
        writeln!(text, "    - {{name: server-{number}, address: \"{address}\"}}").unwrap();
    }
    std::fs::write(&file, text).unwrap();
    let args = ["--no-host", "--no-containers", "--no-postgres", "--config.file", file.to_str().unwrap()];
    let agent = Agent::start(&args, &[]);
    let scrape = || {
        let start = Instant::now();
        let response = agent.request("/metrics/redis", &[("X-Prometheus-Scrape-Timeout-Seconds", "8")]);
        assert_eq!(response.status, 200);
        (start.elapsed(), response.text())
    };
    // The first scrape opens 500 connections and waits for all answers as long as it may. The next ones wait for none that hang.
    scrape();
    let (took, page) = scrape();
    assert!(took < Duration::from_secs(4), "{took:?}");
    // `redis_up{target="server-7"} 1`: the whole page has 200,000 lines, too many for the parser of a debug build.
    let by_target = |start: &str, end: &str| -> BTreeMap<String, f64> {
        let lines = page.lines().filter_map(|line| line.strip_prefix(start)?.split_once(end));
        lines.map(|(target, value)| (target.to_owned(), value.trim().parse().unwrap())).collect()
    };
    let plain = |family: &str| by_target(&format!("{family}{{target=\""), "\"}");
    let (ups, pids) = (plain("redis_up"), plain("redis_process_id"));
    let late = by_target("redis_scrape_failure{target=\"", "\",reason=\"timeout\"}");
    for number in 0..TARGETS {
        let (name, hangs) = (format!("server-{number}"), number % (TARGETS / HUNG) == 0);
        assert_eq!(ups.get(&name), Some(&f64::from(u8::from(!hangs))), "{name}");
        assert_eq!((late.contains_key(&name), pids.contains_key(&name)), (hangs, !hangs), "{name}");
    }
    assert_eq!((ups.len(), late.len()), (TARGETS, HUNG));
}
