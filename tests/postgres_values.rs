//! Values of the PostgreSQL part against the server's own views and functions, column by column, on a server where nothing happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::{Duration, Instant};

use support::Agent;
use support::exposition::Exposition;
use support::postgres::{Postgres, add_slots, bin, every_collector, furnish, versions};

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

/// A view: name, what its families begin with, its label and the rows that count, and how many of its values must be compared at least.
struct View {
    name: &'static str,
    prefix: &'static str,
    label: &'static str,
    column: &'static str,
    rows: &'static str,
    least: usize,
}

const fn view(name: &'static str, prefix: &'static str, label: &'static str, rows: &'static str, least: usize) -> View {
    View { name, prefix, label, column: label, rows, least }
}

const VIEWS: [View; 9] = [
    view("pg_stat_user_tables", "pg_stat_user_tables_", "relname", "true", 26),
    view("pg_statio_user_tables", "pg_statio_user_tables_", "relname", "relname = 'orders'", 8),
    view("pg_statio_user_indexes", "pg_statio_user_indexes_", "indexrelname", "true", 2),
    view("pg_stat_database", "pg_stat_database_", "datname", "datname = 'quiet'", 13),
    view("pg_stat_database_conflicts", "pg_stat_database_conflicts_", "datname", "true", 15),
    view("pg_stat_archiver", "pg_stat_archiver_", "", "true", 2),
    view("pg_stat_bgwriter", "pg_stat_bgwriter_", "", "true", 3),
    View { column: "datname", ..view("pg_database", "pg_database_", "datname", "true", 5) },
    view("pg_roles", "pg_roles_", "rolname", "true", 5),
];

/// A column's name in its family's.
fn family(view: &View, column: &str) -> String {
    let column = match column {
        "datconnlimit" | "rolconnlimit" => "connection_limit",
        "active_time" => "active_time_seconds",
        other => other,
    };
    match view.name {
        "pg_statio_user_tables" => format!("{}{}", view.prefix, column.replace("_blks_", "_blocks_")),
        _ => format!("{}{column}", view.prefix),
    }
}

/// The numbers of `view` as (label, column, value).
fn numbers(server: &Postgres, view: &View) -> Vec<(String, String, f64)> {
    let label = if view.column.is_empty() { "''" } else { view.column };
    let sql = format!(
        "SELECT {label}, key, value FROM {} AS v, jsonb_each_text(to_jsonb(v)) WHERE {} AND value ~ '^-?[0-9.]+$'",
        view.name, view.rows
    );
    let text = server.sql("shop", &sql);
    let mut fields = text.lines().map(|line| line.split('|').map(str::to_owned).collect::<Vec<_>>());
    let row = |row: Vec<String>| (row[0].clone(), row[1].clone(), row[2].parse().unwrap());
    fields.by_ref().map(row).collect()
}

/// Compares the page with all views: what differs, and which view had too few columns on the page.
fn differs(server: &Postgres, page: &Exposition) -> Vec<String> {
    let mut wrong = Vec::new();
    for view in VIEWS {
        let mut compared = 0;
        for (label, column, value) in numbers(server, &view) {
            let family = family(&view, &column);
            let Some(name) = [family.clone(), format!("{family}_total")].into_iter().find(|name| page.types.contains_key(name))
            else {
                continue;
            };
            let labels = if view.label.is_empty() { vec![] } else { vec![(view.label, label.as_str())] };
            let value = if column == "active_time" { value / 1_000.0 } else { value };
            let is = page.value(&name, &labels);
            compared += 1;
            if is.is_none_or(|is| (is - value).abs() > 1e-9 * value.abs()) {
                wrong.push(format!("{name} {labels:?}: {is:?}, {} has {value}", view.name));
            }
        }
        if compared < view.least {
            wrong.push(format!("{}: only {compared} values of it are on the page", view.name));
        }
    }
    wrong
}

/// Every setting that is a number, as the server itself converts it: `pg_size_bytes` and intervals know the units.
const SETTINGS: &str = "SELECT 'pg_settings_' || regexp_replace(name, '[.-]', '_', 'g') || CASE WHEN unit ~ 'B$' THEN '_bytes' \
    WHEN unit IS NOT NULL THEN '_seconds' ELSE '' END, CASE WHEN vartype = 'bool' THEN (setting = 'on')::int::float8 \
    WHEN setting = '-1' THEN -1 WHEN unit ~ 'B$' THEN pg_size_bytes(current_setting(name))::float8 \
    WHEN unit IS NOT NULL THEN extract(epoch FROM current_setting(name)::interval)::float8 ELSE setting::float8 END \
    FROM pg_settings WHERE vartype IN ('bool', 'integer', 'real')";

fn settings_differ(server: &Postgres, page: &Exposition) -> Vec<String> {
    let text = server.sql("shop", SETTINGS);
    let rows: Vec<(&str, f64)> =
        text.lines().map(|line| line.split_once('|').unwrap()).map(|(name, value)| (name, value.parse().unwrap())).collect();
    let of_settings = |family: &&String| family.starts_with("pg_settings_") && *family != "pg_settings_pending_restart";
    let on_page = page.types.keys().filter(of_settings).count();
    assert!(rows.len() > 190 && rows.len() == on_page, "{} settings, {on_page} families", rows.len());
    let is = |name: &str, value: f64| page.value(name, &[]).is_some_and(|is| (is - value).abs() <= 1e-9 * value.abs());
    rows.into_iter().filter(|(name, value)| !is(name, *value)).map(|(name, value)| format!("{name}: {value}")).collect()
}

fn values_are_the_views(major: u32) {
    let server = Postgres::start_from(
        &bin(major),
        &["wal_level=logical", "shared_preload_libraries=pg_stat_statements", "log_rotation_size=20MB"],
    );
    furnish(&server);
    add_slots(&server);
    for sql in [
        "CREATE DATABASE quiet CONNECTION LIMIT 7",
        "CREATE ROLE narrow CONNECTION LIMIT 3",
        "ALTER SYSTEM SET work_mem = '12345kB'",
    ] {
        server.sql("postgres", sql);
    }
    server.sql("quiet", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS a; SELECT count(*) FROM t");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let flags = every_collector();
    let args: Vec<&str> = ONLY.iter().copied().chain(flags.iter().map(String::as_str)).collect();
    let agent = Agent::start(&args, &[("DATA_SOURCE_NAME", &server.dsn("shop"))]);
    // Statistics come in their own time, and the server writes now and then.
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let page = agent.scrape("/metrics/postgres");
        let wrong: Vec<_> = differs(&server, &page).into_iter().chain(settings_differ(&server, &page)).collect();
        if wrong.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{major}: {wrong:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn values_are_those_of_the_views() {
    values_are_the_views(15);
}

#[test]
#[ignore = "needs the servers that tests/postgres-versions fetches"]
fn values_are_those_of_the_views_on_every_version() {
    versions().into_iter().for_each(values_are_the_views);
}
