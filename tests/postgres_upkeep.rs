//! What wants looking after in a real server's databases: indexes, sequences, vacuum, WAL that is not archived.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use support::postgres::Postgres;
use support::{Agent, wait_for};

const PAGE: &str = "/metrics/postgres";

const ONLY: [&str; 6] = [
    "--no-host",
    "--no-containers",
    "--no-redis",
    "--postgres.size-interval=1s",
    "--postgres.catalog-interval=1s",
    "--postgres.bloat-interval=1s",
];

#[test]
fn upkeep_is_told_of_every_database() {
    let server = Postgres::start(&["archive_mode=on", "archive_command=/bin/false"]);
    server.sql("postgres", "CREATE DATABASE other");
    for database in ["postgres", "other"] {
        server.sql(
            database,
            "CREATE TABLE t (id int PRIMARY KEY, a int, b int, EXCLUDE USING btree (b WITH =)); CREATE INDEX used ON t (a); \
             CREATE INDEX copy ON t (a); CREATE INDEX partial ON t (a) WHERE a > 5; CREATE UNIQUE INDEX own ON t (id, a); \
             INSERT INTO t SELECT i, i, i FROM generate_series(1, 10000) i; ANALYZE t; \
             CREATE SEQUENCE near AS smallint START 32000; CREATE SEQUENCE down INCREMENT -1 MINVALUE -100 START -1; \
             CREATE SEQUENCE round MAXVALUE 10 CYCLE; CREATE SEQUENCE unread; SELECT nextval('near'), nextval('down'), nextval('round'); \
             CREATE TABLE dirty (i int); INSERT INTO dirty SELECT generate_series(1, 1000); \
             CREATE TABLE off (i int) WITH (autovacuum_enabled = off); INSERT INTO off SELECT generate_series(1, 1000)",
        );
        server.sql(database, "VACUUM dirty");
        server.sql(database, "DELETE FROM dirty; DELETE FROM off");
        server.sql(database, "SET enable_seqscan = off; SELECT count(*) FROM t WHERE a = 3; SELECT pg_stat_force_next_flush()");
        // The planner took one of the two that are alike: the other is unused.
        let invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'partial'::regclass";
        server.sql(database, &format!("SET allow_system_table_mods = on; {invalid}"));
    }
    server.sql("postgres", "SELECT pg_switch_wal()");
    let agent = Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    let value = |name: &str, labels: &[(&str, &str)]| agent.scrape(PAGE).value(name, labels);
    for database in ["postgres", "other"] {
        let of = [("datname", database)];
        wait_for("the database", Duration::from_secs(40), || value("pg_autovacuum_tables_due", &of) == Some(1.0));
        let is = |name: &str, wanted: f64| assert_eq!(value(name, &of), Some(wanted), "{database} {name}: {}", agent.log());
        is("pg_index_unused", 1.0);
        is("pg_index_invalid", 1.0);
        is("pg_index_duplicate", 1.0);
        let bytes = "SELECT pg_relation_size('used')";
        is("pg_index_unused_bytes", server.number(database, bytes));
        let age = value("pg_autovacuum_due_oldest_seconds", &of).unwrap();
        assert!((0.0..120.0).contains(&age), "{age}");
        let page = agent.scrape(PAGE);
        let ratios: Vec<_> = page
            .all("pg_sequence_used_ratio")
            .filter(|series| series.labels["datname"] == database)
            .map(|series| (series.labels["sequencename"].as_str(), series.value))
            .collect();
        assert_eq!(ratios, [("near", 0.976592), ("down", 0.0)], "{database}");
    }
    wait_for("the file that nobody takes", Duration::from_secs(20), || {
        value("pg_archiver_ready_files", &[]).is_some_and(|files| files >= 1.0)
    });
    assert!(agent.scrape(PAGE).all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{}", agent.log());
}

#[test]
fn a_locked_sequence_is_left_out() {
    let server = Postgres::start(&[]);
    server.sql("postgres", "CREATE SEQUENCE a; CREATE SEQUENCE b; SELECT nextval('a'), nextval('b')");
    let mut holder = server.session("postgres");
    holder.run("BEGIN; ALTER SEQUENCE a RENAME TO c; SELECT 1");
    let agent = Agent::start(
        &["--no-host", "--no-containers", "--no-redis", "--postgres.catalog-interval=0s"],
        &[("DATA_SOURCE_NAME", &server.dsn("postgres"))],
    );
    let seen = || -> Vec<String> {
        agent.scrape(PAGE).all("pg_sequence_used_ratio").map(|series| series.labels["sequencename"].clone()).collect()
    };
    assert_eq!(seen(), ["b"]);
    assert_eq!(server.number("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted"), 0.0);
    drop(holder);
    wait_for("both", Duration::from_secs(20), || seen() == ["a", "b"]);
}

#[test]
fn small_caches_are_told_where_asked_for() {
    let server = Postgres::start(&[]);
    let dsn = server.dsn("postgres");
    let agent = Agent::start(&[&ONLY[..], &["--postgres.collector.slru"]].concat(), &[("DATA_SOURCE_NAME", &dsn)]);
    let page = agent.scrape(PAGE);
    let names = server.sql("postgres", "SELECT count(*) FROM pg_stat_slru");
    for what in ["hit", "read", "written", "flush", "truncate"] {
        assert_eq!(page.all(&format!("pg_stat_slru_{what}_total")).count().to_string(), names, "{what}");
    }
    let hits = page.value("pg_stat_slru_hit_total", &[("name", "Xact")]).unwrap();
    assert!(hits <= server.number("postgres", "SELECT blks_hit FROM pg_stat_slru WHERE name = 'Xact'"), "{hits}");
}

/// The estimate against what pgstattuple counts, in the connected database and in another one; a full table is off by its rows' padding alone.
#[test]
fn bloat_is_about_what_is_there() {
    let server = Postgres::start(&["autovacuum=off"]);
    server.sql("postgres", "CREATE DATABASE other");
    for database in ["postgres", "other"] {
        server.sql(
            database,
            "CREATE EXTENSION pgstattuple; CREATE TABLE airy (id int PRIMARY KEY, name text, gone int, at timestamptz); \
             INSERT INTO airy SELECT i, md5(i::text), nullif(i % 2, 0), now() FROM generate_series(1, 40000) i; \
             CREATE INDEX lower ON airy (lower(name)); CREATE TABLE full_up (LIKE airy); INSERT INTO full_up SELECT * FROM airy",
        );
        server.sql(database, "DELETE FROM airy WHERE id % 4 <> 0");
        server.sql(database, "VACUUM ANALYZE");
    }
    let agent =
        Agent::start(&[&ONLY[..], &["--postgres.collector.bloat"]].concat(), &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    for database in ["postgres", "other"] {
        let table = [("datname", database), ("schemaname", "public"), ("relname", "airy")];
        let name = "pg_table_bloat_estimate_bytes";
        wait_for("the estimate", Duration::from_secs(40), || agent.scrape(PAGE).value(name, &table).is_some());
        let page = agent.scrape(PAGE);
        let near = |what: &str, ours: f64, sql: &str| {
            let counted = server.number(database, sql);
            assert!((ours / counted - 1.0).abs() < 0.1, "{database} {what}: {ours}, counted {counted}");
        };
        near("table", page.value(name, &table).unwrap(), "SELECT free_space FROM pgstattuple('airy')");
        for index in ["airy_pkey", "lower"] {
            let labels = [("datname", database), ("relname", "airy"), ("indexrelname", index)];
            let ours = page.value("pg_index_bloat_estimate_bytes", &labels).unwrap_or_else(|| panic!("{index}: {}", agent.log()));
            // An index that is full to 90 % has no bloat.
            let sql = format!("SELECT leaf_pages * 8192 * (1 - avg_leaf_density / 90) FROM pgstatindex('{index}')");
            near(index, ours, &sql);
        }
        let told = page.all(name).filter(|series| series.labels["datname"] == database && series.labels["relname"] == "full_up");
        assert!(
            told.map(|series| series.value).sum::<f64>() < 0.1 * server.number(database, "SELECT pg_relation_size('full_up')")
        );
    }
    assert!(agent.scrape(PAGE).all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{}", agent.log());
}

#[test]
fn bloat_waits_for_no_lock() {
    let server = Postgres::start(&["autovacuum=off"]);
    server.sql(
        "postgres",
        "CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 20000); DELETE FROM t WHERE i > 100",
    );
    server.sql("postgres", "VACUUM (ANALYZE, INDEX_CLEANUP ON, TRUNCATE OFF) t");
    let mut holder = server.session("postgres");
    holder.run("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; SELECT 1");
    let flags = ["--no-host", "--no-containers", "--no-redis", "--postgres.bloat-interval=0s", "--postgres.collector.bloat"];
    let agent = Agent::start(&flags, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    for _ in 0..3 {
        assert!(agent.scrape(PAGE).value("pg_table_bloat_estimate_bytes", &[("relname", "t")]).is_some(), "{}", agent.log());
        assert_eq!(server.number("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted"), 0.0);
    }
    assert!(agent.scrape(PAGE).all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{}", agent.log());
}

#[test]
fn settings_are_read_again_after_a_reload_alone() {
    let server = Postgres::start(&["log_statement=all"]);
    let flags = ["--no-host", "--no-containers", "--no-redis"];
    let agent = Agent::start(&flags, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    let work_mem = || agent.scrape(PAGE).value("pg_settings_work_mem_bytes", &[]).unwrap();
    let asked = || server.log().matches("FROM pg_settings WHERE vartype").count();
    let before = work_mem();
    (0..3).for_each(|_| assert_eq!(work_mem(), before));
    assert_eq!(asked(), 1);
    server.sql("postgres", "ALTER SYSTEM SET work_mem = '7MB'");
    server.sql("postgres", "SELECT pg_reload_conf()");
    wait_for("the new value", Duration::from_secs(20), || work_mem() == 7.0 * 1024.0 * 1024.0);
    (0..3).for_each(|_| _ = work_mem());
    assert_eq!(asked(), 2);
}

/// Sizes of 2,000 tables with a TOAST table each take longer than the budget, settings do not.
#[test]
fn what_is_slow_has_a_budget_and_waits_its_turn() {
    let server = Postgres::start(&[]);
    let table = "CREATE TABLE t%s (note text); INSERT INTO t%s VALUES (%L)";
    server.sql(
        "postgres",
        &format!("DO $$ BEGIN FOR i IN 1..2000 LOOP EXECUTE format('{table}', i, i, 'x'); IF i % 50 = 0 THEN COMMIT; END IF; END LOOP; END $$"),
    );
    let flags = ["--postgres.slow-budget=20ms", "--postgres.tables.limit=2000", "--postgres.settings-interval=0s"];
    let agent = Agent::start(&[&ONLY[..3], &flags[..]].concat(), &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    let failed = |page: &support::exposition::Exposition| {
        page.all("stack_exporter_collector_last_error_info")
            .any(|series| series.labels["collector"] == "stat_user_tables" && series.labels["error"].contains("SQLSTATE 57014"))
    };
    wait_for("the sizes that are given up", Duration::from_secs(20), || failed(&agent.scrape(PAGE)));
    wait_for("what fits the budget", Duration::from_secs(20), || {
        agent.scrape(PAGE).value("pg_settings_max_connections", &[]).is_some()
    });
    for _ in 0..5 {
        let page = agent.scrape(PAGE);
        assert!(failed(&page), "{}", agent.log());
        assert_eq!(page.value("pg_up", &[]), Some(1.0));
        assert_eq!(page.value("pg_stat_user_tables_n_tup_ins", &[("relname", "t7")]), Some(1.0));
        assert_eq!(page.value("pg_stat_user_tables_table_size_bytes", &[("relname", "t7")]), None);
    }
    let asked = server.log().lines().filter(|line| line.contains("pg_indexes_size")).count();
    assert_eq!(asked, 1, "sizes are asked for once in their interval");
}
