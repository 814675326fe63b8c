//! dashboards/: made from their source, within Grafana's and dashboard-linter's rules, and asking only for what there is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use regex_lite::Regex;
use yaml_serde::Value;

/// What the pages show of an application: prom-client's own names, and those that its users give by custom. And what Prometheus itself tells.
const APPLICATION: [&str; 16] = [
    "ALERTS",
    "app_active_users",
    "http_request_duration_seconds",
    "nodejs_eventloop_lag_p99_seconds",
    "nodejs_eventloop_lag_seconds",
    "nodejs_gc_duration_seconds_sum",
    "nodejs_heap_size_total_bytes",
    "nodejs_heap_size_used_bytes",
    "nodejs_version_info",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "up",
];

/// Units of Grafana's list that the pages use; tests/dashboards_schema holds them to @grafana/data.
const UNITS: [&str; 11] =
    ["short", "percentunit", "bytes", "Bps", "bps", "s", "dtdurations", "ops", "pps", "reqps", "dateTimeAsIso"];

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn list(value: &Value) -> Vec<Value> {
    value.as_sequence().cloned().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:?}"))
}

/// The dashboards by name of their file. JSON is YAML.
fn dashboards() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(project("dashboards")).unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: PathBuf| {
        let dashboard = yaml_serde::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), dashboard)
    };
    json.map(read).collect()
}

/// Panels with where they are, rows left out.
fn panels() -> Vec<(String, Value)> {
    let all = dashboards().into_iter().flat_map(|(name, dashboard)| {
        let panels = list(&dashboard["panels"]).into_iter().filter(|panel| panel["type"] != "row");
        panels.map(move |panel| (format!("{name}: {}", text(&panel["title"])), panel)).collect::<Vec<_>>()
    });
    all.collect()
}

/// The expressions of panels and annotations.
fn expressions() -> Vec<(String, String)> {
    let of = |(place, panel): (String, Value)| {
        let targets = list(&panel["targets"]).into_iter();
        targets.map(move |target| (place.clone(), text(&target["expr"]).to_owned())).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = panels().into_iter().flat_map(of).collect();
    for (name, dashboard) in dashboards() {
        let annotations = list(&dashboard["annotations"]["list"]);
        all.extend(annotations.iter().map(|annotation| (name.clone(), text(&annotation["expr"]).to_owned())));
    }
    assert!(all.len() > 50);
    all
}

/// With values in place of variables.
fn filled(expression: &str) -> String {
    let rest = expression.replace("$__rate_interval", "1m").replace("$__range", "1h");
    Regex::new(r"\$\{?[a-z_]+\}?").unwrap().replace_all(&rest, "x").into_owned()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs what the tests need"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn the_json_is_what_its_source_makes() {
    run(Command::new("python3").arg(project("dashboards/generate.py")).arg("--check"));
}

#[test]
fn each_dashboard_can_be_provisioned_and_found() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards.values().map(|dashboard| text(&dashboard["uid"])).collect();
    assert_eq!(uids.len(), dashboards.len());
    for (name, dashboard) in &dashboards {
        assert!(dashboard["id"].is_null() && dashboard["uid"] == format!("stack-{name}").as_str() && name.len() <= 34, "{name}");
        assert_eq!((&dashboard["schemaVersion"], &dashboard["editable"]), (&39.into(), &false.into()), "{name}");
        assert_eq!(list(&dashboard["tags"]), [Value::from("stack-exporter")], "{name}");
        for none in ["__inputs", "__requires", "iteration"] {
            assert!(dashboard.get(none).is_none(), "{name}: {none}");
        }
        assert!(!text(&dashboard["title"]).is_empty() && !text(&dashboard["description"]).is_empty(), "{name}");
        assert_eq!(text(&dashboard["links"][0]["tags"][0]), "stack-exporter", "{name}");
        // Every address within a page leads to one of these.
        let written = yaml_serde::to_string(dashboard).unwrap();
        for link in Regex::new(r"/d/([a-z-]+)").unwrap().captures_iter(&written) {
            assert!(uids.contains(&link[1]), "{name}: leads to {}", &link[1]);
        }
    }
}

#[test]
fn variables_keep_to_the_linters_rules() {
    for (name, dashboard) in dashboards() {
        let variables = list(&dashboard["templating"]["list"]);
        let sources: Vec<_> = variables.iter().filter(|variable| variable["type"] == "datasource").collect();
        assert_eq!(sources.len(), 1, "{name}");
        assert_eq!(
            (text(&sources[0]["name"]), text(&sources[0]["label"]), text(&sources[0]["query"])),
            ("datasource", "Data source", "prometheus")
        );
        for wanted in ["job", "instance"] {
            let variable =
                variables.iter().find(|variable| variable["name"] == wanted).unwrap_or_else(|| panic!("{name}: {wanted}"));
            assert_eq!(text(&variable["label"]).to_lowercase(), wanted, "{name}");
            assert_eq!(
                (&variable["multi"], &variable["includeAll"], &variable["allValue"]),
                (&true.into(), &true.into(), &".+".into())
            );
        }
        for variable in &variables {
            assert!(variable.get("current").is_none(), "{name}: a saved value");
            if variable["type"] == "query" {
                assert_eq!((&variable["refresh"], &variable["datasource"]["uid"]), (&2.into(), &"$datasource".into()), "{name}");
            }
        }
    }
}

#[test]
fn each_panel_says_what_it_shows_in_which_unit_and_why_it_is_empty() {
    let panels = panels();
    assert!(panels.len() <= 200, "{} panels", panels.len());
    for (place, panel) in &panels {
        assert!(
            ["timeseries", "stat", "gauge", "bargauge", "table", "state-timeline"].contains(&text(&panel["type"])),
            "{place}"
        );
        assert!(text(&panel["description"]).len() > 15 && text(&panel["description"]).ends_with('.'), "{place}: description");
        assert_eq!(panel["datasource"]["uid"], "$datasource", "{place}");
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(!text(&defaults["noValue"]).is_empty(), "{place}: empty without a reason");
        let overrides = list(&panel["fieldConfig"]["overrides"]).into_iter().flat_map(|set| list(&set["properties"]));
        let units = overrides.filter(|property| property["id"] == "unit").map(|property| property["value"].clone());
        for unit in units.chain([defaults["unit"].clone()]) {
            assert!(UNITS.contains(&text(&unit)), "{place}: {unit:?}");
        }
        let targets = list(&panel["targets"]);
        assert!(!targets.is_empty() && targets.iter().all(|target| target["datasource"]["uid"] == "$datasource"), "{place}");
        let letters: BTreeSet<&str> = targets.iter().map(|target| text(&target["refId"])).collect();
        assert_eq!(letters.len(), targets.len(), "{place}");
    }
}

#[test]
fn panels_lie_side_by_side_on_24_columns() {
    for (name, dashboard) in dashboards() {
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&dashboard["panels"]) {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: an id twice");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{name}: {:?}", panel["title"]);
            for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(place), "{name}: {:?} covers another", panel["title"]);
            }
        }
    }
}

#[test]
fn thresholds_are_the_alerts() {
    let rules: String = std::fs::read_dir(project("docker/prometheus/rules"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let named = Regex::new("(?:[Aa]s in|is) the alert ([A-Za-z]+)").unwrap();
    let mut compared = 0;
    for (place, panel) in panels() {
        for found in named.captures_iter(text(&panel["description"])) {
            let rule = Regex::new(&format!(r"- alert: {}\n\s+expr: .*?([<>=]=?) ([0-9.]+)\n", &found[1])).unwrap();
            let rule = rule.captures(&rules).unwrap_or_else(|| panic!("{place}: no alert {}", &found[1]));
            let value: f64 = rule[2].parse().unwrap();
            // What is left is shown as what is used, and a good state is where the alert's bad one ends.
            let wanted = match &rule[1] {
                "<" => 1.0 - value,
                "==" => value + 1.0,
                _ => value,
            };
            let field = &panel["fieldConfig"];
            let overrides = list(&field["overrides"]).into_iter().flat_map(|set| list(&set["properties"]));
            let own = overrides.filter(|property| property["id"] == "thresholds").map(|property| property["value"].clone());
            let steps: Vec<Value> =
                own.chain([field["defaults"]["thresholds"].clone()]).flat_map(|set| list(&set["steps"])).collect();
            let at = |step: &Value| step["value"].as_f64().is_some_and(|at| (at - wanted).abs() < 1e-9);
            assert!(steps.iter().any(at), "{place}: {} compares with {value}: {steps:?}", &found[1]);
            compared += 1;
        }
    }
    assert!(compared >= 10, "{compared} panels quote an alert");
}

#[test]
fn each_expression_is_about_the_chosen_servers_and_rates_its_counters() {
    let selector = Regex::new(r"([A-Za-z_:][A-Za-z0-9_:]*)?\{([^}]*)\}(\[[^\]]*\])?").unwrap();
    let braces = Regex::new(r"\$\{([a-z_]+)\}").unwrap();
    for (place, expression) in expressions() {
        let expression = braces.replace_all(&expression, "$$$1").into_owned();
        for found in selector.captures_iter(&expression) {
            let matchers = &found[2];
            assert!(matchers.contains("job=~\"$") && matchers.contains("instance=~\"$"), "{place}: {}", &found[0]);
            let window = found.get(3).map_or("", |window| window.as_str());
            if found.get(1).is_some_and(|name| name.as_str().ends_with("_total")) {
                assert!(!window.is_empty(), "{place}: a counter as it is: {}", &found[0]);
            }
        }
        for window in Regex::new(r"(rate|irate)\([^\[]*\[([^\]]+)\]").unwrap().captures_iter(&expression) {
            assert_eq!((&window[1], &window[2]), ("rate", "$__rate_interval"), "{place}: {expression}");
        }
    }
}

#[test]
fn prometheus_parses_every_expression() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    let quoted = |(at, (_, expression)): (usize, (String, String))| {
        format!("      - {{record: 'e:{at}', expr: '{}'}}\n", filled(&expression).replace('\'', "''"))
    };
    let rules: String = expressions().into_iter().enumerate().map(quoted).collect();
    std::fs::write(&path, format!("groups:\n  - name: dashboards\n    rules:\n{rules}")).unwrap();
    run(Command::new("promtool").args(["check", "rules"]).arg(&path));
}

/// Every name in quotes in the sources.
fn own_names(folder: &Path, names: &mut BTreeSet<String>) {
    let quoted = Regex::new(r#""([a-z]+_[A-Za-z0-9_]+)"#).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            own_names(&path, names);
        } else {
            let source = std::fs::read_to_string(&path).unwrap();
            names.extend(quoted.captures_iter(&source).map(|found| found[1].to_owned()));
        }
    }
}

#[test]
fn each_name_is_in_the_contract_or_the_agents_own() {
    let mut known: BTreeSet<String> = APPLICATION.iter().map(|name| (*name).to_owned()).collect();
    // Settings are asked for by name; what is audited is found by the audit's own tests.
    known.extend(["stack_audit_finding".to_owned(), "stack_audit_checks_total".to_owned()]);
    own_names(&project("src"), &mut known);
    let recording = std::fs::read_to_string(project("docker/prometheus/rules/recording.yml")).unwrap();
    let recorded: Vec<&str> = recording.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    known.extend(recorded.iter().map(|name| (*name).to_owned()));
    let asked: String = expressions().into_iter().map(|(_, expression)| expression).collect();
    for name in recorded {
        assert!(asked.contains(&format!("{name}{{")), "no dashboard uses {name}");
    }
    for table in ["cadvisor", "node", "postgres", "postgres-compat", "redis"] {
        let table = std::fs::read_to_string(support::shared(&format!("contract/{table}.tsv"))).unwrap();
        known.extend(table.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned));
    }
    let used = Regex::new(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{").unwrap();
    for (place, expression) in expressions() {
        for found in used.captures_iter(&expression) {
            let name = &found[1];
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(known.contains(name) || known.contains(base), "{place}: {name}");
        }
    }
}

#[test]
fn grafana_loads_the_folder() {
    let provider = std::fs::read_to_string(project("docker/grafana/provisioning/dashboards/stack.yml")).unwrap();
    let provider: Value = yaml_serde::from_str(&provider).unwrap();
    let path = text(&provider["providers"][0]["options"]["path"]).to_owned();
    assert_eq!(provider["providers"][0]["allowUiUpdates"], false);
    let compose = std::fs::read_to_string(project("docker/compose.yml")).unwrap();
    assert!(compose.contains(&format!("source: ../dashboards, target: {path}, read_only: true")), "{path}");
    assert!(compose.contains(&format!("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: {path}/overview.json")));
}
