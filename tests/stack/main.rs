//! docker/: what its files promise, as the real tools read them. tests/stack-up starts them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod compose;
mod kubernetes;
mod start;
mod swarm;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use yaml_serde::Value;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs what the tests need"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What a command prints that must succeed and complain of nothing.
fn quiet(command: &mut Command) -> Vec<u8> {
    let output = run(command);
    let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warnings.is_empty(), "{command:?}: {warnings}");
    output.stdout
}

fn yaml(path: &str) -> Value {
    yaml_serde::from_slice(&std::fs::read(project(path)).unwrap()).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The keys of a mapping, sorted.
fn names(value: &Value) -> Vec<String> {
    let mut names: Vec<_> =
        value.as_mapping().into_iter().flat_map(|map| map.keys()).map(|key| key.as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

/// The services of compose.yml and stack.yml.
const SERVICES: [&str; 7] = ["agent", "app", "gateway", "grafana", "postgres", "prometheus", "redis"];

/// What docker/make-secrets makes.
const SECRETS: [&str; 4] = ["application_password", "grafana_admin_password", "monitoring_password", "postgres_password"];
