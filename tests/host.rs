//! The host part against two oracles: node_exporter's own end-to-end test data, and a node_exporter on this machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss
)]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use stack_exporter::host;
use stack_exporter::settings::Settings;
use support::exposition::{Exposition, Series, parse};
use support::node::{Reference, fixtures};
use support::{Agent, shared};

/// Only the host part, and nothing else that could appear on its page.
const HOST_ONLY: [&str; 3] = ["--no-containers", "--no-postgres", "--no-redis"];

/// Where we differ from upstream's expected output on purpose, by family, and why. An entry that differs no longer is an error.
const DELIBERATE: &[(&str, &str)] = &[(
    "node_processes_threads_state",
    "the processes of upstream's tree have no folder of threads, which the kernel's always have; one with a single thread is in that \
     thread's state without a look into it",
)];

/// What upstream's own comparison leaves out, since it depends on the machine.
fn is_volatile(name: &str) -> bool {
    [
        "node_textfile_mtime_seconds",
        "node_time_zone_offset_seconds",
        "node_time_seconds",
        "node_scrape_collector_duration_seconds",
    ]
    .contains(&name)
        || name.strip_prefix("node_network_").is_some_and(|rest| {
            ["receive_bytes_total", "receive_packets_total", "transmit_bytes_total", "transmit_packets_total"].contains(&rest)
        })
}

fn collectors() -> BTreeSet<&'static str> {
    (host::MODULE.collectors)(&Settings::default()).into_iter().map(|(name, _)| name).collect()
}

/// The contract's table. Family names with `<field>` stand for any.
struct Contract(Vec<Row>);

/// A line of it.
struct Row {
    family: String,
    kind: String,
    labels: Vec<String>,
    collector: String,
}

impl Contract {
    fn read() -> Self {
        let text = std::fs::read_to_string(shared("contract/node.tsv")).unwrap();
        let row = |line: &str| {
            let columns: Vec<_> = line.split('\t').map(str::to_owned).collect();
            let labels = columns[2].split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
            Row { family: columns[0].clone(), kind: columns[1].clone(), labels, collector: columns[3].clone() }
        };
        Contract(text.lines().skip(1).map(row).collect())
    }

    /// The lines for a family: those of its name, else those whose pattern it fits.
    fn rows(&self, family: &str) -> Vec<&Row> {
        let fits = |pattern: &str| {
            pattern.split_once('<').is_some_and(|(start, rest)| {
                let end = rest.rsplit_once('>').map_or("", |(_, end)| end);
                family.len() > start.len() + end.len() && family.starts_with(start) && family.ends_with(end)
            })
        };
        let exact: Vec<_> = self.0.iter().filter(|row| row.family == family).collect();
        if exact.is_empty() { self.0.iter().filter(|row| fits(&row.family)).collect() } else { exact }
    }

    /// Whether one of `collectors` writes the family.
    fn is_of(&self, family: &str, collectors: &BTreeSet<&str>) -> bool {
        self.rows(family).iter().any(|row| collectors.contains(row.collector.as_str()))
            || (family.starts_with("testmetric") && collectors.contains("textfile"))
    }
}

#[test]
fn what_is_shown_has_the_contracts_types_and_labels() {
    let switches: Vec<String> = collectors().iter().map(|name| format!("--collector.{name}")).collect();
    let all: Vec<&str> = HOST_ONLY.into_iter().chain(switches.iter().map(String::as_str)).collect();
    let (contract, agent) = (Contract::read(), Agent::start(&all, &[]));
    let page = agent.scrape("/metrics/node");
    let ours: Vec<&Series> = page.series.iter().filter(|series| series.name.starts_with("node_")).collect();
    assert!(ours.len() > 100, "only {} series", ours.len());
    for series in ours {
        let (kind, labels) = (&page.types[page.family(&series.name)], series.labels.keys().collect::<Vec<_>>());
        let rows = contract.rows(&series.name);
        let agrees = |row: &&Row| row.kind == *kind && row.labels.iter().collect::<Vec<_>>() == labels;
        // Fields of meminfo without a unit, of kernels later than the contract.
        let is_later = rows.is_empty() && series.name.starts_with("node_memory_") && kind == "gauge" && labels.is_empty();
        assert!(is_later || rows.iter().any(agrees), "{} of type {kind} with the labels {labels:?}", series.name);
    }
}

fn text_of(series: &Series) -> String {
    format!("{}{:?}", series.name, series.labels)
}

/// A page's series by name and labels.
fn by_identity(page: &Exposition, wanted: impl Fn(&Series) -> bool) -> BTreeMap<String, &Series> {
    page.series.iter().filter(|series| wanted(series)).map(|series| (text_of(series), series)).collect()
}

/// Upstream's arguments, as far as they are for collectors that we have.
fn arguments(collectors: &BTreeSet<&str>) -> Vec<String> {
    let text = std::fs::read_to_string(shared("fixtures/node_exporter/arguments.txt")).unwrap();
    let words = text.split_whitespace().map(|word| word.trim_matches('\'').to_owned());
    let ours = |word: &String| match word.trim_start_matches("--no-").trim_start_matches("--").strip_prefix("collector.") {
        Some(flag) => collectors.contains(flag.split(['.', '=']).next().unwrap()),
        None => word.starts_with("--path."),
    };
    words.filter(ours).collect()
}

#[test]
fn upstreams_end_to_end_test_passes() {
    let (folder, contract, collectors) = (fixtures(), Contract::read(), collectors());
    let arguments = arguments(&collectors);
    let all: Vec<&str> = HOST_ONLY.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let agent = Agent::start_in(folder.path().to_str().unwrap(), &all, &[]);
    let ours = agent.scrape("/metrics/node");
    let path = folder.path().join("collector/fixtures/e2e-output.txt");
    let theirs = expected(&std::fs::read_to_string(path).unwrap());

    let counts = |series: &Series| {
        let name = ours.family(theirs.family(&series.name));
        let of_collector = series.labels.get("collector").is_some_and(|name| collectors.contains(name.as_str()));
        !is_volatile(name) && (contract.is_of(name, &collectors) || (name == "node_scrape_collector_success" && of_collector))
    };
    let (expected, found) = (by_identity(&theirs, counts), by_identity(&ours, counts));
    let mut differences: Vec<(String, String)> = Vec::new();
    for (identity, series) in &expected {
        let family = theirs.family(&series.name).to_owned();
        match found.get(identity) {
            None => differences.push((family, format!("missing: {identity}"))),
            Some(other) if !same(series.value, other.value) => {
                differences.push((family, format!("{identity}: {} instead of {}", other.value, series.value)));
            }
            Some(_) if ours.types.get(&family) != theirs.types.get(&family) => {
                differences
                    .push((family.clone(), format!("type {:?} instead of {:?}", ours.types.get(&family), theirs.types[&family])));
            }
            Some(_) => {}
        }
    }
    for (identity, series) in found.iter().filter(|(identity, _)| !expected.contains_key(*identity)) {
        differences.push((ours.family(&series.name).to_owned(), format!("not expected: {identity}")));
    }
    for (family, reason) in DELIBERATE {
        assert!(differences.iter().any(|(of, _)| of == family), "{family} differs no longer ({reason}): take it off the list");
    }
    let failures: Vec<_> = differences.iter().filter(|(of, _)| DELIBERATE.iter().all(|(family, _)| family != of)).collect();
    println!("{} series compared, {} deliberate differences", expected.len(), differences.len() - failures.len());
    assert!(expected.len() > 200, "only {} series were compared", expected.len());
    assert!(failures.is_empty(), "{failures:#?}\n{}", agent.log());
}

/// Upstream's expected page. It has TYPE lines of families without samples and of the Go runtime, which the parser accepts.
fn expected(text: &str) -> Exposition {
    parse(text).unwrap()
}

/// Equal but for the last digits, in which sums and divisions of the same numbers may differ.
fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

/// What changed between node_exporter 1.5.0 and the contract: `None` sets a series aside.
fn in_the_newer_shape(series: &Series) -> Option<Series> {
    let mut series = series.clone();
    if series.has(&[("device", "zram0")]) {
        return None; // shown by 1.5.0, excluded by default since
    }
    if series.name.starts_with("node_perf_") {
        return None; // counted from the start of either program: see the test below
    }
    for label in ["adminstate", "rotational", "device_error"] {
        series.labels.remove(label); // did not exist yet
    }
    Some(series)
}

#[test]
fn a_node_exporter_on_this_machine_shows_the_same() {
    let (names, theirs) = (collectors(), Reference::collectors());
    let switches = names.iter().filter(|name| theirs.contains(**name)).map(|name| format!("--collector.{name}"));
    let arguments: Vec<String> = std::iter::once("--collector.disable-defaults".to_owned()).chain(switches).collect();
    let reference = Reference::start(&arguments);
    let all: Vec<&str> = HOST_ONLY.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let agent = Agent::start(&all, &[]);
    // The first scrape of either may find things that are read only once.
    let _ = (reference.scrape(), agent.scrape("/metrics/node"));
    // On a busy machine a gauge may jump between two readings; one that is wrong is wrong every time.
    let (mut misses, mut total) = round(&reference, &agent);
    for _ in 0..2 {
        let again;
        (again, total) = round(&reference, &agent);
        misses.retain(|identity, _| again.contains_key(identity));
    }
    let share = 100.0 - 100.0 * misses.len() as f64 / total as f64;
    println!("{share:.2} % of {total} series matched; not so: {misses:#?}");
    assert!(total > 1000 && share >= 99.5, "{share:.2} % of {total} series matched: {misses:#?}");
}

/// What does not match in one bracketed reading, and how many series were compared.
fn round(reference: &Reference, agent: &Agent) -> (BTreeMap<String, String>, usize) {
    let (before, ours, after) = (reference.scrape(), agent.scrape("/metrics/node"), reference.scrape());
    let shaped = |page: &Exposition| -> HashMap<String, Series> {
        let own = |name: &str| {
            ["go_", "promhttp_", "process_", "node_exporter_", "node_scrape_"].iter().any(|own| name.starts_with(own))
        };
        let series = page.series.iter().filter(|series| !own(&series.name)).filter_map(in_the_newer_shape);
        series.map(|series| (text_of(&series), series)).collect()
    };
    let (before_series, our_series, after_series) = (shaped(&before), shaped(&ours), shaped(&after));
    let mut misses = BTreeMap::new();
    for (identity, series) in &before_series {
        let Some(later) = after_series.get(identity) else { continue };
        let miss = match our_series.get(identity) {
            None => "missing".to_owned(),
            Some(_) if ours.types.get(&series.name) != before.types.get(&series.name) => "another type".to_owned(),
            Some(our) if !between(our.value, series.value, later.value) => {
                format!("{} not in {}..{}", our.value, series.value, later.value)
            }
            Some(_) => continue,
        };
        misses.insert(identity.clone(), miss);
    }
    (misses, before_series.len())
}

#[test]
fn performance_counters_are_node_exporters_and_go_on() {
    let own = ["--collector.disable-defaults".to_owned(), "--collector.perf".to_owned()];
    let reference = Reference::start(&own);
    let agent = Agent::start(&[&HOST_ONLY[..], &["--collector.disable-defaults", "--collector.perf"]].concat(), &[]);
    let counters = |page: &Exposition| -> BTreeMap<String, f64> {
        let series = page.series.iter().filter(|series| series.name.starts_with("node_perf_"));
        series.map(|series| (format!("{} {}", text_of(series), page.types[&series.name]), series.value)).collect()
    };
    let (theirs, before) = (counters(&reference.scrape()), counters(&agent.scrape("/metrics/node")));
    assert_eq!(before.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{}", agent.log());
    let after = counters(&agent.scrape("/metrics/node"));
    assert!(before.iter().all(|(identity, count)| after[identity] >= *count), "{before:?} {after:?}");
    let switches = |counts: &BTreeMap<String, f64>| -> f64 {
        counts.iter().filter(|(name, _)| name.starts_with("node_perf_context_switches_total")).map(|(_, count)| count).sum()
    };
    assert!(before.is_empty() || switches(&after) > switches(&before));
}

/// Between two readings of the reference, or within 2 % of either, as `tools/parity.py` has it.
fn between(value: f64, before: f64, after: f64) -> bool {
    let (low, high) = (before.min(after), before.max(after));
    let slack = 0.02 * low.abs().max(high.abs()).max(1e-9);
    value.is_nan() && before.is_nan() || (low - slack..=high + slack).contains(&value)
}

/// What upstream's parser adds to a file's families although nobody wrote it: a summary's sum and count, as 0.
fn is_made_up(series: &Series) -> bool {
    let is_sum_or_count = ["_sum", "_count"].iter().any(|suffix| series.name.ends_with(suffix));
    is_sum_or_count && series.value == 0.0 && series.has(&[("handler", "foo"), ("rule_type", "alerting")])
}

#[test]
fn text_files_give_what_upstream_gives() {
    let folder = fixtures();
    let texts = folder.path().join("collector/fixtures/textfile");
    let mut cases = 0;
    for entry in std::fs::read_dir(&texts).unwrap().map(Result::unwrap) {
        let file = entry.file_name().into_string().unwrap();
        let Some(case) = file.strip_suffix(".out") else { continue };
        let case = if case == "glob_extra_dimension" { "*_extra_dimension" } else { case };
        let directory = format!("--collector.textfile.directory=fixtures/textfile/{case}");
        let switches = ["--collector.disable-defaults", "--collector.textfile", directory.as_str()];
        let all: Vec<&str> = HOST_ONLY.into_iter().chain(switches).collect();
        let agent = Agent::start_in(folder.path().join("collector").to_str().unwrap(), &all, &[]);
        let ours = agent.scrape("/metrics/node");
        let theirs = parse(&std::fs::read_to_string(entry.path()).unwrap()).unwrap();
        let identities = |page: &Exposition| -> BTreeMap<String, String> {
            let own =
                |name: &str| name.starts_with("node_textfile_") || !(name.starts_with("node_") || name.starts_with("stack_"));
            let agents = |name: &str| name.starts_with("process_") || name.starts_with("promhttp_");
            let series = page.series.iter().filter(|series| own(&series.name) && !agents(&series.name) && !is_made_up(series));
            let value = |series: &Series| {
                if series.name == "node_textfile_mtime_seconds" { String::new() } else { series.value.to_string() }
            };
            series
                .map(|series| (text_of(series), format!("{} {}", page.types[page.family(&series.name)], value(series))))
                .collect()
        };
        similar_asserts::assert_eq!(identities(&ours), identities(&theirs), "{case}");
        cases += 1;
    }
    assert!(cases >= 12, "only {cases} cases");
}

/// The collectors whose series belong to network interfaces, and the label that names them.
const OF_INTERFACES: [(&str, &str); 8] = [
    ("arp", "device"),
    ("bonding", "master"),
    ("ethtool", "device"),
    ("netclass", "device"),
    ("netdev", "device"),
    ("network_route", "device"),
    ("qdisc", "device"),
    ("wifi", "device"),
];

#[test]
fn one_filter_holds_for_all_collectors_of_interfaces() {
    let folder = fixtures();
    let named = OF_INTERFACES.iter().map(|(name, _)| format!("--collector.{name}"));
    let fixed = ["--no-collector.arp.netlink", "--collector.qdisc.fixtures=qdisc", "--collector.wifi.fixtures=wifi"];
    let trees = ["--path.procfs=proc", "--path.sysfs=sys"];
    let arguments: Vec<String> = HOST_ONLY.into_iter().chain(fixed).chain(trees).map(str::to_owned).chain(named).collect();
    let place = folder.path().join("collector/fixtures");
    // Each collector's interfaces, with this filter.
    let shown = |filter: &str| -> Vec<BTreeSet<String>> {
        let all: Vec<&str> = arguments.iter().map(String::as_str).chain((!filter.is_empty()).then_some(filter)).collect();
        let agent = Agent::start_in(place.to_str().unwrap(), &all, &[]);
        let of_collector = |(collector, label): &(&str, &str)| {
            let page = agent.scrape(&format!("/metrics/node?collect[]={collector}"));
            let series = page.series.into_iter().filter(|series| !series.name.starts_with("node_scrape_"));
            series.filter_map(|mut series| series.labels.remove(*label)).collect()
        };
        OF_INTERFACES.iter().map(of_collector).collect()
    };
    let all = shown("");
    for ((collector, _), interfaces) in OF_INTERFACES.iter().zip(&all) {
        assert!(!interfaces.is_empty(), "{collector} shows no interface: {all:?}");
    }
    // The first interface of each.
    let some: BTreeSet<String> = all.iter().filter_map(|interfaces| interfaces.first().cloned()).collect();
    let pattern = format!("^({})$", some.iter().cloned().collect::<Vec<_>>().join("|"));
    let both = |of: &BTreeSet<String>| of.intersection(&some).cloned().collect::<BTreeSet<_>>();
    let others = |of: &BTreeSet<String>| of.difference(&some).cloned().collect::<BTreeSet<_>>();
    let (kept, left): (Vec<_>, Vec<_>) = all.iter().map(|interfaces| (both(interfaces), others(interfaces))).unzip();
    assert!(left.iter().any(|interfaces| !interfaces.is_empty()), "nothing to leave out: {all:?}");
    assert_eq!(shown(&format!("--host.interfaces-include={pattern}")), kept);
    assert_eq!(shown(&format!("--host.interfaces-exclude={pattern}")), left);
}

#[test]
fn the_filter_of_interfaces_cannot_both_include_and_exclude() {
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_stack-exporter"))
        .args(["--host.interfaces-include=a", "--host.interfaces-exclude=b", "--web.listen-address=127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8([run.stdout, run.stderr].concat()).unwrap();
    let expected = "host.interfaces-include and host.interfaces-exclude are mutually exclusive";
    assert!(!run.status.success() && said.contains(expected), "{said}");
}
