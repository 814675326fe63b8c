//! TLS to Redis, the reason of a failure, and the rights of a user who may do no more than we ask.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod support;

use std::process::Command;

use support::exposition::Exposition;
use support::pki::Pki;
use support::redis::{Program, Redis, programs};
use support::{Agent, free_port};

const ALONE: [&str; 3] = ["--no-host", "--no-containers", "--no-postgres"];

fn agent(args: &[&str]) -> Agent {
    let args: Vec<&str> = ALONE.iter().chain(args).copied().collect();
    Agent::start(&args, &[])
}

/// The one reason on the page.
fn reason(page: &Exposition) -> String {
    let reasons: Vec<_> = page.all("redis_scrape_failure").map(|series| series.labels["reason"].clone()).collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    reasons[0].clone()
}

/// A server that speaks TLS on the port returned, beside its own.
fn tls_server(pki: &Pki, clients: &str) -> (Redis, u16) {
    tls_server_of(&Program { name: "Debian's".to_owned(), path: "redis-server".into() }, pki, clients)
}

fn tls_server_of(program: &Program, pki: &Pki, clients: &str) -> (Redis, u16) {
    let port = free_port();
    let path = |file: &str| pki.path(file).display().to_string();
    let (cert, key, ca, tls_port) = (path("server.crt"), path("server.key"), path("ca.crt"), port.to_string());
    let args = ["--tls-port", &tls_port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    (program.start(&[&args[..], &["--tls-auth-clients", clients]].concat()), port)
}

#[test]
fn every_server_that_speaks_tls() {
    let pki = Pki::new();
    pki.issue("client", Some("ca"), "basicConstraints=CA:FALSE");
    let mut asked = Vec::new();
    for program in programs() {
        if !program.has_tls() {
            eprintln!("{} was built without TLS", program.name);
            continue;
        }
        let (_server, port) = tls_server_of(&program, &pki, "yes");
        let flag = |name: &str, file: &str| format!("--redis.tls-{name}-file={}", pki.path(file).display());
        let files = [flag("ca-cert", "ca.crt"), flag("client-cert", "client.crt"), flag("client-key", "client.key")];
        let address = format!("--redis.addr=rediss://localhost:{port}");
        let page = agent(&[&address, &files[0], &files[1], &files[2]]).scrape("/metrics/redis");
        assert_eq!(page.value("redis_up", &[]), Some(1.0), "{}", program.name);
        // Who shows no certificate is sent away.
        let page = agent(&[&address, &files[0]]).scrape("/metrics/redis");
        assert_eq!(page.value("redis_up", &[]), Some(0.0), "{}", program.name);
        asked.push(program.name);
    }
    assert!(!asked.is_empty());
    eprintln!("asked by TLS: {asked:?}");
}

#[test]
fn a_server_is_asked_by_tls_and_its_certificate_is_checked() {
    let pki = Pki::new();
    let (_redis, port) = tls_server(&pki, "no");
    let (ca, other) = (pki.path("ca.crt").display().to_string(), pki.path("next.crt").display().to_string());
    let ask = |address: &str, more: &[&str]| {
        let address = format!("--redis.addr={address}");
        agent(&[&[&*address], more].concat()).scrape("/metrics/redis")
    };
    let localhost = format!("rediss://localhost:{port}");
    let trusted = format!("--redis.tls-ca-cert-file={ca}");
    for scheme in ["rediss", "valkeys"] {
        let page = ask(&format!("{scheme}://127.0.0.1:{port}"), &[&trusted]);
        assert_eq!(page.value("redis_up", &[]), Some(1.0), "{scheme}");
        assert_eq!(page.all("redis_scrape_failure").count(), 0);
    }
    assert_eq!(ask(&localhost, &["--redis.skip-tls-verification"]).value("redis_up", &[]), Some(1.0));
    // A stranger's CA, another name, and a server that does not speak TLS at all.
    for more in [
        vec![format!("--redis.tls-ca-cert-file={other}")],
        vec![trusted.clone(), "--redis.tls-server-name=cache.example".to_owned()],
    ] {
        let page = ask(&localhost, &more.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((page.value("redis_up", &[]), reason(&page).as_str()), (Some(0.0), "tls"), "{more:?}");
    }
}

#[test]
fn a_client_certificate_is_shown_and_each_target_has_its_own() {
    let pki = Pki::new();
    pki.issue("client", Some("ca"), "basicConstraints=CA:FALSE");
    let (_redis, port) = tls_server(&pki, "yes");
    let path = |file: &str| pki.path(file).display().to_string();
    let file = pki.path("agent.yml");
    let (ca, cert, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    let text = format!(
        "redis:\n  targets:\n    - {{name: known, address: 'rediss://localhost:{port}', tls: {{ca_file: {ca}, cert_file: {cert}, key_file: {key}}}}}\n    \
         - {{name: stranger, address: 'rediss://localhost:{port}', tls: {{ca_file: {ca}}}}}\n"
    );
    std::fs::write(&file, text).unwrap();
    let page = agent(&[&format!("--config.file={}", file.display())]).scrape("/metrics/redis");
    assert_eq!(page.value("redis_up", &[("target", "known")]), Some(1.0));
    assert_eq!(page.value("redis_up", &[("target", "stranger")]), Some(0.0));
}

#[test]
fn settings_that_cannot_be_are_refused_at_start() {
    let pki = Pki::new();
    let cert = format!("--redis.tls-client-cert-file={}", pki.path("server.crt").display());
    let wrong_key = format!("--redis.tls-client-key-file={}", pki.path("next.key").display());
    for (args, words) in [
        (vec![cert.as_str()], "two files"),
        (vec![&cert, &wrong_key], "not the key of"),
        (vec!["--redis.tls-ca-cert-file=/nowhere/ca.crt"], "/nowhere/ca.crt"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
        let output =
            command.env_clear().args(["--config.check", "--redis.addr=rediss://localhost:1"]).args(&args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{args:?}: {said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_failure_has_one_of_a_few_reasons() {
    let redis = Redis::start(&["--requirepass", "secret"]);
    redis.send_all(&[&["AUTH", "secret"], &["ACL", "SETUSER", "blind", "on", ">pw", "-@all", "+ping"]]);
    let addr = format!("127.0.0.1:{}", redis.port);
    for (address, wanted) in [
        (format!("redis://127.0.0.1:{}", free_port()), "refused"),
        ("redis://no-such-host.invalid".to_owned(), "dns"),
        (format!("redis://{addr}"), "auth"),
        (format!("redis://:wrong@{addr}"), "auth"),
        (format!("redis://blind:pw@{addr}"), "noperm"),
    ] {
        let page = agent(&["--redis.skip-tls-verification", &format!("--redis.addr={address}")]).scrape("/metrics/redis");
        assert_eq!((page.value("redis_up", &[]), reason(&page).as_str()), (Some(0.0), wanted), "{address}");
    }
}

#[test]
fn the_acl_line_is_enough_and_needed() {
    let redis = Redis::start(&[]);
    redis.send(&["SET", "build", "1"]);
    let line = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
        let output = command.env_clear().args(["redis", "acl"]).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    for features in [vec![], vec!["--redis.check-single-keys=build", "--redis.check-keys=b*", "--redis.count-keys=*"]] {
        let rules = line(&features);
        let answer = redis
            .send(&[&["ACL", "SETUSER", "monitor", "reset", "on", ">pw"][..], &rules.split(' ').collect::<Vec<_>>()].concat());
        assert!(answer.starts_with("+OK"), "{rules}: {answer}");
        let address = format!("--redis.addr=redis://monitor:pw@127.0.0.1:{}", redis.port);
        let agent = agent(&[&[&*address][..], &features].concat());
        for _ in 0..2 {
            let page = agent.scrape("/metrics/redis");
            assert_eq!(page.value("redis_up", &[]), Some(1.0));
            let refused: Vec<_> = page.all("redis_scrape_command_ok").filter(|series| series.value == 0.0).collect();
            assert!(refused.is_empty(), "{refused:?}");
        }
        assert!(!redis.send(&["ACL", "LOG"]).contains("monitor"), "something was denied: {}", redis.send(&["ACL", "LOG"]));
    }
    // One right less, and the page says which.
    redis.send(&["ACL", "SETUSER", "monitor", "-slowlog|get"]);
    let agent = agent(&[&format!("--redis.addr=redis://monitor:pw@127.0.0.1:{}", redis.port)]);
    for _ in 0..2 {
        let page = agent.scrape("/metrics/redis");
        assert_eq!(page.value("redis_scrape_command_ok", &[("command", "slowlog get")]), Some(0.0));
        assert_eq!(page.value("redis_scrape_command_ok", &[("command", "info")]), Some(1.0));
    }
}
