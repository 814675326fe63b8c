//! `stack-exporter healthcheck`: what a container's HEALTHCHECK runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::pki::Pki;
use support::{Agent, free_port, signal, wait_for};

const HOST: [&str; 3] = ["--no-containers", "--no-postgres", "--no-redis"];

/// Exit code and all that it says.
fn check(args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
    let output = command.env_clear().arg("healthcheck").args(args).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn the_answer_is_yes_or_no() {
    let agent = Agent::start(&HOST, &[]);
    let address = format!("--web.listen-address=127.0.0.1:{}", agent.port);
    assert_eq!(check(&[&address]), (0, "healthy\n".to_owned()));
    // One that was never asked is one that nobody missed: the check is no scrape.
    assert_eq!(agent.scrape("/metrics").value("promhttp_metric_handler_requests_total", &[("code", "200")]), Some(0.0));

    signal(agent.pid(), "STOP");
    let start = Instant::now();
    let (code, text) = check(&[&address]);
    signal(agent.pid(), "CONT");
    assert!(code == 1 && text.contains("unhealthy: 127.0.0.1:"), "{code} {text}");
    assert!(start.elapsed() < Duration::from_secs(20));

    drop(agent);
    let (code, text) = check(&[&address]);
    assert!(code == 1 && text.contains("refused"), "{code} {text}");
    // A mistake is not the agent's illness.
    assert_eq!(check(&["--web.listen-adress=:1"]).0, 2);
    let (code, text) = check(&["--web.systemd-socket"]);
    assert!(code == 2 && text.contains("--web.listen-address"), "{code} {text}");
}

#[test]
fn every_kind_of_address_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let unix = format!("--web.listen-address=unix://{}", path.display());
    let any = format!("--web.listen-address=:{}", free_port());
    let args = [&unix, &any, "--web.route-prefix=/agent/"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
    let mut child = command.env_clear().args(HOST).args(args).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the socket", Duration::from_secs(20), || UnixStream::connect(&path).is_ok());
    assert_eq!(check(&args), (0, "healthy\n".to_owned()));
    let wrong = check(&[&any]);
    assert!(wrong.0 == 1 && wrong.1.contains("404"), "without the prefix: {wrong:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(check(&args).0, 1);
}

#[test]
fn tls_passwords_and_client_certificates_are_no_obstacle() {
    let pki = Pki::new();
    let users = format!("basic_auth_users: {{scraper: {}}}\n", bcrypt::hash("secret", 5).unwrap());
    for clients in ["", "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"] {
        for newest in ["TLS12", "TLS13"] {
            let flag = pki.config(&format!(
                "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  max_version: {newest}\n{clients}{users}"
            ));
            let agent = Agent::start(&[&HOST[..], &[&flag]].concat(), &[]);
            let address = format!("--web.listen-address=127.0.0.1:{}", agent.port);
            assert_eq!(check(&[&flag, &address]), (0, "healthy\n".to_owned()), "{newest} {clients}");
        }
    }
}

/// As `docker exec` does it: with the container's environment, but not with the agent's arguments.
#[test]
fn beside_process_1_its_arguments_are_good() {
    let port = free_port().to_string();
    let exe = env!("CARGO_BIN_EXE_stack-exporter");
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", exe])
        .args(HOST)
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut unshare = command.env_clear().env("PATH", "/usr/bin:/bin").stderr(Stdio::null()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", unshare.id());
    let inside = || std::fs::read_to_string(&children).ok().filter(|pid| !pid.trim().is_empty());
    wait_for("process 1", Duration::from_secs(20), || inside().is_some());
    let pid = inside().unwrap().trim().to_owned();
    let exec = || {
        let mut command = Command::new("nsenter");
        let output = command.args(["--target", &pid, "--pid", "--mount", exe, "healthcheck"]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    wait_for("health", Duration::from_secs(20), || exec() == (Some(0), "healthy\n".to_owned()));
    unshare.kill().unwrap();
    unshare.wait().unwrap();
}
