//! What a real server's processes take, and what its sessions wait for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use support::exposition::Exposition;
use support::postgres::Postgres;
use support::{Agent, wait_for};

const PAGE: &str = "/metrics/postgres";

const PATIENCE: Duration = Duration::from_secs(40);

/// An agent for one collector, asking by the server's socket.
fn agent(server: &Postgres, collector: &str) -> Agent {
    let dsn = format!("host={} port={} user=postgres dbname=postgres", server.socket_folder().display(), server.port);
    let only = ["--no-host", "--no-containers", "--no-redis", "--no-postgres.all-databases"];
    Agent::start(&[&only[..], &[&format!("--postgres.collector.{collector}")]].concat(), &[("DATA_SOURCE_NAME", &dsn)])
}

/// CPU seconds and private memory of a process, as /proc has them.
fn taken(pid: &str) -> (f64, f64) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let (stat, status) = (read("stat"), read("status"));
    let ticks: Vec<f64> =
        stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(|t| t.parse().unwrap()).collect();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    (ticks.iter().sum::<f64>() / 100.0, anonymous.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0)
}

#[test]
fn what_backends_take_is_summed_by_kind_and_database() {
    let server = Postgres::start(&["shared_buffers=64MB"]);
    let agent = agent(&server, "backend_group");
    server.sql("postgres", "CREATE DATABASE busy");
    let of = |page: &Exposition, family: &str, kind: &str, database: &str| {
        page.value(&format!("pg_backend_group_{family}"), &[("backend_type", kind), ("datname", database)])
    };
    let client = |page: &Exposition, family: &str| of(page, family, "client backend", "busy");
    let mut one = server.session("busy");
    let pid = one.run("SELECT pg_backend_pid()");
    let before = client(&agent.scrape(PAGE), "cpu_seconds_total").unwrap();
    // A second of CPU, and tables in memory of its own.
    one.run(
        "SET temp_buffers = '64MB'; CREATE TEMP TABLE own AS SELECT i, repeat('x', 200) FROM generate_series(1, 150000) i; \
         SELECT sum(length(md5(i::text))) FROM generate_series(1, 1000000) i",
    );
    let (mut cpu, mut resident) = taken(&pid);
    wait_for("what it took", PATIENCE, || {
        let page = agent.scrape(PAGE);
        (cpu, resident) = taken(&pid);
        client(&page, "cpu_seconds_total") == Some(cpu) && client(&page, "resident_bytes") == Some(resident)
    });
    assert!(cpu - before > 0.2 && resident > f64::from(25 << 20), "{before} to {cpu} s, {resident} bytes");
    // Another one of the group adds to it, whatever it reads of shared buffers.
    let mut two = server.session("busy");
    let second = two.run("SELECT pg_backend_pid()");
    wait_for("both", PATIENCE, || {
        let page = agent.scrape(PAGE);
        let both = (taken(&pid), taken(&second));
        let sum = both.0.0 + both.1.0;
        client(&page, "cpu_seconds_total").is_some_and(|cpu| (cpu - sum).abs() < 1e-6)
            && client(&page, "resident_bytes") == Some(both.0.1 + both.1.1)
    });
    let sum = client(&agent.scrape(PAGE), "cpu_seconds_total").unwrap();
    drop((one, two));
    wait_for("nobody of the group", PATIENCE, || client(&agent.scrape(PAGE), "resident_bytes").is_none());
    let page = agent.scrape(PAGE);
    assert!(client(&page, "cpu_seconds_total").is_some_and(|cpu| cpu >= sum), "a counter does not fall");
    assert!(of(&page, "resident_bytes", "checkpointer", "").is_some_and(|bytes| bytes > 0.0));
    assert_eq!(page.value("pg_scrape_collector_success", &[("collector", "backend_group")]), Some(1.0));

    // Over the network nobody knows whose processes they are.
    let only = ["--no-host", "--no-containers", "--no-redis", "--postgres.collector.backend_group"];
    let elsewhere = Agent::start(&only, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    let page = elsewhere.scrape(PAGE);
    assert_eq!(page.all("pg_backend_group_cpu_seconds_total").count(), 0);
    assert_eq!(
        (page.value("pg_up", &[]), page.value("pg_scrape_collector_success", &[("collector", "backend_group")])),
        (Some(1.0), Some(0.0))
    );
}

#[test]
fn sessions_are_seen_in_proportion_to_what_they_do() {
    let server = Postgres::start(&["deadlock_timeout=60s"]);
    server.sql("postgres", "CREATE TABLE t (i int)");
    let agent = agent(&server, "session_samples");
    let mut holder = server.session("postgres");
    holder.run("BEGIN; LOCK TABLE t; SELECT 1");
    let statements =
        ["SELECT pg_sleep(600)", "SELECT pg_sleep(600)", "SELECT pg_sleep(600)", "SELECT count(*) FROM t", "TABLE t"];
    let _others = statements.map(|sql| {
        let mut session = server.session("postgres");
        session.send(sql);
        session
    });
    let kinds =
        [("idle in transaction", "Client", "ClientRead"), ("active", "Timeout", "PgSleep"), ("active", "Lock", "relation")];
    let seen = || {
        let page = agent.scrape(PAGE);
        kinds.map(|(state, kind, event)| {
            let labels = [("state", state), ("wait_event_type", kind), ("wait_event", event)];
            page.value("pg_session_samples_total", &labels).unwrap_or(0.0)
        })
    };
    let doing = "SELECT count(*) FROM pg_stat_activity WHERE wait_event IN ('PgSleep', 'relation')";
    wait_for("all of them", PATIENCE, || server.number("postgres", doing) == 5.0);
    // From a look on that sees all of them.
    let early = seen();
    wait_for("such a look", PATIENCE, || seen()[2] >= early[2] + 4.0);
    let (first, start) = (seen(), std::time::Instant::now());
    wait_for("some seconds", PATIENCE, || seen()[0] >= first[0] + 2.0);
    let (last, took) = (seen(), start.elapsed().as_secs_f64());
    let [held, slept, waited] = [0, 1, 2].map(|at| last[at] - first[at]);
    assert!((slept - 3.0 * held).abs() < 1e-6 && (waited - 2.0 * held).abs() < 1e-6, "{first:?} {last:?}");
    // Seconds of the clock, but for a look that began before them and was late.
    assert!(held <= took + 6.0, "{held} s of {took}");

    // One session of its own, and one again once it is ended.
    let ours = "FROM pg_stat_activity WHERE application_name = 'stack-exporter'";
    assert_eq!(agent.scrape(PAGE).value("pg_agent_connections", &[]), Some(2.0));
    server.sql("postgres", &format!("SELECT pg_terminate_backend(pid) {ours}"));
    let before = seen()[0];
    wait_for("looks of another session", PATIENCE, || seen()[0] >= before + 2.0);
    wait_for("no third", PATIENCE, || server.number("postgres", &format!("SELECT count(*) {ours}")) == 2.0);
    assert_eq!(agent.get("/metrics/postgres?collect[]=locks").matches("pg_session_samples").count(), 0);
}
