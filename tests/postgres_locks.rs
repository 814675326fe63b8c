//! Who waits for whom, of locks that real sessions hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use support::exposition::Exposition;
use support::postgres::{Postgres, Session};
use support::{Agent, wait_for};

const PAGE: &str = "/metrics/postgres";

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

/// A session in a transaction that has done this.
fn holding(server: &Postgres, sql: &str) -> Session {
    let mut session = server.session("shop");
    session.run(&format!("BEGIN; {sql}; SELECT 1"));
    session
}

/// A session in a transaction that holds row `own` and now waits for row `wanted`.
fn waiting(server: &Postgres, own: Option<u32>, wanted: u32) -> Session {
    let mut session = server.session("shop");
    session.run(&format!("BEGIN; {} SELECT 1", own.map(lock).unwrap_or_default()));
    let waits = || server.number("shop", "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    let before = waits();
    session.send(&lock(wanted));
    wait_for("a session that waits", Duration::from_secs(20), || waits() == before + 1.0);
    session
}

fn lock(row: u32) -> String {
    format!("UPDATE rows SET note = note WHERE id = {row};")
}

fn shop() -> Postgres {
    let server = Postgres::start(&["deadlock_timeout=60s", "max_prepared_transactions=5"]);
    server.sql("postgres", "CREATE DATABASE shop");
    server
        .sql("shop", "CREATE TABLE rows (id int PRIMARY KEY, note text); INSERT INTO rows SELECT i FROM generate_series(1, 9) i");
    server
}

fn numbers(page: &Exposition) -> [Option<f64>; 4] {
    let shop = [("datname", "shop")];
    [
        page.value("pg_blocked_sessions", &shop),
        page.value("pg_blocking_root_sessions", &shop),
        page.value("pg_lock_tree_depth", &[]),
        page.value("pg_lock_root_victims_max", &[]),
    ]
}

#[test]
fn a_chain_of_three_with_two_roots() {
    let server = shop();
    let agent = Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    assert_eq!(numbers(&agent.scrape(PAGE)), [Some(0.0), Some(0.0), Some(0.0), Some(0.0)]);

    // 1 is held by the first root, which a chain of three waits for and a branch; 5 by the second, which one waits for.
    let mut roots = [holding(&server, &lock(1)), holding(&server, &lock(5))];
    let held = [
        waiting(&server, Some(2), 1),
        waiting(&server, Some(3), 2),
        waiting(&server, None, 3),
        waiting(&server, None, 2),
        waiting(&server, None, 5),
    ];
    let page = agent.scrape(PAGE);
    // The fourth stands behind the second in the queue for row 2, as the server counts it: it waits for both.
    assert_eq!(numbers(&page), [Some(5.0), Some(2.0), Some(3.0), Some(4.0)], "{}", agent.log());
    assert_eq!(page.value("pg_blocked_sessions", &[("datname", "postgres")]), Some(0.0));
    let kinds: f64 = page.all("pg_lock_waiting").map(|series| series.value).sum();
    assert_eq!(kinds, 5.0, "{:?}", page.all("pg_lock_waiting").collect::<Vec<_>>());
    let longest = page.value("pg_lock_wait_longest_seconds", &[("datname", "shop")]).unwrap();
    assert!(longest > 0.0 && longest < 60.0, "{longest}");
    assert!(
        page.value("pg_transaction_oldest_age_seconds", &[("datname", "shop"), ("state", "idle in transaction")]).unwrap() > 0.0
    );

    for root in &mut roots {
        root.run("ROLLBACK; SELECT 1");
    }
    drop(held);
    wait_for("nobody to wait", Duration::from_secs(20), || {
        numbers(&agent.scrape(PAGE)) == [Some(0.0), Some(0.0), Some(0.0), Some(0.0)]
    });
}

#[test]
fn a_prepared_transaction_is_a_root_and_holds_vacuum_up() {
    let server = shop();
    let agent = Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    let mut session = holding(&server, &lock(1));
    session.run("PREPARE TRANSACTION 'left'; SELECT 1");
    let _victim = waiting(&server, None, 1);
    let page = agent.scrape(PAGE);
    assert_eq!(numbers(&page), [Some(1.0), Some(1.0), Some(1.0), Some(1.0)]);
    assert_eq!(page.value("pg_prepared_transactions", &[("datname", "shop")]), Some(1.0));
    assert!(page.value("pg_prepared_transactions_oldest_age_seconds", &[("datname", "shop")]).unwrap() >= 0.0);
    assert!(page.value("pg_xmin_horizon_age_transactions", &[("holder", "prepared")]).unwrap() >= 1.0);
}

#[test]
fn a_deadlock_not_yet_found_has_no_root() {
    let server = shop();
    let agent = Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    let mut first = holding(&server, &lock(1));
    let _second = waiting(&server, Some(2), 1);
    first.send(&lock(2));
    wait_for("the ring", Duration::from_secs(20), || {
        numbers(&agent.scrape(PAGE)) == [Some(2.0), Some(0.0), Some(0.0), Some(0.0)]
    });
}
