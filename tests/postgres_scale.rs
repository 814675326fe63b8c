//! The PostgreSQL part of the real binary on servers with very many databases and tables, and with names that nobody should choose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use support::postgres::Postgres;
use support::{Agent, wait_for};

const PAGE: &str = "/metrics/postgres";

const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

/// Visits rest four times as long as they take, so a machine that does other things as well takes minutes.
const PATIENCE: Duration = Duration::from_secs(600);

const MIB: f64 = 1024.0 * 1024.0;

fn agent(server: &Postgres, database: &str) -> Agent {
    Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &server.dsn(database))])
}

fn memory(agent: &Agent) -> f64 {
    agent.scrape("/metrics").value("process_resident_memory_bytes", &[]).unwrap()
}

/// What the agent takes after a few scrapes, and the shortest of them.
fn settled(agent: &Agent) -> (f64, Duration) {
    let took = (0..5).map(|_| {
        let start = Instant::now();
        agent.get(PAGE);
        start.elapsed()
    });
    let shortest = took.min().unwrap();
    (memory(agent), shortest)
}

#[test]
fn ten_thousand_tables_cost_little() {
    let server = Postgres::start(&[]);
    server.sql("postgres", "CREATE DATABASE many");
    let (without, _) = settled(&agent(&server, "many"));
    server.sql(
        "many",
        "DO $$ BEGIN FOR i IN 1..10000 LOOP EXECUTE format('CREATE TABLE t%s (i int)', i); IF i % 50 = 0 THEN COMMIT; END IF; END LOOP; END $$",
    );
    server.sql("many", "INSERT INTO t7 SELECT generate_series(1, 100000); ANALYZE t7; SELECT pg_stat_force_next_flush()");
    // On a busy machine what has a schedule takes longer than its second, and would not be asked again while this test lasts.
    let agent =
        Agent::start(&[&ONLY[..], &["--postgres.slow-budget=30s"]].concat(), &[("DATA_SOURCE_NAME", &server.dsn("many"))]);
    let (with, took) = settled(&agent);
    eprintln!("10,000 tables: {took:?} a scrape, {:.1} MiB more than without", (with - without) / MIB);
    assert!(with - without < 20.0 * MIB, "{without} bytes without tables, {with} with them");
    let page = agent.scrape(PAGE);
    let shown: Vec<_> = page.all("pg_stat_user_tables_n_tup_ins").collect();
    assert_eq!(shown.len(), 501);
    assert_eq!(page.value("pg_stat_user_tables_n_tup_ins", &[("relname", "t7")]), Some(100_000.0), "the largest is among them");
    assert_eq!(page.value("pg_stat_user_tables_n_tup_ins", &[("relname", "(other)")]), Some(0.0));
    assert!(page.all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{}", agent.log());
}

#[test]
fn a_thousand_databases_are_visited_one_by_one() {
    let server = Postgres::start(&["log_connections=on"]);
    server.sql("postgres", "CREATE DATABASE a");
    server.sql("a", "CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 1000)");
    server.sql("a", "VACUUM ANALYZE t");
    server.sql("postgres", "CHECKPOINT");
    let (without, _) = settled(&agent(&server, "postgres"));
    // A thousand copies would be 7 GB: these share the files of one.
    server.sql(
        "postgres",
        "SET allow_system_table_mods = on; INSERT INTO pg_database SELECT (jsonb_populate_record(d, jsonb_build_object('oid', 100000 + i, \
         'datname', 'copy' || i))).* FROM pg_database d, generate_series(1, 999) i WHERE datname = 'a'",
    );
    let (data, oid) = (
        server.sql("postgres", "SHOW data_directory"),
        server.sql("postgres", "SELECT oid FROM pg_database WHERE datname = 'a'"),
    );
    for i in 1..1000 {
        std::os::unix::fs::symlink(&oid, Path::new(&data).join(format!("base/{}", 100_000 + i))).unwrap();
    }
    let agent = agent(&server, "postgres");
    let (start, mut most) = (Instant::now(), 0.0_f64);
    assert_eq!(agent.scrape(PAGE).value("pg_up", &[]), Some(1.0));
    wait_for("all of them", PATIENCE, || {
        let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stack-exporter' AND datname <> 'postgres'";
        most = most.max(server.number("postgres", ours));
        let log = server.log();
        log.matches("database=copy").count() >= 999 && log.contains("database=a application_name=stack-exporter")
    });
    wait_for("the last of them", PATIENCE, || {
        let page = agent.scrape(PAGE);
        page.all("pg_agent_database_up").filter(|series| series.value == 1.0).count() == 1000
    });
    let all = start.elapsed();
    let (with, took) = settled(&agent);
    eprintln!(
        "1,000 databases: all after {all:?}, {took:?} a scrape, {:.1} MiB more than without, {most} sessions at most",
        (with - without) / MIB
    );
    // One at work, and one that the server has not seen leave yet.
    assert!(most <= 2.0, "{most} sessions at once");
    let sizes: BTreeSet<_> =
        agent.scrape(PAGE).all("pg_stat_user_tables_table_size_bytes").map(|series| series.labels["datname"].clone()).collect();
    assert_eq!(sizes.len(), 1000);
}

#[test]
fn names_are_told_whatever_they_are() {
    let server = Postgres::start(&[]);
    server.sql("postgres", "CREATE DATABASE raw ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    server.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    let table = |name: &str| format!("DO $$ BEGIN EXECUTE format('CREATE TABLE %I (i int)', {name}); END $$");
    for database in ["raw", "latin", "postgres"] {
        server.sql(database, &table("E'a\\nb \"quoted\\' \\\\\\\\'"));
    }
    server.sql("raw", &table("convert_from('\\xe9ff'::bytea, 'SQL_ASCII')"));
    server.sql("latin", &table("convert_from('\\xe9'::bytea, 'LATIN1')"));
    for connected in ["postgres", "raw", "latin"] {
        let agent = agent(&server, connected);
        let seen = |database: &str, name: &str| {
            let of = [("datname", database), ("schemaname", "public"), ("relname", name)];
            let page = agent.scrape(PAGE);
            page.value("pg_stat_user_tables_n_live_tup", &of).is_some()
                && page.value("pg_stat_user_tables_table_size_bytes", &of).is_some()
        };
        let odd = "a\nb \"quoted' \\\\";
        let all = [("raw", "\\351\\377"), ("latin", "é"), ("latin", odd), ("postgres", odd)];
        wait_for("the names of all encodings", PATIENCE, || all.iter().all(|(database, name)| seen(database, name)));
        let page = agent.scrape(PAGE);
        assert!(page.all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{connected}: {}", agent.log());
    }
}
