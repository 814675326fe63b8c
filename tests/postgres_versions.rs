//! The PostgreSQL part against servers of several versions: run by tests/postgres-versions, which fetches them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::postgres::{Postgres, add_slots, every_collector, fixture, furnish, shape};
use support::{Agent, wait_for};

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

/// The versions to test, and where their servers are.
fn versions() -> Vec<(u32, PathBuf)> {
    let list = std::env::var("STACK_EXPORTER_POSTGRES_VERSIONS").expect("run this by tests/postgres-versions");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/postgres-versions");
    list.split_whitespace().map(|major| (major.parse().unwrap(), kept.join(major).join("bin"))).collect()
}

#[test]
#[ignore = "needs the servers that tests/postgres-versions fetches"]
fn every_version_has_the_families_of_its_fixture() {
    for (major, bin) in versions() {
        let server = Postgres::start_from(&bin, &["wal_level=logical", "shared_preload_libraries=pg_stat_statements"]);
        furnish(&server);
        add_slots(&server);
        let mut idle = server.session("shop");
        idle.run("SELECT 1");
        let flags = every_collector();
        let args: Vec<&str> = ONLY.iter().copied().chain(flags.iter().map(String::as_str)).collect();
        let agent = Agent::start(&args, &[("DATA_SOURCE_NAME", &server.dsn("shop"))]);
        let page = agent.scrape("/metrics/postgres");
        assert_eq!(page.value("pg_up", &[]), Some(1.0), "{major}: {}", agent.log());
        let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).collect();
        assert!(failed.is_empty(), "{major}: {failed:?} {}", agent.log());
        let (ours, wanted) = (shape(&page), shape(&fixture(&format!("pg{major}-all-collectors.prom"))));
        // The texts of statements come with an option that is not built yet.
        for (family, shape) in wanted.iter().filter(|(family, _)| *family != "pg_stat_statements_query_id") {
            assert_eq!(ours.get(family), Some(shape), "{major}: {family}");
        }
    }
}

#[test]
#[ignore = "needs the servers that tests/postgres-versions fetches"]
fn a_standby_tells_its_state() {
    for (major, bin) in versions().into_iter().filter(|(major, _)| *major >= 15) {
        let primary = Postgres::start_from(&bin, &[]);
        let standby = primary.standby("s1");
        let args = [ONLY[0], ONLY[1], ONLY[2], "--postgres.collector.stat_wal_receiver"];
        let agent = Agent::start(&args, &[("DATA_SOURCE_NAME", &standby.dsn("postgres"))]);
        wait_for("the standby to stream", Duration::from_secs(30), || {
            agent.scrape("/metrics/postgres").all("pg_stat_wal_receiver_flushed_lsn").count() == 1
        });
        let page = agent.scrape("/metrics/postgres");
        assert_eq!(page.value("pg_replication_is_replica", &[]), Some(1.0), "{major}");
        assert_eq!(page.value("pg_settings_transaction_read_only", &[]), Some(1.0), "{major}");
        assert!(page.all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{major}: {}", agent.log());
    }
}
