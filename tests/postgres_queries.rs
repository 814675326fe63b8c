//! The operator's own queries, in the format of postgres_exporter's queries.yaml, on a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::exposition::Exposition;
use support::postgres::{Postgres, furnish};
use support::{Agent, free_port, wait_for};

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

const PAGE: &str = "/metrics/postgres";

/// An agent with a file of queries.
fn agent(server: &Postgres, database: &str, queries: &str, flags: &[&str]) -> (Agent, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, queries).unwrap();
    let path = file.path().to_str().unwrap();
    let dsn = server.dsn(database);
    let env = [("DATA_SOURCE_NAME", dsn.as_str()), ("PG_EXPORTER_EXTEND_QUERY_PATH", path)];
    (Agent::start(&[&ONLY, flags].concat(), &env), file)
}

/// The values of one of the families about the queries, by query.
fn of(page: &Exposition, family: &str, query: &str) -> Option<f64> {
    page.value(&format!("pg_custom_query_{family}"), &[("query", query)])
}

/// What the page says of the queries' failures.
fn errors(page: &Exposition) -> Vec<String> {
    let told = page.all("stack_exporter_collector_last_error_info").filter(|series| series.labels["collector"] == "queries");
    told.map(|series| series.labels["error"].clone()).collect()
}

#[test]
fn the_classic_file_makes_the_classic_families() {
    let server = Postgres::start(&["shared_preload_libraries=pg_stat_statements"]);
    furnish(&server);
    let mut idle = server.session("shop");
    idle.run("SET application_name = 'idler'; SELECT 1");
    let (agent, _file) = agent(&server, "shop", include_str!("postgres_queries.yaml"), &[]);
    let page = agent.scrape(PAGE);
    assert_eq!(errors(&page), [""; 0], "{}", agent.log());
    let address = format!("127.0.0.1:{}", server.port);
    let orders = [("datname", "shop"), ("schemaname", "public"), ("relname", "orders"), ("server", address.as_str())];
    for (series, labels, sql) in [
        ("pg_replication_lag", &[("server", address.as_str())][..], "SELECT 0"),
        ("pg_postmaster_start_time_seconds", &[], "SELECT floor(extract(epoch FROM pg_postmaster_start_time()))"),
        ("own_tables_n_live_tup", &orders, "SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = 'orders'"),
        (
            "own_tables_last_analyze",
            &orders,
            "SELECT floor(extract(epoch FROM last_analyze)) FROM pg_stat_user_tables WHERE relname = 'orders'",
        ),
        ("pg_database_size", &[("datname", "shop")], "SELECT pg_database_size('shop')"),
        ("pg_database_open", &[("datname", "template0")], "SELECT 0"),
        ("pg_database_open", &[("datname", "shop")], "SELECT 1"),
        ("own_mixed_state", &[("exported_server", "x"), ("server", address.as_str())], "SELECT 1"),
        ("own_mixed_timeout_milliseconds", &[], "SELECT 90000"),
        ("own_mixed_unknown", &[], "SELECT 7"),
        ("pg_process_idle_seconds_count", &[("application_name", "idler")], "SELECT 1"),
        ("pg_process_idle_seconds_bucket", &[("application_name", "idler"), ("le", "3600")], "SELECT 1"),
        ("pg_process_idle_seconds_bucket", &[("application_name", "idler"), ("le", "+Inf")], "SELECT 1"),
    ] {
        assert_eq!(page.value(series, labels), Some(server.number("shop", sql)), "{series} {labels:?}");
    }
    for (family, kind) in [
        ("own_tables_seq_scan", "counter"),
        ("pg_stat_statements_calls", "counter"),
        ("pg_process_idle_seconds", "histogram"),
        ("own_mixed_unknown", "untyped"),
        ("pg_statio_user_tables_heap_blks_hit", "counter"),
    ] {
        assert_eq!(page.types.get(family).map(String::as_str), Some(kind), "{family}");
    }
    // NULL is not a number; what never was analyzed is NULL.
    assert!(page.value("own_tables_last_vacuum", &orders).unwrap().is_nan());
    assert!(page.value("own_mixed_missing", &[]).unwrap().is_nan());
    assert!(!page.types.contains_key("pg_database_datdba") && !page.types.contains_key("own_mixed_words"));
    assert_eq!(page.help["own_tables_seq_scan"], "Scans of the whole table");

    assert!(of(&page, "duration_seconds", "own_tables").is_some_and(|took| took > 0.0 && took < 2.0));
    assert_eq!((of(&page, "rows", "own_tables"), of(&page, "dropped_rows", "own_tables")), (Some(2.0), Some(0.0)));
    assert_eq!(of(&page, "failures_total", "own_tables"), Some(0.0));
    // A query for another version is not asked.
    assert_eq!(of(&page, "duration_seconds", "pg_ancient"), None);
    let load: Vec<_> = page.all("pg_exporter_user_queries_load_error").collect();
    assert!(load.len() == 1 && load[0].value == 0.0 && load[0].labels["hashsum"].len() == 64, "{load:?}");
    assert_eq!(page.value("pg_scrape_collector_success", &[("collector", "queries")]), Some(1.0));
    let without = agent.scrape(&format!("{PAGE}?exclude[]=queries"));
    assert!(without.all("own_mixed_unknown").next().is_none() && without.value("pg_up", &[]) == Some(1.0));
}

#[test]
fn one_bad_query_costs_no_other() {
    let server = Postgres::start(&[]);
    furnish_tables(&server);
    let queries = "missing: {query: SELECT a FROM nowhere}\n\
                   slow: {query: SELECT pg_sleep(30)}\n\
                   writing: {query: 'WITH gone AS (DELETE FROM t RETURNING a) SELECT count(*) AS n FROM gone'}\n\
                   sequence: {query: \"SELECT nextval('s') AS n\"}\n\
                   divided: {query: SELECT 1 / (SELECT count(*) FROM pg_class WHERE relname = 'none') AS n}\n\
                   many: {query: 'SELECT i::text AS i, 1 AS n FROM generate_series(1, 5000) i', metrics: [{i: {usage: LABEL}}]}\n\
                   odd: {query: \"SELECT 'x' AS a, 2 AS b\", metrics: [{a: {usage: GAUGE}}, {b: {usage: GAUGE}}]}\n\
                   good: {query: SELECT 5 AS n}\n";
    let flags = ["--postgres.queries-timeout=1s", "--postgres.queries-max-rows=100"];
    let (agent, _file) = agent(&server, "postgres", queries, &flags);
    for round in 1..=2 {
        let start = Instant::now();
        let page = agent.scrape(PAGE);
        assert!(start.elapsed() < Duration::from_secs(6));
        assert_eq!((page.value("pg_up", &[]), page.value("good_n", &[])), (Some(1.0), Some(5.0)), "{}", agent.log());
        assert_eq!((page.all("many_n").count(), of(&page, "dropped_rows", "many")), (100, Some(4_900.0)));
        assert_eq!((page.value("odd_a", &[]), page.value("odd_b", &[])), (None, Some(2.0)));
        for query in ["slow", "writing", "sequence", "divided", "odd"] {
            assert_eq!(of(&page, "failures_total", query), Some(f64::from(round)), "{query}");
        }
        // What the server will refuse again is not asked again at once.
        assert_eq!(of(&page, "failures_total", "missing"), Some(1.0));
        assert_eq!(of(&page, "failures_total", "good"), Some(0.0));
        let [error] = &errors(&page)[..] else { panic!("{}", agent.log()) };
        assert!(error.contains("(SQLSTATE "), "{error}");
        let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).collect();
        assert!(failed.len() == 1 && failed[0].labels["collector"] == "queries", "{failed:?}");
    }
    assert_eq!(server.number("postgres", "SELECT count(*) FROM t"), 1.0);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stack-exporter'";
    assert_eq!(server.number("postgres", sessions), 1.0, "one connection, and nothing left running on it");
    assert_eq!(server.log().matches("relation \"nowhere\" does not exist").count(), 1);
    assert!(server.log().contains("cannot execute nextval() in a read-only transaction"), "{}", server.log());
}

fn furnish_tables(server: &Postgres) {
    server.sql("postgres", "CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE SEQUENCE s; ANALYZE t");
}

#[test]
fn a_query_that_costs_the_connection_rests() {
    let server = Postgres::start(&["log_connections=on"]);
    let queries = "fatal: {query: SELECT pg_terminate_backend(pg_backend_pid())}\ngood: {query: SELECT 5 AS n}\n";
    let (agent, _file) = agent(&server, "postgres", queries, &[]);
    let first = agent.scrape(PAGE);
    assert_eq!((first.value("pg_up", &[]), of(&first, "failures_total", "fatal")), (Some(1.0), Some(1.0)));
    for _ in 0..3 {
        let page = agent.scrape(PAGE);
        assert_eq!((page.value("pg_up", &[]), page.value("good_n", &[])), (Some(1.0), Some(5.0)), "{}", agent.log());
        assert_eq!(of(&page, "failures_total", "fatal"), Some(1.0));
    }
    assert_eq!(server.log().matches("application_name=stack-exporter").count(), 2, "{}", server.log());
}

#[test]
fn an_answer_is_kept_as_long_as_the_file_says() {
    let server = Postgres::start(&["log_statement=all"]);
    let queries = "kept: {query: 'SELECT 1 AS n, 2 AS kept', cache_seconds: 3600}\nbrief: {query: 'SELECT 1 AS n, 2 AS brief', cache_seconds: 1}\n\
                   fresh: {query: 'SELECT 1 AS n, 2 AS fresh'}\n";
    let (agent, _file) = agent(&server, "postgres", queries, &[]);
    let first = agent.scrape(PAGE);
    assert!(of(&first, "age_seconds", "kept").is_some_and(|age| age < 5.0));
    let asked = |query: &str| server.log().matches(&format!("2 AS {query}")).count();
    wait_for("the answer that is kept to grow old", Duration::from_secs(20), || {
        let page = agent.scrape(PAGE);
        assert_eq!(
            (page.value("kept_n", &[]), page.value("brief_n", &[]), page.value("fresh_n", &[])),
            (Some(1.0), Some(1.0), Some(1.0))
        );
        of(&page, "age_seconds", "kept").is_some_and(|age| age > 1.2)
    });
    assert_eq!(asked("kept"), 1);
    assert!(asked("brief") > 1 && asked("fresh") > asked("brief"), "{} {}", asked("brief"), asked("fresh"));
}

#[test]
fn every_target_answers_for_itself() {
    let (one, other) = (Postgres::start(&[]), Postgres::start(&[]));
    other.sql("postgres", "CREATE TABLE only_here (target text); INSERT INTO only_here VALUES ('x')");
    let file = tempfile::NamedTempFile::new().unwrap();
    let queries = "here: {query: 'SELECT target, 1 AS n FROM only_here', metrics: [{target: {usage: LABEL}}]}\n\
                   both: {query: \"SELECT inet_server_port() AS port\"}\n";
    std::fs::write(&file, queries).unwrap();
    let list = format!("{},{}", one.dsn("postgres"), other.dsn("postgres"));
    let path = format!("--postgres.queries={}", file.path().display());
    let agent = Agent::start(&[&ONLY[..], &[path.as_str()]].concat(), &[("DATA_SOURCE_NAME", &list)]);
    let page = agent.scrape(PAGE);
    for server in [&one, &other] {
        let address = format!("127.0.0.1:{}", server.port);
        let labels = [("target", address.as_str()), ("server", address.as_str())];
        assert_eq!(page.value("both_port", &labels), Some(f64::from(server.port)), "{}", agent.log());
        let failures = page.value("pg_custom_query_failures_total", &[("target", &address), ("query", "here")]);
        assert_eq!(failures, Some(f64::from(u8::from(server.port == one.port))));
    }
    let here: Vec<_> = page.all("here_n").collect();
    assert!(here.len() == 1 && here[0].labels["exported_target"] == "x", "{here:?}");
}

#[test]
fn names_of_ours_are_not_spoiled() {
    let server = Postgres::start(&[]);
    furnish_tables(&server);
    // One family of ours with the same series, one with another type, one with other labels.
    let queries = "pg_stat_user_tables:\n  query: >\n    SELECT current_database() AS datname, schemaname, relname, -1 AS n_live_tup, -1 AS seq_scan FROM \
                   pg_stat_user_tables\n  metrics: [{datname: {usage: LABEL}}, {schemaname: {usage: LABEL}}, {relname: {usage: LABEL}}, \
                   {n_live_tup: {usage: GAUGE}}, {seq_scan: {usage: GAUGE}}]\npg: {query: SELECT 0 AS up, metrics: [{up: {usage: GAUGE}}]}\n";
    let (agent, _file) = agent(&server, "postgres", queries, &[]);
    let page = agent.scrape(PAGE);
    let all: Vec<_> = page.all("pg_stat_user_tables_seq_scan").collect();
    assert!(all.iter().all(|series| series.value >= 0.0) && page.types["pg_stat_user_tables_seq_scan"] == "counter", "{all:?}");
    let ours: Vec<_> =
        page.all("pg_stat_user_tables_n_live_tup").filter(|series| !series.labels.contains_key("server")).collect();
    assert!(ours.len() == 1 && ours[0].value == 1.0, "{ours:?}");
    assert!(page.all("pg_up").any(|series| series.labels.is_empty() && series.value == 1.0));
}

#[test]
fn a_bad_file_is_one_line_and_exit_code_2() {
    for (queries, told) in [
        ("a: {query: 'SELECT 1; COMMIT; DROP TABLE t'}", "a: the query holds more than one statement"),
        ("a: {query: BEGIN}", "a: the query does not begin with SELECT"),
        ("a: {query: SELECT 1, metrics: [{v: {usage: GAUGES}}]}", "a: v: usage"),
        ("a: {query: SELECT 1, unknown: 1}", "unknown"),
        ("a: \"password=hunter2\"", "line 1"),
        ("a: [", "line"),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, queries).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_stack-exporter"))
            .args([
                &format!("--web.listen-address=127.0.0.1:{}", free_port()),
                &format!("--extend.query-path={}", file.path().display()),
            ])
            .env_clear()
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{queries}: {text}");
        assert!(text.lines().count() == 1 && text.contains(told) && !text.contains("hunter2"), "{queries}: {text}");
    }
}
