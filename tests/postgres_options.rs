//! The flags of postgres_exporter that are not a collector's switch, on a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::process::Command;

use support::postgres::{Postgres, furnish};
use support::{Agent, free_port};

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

const PAGE: &str = "/metrics/postgres";

fn agent(server: &Postgres, database: &str, flags: &[&str], env: &[(&str, &str)]) -> Agent {
    let (args, dsn) = ([&ONLY, flags].concat(), server.dsn(database));
    Agent::start(&args, &[&[("DATA_SOURCE_NAME", dsn.as_str())], env].concat())
}

#[test]
fn statements_have_texts_and_limits_where_asked_for() {
    let server = Postgres::start(&["shared_preload_libraries=pg_stat_statements"]);
    furnish(&server);
    server.sql("postgres", "CREATE USER \"o'neill\" SUPERUSER");
    for _ in 0..3 {
        server.sql("shop", "SELECT count(*), 'a marked statement' FROM orders");
        server.sql("postgres", "SELECT pg_sleep(0.02) AS elsewhere");
        server.sql("shop", "SET SESSION AUTHORIZATION \"o'neill\"; SELECT pg_sleep(0.02) AS of_another");
    }
    server.sql("shop", "ALTER USER \"o'neill\" PASSWORD 'hunter2hunter2'; SELECT pg_sleep(0.05)");
    let on = "--postgres.collector.stat_statements";
    let page = agent(&server, "shop", &[on], &[]).scrape(PAGE);
    let of = |page: &support::exposition::Exposition, label: &str| -> Vec<String> {
        page.all("pg_stat_statements_calls_total").map(|series| series.labels[label].clone()).collect()
    };
    assert!(page.all("pg_stat_statements_query_id").next().is_none());
    assert!(of(&page, "datname").contains(&"postgres".to_owned()) && of(&page, "user").contains(&"o'neill".to_owned()));

    let texts = ["--postgres.collector.stat_statements.include_query", "--postgres.collector.stat_statements.query_length=40"];
    let page = agent(&server, "shop", &[on, texts[0], texts[1]], &[]).scrape(PAGE);
    let shown: Vec<_> = page.all("pg_stat_statements_query_id").map(|series| series.labels["query"].clone()).collect();
    assert!(shown.contains(&"SELECT count(*), $1 FROM orders".to_owned()), "{shown:?}");
    assert!(shown.iter().all(|text| text.chars().count() <= 40 && !text.contains("hunter2")), "{shown:?}");
    assert!(page.all("pg_stat_statements_query_id").all(|series| series.value == 1.0));
    assert_eq!(page.types["pg_stat_statements_query_id"], "counter");

    let without = [
        "--postgres.collector.stat_statements.exclude_databases=postgres,template1",
        "--postgres.collector.stat_statements.exclude_users=o'neill",
        "--postgres.collector.stat_statements.limit=3",
    ];
    // By postgres_exporter's own names as well.
    let old: Vec<String> = std::iter::once(on).chain(without).map(|flag| flag.replace("--postgres.", "--")).collect();
    for flags in [[&[on], &without[..]].concat(), old.iter().map(String::as_str).collect()] {
        let page = agent(&server, "shop", &flags, &[]).scrape(PAGE);
        assert_eq!(of(&page, "datname"), ["shop"; 3]);
        assert_eq!(of(&page, "user"), ["postgres"; 3]);
    }
}

#[test]
fn statements_tell_what_they_cost_beside_time() {
    let server = Postgres::start(&["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track_planning=on"]);
    furnish(&server);
    server.sql("shop", "SET work_mem = '64kB'; SELECT count(*) FROM (SELECT id, note FROM orders ORDER BY note, id) AS sorted");
    server.sql("shop", "CREATE TABLE copies AS SELECT * FROM orders; UPDATE copies SET note = 'changed'");
    let costs = "--postgres.collector.statement_costs";
    // By itself, and beside the collector whose statement it shares.
    for flags in [&[costs][..], &[costs, "--postgres.collector.stat_statements"]] {
        let agent = agent(&server, "shop", flags, &[]);
        let page = agent.scrape(PAGE);
        let compare = |query: &str, family: &str, sql: &str| {
            let of = format!("FROM pg_stat_statements WHERE query LIKE '{query}%'");
            let id = server.sql("shop", &format!("SELECT queryid {of}"));
            let labels = [("user", "postgres"), ("datname", "shop"), ("queryid", id.as_str())];
            let (ours, theirs) = (page.value(family, &labels), server.number("shop", &format!("SELECT {sql} {of}")));
            assert!(theirs > 0.0 && ours.is_some_and(|ours| (ours - theirs).abs() < 1e-9), "{family}: {ours:?}, not {theirs}");
        };
        let sorted = "SELECT count(*) FROM (SELECT id";
        compare(sorted, "pg_stat_statements_temp_blks_written_bytes_total", "temp_blks_written * 8192");
        compare(sorted, "pg_stat_statements_plan_seconds_total", "total_plan_time / 1000");
        compare("UPDATE copies", "pg_stat_statements_wal_bytes_total", "wal_bytes");
        assert!(page.value("pg_stat_statements_entries", &[]).is_some_and(|entries| entries > 10.0));
        assert_eq!(page.value("pg_stat_statements_deallocated_total", &[]), Some(0.0));
        assert_eq!(page.all("pg_stat_statements_calls_total").next().is_some(), flags.len() == 2);
        assert!(page.all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{}", agent.log());
        let seen = "SELECT calls FROM pg_stat_statements WHERE query LIKE 'SELECT pg_get_userbyid(s.userid)%'";
        assert_eq!(server.number("shop", seen), 1.0, "one statement for both collectors");
        server.sql(
            "shop",
            "SELECT pg_stat_statements_reset(0, 0, queryid) FROM pg_stat_statements WHERE query LIKE 'SELECT pg_get_userbyid%'",
        );
    }
    server.sql("shop", "SELECT pg_stat_statements_reset()");
    let page = agent(&server, "shop", &[costs], &[]).scrape(PAGE);
    let spilled = "pg_stat_statements_temp_blks_written_bytes_total";
    assert!(page.all(spilled).all(|series| series.value == 0.0), "what was counted before the reset is gone");
}

#[test]
fn flags_and_variables_of_postgres_exporter_are_understood() {
    let server = Postgres::start(&[]);
    let count = |flags: &[&str], env: &[(&str, &str)]| {
        let agent = agent(&server, "postgres", flags, env);
        let page = agent.scrape(PAGE);
        let of = |name| page.all(name).count();
        (of("pg_static"), of("pg_stat_database_conflicts_confl_lock"), of("pg_database_size_bytes"), agent.log())
    };
    let (fixed, conflicts, sizes, log) = count(&[], &[]);
    assert!((fixed, conflicts, sizes) == (1, 3, 3) && !log.contains("level=warn"), "{log}");
    for (flags, env) in [
        (&["--postgres.disable-default-metrics"][..], &[][..]),
        (&["--disable-default-metrics"], &[]),
        (&[], &[("PG_EXPORTER_DISABLE_DEFAULT_METRICS", "true")]),
    ] {
        assert_eq!(count(flags, env).0, 0, "{flags:?} {env:?}");
        assert_eq!(count(flags, env).1, 0, "{flags:?} {env:?}");
    }
    for (flags, env) in [
        (&["--exclude-databases=template0,template1"][..], &[][..]),
        (&[], &[("PG_EXPORTER_EXCLUDE_DATABASES", "template0, template1")]),
    ] {
        assert_eq!(count(flags, env).2, 1, "{flags:?} {env:?}");
    }
    let idle = [("PG_EXPORTER_AUTO_DISCOVER_DATABASES", "true"), ("PG_EXPORTER_COLLECTION_TIMEOUT", "10s")];
    let (_, _, sizes, log) = count(&["--metric-prefix=pg", "--postgres.collector.xlog_location"], &idle);
    assert!(sizes == 3 && log.matches("changes nothing here").count() == 2, "{log}");
}

#[test]
fn what_would_be_missing_is_refused_in_one_line() {
    for (flag, name) in [
        ("--constantLabels=a=b", "constantLabels"),
        ("--metric-prefix=db", "metric-prefix"),
        ("--dumpmaps", "dumpmaps"),
        ("--postgres.collector.stat_statements.limit=0", "postgres.collector.stat_statements.limit"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stack-exporter"))
            .args([flag, &format!("--web.listen-address=127.0.0.1:{}", free_port())])
            .env_clear()
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.lines().count() == 1 && text.contains(name), "{text}");
    }
}
