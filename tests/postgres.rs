//! The PostgreSQL part of the real binary against a real, healthy server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use support::exposition::{Exposition, Series};
use support::postgres::{Postgres, add_slots, fixture, furnish, shape};
use support::postgres_exporter::Exporter;
use support::{Agent, free_port, wait_for};

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

const PAGE: &str = "/metrics/postgres";

fn agent(server: &Postgres, database: &str) -> Agent {
    Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &server.dsn(database))])
}

/// A server with something of everything.
fn furnished() -> Postgres {
    let server = Postgres::start(&["wal_level=logical", "shared_preload_libraries=pg_stat_statements"]);
    furnish(&server);
    add_slots(&server);
    server
}

#[test]
fn the_default_page_has_the_shape_of_postgres_exporters() {
    let server = furnished();
    let agent = agent(&server, "shop");
    let ours = shape(&agent.scrape(PAGE));
    let wanted = shape(&fixture("15.default.prom"));
    assert!(wanted.len() > 300, "the fixture is whole");
    for (family, shape) in &wanted {
        assert_eq!(ours.get(family), Some(shape), "{family}");
    }
}

#[test]
fn values_are_those_of_the_views() {
    let server = furnished();
    server.sql("shop", "SELECT pg_stat_reset_shared('bgwriter')");
    let agent = agent(&server, "shop");
    let mut busy = server.session("shop");
    busy.run("SET application_name = 'a \"b\\'; BEGIN; SELECT count(*) FROM orders");
    let page = agent.scrape(PAGE);
    for (series, labels, sql) in [
        ("pg_database_size_bytes", vec![("datname", "shop")], "SELECT pg_database_size('shop')"),
        ("pg_stat_user_tables_table_size_bytes", vec![("relname", "orders")], "SELECT pg_table_size('orders')"),
        ("pg_stat_user_tables_index_size_bytes", vec![("relname", "orders")], "SELECT pg_indexes_size('orders')"),
        (
            "pg_stat_user_tables_n_tup_ins",
            vec![("relname", "orders")],
            "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'orders'",
        ),
        (
            "pg_stat_user_tables_last_analyze",
            vec![("relname", "orders")],
            "SELECT floor(extract(epoch FROM last_analyze)) FROM pg_stat_user_tables WHERE relname = 'orders'",
        ),
        (
            "pg_stat_database_tup_inserted",
            vec![("datname", "shop")],
            "SELECT tup_inserted FROM pg_stat_database WHERE datname = 'shop'",
        ),
        ("pg_stat_bgwriter_stats_reset_total", vec![], "SELECT floor(extract(epoch FROM stats_reset)) FROM pg_stat_bgwriter"),
        ("pg_wal_segments", vec![], "SELECT count(*) FROM pg_ls_waldir() WHERE length(name) = 24"),
        ("pg_settings_shared_buffers_bytes", vec![], "SELECT pg_size_bytes(current_setting('shared_buffers'))"),
        (
            "pg_settings_checkpoint_timeout_seconds",
            vec![],
            "SELECT extract(epoch FROM current_setting('checkpoint_timeout')::interval)",
        ),
        ("pg_settings_statement_timeout_seconds", vec![], "SELECT 0"),
        ("pg_settings_lock_timeout_seconds", vec![], "SELECT 0"),
        ("pg_settings_transaction_read_only", vec![], "SELECT 0"),
        ("pg_replication_slots_slot_is_active", vec![("slot_name", "lslot")], "SELECT 0"),
        ("pg_locks_count", vec![("datname", "shop"), ("mode", "accessexclusivelock")], "SELECT 0"),
        // The open transaction holds the table and its index; the scrape itself holds pg_locks.
        ("pg_locks_count", vec![("datname", "shop"), ("mode", "accesssharelock")], "SELECT 3"),
        ("pg_stat_activity_count", vec![("application_name", "a \"b\\"), ("state", "idle in transaction")], "SELECT 1"),
    ] {
        assert_eq!(page.value(series, &labels), Some(server.number("shop", sql)), "{series} {labels:?}");
    }
    let age = page.value("pg_stat_activity_max_tx_duration", &[("application_name", "a \"b\\")]).unwrap();
    assert!(age > 0.0 && age < 60.0, "{age}");
}

#[test]
fn a_scrape_is_one_message_of_one_read_only_session() {
    let server = Postgres::start(&["log_statement=all", "log_connections=on"]);
    let agent = agent(&server, "postgres");
    agent.scrape(PAGE);
    let count = |what: &str| server.log().matches(what).count();
    let before = (
        count("LOG:  statement: SET LOCAL"),
        count("connection authorized: user=postgres database=postgres application_name=stack-exporter"),
    );
    for _ in 0..5 {
        agent.scrape(PAGE);
    }
    let after = (
        count("LOG:  statement: SET LOCAL"),
        count("connection authorized: user=postgres database=postgres application_name=stack-exporter"),
    );
    assert_eq!((after.0 - before.0, before.1, after.1), (5, 1, 1), "{}", server.log());
    let message = server.log().rsplit_once("LOG:  statement: SET LOCAL").unwrap().1.to_owned();
    assert!(message.contains("transaction_read_only = on") && message.contains("lock_timeout"), "{message}");
    // Nothing of it stays behind on the session, which a pooler might give to someone else.
    let default = server.sql("postgres", "SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only'");
    assert_eq!(default, "off");
}

#[test]
fn collectors_can_be_chosen() {
    let server = Postgres::start(&[]);
    let agent = Agent::start(
        &[ONLY[0], ONLY[1], ONLY[2], "--no-postgres.collector.settings", "--postgres.collector.postmaster"],
        &[("DATA_SOURCE_NAME", &server.dsn("postgres"))],
    );
    let page = agent.scrape(PAGE);
    assert!(!page.series.iter().any(|series| series.name.starts_with("pg_settings_")));
    let start = server.number("postgres", "SELECT extract(epoch FROM pg_postmaster_start_time())");
    assert_eq!(page.value("pg_postmaster_start_time_seconds", &[]), Some(start));
    let one = agent.scrape(&format!("{PAGE}?collect[]=wal"));
    assert!(one.value("pg_wal_segments", &[]).is_some() && one.all("pg_locks_count").next().is_none());
    assert_eq!(agent.request(&format!("{PAGE}?collect[]=settings"), &[]).status, 400);
}

#[test]
fn one_target_has_no_label_and_several_have() {
    let (one, other) = (Postgres::start(&[]), Postgres::start(&[]));
    let list = format!("{},host=127.0.0.1 port={} user=postgres dbname=postgres", one.dsn("postgres"), other.port);
    let agent = Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &list)]);
    let page = agent.scrape(PAGE);
    let ups: BTreeMap<_, _> = page.all("pg_up").map(|series| (series.labels["target"].clone(), series.value)).collect();
    assert_eq!(ups, BTreeMap::from([(format!("127.0.0.1:{}", one.port), 1.0), (format!("127.0.0.1:{}", other.port), 1.0)]));
    assert!(page.all("pg_stat_database_xact_commit").all(|series| series.labels.contains_key("target")));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stack.yml");
    let target =
        |name: &str, port: u16| format!("    - {{name: {name}, address: 'host=127.0.0.1 port={port}', user: postgres}}\n");
    std::fs::write(&file, format!("postgres:\n  targets:\n{}{}", target("a", one.port), target("gone", free_port()))).unwrap();
    let config = format!("--config.file={}", file.display());
    let agent = Agent::start(&[ONLY[0], ONLY[1], ONLY[2], &config], &[]);
    let page = agent.scrape(PAGE);
    assert_eq!((page.value("pg_up", &[("target", "a")]), page.value("pg_up", &[("target", "gone")])), (Some(1.0), Some(0.0)));
    assert!(page.value("pg_stat_archiver_archived_count", &[("target", "a")]).is_some());
}

#[test]
fn a_local_server_is_found_by_its_socket() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run/postgresql");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let server = Postgres::start(&[&format!("unix_socket_directories={}", folder.display())]);
    let rootfs = format!("--path.rootfs={}", root.path().display());
    let agent = Agent::start(&[ONLY[0], ONLY[1], ONLY[2], &rootfs], &[]);
    let name = format!("local:{}", server.port);
    wait_for("the server to be found", Duration::from_secs(10), || {
        agent.scrape(PAGE).all("pg_up").any(|series| series.labels["target"] == name && series.value == 1.0)
    });
}

#[test]
fn a_bad_connection_string_is_one_line_and_exit_code_2() {
    for (variable, value) in [
        ("DATA_SOURCE_NAME", "postgres://me:hunter2@db:x/y"),
        ("DATA_SOURCE_NAME", "postgres://me:hunter2@db/y?sslmode=verify-full"),
        ("DATA_SOURCE_NAME", "hunter2"),
        ("DATA_SOURCE_URI_FILE", "/does/not/exist"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stack-exporter"))
            .arg(format!("--web.listen-address=127.0.0.1:{}", free_port()))
            .env_clear()
            .env(variable, value)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.lines().count() == 1 && text.contains("postgres.") && !text.contains("hunter2"), "{text}");
    }
}

/// What the contract no longer has of version 0.11.1, or has under another name: columns it did not know and showed untyped, the row of shared
/// objects, its own collector's name.
fn is_gone(series: &Series) -> bool {
    let gone = ["active_time", "session_time", "idle_in_transaction_time", "sessions", "checksum_"];
    series.name.strip_prefix("pg_stat_database_").is_some_and(|rest| gone.iter().any(|gone| rest.starts_with(gone)))
        || series.has(&[("datid", "0")])
        || series.has(&[("collector", "bgwriter")])
}

/// Name and labels, without the label that only the older version has, and without empty ones.
fn key(series: &Series) -> (String, Vec<(String, String)>) {
    let labels = series.labels.iter().filter(|(name, value)| *name != "server" && !value.is_empty());
    (series.name.clone(), labels.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[test]
fn series_and_values_agree_with_postgres_exporter() {
    let server = furnished();
    let exporter = Exporter::start(&server.dsn("postgres"));
    let agent = agent(&server, "postgres");
    let _ = (exporter.scrape(), agent.scrape(PAGE));
    let (before, ours, after) = (exporter.scrape(), agent.scrape(PAGE), exporter.scrape());
    let keyed = |page: &Exposition| page.series.iter().map(|series| (key(series), series.value)).collect::<BTreeMap<_, _>>();
    let (values, later) = (keyed(&ours), keyed(&after));
    let (mut all, mut matched, mut differs) = (0.0, 0.0, Vec::new());
    for series in before.series.iter().filter(|series| series.name.starts_with("pg_") && !is_gone(series)) {
        let key = key(series);
        let Some(&until) = later.get(&key) else { continue };
        let slack = 0.02 * series.value.abs().max(until.abs());
        let (low, high) = (series.value.min(until) - slack, series.value.max(until) + slack);
        let same_type =
            before.types[before.family(&series.name)] == ours.types.get(ours.family(&series.name)).cloned().unwrap_or_default();
        let agrees = values.get(&key).is_some_and(|value| same_type && (low..=high).contains(value));
        all += 1.0;
        matched += f64::from(u8::from(agrees));
        if !agrees {
            differs.push(format!(
                "{} {:?}: {} to {until}, ours {:?}",
                series.name,
                series.labels,
                series.value,
                values.get(&key)
            ));
        }
    }
    let share = matched / all;
    assert!(all > 450.0 && share >= 0.96, "{matched} of {all}: {differs:#?}");
}
