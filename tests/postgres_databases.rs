//! The other databases of a real PostgreSQL server: seen in the background, each for itself, and never in anybody's way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use support::exposition::Exposition;
use support::postgres::Postgres;
use support::{Agent, wait_for};

const PAGE: &str = "/metrics/postgres";

const ONLY: [&str; 4] = ["--no-host", "--no-containers", "--no-redis", "--postgres.size-interval=1s"];

/// The same, but each database is visited once.
const ONCE: [&str; 4] = ["--no-host", "--no-containers", "--no-redis", "--postgres.size-interval=60s"];

const PATIENCE: Duration = Duration::from_secs(40);

fn agent(server: &Postgres, more: &[&str], env: &[(&str, &str)]) -> Agent {
    let dsn = server.dsn("postgres");
    let env = [&[("DATA_SOURCE_NAME", dsn.as_str())], env].concat();
    Agent::start(&[&ONLY[..], more].concat(), &env)
}

fn with_databases(names: &[&str]) -> Postgres {
    let server = Postgres::start(&[]);
    for name in names {
        server.sql("postgres", &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\"")));
        server.sql(
            name,
            "CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t SELECT i, 'x' FROM generate_series(1, 500) i",
        );
        server.sql(name, "SELECT count(*) FROM t; SELECT pg_stat_force_next_flush()");
    }
    server
}

fn size(page: &Exposition, database: &str) -> Option<f64> {
    page.value("pg_stat_user_tables_table_size_bytes", &[("datname", database), ("relname", "t")])
}

#[test]
fn every_database_shows_its_tables() {
    let odd = "odd \"name\\";
    let server = with_databases(&["a", "b", odd]);
    server.sql("postgres", "CREATE DATABASE template_of_ours IS_TEMPLATE true; ");
    let agent = agent(&server, &["--postgres.collector.statio_user_indexes"], &[]);
    wait_for("all databases", PATIENCE, || {
        let page = agent.scrape(PAGE);
        ["a", "b", odd].iter().all(|name| size(&page, name).is_some())
    });
    let page = agent.scrape(PAGE);
    for name in ["a", "b", odd] {
        assert_eq!(size(&page, name), Some(server.number(name, "SELECT pg_table_size('t')")), "{name}");
        let of = [("datname", name), ("schemaname", "public"), ("relname", "t")];
        assert_eq!(page.value("pg_stat_user_tables_n_tup_ins", &of), Some(500.0), "{name}");
        assert!(page.value("pg_statio_user_tables_heap_blocks_hit", &of).is_some(), "{name}");
        let index = [("datname", name), ("relname", "t"), ("indexrelname", "t_pkey")];
        assert!(page.value("pg_statio_user_indexes_idx_blks_hit_total", &index).is_some(), "{name}");
        assert_eq!(page.value("pg_agent_database_up", &[("datname", name)]), Some(1.0), "{name}");
        assert!(page.value("pg_agent_database_age_seconds", &[("datname", name)]).is_some_and(|age| age < 60.0), "{name}");
    }
    assert_eq!(page.all("pg_agent_database_up").count(), 3, "no template, and not the connected one");
    // A scrape for other collectors is not bothered.
    let page = agent.scrape("/metrics/postgres?collect[]=locks");
    assert_eq!(page.all("pg_agent_database_up").count() + page.all("pg_stat_user_tables_n_tup_ins").count(), 0);
}

#[test]
fn databases_come_and_go() {
    let server = with_databases(&["a", "b"]);
    let agent = Agent::start(&ONCE, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    wait_for("both", PATIENCE, || {
        let page = agent.scrape(PAGE);
        size(&page, "a").is_some() && size(&page, "b").is_some()
    });
    // Nobody of ours is in the way, however often.
    for _ in 0..3 {
        let start = Instant::now();
        server.sql("postgres", "DROP DATABASE a");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let page = agent.get(PAGE);
        let stale: Vec<_> = page.lines().filter(|line| line.contains("datname=\"a\"") && !line.contains("_size_bytes")).collect();
        assert!(stale.is_empty(), "{stale:?}");
        assert!(!agent.get(PAGE).contains("datname=\"a\""), "nor its size in the scrape after");
        server.sql("postgres", "CREATE DATABASE a TEMPLATE b");
        wait_for("the new one", PATIENCE, || size(&agent.scrape(PAGE), "a").is_some());
    }
    server.sql("postgres", "ALTER DATABASE b RENAME TO c");
    let page = agent.scrape(PAGE);
    assert_eq!((page.value("pg_up", &[]), page.value("pg_agent_database_up", &[("datname", "b")])), (Some(1.0), None));
    assert_eq!(size(&page, "b"), None);
    wait_for("the renamed one", PATIENCE, || size(&agent.scrape(PAGE), "c").is_some());
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stack-exporter' AND datname <> 'postgres'";
    wait_for("no session to stay", PATIENCE, || server.number("postgres", ours) == 0.0);
    assert!(!agent.log().contains("panic"), "{}", agent.log());
}

#[test]
fn a_database_that_refuses_costs_its_own_lines_only() {
    let server = with_databases(&["a", "private", "hba"]);
    server.sql("postgres", "CREATE ROLE monitor LOGIN IN ROLE pg_monitor; REVOKE CONNECT ON DATABASE private FROM PUBLIC");
    server.hba("host hba monitor 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 trust\n");
    let dsn = server.dsn("postgres").replace("postgres@", "monitor@");
    let agent = Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &dsn)]);
    let up = |page: &Exposition, name: &str| page.value("pg_agent_database_up", &[("datname", name)]);
    wait_for("all three", PATIENCE, || {
        let page = agent.scrape(PAGE);
        ["a", "private", "hba"].iter().all(|name| up(&page, name).is_some())
    });
    let page = agent.scrape(PAGE);
    assert_eq!((up(&page, "a"), up(&page, "private"), up(&page, "hba")), (Some(1.0), Some(0.0), Some(0.0)));
    assert!(size(&page, "a").is_some() && size(&page, "private").is_none() && size(&page, "hba").is_none());
    assert!(page.all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{}", agent.log());
    wait_for("the reason", PATIENCE, || agent.log().contains("pg_hba.conf rejects"));
    // It is not asked again soon.
    let rejected = || server.log().matches("pg_hba.conf rejects").count();
    let before = rejected();
    let age = || agent.scrape(PAGE).value("pg_agent_database_age_seconds", &[("datname", "a")]).unwrap();
    let first = Instant::now();
    wait_for("another visit to the others", PATIENCE, || Duration::from_secs_f64(age()) < first.elapsed());
    assert_eq!(rejected(), before);
}

#[test]
fn lists_say_which() {
    let server = with_databases(&["a", "b", "c"]);
    for (flags, env, wanted) in [
        (vec!["--postgres.exclude-databases=a,b"], vec![], vec!["c"]),
        (vec![], vec![("PG_EXPORTER_EXCLUDE_DATABASES", "c,b")], vec!["a"]),
        (vec![], vec![("PG_EXPORTER_INCLUDE_DATABASES", "b")], vec!["b"]),
        (vec!["--include-databases=a,c"], vec![("PG_EXPORTER_EXCLUDE_DATABASES", "c")], vec!["a"]),
    ] {
        let agent = agent(&server, &flags, &env);
        let seen = || -> Vec<String> {
            agent.scrape(PAGE).all("pg_agent_database_up").map(|series| series.labels["datname"].clone()).collect()
        };
        wait_for("those that are wanted", PATIENCE, || seen() == wanted);
    }
    let agent = agent(&server, &["--no-postgres.all-databases"], &[]);
    for _ in 0..3 {
        assert_eq!(agent.scrape(PAGE).all("pg_agent_database_up").count(), 0);
    }
}

#[test]
fn the_largest_are_shown_and_the_others_summed() {
    let server = with_databases(&["a"]);
    for database in ["postgres", "a"] {
        server.sql(
            database,
            "CREATE TABLE large AS SELECT i, repeat('x', 200) FROM generate_series(1, 20000) i; ANALYZE large; \
             CREATE TABLE small1 (i int PRIMARY KEY); CREATE TABLE small2 (i int); INSERT INTO small1 SELECT generate_series(1, 10); \
             INSERT INTO small2 SELECT generate_series(1, 7); ANALYZE small1; ANALYZE small2",
        );
        server.sql(database, "DROP TABLE IF EXISTS t; SELECT pg_stat_force_next_flush()");
    }
    let agent = agent(&server, &["--postgres.tables.limit=1", "--postgres.collector.statio_user_indexes"], &[]);
    let other =
        |page: &Exposition, name: &str, database: &str| page.value(name, &[("datname", database), ("relname", "(other)")]);
    wait_for("the other database", PATIENCE, || other(&agent.scrape(PAGE), "pg_stat_user_tables_n_tup_ins", "a").is_some());
    let page = agent.scrape(PAGE);
    for database in ["postgres", "a"] {
        let names: BTreeSet<_> = page
            .all("pg_stat_user_tables_n_tup_ins")
            .filter(|series| series.labels["datname"] == database)
            .map(|series| series.labels["relname"].as_str())
            .collect();
        assert_eq!(names, BTreeSet::from(["large", "(other)"]), "{database}");
        assert_eq!(other(&page, "pg_stat_user_tables_n_tup_ins", database), Some(17.0), "{database}");
        assert_eq!(other(&page, "pg_stat_user_tables_table_size_bytes", database), Some(16384.0), "{database}");
        let last = "SELECT floor(extract(epoch FROM last_analyze)) FROM pg_stat_user_tables WHERE relname = 'small2'";
        assert_eq!(other(&page, "pg_stat_user_tables_last_analyze", database), Some(server.number(database, last)), "{database}");
        assert!(other(&page, "pg_statio_user_tables_heap_blocks_hit", database).unwrap() > 0.0, "{database}");
    }
    assert!(page.value("pg_statio_user_indexes_idx_blks_hit_total", &[("relname", "(other)"), ("datname", "a")]).is_some());
}

#[test]
fn no_lock_is_waited_for_in_another_database() {
    let server = with_databases(&["a"]);
    server.sql("a", "CREATE TABLE free (i int)");
    let mut holder = server.session("a");
    holder.run("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; SELECT 1");
    let mut reader = server.session("a");
    reader.run("BEGIN; SELECT count(*) FROM free");
    let mut writer = server.psql("a").args(["-c", "ALTER TABLE free ADD COLUMN more int"]).spawn().unwrap();
    let waiting = || server.number("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted");
    wait_for("the queue", PATIENCE, || waiting() == 1.0);
    let agent = agent(&server, &[], &[]);
    let scans =
        |page: &Exposition, name: &str| page.value("pg_stat_user_tables_seq_scan", &[("datname", "a"), ("relname", name)]);
    wait_for("the visit", PATIENCE, || {
        assert_eq!(waiting(), 1.0, "only the writer waits");
        let page = agent.scrape(PAGE);
        scans(&page, "t").is_some() && scans(&page, "free").is_some()
    });
    let page = agent.scrape(PAGE);
    assert_eq!(page.value("pg_agent_database_up", &[("datname", "a")]), Some(1.0));
    assert_eq!(page.all("pg_stat_user_tables_table_size_bytes").filter(|series| series.labels["datname"] == "a").count(), 0);
    drop((holder, reader));
    assert!(writer.wait().unwrap().success());
    wait_for("the sizes", PATIENCE, || size(&agent.scrape(PAGE), "a").is_some());
}

/// The longest name that a server takes, with what a label, a URI, a shell or a format may trip over.
fn odd(of: &str) -> String {
    let name = format!("{of} \"q\" 'a' \\n\n\t\r%s %41 é{{}},=#:/@?&$1;--/*");
    format!("{name}{}", "x".repeat(63 - name.len()))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn names_are_told_to_the_letter() {
    let [database, user, schema, table, index, sequence] = ["d", "u", "s", "t", "i", "q"].map(odd);
    let server = Postgres::start(&["shared_preload_libraries=pg_stat_statements"]);
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
    server.sql("postgres", &format!("CREATE ROLE {} LOGIN SUPERUSER CONNECTION LIMIT 7", quoted(&user)));
    server.sql("postgres", &format!("CREATE DATABASE {}", quoted(&database)));
    let escaped = |name: &str| name.replace('\\', "\\\\").replace('\'', "\\'");
    let place = format!("dbname='{}'", escaped(&database));
    let relation = |name: &str| format!("{}.{}", quoted(&schema), quoted(name));
    server.sql(&place, &format!("CREATE SCHEMA {0}; CREATE EXTENSION pg_stat_statements SCHEMA public", quoted(&schema)));
    server.sql(&place, &format!("CREATE TABLE {} AS SELECT generate_series(1, 500) i", relation(&table)));
    server.sql(&place, &format!("CREATE INDEX {} ON {} (i)", quoted(&index), relation(&table)));
    server.sql(&place, &format!("CREATE SEQUENCE {0} MAXVALUE 4", relation(&sequence)));
    let literal = format!("E'{}'", relation(&sequence).replace('\\', "\\\\").replace('\'', "''"));
    server.sql(&place, &format!("SELECT nextval({literal})"));
    let mut session = server.session(&format!("{place} user='{}'", escaped(&user)));
    session.run(&format!("SET application_name = '{}'; BEGIN; SELECT 1", odd("a").replace('\'', "''")));
    session.run(&format!("SELECT length(pg_sleep(0.1)::text) AS {}", quoted(&odd("c"))));
    let application = server.sql("postgres", "SELECT application_name FROM pg_stat_activity WHERE state = 'idle in transaction'");
    assert!(application.starts_with("a \"q\" 'a' \\n"), "{application}");
    let encoded = |name: &str| name.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let inside = format!("postgresql://{}@127.0.0.1:{}/{}?sslmode=disable", encoded(&user), server.port, encoded(&database));
    let more = [
        "--postgres.collector.statio_user_indexes",
        "--postgres.collector.stat_statements",
        "--postgres.collector.stat_statements.include_query",
    ];
    for dsn in [&inside, &server.dsn("postgres")] {
        let agent = Agent::start(&[&ONLY[..], &more].concat(), &[("DATA_SOURCE_NAME", dsn)]);
        let of = [("datname", database.as_str()), ("schemaname", &schema), ("relname", &table)];
        wait_for("the table", PATIENCE, || {
            agent.scrape(PAGE).value("pg_stat_user_tables_n_tup_ins", &of).is_some_and(|rows| rows > 0.0)
        });
        let page = agent.scrape(PAGE);
        let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value != 1.0).collect();
        assert!(failed.is_empty(), "{failed:?} {}", agent.log());
        assert_eq!(page.value("pg_stat_user_tables_n_tup_ins", &of), Some(500.0));
        assert!(page.value("pg_stat_user_tables_table_size_bytes", &of).is_some_and(|size| size > 0.0));
        // Of the connected database without datname, as postgres_exporter has it.
        let indexed = [&of[1..], &[("indexrelname", &index)]].concat();
        assert!(page.value("pg_statio_user_indexes_idx_blks_read_total", &indexed).is_some());
        assert!(page.value("pg_index_unused_bytes", &[("datname", &database)]).is_some());
        let counted = [("datname", database.as_str()), ("schemaname", &schema), ("sequencename", &sequence)];
        assert_eq!(page.value("pg_sequence_used_ratio", &counted), Some(0.0));
        assert!(page.value("pg_database_size_bytes", &[("datname", &database)]).is_some_and(|size| size > 0.0));
        assert_eq!(page.value("pg_roles_connection_limit", &[("rolname", &user)]), Some(7.0));
        let sleeper = [("datname", database.as_str()), ("usename", &user), ("application_name", &application)];
        let sessions: f64 =
            page.all("pg_stat_activity_count").filter(|series| series.has(&sleeper)).map(|series| series.value).sum();
        assert_eq!(sessions, 1.0, "{sleeper:?}");
        let calls = [("datname", database.as_str()), ("user", &user)];
        assert!(page.all("pg_stat_statements_calls_total").any(|series| series.has(&calls)));
        let shown = page.all("pg_stat_statements_query_id").any(|series| series.labels["query"].ends_with(&quoted(&odd("c"))));
        assert!(shown, "{:#?}", page.all("pg_stat_statements_query_id").collect::<Vec<_>>());
    }
}

/// A database with the encoding SQL_ASCII takes any bytes in, and the server then refuses to tell the texts of all statements.
#[test]
fn a_text_that_cannot_be_told_costs_the_texts_only() {
    use std::io::Write;
    let server = Postgres::start(&["shared_preload_libraries=pg_stat_statements"]);
    server.sql("postgres", "CREATE DATABASE raw ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
    let mut psql = server.psql("raw").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(b"SET client_encoding = 'SQL_ASCII'; SELECT pg_sleep(0.1) AS caf\xe9;\n").unwrap();
    assert!(psql.wait().unwrap().success());
    let texts = "--postgres.collector.stat_statements.include_query";
    for (flags, fine) in [(&[][..], 1.0), (&[texts], 0.0)] {
        let agent = agent(&server, &[&["--postgres.collector.stat_statements"], flags].concat(), &[]);
        let page = agent.scrape(PAGE);
        let slept = page.all("pg_stat_statements_seconds_total").filter(|series| series.labels["datname"] == "raw");
        assert!(slept.map(|series| series.value).sum::<f64>() > 0.1, "{}", agent.log());
        assert_eq!(page.value("pg_scrape_collector_success", &[("collector", "stat_statements")]), Some(fine));
        let failed = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).count();
        assert_eq!(failed, usize::from(fine == 0.0), "{}", agent.log());
    }
}
