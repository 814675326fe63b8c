//! The PostgreSQL part against servers of several versions: run by tests/postgres-versions, which fetches them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use support::Agent;
use support::exposition::Exposition;
use support::postgres::{Postgres, add_slots, bin, every_collector, fixture, furnish, shape, versions};

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

/// What a page must have: family, type and label names.
type Wanted = Vec<(String, String, BTreeSet<String>)>;

/// The families of tests/postgres_families.txt that version `major` has: those of a primary, and those of a standby only.
fn families(major: u32) -> (Wanted, Wanted) {
    let (mut primary, mut standby) = (Vec::new(), Vec::new());
    for line in include_str!("postgres_families.txt").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let (since, last): (u32, u32) = (fields[3].parse().unwrap(), fields[4].parse().unwrap_or(u32::MAX));
        let labels = fields[2].split(',').filter(|label| *label != "-").map(str::to_owned).collect();
        if !(since..=last).contains(&major) {
            continue;
        }
        match fields.get(5) {
            None => primary.push((fields[0].to_owned(), fields[1].to_owned(), labels)),
            Some(&"standby") => standby.push((fields[0].to_owned(), fields[1].to_owned(), labels)),
            Some(_) => {}
        }
    }
    assert!(primary.len() > 100 && standby.len() > 7, "{major}");
    (primary, standby)
}

/// Which of `wanted` the page has not, or has otherwise.
fn missing(page: &Exposition, wanted: &Wanted) -> Vec<String> {
    let lacks = |(family, kind, labels): &(String, String, BTreeSet<String>)| {
        let Some(is) = page.types.get(family) else { return Some(format!("{family} is not there")) };
        let mut of_family = page.series.iter().filter(|series| page.family(&series.name) == family);
        let odd = of_family.find(|series| !series.labels.keys().filter(|label| *label != "le").eq(labels));
        (is != kind || odd.is_some()).then(|| format!("{family} is a {is}, not a {kind}, or {odd:?} has not {labels:?}"))
    };
    wanted.iter().filter_map(lacks).collect()
}

/// The samples of version `major` that were taken of primaries, and those of standbys.
fn samples(major: u32) -> (Vec<&'static str>, Vec<&'static str>) {
    let all = [
        ("15.default.prom", 15),
        ("15.prim.prom", 15),
        ("17.default.prom", 17),
        ("17.plain.prom", 17),
        ("17.vac.prom", 17),
        ("18.act.prom", 18),
        ("pg10-all-collectors.prom", 10),
        ("pg11-all-collectors.prom", 11),
        ("pg12-all-collectors.prom", 12),
        ("pg13-all-collectors.prom", 13),
        ("pg14-all-collectors.prom", 14),
        ("pg15-all-collectors.prom", 15),
        ("pg16-all-collectors.prom", 16),
        ("pg17-all-collectors.prom", 17),
        ("pg18-all-collectors.prom", 18),
    ];
    let primary = all.iter().filter(|(_, of)| *of == major).map(|(name, _)| *name).collect();
    (primary, if major == 17 { vec!["17.stby.prom"] } else { vec![] })
}

/// What the page lacks of samples that were taken of postgres_exporter on this version. They lie beside the project, not in it.
fn missing_of_samples(page: &Exposition, samples: &[&str]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/postgres");
    if !folder.exists() {
        println!("{} is missing: only the list of families was compared", folder.display());
        return Vec::new();
    }
    let ours = shape(page);
    let lacks = |name: &&str| {
        let wanted = shape(&fixture(name));
        assert!(wanted.len() > 250, "{name} is whole");
        let differs = wanted.into_iter().filter(|(family, shape)| ours.get(family) != Some(shape));
        differs.map(|(family, shape)| format!("{name}: {family} {shape:?} is {:?}", ours.get(&family))).collect::<Vec<_>>()
    };
    samples.iter().flat_map(lacks).collect()
}

/// A server with something of everything, and its standby: slots of both kinds, one of them in use, an archive, an idle session, an autovacuum
/// that takes its time.
fn everything(major: u32) -> (Postgres, Postgres) {
    let mut settings = vec![
        "wal_level=logical",
        "shared_preload_libraries=pg_stat_statements",
        "archive_mode=on",
        "archive_command=/bin/true",
        "autovacuum_naptime=1s",
        "track_functions=all",
    ];
    if major >= 13 {
        settings.push("max_slot_wal_keep_size=1GB");
    }
    let server = Postgres::start_from(&bin(major), &settings);
    furnish(&server);
    add_slots(&server);
    // The name of a slot that repmgr made, whose number is told.
    let standby = server.standby("repmgr_slot_1");
    server.sql("postgres", "SELECT pg_switch_wal()");
    // Never analyzed by autovacuum: that takes as long, and keeps vacuum out meanwhile.
    server.sql(
        "shop",
        "CREATE TABLE slow (id int PRIMARY KEY, note text) WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, \
         autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1, autovacuum_analyze_threshold = 1000000000, fillfactor = 10); \
         INSERT INTO slow SELECT i, repeat('x', 200) FROM generate_series(1, 20000) i",
    );
    server.sql("shop", "DELETE FROM slow WHERE id % 2 = 0");
    (server, standby)
}

/// An agent that shows all there is.
fn agent(server: &Postgres, database: &str) -> Agent {
    let mut flags = every_collector();
    flags.push("--postgres.collector.stat_statements.include_query".to_owned());
    let args: Vec<&str> = ONLY.iter().copied().chain(flags.iter().map(String::as_str)).collect();
    Agent::start(&args, &[("DATA_SOURCE_NAME", &server.dsn(database))])
}

/// Waits until the page lacks nothing, or tells what it lacks: an autovacuum, an archive and a standby come in their own time.
fn scrape_until_whole(agent: &Agent, what: &str, lacks: impl Fn(&Exposition) -> Vec<String>) -> Exposition {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let page = agent.scrape("/metrics/postgres");
        let lacks = lacks(&page);
        if lacks.is_empty() {
            return page;
        }
        assert!(Instant::now() < end, "{what}: {lacks:#?} {}", agent.log());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The families of checkpoints are there on every version where older names are asked for, and nothing fails.
fn keeps_checkpoints(server: &Postgres, compat: &str) {
    let mut flags = every_collector();
    flags.push(format!("--postgres.compat={compat}"));
    let args: Vec<&str> = ONLY.iter().copied().chain(flags.iter().map(String::as_str)).collect();
    let agent = Agent::start(&args, &[("DATA_SOURCE_NAME", &server.dsn("shop"))]);
    let page = agent.scrape("/metrics/postgres");
    let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).collect();
    assert!(failed.is_empty(), "{compat}: {failed:?} {}", agent.log());
    let view =
        if server.major() >= 17 { "num_requested FROM pg_stat_checkpointer" } else { "checkpoints_req FROM pg_stat_bgwriter" };
    let requested = server.number("shop", &format!("SELECT {view}"));
    assert_eq!(page.value("pg_stat_bgwriter_checkpoints_req_total", &[]), Some(requested), "{compat}");
    let old = page.value("pg_stat_bgwriter_checkpoints_req", &[]);
    assert_eq!(old, Some(requested).filter(|_| compat == "0.11"), "{compat}");
}

fn has_every_family(major: u32) {
    let (server, standby) = everything(major);
    let mut idle = [server.session("shop"), standby.session("postgres")];
    idle.iter_mut().for_each(|session| assert_eq!(session.run("SELECT 1"), "1"));
    let (primary, receiver) = families(major);
    let (of_primary, of_standby) = samples(major);
    let ours = agent(&server, "shop");
    let page = scrape_until_whole(&ours, &format!("primary {major}"), |page| {
        missing(page, &primary).into_iter().chain(missing_of_samples(page, &of_primary)).collect()
    });
    let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).collect();
    assert!(failed.is_empty(), "{major}: {failed:?} {}", ours.log());
    drop(ours);
    for compat in ["0.11", "0.15"] {
        keeps_checkpoints(&server, compat);
        keeps_checkpoints(&standby, compat);
    }
    let theirs = agent(&standby, "shop");
    let page = scrape_until_whole(&theirs, &format!("standby {major}"), |page| {
        missing(page, &receiver).into_iter().chain(missing_of_samples(page, &of_standby)).collect()
    });
    assert_eq!(page.value("pg_replication_is_replica", &[]), Some(1.0), "{major}");
    assert_eq!(page.value("pg_settings_transaction_read_only", &[]), Some(1.0), "{major}");
    assert_eq!(page.value("pg_stat_wal_receiver_upstream_node", &[]), Some(1.0), "{major}");
    let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).collect();
    assert!(failed.is_empty(), "{major}: {failed:?} {}", theirs.log());
}

#[test]
fn debians_server_has_every_family() {
    has_every_family(15);
}

#[test]
#[ignore = "needs the servers that tests/postgres-versions fetches"]
fn every_version_has_every_family() {
    for major in versions() {
        has_every_family(major);
        println!("{major}: every family");
    }
}
