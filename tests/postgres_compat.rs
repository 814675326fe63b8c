//! `--postgres.compat`: the page as an older postgres_exporter had it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use support::exposition::{Exposition, Series};
use support::postgres::{Postgres, add_slots, every_collector, furnish};
use support::postgres_exporter::Exporter;
use support::{Agent, shared, wait_for};

/// Only this part.
const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

const PAGE: &str = "/metrics/postgres";

fn agent(server: &Postgres, database: &str, flags: &[&str]) -> Agent {
    Agent::start(&[&ONLY, flags].concat(), &[("DATA_SOURCE_NAME", &server.dsn(database))])
}

/// A server with something of everything, and its standby.
fn furnished() -> (Postgres, Postgres) {
    let server =
        Postgres::start(&["wal_level=logical", "shared_preload_libraries=pg_stat_statements", "max_slot_wal_keep_size=1GB"]);
    furnish(&server);
    add_slots(&server);
    let standby = server.standby("s1");
    wait_for("the standby to stream", Duration::from_secs(30), || {
        server.sql("postgres", "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn IS NOT NULL") == "1"
    });
    (server, standby)
}

/// Name and labels, without empty ones.
fn key(series: &Series) -> (String, Vec<(String, String)>) {
    let labels = series.labels.iter().filter(|(_, value)| !value.is_empty());
    (series.name.clone(), labels.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[test]
fn the_page_of_0_11_is_that_of_debians_exporter() {
    let (server, _standby) = furnished();
    ["one", "two", "three"].iter().for_each(|name| _ = server.sql("postgres", &format!("CREATE DATABASE {name}")));
    let exporter = Exporter::start(&server.dsn("postgres"));
    let agent = agent(&server, "postgres", &["--postgres.compat=0.11"]);
    let _ = (exporter.scrape(), agent.scrape(PAGE));
    let (before, ours, after) = (exporter.scrape(), agent.scrape(PAGE), exporter.scrape());
    let keyed = |page: &Exposition| page.series.iter().map(|series| (key(series), series.value)).collect::<BTreeMap<_, _>>();
    let (values, later) = (keyed(&ours), keyed(&after));
    let (mut all, mut matched, mut differs) = (0.0, 0.0, Vec::new());
    for series in before.series.iter().filter(|series| series.name.starts_with("pg_")) {
        let Some(&until) = later.get(&key(series)) else { continue };
        let slack = 0.02 * series.value.abs().max(until.abs());
        let (low, high) = (series.value.min(until) - slack, series.value.max(until) + slack);
        let same_type =
            ours.types.get(ours.family(&series.name)).is_some_and(|kind| *kind == before.types[before.family(&series.name)]);
        let is = values.get(&key(series));
        // How long either takes is its own affair.
        let own = series.name.ends_with("_duration_seconds");
        let agrees = is.is_some_and(|is| own || (low..=high).contains(is) || (is.is_nan() && series.value.is_nan()));
        all += 1.0;
        matched += f64::from(u8::from(agrees && same_type));
        if !agrees || !same_type {
            differs.push(format!("{} {:?}: {} to {until}, ours {is:?}", series.name, series.labels, series.value));
        }
    }
    println!("{matched} of {all} series agree");
    assert!(all > 500.0 && matched / all >= 0.99, "{matched} of {all}: {differs:#?}");
}

/// `a_{b,c}_d` as `a_b_d` and `a_c_d`.
fn expand(name: &str) -> Vec<String> {
    let Some((head, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (list, tail) = rest.split_once('}').unwrap();
    list.split(',').flat_map(|word| expand(&format!("{head}{word}{tail}"))).collect()
}

/// The old families that lie in the list beside the project: which version of ours has them, name, type and labels.
fn old_families() -> Vec<(&'static str, String, String, BTreeSet<String>)> {
    let mut old = Vec::new();
    for line in std::fs::read_to_string(shared("contract/postgres-compat.tsv")).unwrap().lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        // What every series of a part has changed in, and what is not this part's.
        if fields[0].contains('*') || fields[0].starts_with("promhttp") || fields[0].starts_with("pg_scrape") {
            continue;
        }
        let of_0_15 = ["0.12-0.19", "0.16-0.19", "0.14-0.17"].contains(&fields[3]);
        let labels = fields[2].split('[').next().unwrap();
        let labels: BTreeSet<String> = labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
        for name in fields[0].split(", ").flat_map(expand) {
            old.push((if of_0_15 { "0.15" } else { "0.11" }, name, fields[1].to_owned(), labels.clone()));
        }
    }
    assert!(old.len() > 60, "{old:?}");
    old
}

#[test]
fn every_old_family_is_there_with_its_labels() {
    let (server, _standby) = furnished();
    let mut idle = server.session("shop");
    idle.run("SELECT 1");
    let flags = every_collector();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let scrape =
        |compat: &str| agent(&server, "shop", &[&flags[..], &[&format!("--postgres.compat={compat}")]].concat()).scrape(PAGE);
    let pages = BTreeMap::from([("0.11", scrape("0.11")), ("0.15", scrape("0.15"))]);
    let mut wrong = Vec::new();
    for (compat, name, kind, labels) in old_families() {
        let page = &pages[compat];
        let mut of_family = page.series.iter().filter(|series| page.family(&series.name) == name).peekable();
        let whole = of_family.peek().is_some();
        let odd = of_family.find(|series| !series.labels.keys().filter(|label| *label != "le").eq(&labels));
        if !whole || odd.is_some() || page.types[&name] != kind {
            wrong.push(format!("{compat}: {name} {kind} {labels:?}: {:?} {odd:?}", page.types.get(&name)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let page = &pages["0.15"];
    let address = format!("127.0.0.1:{}", server.port);
    for name in ["pg_settings_fsync", "pg_stat_archiver_failed_count", "pg_replication_slots_active", "pg_stat_activity_count"] {
        assert!(page.all(name).all(|series| series.labels.get("server") == Some(&address)), "{name}");
    }
    for name in ["pg_up", "pg_locks_count", "pg_stat_database_blks_hit", "pg_replication_slots_wal_status", "pg_wal_segments"] {
        assert!(page.all(name).all(|series| !series.labels.contains_key("server")), "{name}");
    }
    let labels = page.all("pg_stat_activity_count").next().unwrap().labels.keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(labels, ["application_name", "datname", "server", "state", "usename"]);
}
