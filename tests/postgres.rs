//! The PostgreSQL part of the real binary against a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::Agent;
use support::exposition::{self, Exposition};
use support::postgres::Postgres;

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

const PAGE: &str = "/metrics/postgres";

fn agent(server: &Postgres, database: &str) -> Agent {
    Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &server.dsn(database))])
}

/// A server with something of everything: two databases, tables, slots.
fn furnished() -> Postgres {
    let server = Postgres::start(&["wal_level=logical", "shared_preload_libraries=pg_stat_statements"]);
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i; \
         DELETE FROM orders WHERE id % 10 = 0; ANALYZE orders; CREATE TABLE \"odd \"\"name\" (a int)",
    );
    server.sql("postgres", "SELECT pg_create_physical_replication_slot('pslot', true)");
    server.sql("postgres", "SELECT pg_create_logical_replication_slot('lslot', 'test_decoding')");
    server
}

/// A page of postgres_exporter, taken from the folder of fixtures. Those pages have no HELP.
fn fixture(name: &str) -> Exposition {
    let text = std::fs::read_to_string(support::shared("fixtures/postgres").join(name)).unwrap();
    let mut page = String::new();
    for line in text.lines().filter(|line| !line.starts_with("# HELP")) {
        if let Some(family) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()) {
            page += &format!("# HELP {family} .\n");
        }
        page += &format!("{line}\n");
    }
    exposition::parse(&page).unwrap()
}

/// Type and sets of label names by family, of the `pg_*` families.
fn shape(page: &Exposition) -> BTreeMap<String, (String, BTreeSet<Vec<String>>)> {
    let mut shape: BTreeMap<String, (String, BTreeSet<Vec<String>>)> = BTreeMap::new();
    for series in page.series.iter().filter(|series| series.name.starts_with("pg_")) {
        let family = page.family(&series.name).to_owned();
        let entry = shape.entry(family.clone()).or_insert_with(|| (page.types[&family].clone(), BTreeSet::new()));
        entry.1.insert(series.labels.keys().cloned().collect());
    }
    shape
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
