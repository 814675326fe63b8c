//! A day of scrapes, while containers and databases come and go.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{Agent, wait_for};
use crate::{Network, docker, is_up, postgres, redis};

/// Those of 24 hours, every 15 seconds.
const SCRAPES: usize = 5760;
/// What the memory at the end is held against is what it was after so many.
const FIRST: usize = 100;
/// Readings of the memory at either end, since it moves with what runs at the moment.
const READINGS: usize = 50;

/// The memory that the agent keeps resident, in KiB.
fn resident(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

fn descriptors(agent: &Agent) -> usize {
    fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count()
}

fn median(mut readings: Vec<u64>) -> u64 {
    readings.sort_unstable();
    readings[readings.len() / 2]
}

/// One round of what comes and goes: a Redis, a PostgreSQL and a container that is neither, each until it is on the page.
fn round(network: &Network<'_>, agent: &Agent, number: usize) {
    let (cache, database) = (format!("soak-redis-{number}"), format!("soak-pg-{number}"));
    let _cache = redis::start(network, &cache, &[]);
    let _database = postgres::start(network, &database, &["-e", "LOCAL=trust"]);
    let _other = network.start(&format!("soak-other-{number}"), &[], "registry.test:5000/tools/other:1", &["sleep", "600"]);
    is_up(agent, "redis_up", &cache);
    is_up(agent, "pg_up", &database);
}

#[test]
#[ignore = "tests/soak runs it: it takes ten minutes"]
fn memory_after_a_day_of_scrapes_is_what_it_was_at_first() {
    let docker = docker();
    let network = Network::new(&docker, "soak");
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    round(&network, &agent, 0);
    let opened = descriptors(&agent);
    let (over, rounds) = (AtomicBool::new(false), AtomicUsize::new(1));
    let (mut first, mut last) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                round(&network, &agent, rounds.fetch_add(1, Ordering::Relaxed));
            }
        });
        for scrape in 0..SCRAPES {
            assert_eq!(agent.request("/metrics", &[]).status, 200);
            let readings = if scrape < SCRAPES / 2 { &mut first } else { &mut last };
            if (FIRST..FIRST + READINGS).contains(&scrape) || scrape >= SCRAPES - READINGS {
                readings.push(resident(&agent));
            }
            // Compressed, but not so much that nothing comes or goes between two scrapes.
            thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
    });
    let (first, last, rounds) = (median(first), median(last), rounds.into_inner());
    println!(
        "{SCRAPES} scrapes, {rounds} rounds of containers and databases: resident {first} KiB after {FIRST}, {last} KiB at the end"
    );
    assert!(rounds > 20, "only {rounds} rounds");
    assert!(last <= first + first / 10, "resident {first} KiB after {FIRST} scrapes, {last} KiB at the end");
    wait_for("descriptors of the last round to be closed", Duration::from_secs(60), || descriptors(&agent) <= opened + 8);
}
