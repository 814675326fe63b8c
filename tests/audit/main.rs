//! The audit of the real binary: checks are provoked on real servers and on a generated tree, and their findings go when the cause does.
//! Containers' are in tests/containers/audit.rs; what this machine forbids or must not have done to it, `tests/vm audit` does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod host;
mod postgres;
mod redis;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use support::Agent;

/// The checks that found something, of one subject or of all.
fn found(agent: &Agent, path: &str, subject: Option<&str>) -> BTreeSet<String> {
    let page = agent.scrape(path);
    let fits = |labels: &std::collections::BTreeMap<String, String>| subject.is_none_or(|subject| labels["subject"] == subject);
    let findings = page.all("stack_audit_finding").filter(|series| series.value == 1.0 && fits(&series.labels));
    findings.map(|series| series.labels["check"].clone()).collect()
}

fn checks<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// Writes a file of a generated tree.
fn write(tree: &Path, path: &str, text: &str) {
    let path = tree.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (flag, says) in [
        ("--audit.disable=nothing", "there is no check \"nothing\""),
        ("--audit.threshold=filesystem_full", "is not <check>=<number>"),
        ("--audit.threshold=filesystem_full=NaN", "is not <check>=<number>"),
        ("--audit.threshold=privileged=1", "compares with no number"),
    ] {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_stack-exporter")).args(["--config.check", flag]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(says), "{flag}: {text}");
    }
}
