//! `/probe` of the PostgreSQL part: the page of one server, whom it lets ask for which, and with whose password.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::exposition::{self, Exposition};
use support::postgres::{Postgres, shape};
use support::{Agent, wait_for};

const ALONE: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

/// A file of settings with these targets.
fn settings(folder: &Path, targets: &[(&str, String)]) -> String {
    let list = targets.iter().map(|(name, address)| format!("    - {{name: {name}, address: \"{address}\"}}\n"));
    let file = folder.join("agent.yml");
    std::fs::write(&file, format!("postgres:\n  targets:\n{}", list.collect::<String>())).unwrap();
    format!("--config.file={}", file.display())
}

fn probe(agent: &Agent, query: &str) -> Exposition {
    exposition::parse(&agent.get(&format!("/probe?{query}"))).unwrap()
}

fn refusal(agent: &Agent, query: &str) -> String {
    let answer = agent.request(&format!("/probe?{query}"), &[]);
    assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    answer.text()
}

#[test]
fn one_watched_server_is_shown_without_the_label() {
    let servers = [Postgres::start(&[]), Postgres::start(&[])];
    let folder = tempfile::tempdir().unwrap();
    let targets = [("shop", servers[0].dsn("postgres")), ("a b&c", servers[1].dsn("postgres"))];
    let agent = Agent::start(&[&ALONE[..], &[&settings(folder.path(), &targets)]].concat(), &[]);
    let merged = agent.scrape("/metrics/postgres");
    for (query, server) in
        [("target=shop".to_owned(), 0), ("target=a%20b%26c".to_owned(), 1), (format!("target=127.0.0.1:{}", servers[1].port), 1)]
    {
        let page = probe(&agent, &query);
        assert_eq!(page.value("pg_up", &[]), Some(1.0), "{query}");
        assert!(page.series.iter().all(|series| !series.labels.contains_key("target")), "{query}");
        assert_eq!(page.value("pg_settings_port", &[]), Some(f64::from(servers[server].port)), "{query}");
        // The same families and labels as on the merged page, but for `target` and what only shows up with time.
        let one = shape(&page);
        for (family, (kind, labels)) in shape(&merged) {
            let labels: BTreeSet<Vec<String>> =
                labels.into_iter().map(|names| names.into_iter().filter(|name| name != "target").collect()).collect();
            assert_eq!(one.get(&family), Some(&(kind, labels)), "{query}: {family}");
        }
    }
    // Through the sessions that are kept: no other was opened.
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stack-exporter' AND datname = 'postgres'";
    assert_eq!(servers[0].number("postgres", ours), 1.0);
    assert!(refusal(&agent, "").contains("target is missing"));
    assert!(refusal(&agent, "target=").contains("target is missing"));
    assert!(refusal(&agent, "target=127.0.0.1:1").contains("--postgres.probe-any"));
    assert!(refusal(&agent, "target=shop&auth_module=x").contains("auth module"));
    let listed: Value = serde_json::from_str(&agent.get("/sd/postgres")).unwrap();
    let of = |at: usize| (&listed[at]["labels"]["__metrics_path__"], &listed[at]["labels"]["__param_target"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!((of(0), of(1)), ((&"/probe".into(), &"a b&c".into()), (&"/probe".into(), &"shop".into())));
}

#[test]
fn modules_sign_in_and_any_server_is_asked_only_where_allowed() {
    let mut server = Postgres::start(&["log_connections=on"]);
    server.sql("postgres", "CREATE ROLE monitor LOGIN PASSWORD 'module-secret' IN ROLE pg_monitor");
    server.sql("postgres", "CREATE DATABASE shop");
    // Where no database is named, it is that of the user's name.
    server.sql("postgres", "CREATE DATABASE monitor");
    server.hba("host all postgres 127.0.0.1/32 trust\nhost all monitor 127.0.0.1/32 scram-sha-256\n");
    let folder = tempfile::tempdir().unwrap();
    let modules = folder.path().join("modules.yml");
    let user = "type: userpass, userpass: {username: monitor, password: module-secret}";
    std::fs::write(&modules, format!("auth_modules: {{good: {{{user}, options: {{sslmode: disable, application_name: probing}}}}, wrong: {{type: userpass, userpass: {{username: monitor, password: other-secret}}}}}}")).unwrap();
    let (file, modules) =
        (settings(folder.path(), &[("shop", server.dsn("shop"))]), format!("--postgres.auth-modules={}", modules.display()));
    let strict = Agent::start(&[&ALONE[..], &[&file, &modules]].concat(), &[]);
    let any = Agent::start(&[&ALONE[..], &[&modules, "--postgres.probe-any", "--no-postgres.find"]].concat(), &[]);
    let (at, up) = (format!("127.0.0.1:{}", server.port), |page: &Exposition| page.value("pg_up", &[]).unwrap());
    assert_eq!(up(&probe(&strict, "target=shop&auth_module=good")), 1.0);
    assert!(server.log().contains("user=monitor database=shop application_name=probing"), "{}", server.log());
    assert_eq!(up(&probe(&strict, "target=shop&auth_module=wrong")), 0.0);
    assert!(refusal(&strict, &format!("target={at}1&auth_module=good")).contains("--postgres.probe-any"));
    for target in [
        at.clone(),
        format!("{at}/shop"),
        format!("{at}/shop?sslmode=disable"),
        format!("postgresql://{at}/shop?sslmode=disable"),
        format!("host=127.0.0.1 port={} dbname=shop", server.port),
    ] {
        let query: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
        let page = probe(&any, &format!("auth_module=good&target={query}"));
        assert_eq!(up(&page), 1.0, "{target}: {}", any.log());
        assert!(page.all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{target}");
        assert_eq!(page.value("pg_exporter_scrapes_total", &[]), Some(1.0));
    }
    // A password in the target is used, and never seen again.
    let own = format!("target=postgresql://monitor:module-secret@{at}/shop");
    assert_eq!(up(&probe(&any, &own)), 1.0);
    assert_eq!(up(&probe(&any, &own.replace("module-secret", "odd-secret"))), 0.0);
    for odd in ["target=host%3D/tmp", "target=postgresql://%252Ftmp/x", "target=host%3Da%20port%3Dsecret", "target=::::"] {
        assert!(!refusal(&any, odd).contains("secret"), "{odd}");
    }
    // Nothing is left open, and a server that is down has a page.
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'monitor'";
    wait_for("no session", Duration::from_secs(5), || server.number("postgres", ours) == 0.0);
    server.stop("INT");
    assert_eq!(up(&probe(&any, &format!("target={at}&auth_module=good"))), 0.0);
    for text in [any.log(), strict.log(), any.get("/metrics"), strict.get("/metrics"), strict.get("/api/v1/status")] {
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn no_more_than_sixteen_strangers_are_asked_at_once() {
    // Takes every connection and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("/probe?target=127.0.0.1:{}", mute.local_addr().unwrap().port());
    let any = Agent::start(
        &[&ALONE[..], &["--postgres.probe-any", "--no-postgres.find", "--postgres.connect-timeout=3s"]].concat(),
        &[],
    );
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..30).map(|_| scope.spawn(|| any.request(&target, &[]).status)).collect();
        let mut statuses: Vec<u16> = all.into_iter().map(|one| one.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 16, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 14, "{statuses:?}");
    });
    // Their places are free again.
    assert_eq!(any.request(&target, &[]).status, 200);
}

#[test]
fn a_file_that_cannot_be_used_is_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("modules.yml");
    std::fs::write(&file, "auth_modules: {a: {type: userpass, userpass: {username: me, pass: hunter2}}}").unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
    let output = agent.arg(format!("--postgres.auth-modules={}", file.display())).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.trim_end().lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("postgres.auth-modules") && !said.contains("hunter2"), "{said}");
}
