//! The whole page of the real binary against the contract of the four exporters: a family with a known name has that family's type and no
//! label it does not know, a family with an unknown name has a prefix of ours, and every HELP is our own words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;

use support::{Agent, shared};

struct Promise {
    types: Vec<String>,
    /// `None` where the contract has a pattern instead of names.
    labels: Option<BTreeSet<String>>,
}

fn contract() -> HashMap<String, Promise> {
    let mut promises: HashMap<String, Promise> = HashMap::new();
    for file in ["node.tsv", "cadvisor.tsv", "postgres.tsv", "redis.tsv"] {
        for line in fs::read_to_string(shared("contract").join(file)).unwrap().lines().skip(1) {
            let mut columns = line.split('\t');
            let (name, kind, labels) = (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
            let plain = labels.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ' '));
            let labels: BTreeSet<String> = labels.split(',').map(|label| label.trim().to_owned()).collect();
            let promise = promises.entry(name.to_owned()).or_insert(Promise { types: vec![], labels: Some(BTreeSet::new()) });
            promise.types.extend(kind.split([',', '/']).map(|kind| kind.trim().to_owned()));
            promise.labels = promise.labels.take().filter(|_| plain).map(|known| &known | &labels);
        }
    }
    assert!(promises.len() > 2_000, "{}", promises.len());
    promises
}

/// HELP lines that upstream's pages have: what ours must not repeat.
fn their_sentences() -> HashSet<String> {
    let mut sentences = HashSet::new();
    let mut pages =
        vec![shared("fixtures/node_exporter/collector/fixtures/e2e-output.txt"), shared("fixtures/cadvisor/prometheus_metrics")];
    pages.extend(fs::read_dir(shared("fixtures/postgres")).unwrap().map(|entry| entry.unwrap().path()));
    for page in pages {
        for line in fs::read_to_string(page).unwrap().lines().filter_map(|line| line.strip_prefix("# HELP ")) {
            let help = line.split_once(' ').map_or("", |(_, help)| help);
            // The shortest ones can hardly be said otherwise.
            if help.split(' ').count() > 4 {
                sentences.insert(help.trim_end_matches('.').to_lowercase());
            }
        }
    }
    assert!(sentences.len() > 500, "{}", sentences.len());
    sentences
}

/// What identifies a container or a target may stand on any series of those parts.
fn is_identity(family: &str, label: &str) -> bool {
    match family.split('_').next().unwrap() {
        "container" | "machine" => matches!(label, "id" | "name" | "image") || label.starts_with("container_label_"),
        "pg" | "redis" => label == "target",
        _ => false,
    }
}

#[test]
fn the_page_keeps_the_contract() {
    let (promises, sentences) = (contract(), their_sentences());
    let docker = std::env::var("STACK_EXPORTER_TEST_DOCKER").expect("run this test with tests/run, which starts a Docker daemon");
    let (redis, postgres) = (support::redis::Redis::start(&[]), support::postgres::Postgres::start(&[]));
    let servers = [("DATA_SOURCE_NAME", postgres.dsn("postgres")), ("REDIS_ADDR", redis.addr())];
    let agent = Agent::start(&["--docker", &docker], &servers.each_ref().map(|(name, value)| (*name, value.as_str())));
    let page = agent.scrape("/metrics");
    let known = ["node_load1", "container_cpu_usage_seconds_total", "pg_stat_database_xact_commit", "redis_connected_clients"];
    for name in known {
        assert!(page.all(name).next().is_some(), "{name} is missing");
    }
    let covered = page.types.keys().filter(|family| promises.contains_key(family.as_str())).count();
    let named = page.types.keys().filter(|family| !is_beyond(family)).count();
    assert!(covered * 10 > named * 8, "the contract knows only {covered} of {named} families");
    let mut wrong = BTreeSet::new();
    for (family, kind) in &page.types {
        match promises.get(family.as_str()) {
            Some(promise) if !promise.types.contains(kind) => {
                wrong.insert(format!("{family} is a {kind}, the contract says {:?}", promise.types));
            }
            None if !ours(family) => {
                wrong.insert(format!("{family} is neither in the contract nor ours"));
            }
            _ => {}
        }
        let help = page.help.get(family).map_or("", String::as_str);
        if help.len() < 10 || help.contains('\n') || sentences.contains(&help.trim_end_matches('.').to_lowercase()) {
            wrong.insert(format!("{family} has a HELP that is empty or not our own: {help:?}"));
        }
    }
    for series in &page.series {
        let family = page.family(&series.name);
        let Some(labels) = promises.get(family).and_then(|promise| promise.labels.as_ref()) else { continue };
        for label in series.labels.keys() {
            let structural =
                matches!((page.types[family].as_str(), label.as_str()), ("histogram", "le") | ("summary", "quantile"));
            if !labels.contains(label) && !structural && !is_identity(family, label) {
                wrong.insert(format!("{family} has the label {label}, which the contract does not know"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} breaches:\n{}", wrong.len(), wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Families that the contract does not list: our own, the process', and those named by their input.
fn ours(family: &str) -> bool {
    let prefixes = [
        "stack_exporter_",
        "stack_audit_",
        "process_",
        "promhttp_",
        "node_memory_",
        "node_netstat_",
        "node_vmstat_",
        "pg_settings_",
    ];
    prefixes.iter().any(|prefix| family.starts_with(prefix)) || is_beyond(family)
}

/// Families beyond the four exporters'.
fn is_beyond(family: &str) -> bool {
    let lists = [&support::redis::BEYOND[..], &support::postgres_beyond::BEYOND, &support::containers::BEYOND];
    lists.into_iter().any(|list| list.contains(&family))
}
