//! The PostgreSQL part of the real binary while its server is ill. Whatever happens, the page comes, in time, with the truth in `pg_up`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::exposition::Exposition;
use support::postgres::{Postgres, furnish};
use support::{Agent, signal, wait_for};

const PAGE: &str = "/metrics/postgres";

/// Only this part, and short limits.
const FLAGS: [&str; 5] = ["--no-host", "--no-containers", "--no-redis", "--postgres.timeout=1s", "--postgres.connect-timeout=1s"];

/// Longer than the longest pause between two attempts.
const RECOVERY: Duration = Duration::from_secs(40);

fn agent(dsn: &str) -> Agent {
    Agent::start(&FLAGS, &[("DATA_SOURCE_NAME", dsn)])
}

/// A page and how long it took.
fn timed(agent: &Agent) -> (Exposition, Duration) {
    let start = Instant::now();
    (agent.scrape(PAGE), start.elapsed())
}

fn up(agent: &Agent) -> f64 {
    agent.scrape(PAGE).value("pg_up", &[]).unwrap()
}

/// The page says down, and why, once.
fn assert_down(agent: &Agent, why: &str) {
    let (page, took) = timed(agent);
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(page.value("pg_up", &[]), Some(0.0));
    assert_eq!(page.value("pg_exporter_last_scrape_error", &[]), Some(1.0));
    let reasons: Vec<_> =
        page.all("stack_exporter_collector_last_error_info").map(|series| series.labels["error"].clone()).collect();
    assert!(reasons.len() == 1 && reasons[0].contains(why), "{reasons:?} should tell {why:?}");
    assert_eq!(page.all("pg_scrape_collector_success").filter(|series| series.value == 1.0).count(), 0);
    assert_eq!(page.value("stack_exporter_collector_success", &[("collector", "stat_database")]), Some(0.0));
    agent.scrape(PAGE);
    wait_for("the reason in the log", Duration::from_secs(5), || agent.log().contains(why));
    assert_eq!(agent.log().matches(why).count(), 1, "{}", agent.log());
}

/// All collectors work.
fn assert_up(agent: &Agent) {
    let page = agent.scrape(PAGE);
    assert_eq!(page.value("pg_up", &[]), Some(1.0), "{}", agent.log());
    assert!(page.all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{}", agent.log());
}

fn our_sessions(server: &Postgres) -> f64 {
    server.number("postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stack-exporter'")
}

#[test]
fn down_at_start_and_up_later() {
    let mut server = Postgres::start(&[]);
    server.stop("INT");
    let agent = agent(&server.dsn("postgres"));
    assert_down(&agent, "refused");
    server.resume();
    assert_up(&agent);
    assert_eq!(our_sessions(&server), 1.0);
}

/// Whether the server's side of a connection has bytes that it has not read.
fn unread(port: u16) -> bool {
    let (table, local) = (std::fs::read_to_string("/proc/net/tcp").unwrap(), format!(":{port:04X}"));
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[1].ends_with(&local) && fields[3] == "01").any(|fields| !fields[4].ends_with(":00000000"))
}

#[test]
fn killed_in_mid_scrape_and_restarted() {
    let mut server = Postgres::start(&[]);
    let agent = agent(&server.dsn("postgres"));
    assert_up(&agent);
    let pids = server.pids();
    // The scrape is under way while nobody answers; then everybody is gone.
    pids.iter().for_each(|pid| signal(*pid, "STOP"));
    std::thread::scope(|scope| {
        let scrape = scope.spawn(|| timed(&agent));
        wait_for("the question to lie at the server's door", Duration::from_secs(1), || unread(server.port));
        pids.iter().for_each(|pid| signal(*pid, "KILL"));
        let (page, took) = scrape.join().unwrap();
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert_eq!(page.value("pg_up", &[]), Some(0.0));
    });
    server.stop("KILL");
    server.resume();
    wait_for("pg_up 1", RECOVERY, || up(&agent) == 1.0);
    assert_up(&agent);
}

#[test]
fn a_restart_between_scrapes_is_not_noticed() {
    let mut server = Postgres::start(&[]);
    let agent = agent(&server.dsn("postgres"));
    assert_up(&agent);
    for how in ["INT", "QUIT"] {
        server.stop(how);
        server.resume();
        assert_up(&agent);
    }
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stack-exporter'");
    assert_up(&agent);
    assert_eq!(our_sessions(&server), 1.0);
}

#[test]
fn a_server_that_hangs_holds_nobody_up() {
    let server = Postgres::start(&[]);
    let agent = agent(&server.dsn("postgres"));
    assert_up(&agent);
    let pids = server.pids();
    pids.iter().for_each(|pid| signal(*pid, "STOP"));
    assert_down(&agent, "does not answer");
    // Between two attempts the answer is there at once.
    wait_for("a pause", RECOVERY, || timed(&agent).1 < Duration::from_millis(200));
    for _ in 0..20 {
        assert_eq!(up(&agent), 0.0);
    }
    pids.iter().for_each(|pid| signal(*pid, "CONT"));
    wait_for("pg_up 1", RECOVERY, || up(&agent) == 1.0);
    assert_up(&agent);
    wait_for("one session", RECOVERY, || our_sessions(&server) == 1.0);
}

#[test]
fn a_changed_password_is_told_and_the_new_one_found() {
    let server = Postgres::start(&[]);
    server.sql("postgres", "CREATE ROLE monitor LOGIN PASSWORD 'first-secret' IN ROLE pg_monitor");
    server.hba("host all postgres 127.0.0.1/32 trust\nhost all monitor 127.0.0.1/32 scram-sha-256\n");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "first-secret\n").unwrap();
    let uri = format!("127.0.0.1:{}/postgres?sslmode=disable", server.port);
    let env =
        [("DATA_SOURCE_URI", uri.as_str()), ("DATA_SOURCE_USER", "monitor"), ("DATA_SOURCE_PASS_FILE", file.to_str().unwrap())];
    let agent = Agent::start(&FLAGS, &env);
    assert_up(&agent);
    server.sql("postgres", "ALTER ROLE monitor PASSWORD 'second-secret'");
    // The session that is open stays good.
    assert_up(&agent);
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'monitor'");
    assert_down(&agent, "password authentication failed");
    let attempts = || server.log().matches("password authentication failed").count();
    let before = attempts();
    for _ in 0..50 {
        assert_eq!(up(&agent), 0.0);
    }
    assert!(attempts() <= before + 2, "it does not knock with a wrong password at every scrape: {}", attempts());
    std::fs::write(&file, "second-secret\n").unwrap();
    wait_for("pg_up 1", RECOVERY, || up(&agent) == 1.0);
    assert_up(&agent);
    for text in [agent.log(), agent.get("/metrics")] {
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn nobody_waits_for_a_users_lock() {
    let server = Postgres::start(&["shared_preload_libraries=pg_stat_statements"]);
    furnish(&server);
    let agent =
        Agent::start(&[&FLAGS[..], &["--postgres.size-interval=0s"]].concat(), &[("DATA_SOURCE_NAME", &server.dsn("shop"))]);
    assert_up(&agent);
    let size = |page: &Exposition, table: &str| page.value("pg_stat_user_tables_table_size_bytes", &[("relname", table)]);
    let scans = |page: &Exposition| page.value("pg_stat_user_tables_seq_scan", &[("relname", "orders")]);
    assert!(size(&agent.scrape(PAGE), "orders").unwrap() > 0.0);
    let held = "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT 1";
    // Held on the table, on its index, on its TOAST table.
    for sql in [held, "BEGIN; REINDEX INDEX orders_pkey; SELECT 1", "BEGIN; TRUNCATE orders; SELECT 1"] {
        let mut session = server.session("shop");
        session.run(sql);
        let (page, took) = timed(&agent);
        assert!(took < Duration::from_millis(300), "{sql}: {took:?}");
        assert_eq!((size(&page, "orders"), page.value("pg_up", &[])), (None, Some(1.0)), "{sql}");
        assert!(scans(&page).is_some() && size(&page, "odd \"name").is_some(), "{sql}");
        assert_up(&agent);
        assert_eq!(server.number("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted"), 0.0, "{sql}");
    }
    // Merely queued for: whoever comes later would wait behind it.
    let mut reader = server.session("shop");
    reader.run("BEGIN; SELECT count(*) FROM orders");
    let mut writer = server.psql("shop").args(["-c", "ALTER TABLE orders ADD COLUMN more int"]).spawn().unwrap();
    let waiting = || server.number("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted");
    wait_for("the queue", Duration::from_secs(10), || waiting() == 1.0);
    let (page, took) = timed(&agent);
    assert!(took < Duration::from_millis(300) && size(&page, "orders").is_none(), "{took:?}");
    assert_eq!(waiting(), 1.0, "only the writer waits");
    drop(reader);
    assert!(writer.wait().unwrap().success());
    assert!(size(&agent.scrape(PAGE), "orders").is_some());
}

#[test]
fn a_role_without_rights_loses_only_what_it_may_not_see() {
    let server = Postgres::start(&[]);
    server.sql("postgres", "CREATE DATABASE private");
    server.sql("postgres", "CREATE ROLE nobody LOGIN; REVOKE CONNECT ON DATABASE private FROM PUBLIC");
    let agent = agent(&server.dsn("postgres").replace("postgres@", "nobody@"));
    for _ in 0..2 {
        let page = agent.scrape(PAGE);
        assert_eq!(page.value("pg_up", &[]), Some(1.0));
        let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).collect();
        let failed: BTreeSet<_> = failed.iter().map(|series| series.labels["collector"].as_str()).collect();
        assert_eq!(failed, BTreeSet::from(["archive_status", "wal"]));
        let sizes: Vec<_> = page.all("pg_database_size_bytes").map(|series| series.labels["datname"].as_str()).collect();
        assert_eq!(sizes, ["postgres", "template1", "template0"], "all but the private one");
        assert!(page.value("pg_stat_bgwriter_buffers_alloc_total", &[]).is_some());
    }
    wait_for("the log", Duration::from_secs(5), || agent.log().contains("permission denied"));
    assert_eq!(agent.log().matches("permission denied for function pg_ls_waldir").count(), 1);
}

#[test]
fn too_many_connections_are_told() {
    let server = Postgres::start(&["max_connections=4", "superuser_reserved_connections=1", "max_wal_senders=0"]);
    server.sql("postgres", "CREATE ROLE monitor LOGIN IN ROLE pg_monitor");
    let mut sessions: Vec<_> = (0..3).map(|_| server.session("postgres")).collect();
    sessions.iter_mut().for_each(|session| _ = session.run("SELECT 1"));
    let agent = agent(&server.dsn("postgres").replace("postgres@", "monitor@"));
    assert_down(&agent, "SQLSTATE 53300");
    drop(sessions);
    wait_for("pg_up 1", RECOVERY, || up(&agent) == 1.0);
}

/// Answers every connection with `reply`, or with nothing, and keeps it open.
fn impostor(reply: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(reply);
            kept.push(stream);
        }
    });
    port
}

#[test]
fn what_is_no_postgresql_costs_neither_time_nor_memory() {
    let endless: &[u8] = &[b'D'; 4096];
    for (reply, why) in [
        (&b""[..], "does not answer"),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "does not speak PostgreSQL's protocol"),
        (b"-ERR unknown command\r\n", "does not speak PostgreSQL's protocol"),
        (endless, "does not speak PostgreSQL's protocol"),
        (b"R\0\0\0\x08\0\0\0\0D\0\0\0\x05x", "error communicating with the server"),
    ] {
        let agent = agent(&format!("postgres://me:hunter2@127.0.0.1:{}/x?sslmode=disable", impostor(reply)));
        assert_down(&agent, why);
        let page = agent.get("/metrics");
        assert!(!page.contains("hunter2") && !agent.log().contains("hunter2"));
        let memory = agent.scrape(PAGE).value("process_virtual_memory_bytes", &[]).unwrap();
        assert!(memory < 500e6, "{reply:?}: {memory} bytes");
    }
}
