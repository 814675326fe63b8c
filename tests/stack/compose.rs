//! compose.yml: limits, networks, secrets, health checks, and what Prometheus and Grafana are given.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use yaml_serde::Value;

use crate::{SECRETS, SERVICES, names, project, quiet, run, strings, yaml};

/// compose.yml as docker-compose understands it: anchors resolved, every key checked.
fn compose() -> Value {
    yaml_serde::from_slice(&quiet(Command::new("docker-compose").arg("-f").arg(project("docker/compose.yml")).arg("config")))
        .unwrap()
}

#[test]
fn every_service_has_limits_bounded_logs_and_a_health_check() {
    let services = &compose()["services"];
    assert_eq!(names(services), SERVICES);
    for (name, service) in services.as_mapping().unwrap() {
        assert!(service["mem_limit"].is_string(), "{name:?} has no memory limit");
        assert!(service["cpus"].as_f64().is_some_and(|cpus| cpus > 0.0), "{name:?} has no CPU limit");
        assert!(service["pids_limit"].as_u64().is_some_and(|pids| pids > 0), "{name:?} has no limit of processes");
        let logging = &service["logging"];
        assert_eq!(logging["driver"], "json-file", "{name:?}");
        assert_eq!(logging["options"]["max-size"], "10m", "{name:?}");
        assert_eq!(logging["options"]["max-file"], "3", "{name:?}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name:?}");
        assert!(strings(&service["healthcheck"]["test"])[0].starts_with("CMD"), "{name:?} has no health check");
        assert_eq!(service["restart"], "unless-stopped", "{name:?}");
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
    assert_eq!(names(&compose["secrets"]), SECRETS);
    for name in SECRETS {
        let file = compose["secrets"][name]["file"].as_str().unwrap();
        assert_eq!(Some(file), project(&format!("secrets/{name}.txt")).to_str());
    }
    // No password stands in the file itself, and none in what `docker inspect` shows.
    for (name, service) in services.as_mapping().unwrap() {
        for (key, _) in service.get("environment").and_then(Value::as_mapping).into_iter().flatten() {
            let key = key.as_str().unwrap();
            assert!(!key.contains("PASSWORD") || key.ends_with("FILE"), "{name:?}: {key}");
        }
    }
}

#[test]
fn only_the_gateway_and_grafana_are_published() {
    let compose = compose();
    let services = &compose["services"];
    for (name, service) in services.as_mapping().unwrap() {
        let ports: Vec<_> = service.get("ports").and_then(Value::as_sequence).into_iter().flatten().collect();
        let published: Vec<_> = ports.iter().map(|port| port["published"].as_u64().unwrap()).collect();
        let expected: &[u64] = match name.as_str().unwrap() {
            "gateway" => &[80],
            "grafana" => &[3100],
            _ => &[],
        };
        assert_eq!(published, expected, "{name:?}");
    }
    // The agent is in the host's network: it listens for this host and for the network of Prometheus alone.
    let agent = strings(&services["agent"]["command"]);
    let listens: Vec<_> = agent.iter().filter_map(|flag| flag.strip_prefix("--web.listen-address=")).collect();
    assert_eq!(listens, ["127.0.0.1:9100", "10.213.99.1:9100"]);
    let monitoring = &compose["networks"]["monitoring"]["ipam"]["config"][0];
    assert_eq!((&monitoring["gateway"], &monitoring["subnet"]), (&"10.213.99.1".into(), &"10.213.99.0/28".into()));
    let networks = |name: &str| names(&services[name]["networks"]);
    for (name, expected) in [
        ("gateway", &["front"][..]),
        ("app", &["data", "front", "monitoring"]),
        ("postgres", &["data"]),
        ("redis", &["data"]),
        ("prometheus", &["monitoring"]),
        ("grafana", &["monitoring"]),
    ] {
        assert_eq!(networks(name), expected, "{name}");
    }
    assert_eq!(compose["networks"]["data"]["internal"], true);
}

#[test]
fn prometheus_accepts_its_configurations() {
    for file in ["prometheus.yml", "swarm.yml"] {
        run(Command::new("promtool").args(["check", "config"]).arg(project("docker/prometheus").join(file)));
        let config = yaml(&format!("docker/prometheus/{file}"));
        let jobs: Vec<_> =
            config["scrape_configs"].as_sequence().unwrap().iter().map(|job| job["job_name"].as_str().unwrap()).collect();
        assert_eq!(jobs, ["stack", "spoon", "prometheus"], "{file}");
        assert_eq!(config["scrape_configs"][1]["metrics_path"], "/api/metrics", "{file}");
    }
}

#[test]
fn grafana_asks_the_compose_files_prometheus() {
    let provisioning = yaml("docker/grafana/provisioning/datasources/prometheus.yml");
    let source = &provisioning["datasources"][0];
    assert_eq!((&source["uid"], &source["url"]), (&"prometheus".into(), &"http://prometheus:9090".into()));
    for file in ["prometheus.yml", "swarm.yml"] {
        let prometheus = yaml(&format!("docker/prometheus/{file}"));
        assert_eq!(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
    }
}

#[test]
fn nginx_accepts_the_gateway_and_the_placeholder() {
    for (file, listens) in [("docker/nginx/gateway.conf", "listen 80;"), ("docker/app/placeholder.conf", "listen 3000;")] {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(project(file)).unwrap();
        assert!(text.contains(listens), "{file}");
        std::fs::write(
            folder.path().join("site.conf"),
            text.replace(listens, &format!("listen unix:{}/socket;", folder.path().display()))
                .replace("/dev/stdout", "/dev/null"),
        )
        .unwrap();
        let whole = format!("pid {0}/pid;\nevents {{}}\nhttp {{ include {0}/site.conf; }}\n", folder.path().display());
        std::fs::write(folder.path().join("nginx.conf"), whole).unwrap();
        run(Command::new("nginx").args(["-t", "-q", "-e", "stderr", "-c"]).arg(folder.path().join("nginx.conf")));
    }
}

#[test]
fn secrets_are_made_once_and_kept_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let (script, secrets) = (folder.path().join("docker/make-secrets"), folder.path().join("secrets"));
    std::fs::create_dir(folder.path().join("docker")).unwrap();
    std::fs::copy(project("docker/make-secrets"), &script).unwrap();
    let make = || {
        run(&mut Command::new(&script));
        SECRETS.map(|name| std::fs::read_to_string(secrets.join(format!("{name}.txt"))).unwrap())
    };
    let made = make();
    for password in &made {
        assert!(password.len() == 36 && password.bytes().all(|byte| byte.is_ascii_hexdigit()), "{password:?}");
        assert_eq!(made.iter().filter(|other| *other == password).count(), 1);
    }
    assert_eq!(std::fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(make(), made);
    for path in ["secrets/x.txt", "docker/.env"] {
        let ignored = Command::new("git").arg("-C").arg(project(".")).args(["check-ignore", "-q", path]).status().unwrap();
        assert!(ignored.success(), "git would take {path} in");
    }
}
