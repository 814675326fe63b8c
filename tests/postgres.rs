//! The PostgreSQL part of the real binary against a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use support::Agent;
use support::postgres::{Postgres, fixture, furnish, shape};

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
