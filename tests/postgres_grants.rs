//! The role that `stack-exporter postgres grants` prints: enough, and no more than needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::process::Command;

use support::postgres::{Postgres, add_slots, furnish};
use support::{Agent, exposition::Exposition};

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

const STATEMENTS: &str = "--postgres.collector.stat_statements";
const NO_WAL: &str = "--no-postgres.collector.wal";
const NO_STATUS: &str = "--no-postgres.collector.archive_status";

fn dsn(server: &Postgres, role: &str) -> String {
    format!("postgresql://{role}@127.0.0.1:{}/shop?sslmode=disable", server.port)
}

/// Makes the role as the command says for these settings.
fn grant(server: &Postgres, role: &str, args: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
    let output = command.env_clear().env("DATA_SOURCE_NAME", dsn(server, role)).args(["postgres", "grants"]).args(args).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.sql("postgres", &String::from_utf8(output.stdout).unwrap());
}

fn page(server: &Postgres, role: &str, args: &[&str]) -> Exposition {
    Agent::start(&[&ONLY[..], args].concat(), &[("DATA_SOURCE_NAME", &dsn(server, role))]).scrape("/metrics/postgres")
}

fn failed(page: &Exposition) -> Vec<String> {
    let failed = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0);
    failed.map(|series| series.labels["collector"].clone()).collect()
}

#[test]
fn the_role_serves_every_collector_and_needs_what_it_is_given() {
    let server = Postgres::start(&["wal_level=logical", "shared_preload_libraries=pg_stat_statements"]);
    furnish(&server);
    add_slots(&server);
    server.sql("postgres", "REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
    let mut other = server.session("shop");
    other.run("BEGIN; SELECT pg_current_xact_id()");
    grant(&server, "monitor", &[STATEMENTS]);
    grant(&server, "reader", &[STATEMENTS, NO_WAL, NO_STATUS]);
    server.sql("postgres", "CREATE ROLE nobody LOGIN; GRANT CONNECT ON DATABASE shop TO nobody");
    assert_eq!(
        server.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname IN ('monitor', 'reader') AND NOT rolsuper"),
        "2"
    );

    let own = page(&server, "monitor", &[STATEMENTS]);
    assert_eq!((own.value("pg_up", &[]), failed(&own)), (Some(1.0), vec![]));
    // The series that depend on rights are those of a superuser.
    let names = |page: &Exposition| {
        let mut names: Vec<_> = page.types.keys().filter(|name| name.starts_with("pg_")).cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(&own), names(&page(&server, "postgres", &[STATEMENTS])));
    let state = [("datname", "shop"), ("state", "idle in transaction"), ("backend_type", "client backend")];
    assert_eq!(own.value("pg_sessions", &state), Some(1.0), "other users' sessions are seen");

    let less = page(&server, "reader", &[STATEMENTS, NO_WAL, NO_STATUS]);
    assert_eq!(failed(&less), Vec::<String>::new());
    assert_eq!(less.value("pg_sessions", &state), Some(1.0));
    let mut without = failed(&page(&server, "reader", &[STATEMENTS]));
    without.sort();
    assert_eq!(without, ["archive_status", "wal"], "which take pg_monitor");
    let none = page(&server, "nobody", &[STATEMENTS, NO_WAL, NO_STATUS]);
    assert_eq!(none.value("pg_sessions", &state), None, "which takes pg_read_all_stats");
}
