//! The layout is the architecture: imports point one way, and `unsafe` stands in one file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            rust_files(&entry.path(), out);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            out.push(entry.path());
        }
    }
}

/// Which top-level modules each top-level module names, by `crate::<module>` outside of its tests and comments.
fn imports() -> BTreeSet<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 20);
    let mut edges = BTreeSet::new();
    for file in files {
        let module = file.strip_prefix(&src).unwrap().components().next().unwrap().as_os_str().to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + "crate::".len()..];
                let names = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap());
                let names: Vec<&str> = if rest.starts_with('{') { names.split(", ").collect() } else { vec![names] };
                for name in names {
                    let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    if name.chars().next().is_some_and(|c| c.is_ascii_lowercase()) {
                        edges.insert((module.trim_end_matches(".rs").to_owned(), name));
                    }
                }
            }
        }
    }
    edges
}

#[test]
fn imports_point_one_way() {
    let allowed = |from: &str| -> &[&str] {
        match from {
            "settings" => &["settings"],
            "system" => &["system", "settings"],
            "discovery" => &["discovery", "exposition", "system", "settings", "tls"],
            "scrape" => &["scrape", "discovery", "exposition", "system", "settings"],
            "host" => &["host", "scrape", "exposition", "system", "settings"],
            "containers" => &["containers", "discovery", "scrape", "exposition", "system", "settings"],
            "postgres" => &["postgres", "discovery", "scrape", "exposition", "system", "settings", "tls"],
            "redis" => &["redis", "discovery", "scrape", "exposition", "system", "settings", "tls"],
            "audit" => &["audit", "discovery", "redis", "scrape", "exposition", "system", "settings"],
            "log" | "cli" | "config" => &["settings"],
            "service" => &[],
            "tls" => &["settings", "tls"],
            "telemetry" => &["exposition", "system", "settings"],
            "web" => &["web", "scrape", "exposition", "telemetry", "system", "settings", "tls"],
            "generation" => &["audit", "generation", "log", "scrape", "settings", "telemetry", "web"],
            "agent" => &[
                "audit",
                "cli",
                "config",
                "discovery",
                "generation",
                "log",
                "scrape",
                "service",
                "settings",
                "system",
                "telemetry",
                "web",
            ],
            "lib" => &["scrape", "host", "containers", "postgres", "redis"],
            other => panic!("src/{other} is new: say here what it may import"),
        }
    };
    let wrong: Vec<_> =
        imports().into_iter().filter(|(from, to)| from != "main" && !allowed(from).contains(&to.as_str())).collect();
    assert!(wrong.is_empty(), "imports against the grain: {wrong:?}");
}

#[test]
fn unsafe_stands_in_one_file() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let allows: Vec<_> =
        files.into_iter().filter(|file| fs::read_to_string(file).unwrap().contains("allow(unsafe_code)")).collect();
    assert_eq!(allows.len(), 1, "{allows:?}");
    assert!(allows[0].ends_with("system/syscalls.rs"));
}
