//! The alerts in docker/prometheus: Prometheus' own tool checks and tests them, and each has its unit test and its page in the runbook.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use yaml_serde::Value;

fn prometheus(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/prometheus").join(path)
}

/// The YAML files of a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let files: Vec<_> = fs::read_dir(prometheus(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5, "{files:?}");
    files
}

fn yaml(path: &Path) -> Value {
    yaml_serde::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_sequence().map(Vec::as_slice).unwrap_or_default()
}

/// The alerting rules.
fn alerts() -> Vec<Value> {
    let groups: Vec<Value> = files("rules").iter().flat_map(|file| list(&yaml(file)["groups"]).to_vec()).collect();
    groups.iter().flat_map(|group| list(&group["rules"]).to_vec()).filter(|rule| rule.get("alert").is_some()).collect()
}

fn promtool(what: &str, files: &[PathBuf]) {
    let output = Command::new("promtool").args([what, "rules"]).args(files).output();
    let output = output.expect("promtool; tests/run installs what the tests need");
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    promtool("check", &files("rules"));
    promtool("test", &files("tests"));
}

#[test]
fn every_alert_is_tested_to_be_silent_to_fire_and_to_end() {
    let tests: Vec<Value> = files("tests").iter().flat_map(|file| list(&yaml(file)["tests"]).to_vec()).collect();
    let checks: Vec<Value> = tests.iter().flat_map(|test| list(&test["alert_rule_test"]).to_vec()).collect();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let fires: Vec<bool> = checks
            .iter()
            .filter(|check| check["alertname"] == name)
            .map(|check| check.get("exp_alerts").is_some_and(|alerts| !list(alerts).is_empty()))
            .collect();
        assert_eq!(fires, [false, true, false], "{name}");
    }
}

#[test]
fn every_alert_says_what_how_bad_and_where_to_read_on() {
    let runbook = fs::read_to_string(prometheus("RUNBOOK.md")).unwrap();
    let sections: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    let mut names = BTreeSet::new();
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(names.insert(name), "two alerts are called {name}");
        let annotations = &alert["annotations"];
        for annotation in ["summary", "description"] {
            assert!(annotations[annotation].as_str().is_some_and(|text| !text.is_empty()), "{name}: {annotation}");
        }
        assert!(["warning", "critical"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        assert_eq!(annotations["runbook_url"].as_str().unwrap(), format!("RUNBOOK.md#{}", name.to_lowercase()));
        // The runbook quotes the expression: it must be the one that is in force.
        assert!(sections.contains(name), "{name} has no section in the runbook");
        assert!(runbook.contains(alert["expr"].as_str().unwrap()), "{name}: the runbook quotes another expression");
    }
    let strays: Vec<_> = sections.difference(&names).collect();
    assert!(strays.is_empty(), "sections without an alert: {strays:?}");
}
