//! docker/: what its files promise, as the real tools read them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;
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

/// compose.yml as docker-compose understands it: anchors resolved, every key checked.
fn compose() -> Value {
    let output = run(Command::new("docker-compose").arg("-f").arg(project("docker/compose.yml")).arg("config"));
    let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warnings.is_empty(), "{warnings}");
    yaml_serde::from_slice(&output.stdout).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_service_has_limits_and_bounded_logs() {
    let compose = compose();
    let services = compose["services"].as_mapping().unwrap();
    let names: Vec<_> = services.keys().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["agent", "grafana", "postgres", "prometheus", "redis"]);
    for (name, service) in services {
        assert!(service["mem_limit"].is_string(), "{name:?} has no memory limit");
        assert!(service["cpus"].as_f64().is_some_and(|cpus| cpus > 0.0), "{name:?} has no CPU limit");
        assert!(service["pids_limit"].as_u64().is_some_and(|pids| pids > 0), "{name:?} has no limit of processes");
        let logging = &service["logging"];
        assert_eq!(logging["driver"], "json-file", "{name:?}");
        assert_eq!(logging["options"]["max-size"], "10m", "{name:?}");
        assert_eq!(logging["options"]["max-file"], "3", "{name:?}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name:?}");
    }
}

#[test]
fn the_agent_only_reads() {
    let agent = &compose()["services"]["agent"];
    assert_eq!(agent["read_only"], true);
    assert_eq!(strings(&agent["cap_drop"]), ["ALL"]);
    for more in ["cap_add", "privileged", "pid", "ipc", "devices", "ports"] {
        assert!(agent.get(more).is_none(), "{more}");
    }
    let volumes = agent["volumes"].as_sequence().unwrap();
    assert!(!volumes.is_empty());
    for volume in volumes {
        assert_eq!(volume["read_only"], true, "{volume:?}");
    }
}

#[test]
fn services_are_the_ones_that_were_asked_for() {
    let compose = compose();
    let services = &compose["services"];
    assert_eq!(services["postgres"]["image"], "postgres:14");
    assert_eq!(services["redis"]["image"], "redis:6");
    assert!(strings(&services["prometheus"]["command"]).contains(&"--storage.tsdb.retention.time=30d".to_owned()));
    let grafana = &services["grafana"];
    assert_eq!(grafana["environment"]["GF_SERVER_HTTP_PORT"], "3100");
    assert_eq!(grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"], "/run/secrets/grafana_admin_password");
    let secret = &compose["secrets"]["grafana_admin_password"]["file"];
    assert_eq!(secret.as_str(), project("secrets/grafana_admin_password.txt").to_str());
    // Grafana alone is published.
    for (name, service) in services.as_mapping().unwrap() {
        let ports: Vec<_> = service.get("ports").and_then(Value::as_sequence).into_iter().flatten().collect();
        let published: Vec<_> = ports.iter().map(|port| port["published"].as_u64().unwrap()).collect();
        assert_eq!(published, if name == "grafana" { vec![3100] } else { vec![] }, "{name:?}");
    }
}

#[test]
fn prometheus_accepts_its_configuration() {
    run(Command::new("promtool").args(["check", "config"]).arg(project("docker/prometheus/prometheus.yml")));
}

#[test]
fn grafana_asks_the_compose_files_prometheus() {
    let text = std::fs::read(project("docker/grafana/provisioning/datasources/prometheus.yml")).unwrap();
    let provisioning: Value = yaml_serde::from_slice(&text).unwrap();
    let source = &provisioning["datasources"][0];
    assert_eq!((&source["uid"], &source["url"]), (&"prometheus".into(), &"http://prometheus:9090".into()));
    let prometheus: Value = yaml_serde::from_slice(&std::fs::read(project("docker/prometheus/prometheus.yml")).unwrap()).unwrap();
    assert_eq!(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
}

#[test]
fn secrets_are_made_once_and_kept_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let (script, secrets) = (folder.path().join("docker/make-secrets"), folder.path().join("secrets"));
    std::fs::create_dir(folder.path().join("docker")).unwrap();
    std::fs::copy(project("docker/make-secrets"), &script).unwrap();
    let make = || {
        run(&mut Command::new(&script));
        ["grafana_admin_password.txt", "postgres_password.txt"].map(|name| std::fs::read_to_string(secrets.join(name)).unwrap())
    };
    let [grafana, postgres] = make();
    for password in [&grafana, &postgres] {
        assert!(password.len() == 36 && password.bytes().all(|byte| byte.is_ascii_hexdigit()), "{password:?}");
    }
    assert_ne!(grafana, postgres);
    assert_eq!(std::fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(make(), [grafana, postgres]);
    let ignored = Command::new("git").arg("-C").arg(project(".")).args(["check-ignore", "-q", "secrets/x.txt"]).status().unwrap();
    assert!(ignored.success(), "git would take secrets/ in");
}
