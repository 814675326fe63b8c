//! stack.yml as `docker stack config` understands it, beside compose.yml.

use std::collections::BTreeSet;
use std::process::Command;

use yaml_serde::Value;

use crate::{SECRETS, SERVICES, names, project, quiet, strings, yaml};

fn stack() -> Value {
    yaml_serde::from_slice(&quiet(Command::new("docker").args(["stack", "config", "-c"]).arg(project("docker/stack.yml"))))
        .unwrap()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

#[test]
fn every_service_has_limits_a_way_back_and_a_health_check() {
    let stack = stack();
    assert_eq!(names(&stack["services"]), SERVICES);
    assert_eq!(names(&stack["secrets"]), SECRETS);
    for (name, service) in stack["services"].as_mapping().unwrap() {
        let deploy = &service["deploy"];
        let limits = &deploy["resources"]["limits"];
        assert!(limits["memory"].is_string() && limits["cpus"].is_string() && limits["pids"].is_u64(), "{name:?}: {limits:?}");
        assert_eq!(service["logging"]["options"]["max-size"], "10m", "{name:?}");
        assert_eq!(deploy["update_config"]["failure_action"], "rollback", "{name:?}");
        assert!(deploy["rollback_config"]["order"].is_string(), "{name:?}");
        assert!(strings(&service["healthcheck"]["test"])[0].starts_with("CMD"), "{name:?} has no health check");
        // Over the same data no two tasks may run at once.
        let keeps = list(&service["volumes"]).any(|volume| volume["type"] == "volume");
        assert!(!keeps || deploy["update_config"]["order"] == "stop-first", "{name:?}");
        let placed = strings(&deploy["placement"]["constraints"]).contains(&"node.labels.stack.data == true".to_owned());
        assert_eq!(placed, keeps, "{name:?}: volumes are of one node");
    }
}

#[test]
fn an_agent_runs_on_each_node_and_nothing_of_it_is_published() {
    let stack = stack();
    let agent = &stack["services"]["agent"];
    assert_eq!((&agent["deploy"]["mode"], &agent["hostname"]), (&"global".into(), &"{{.Node.Hostname}}".into()));
    assert_eq!((&agent["read_only"], strings(&agent["cap_drop"])), (&true.into(), vec!["ALL".to_owned()]));
    assert!(list(&agent["volumes"]).all(|volume| volume["read_only"] == true));
    for (name, service) in stack["services"].as_mapping().unwrap() {
        let published: Vec<_> = list(&service["ports"]).map(|port| port["published"].as_u64().unwrap()).collect();
        let expected: &[u64] = match name.as_str().unwrap() {
            "gateway" => &[80],
            "grafana" => &[3100],
            _ => &[],
        };
        assert_eq!(published, expected, "{name:?}");
    }
    assert_eq!(stack["networks"]["data"]["internal"], true);
}

#[test]
fn it_ships_what_compose_mounts() {
    let stack = stack();
    let files: BTreeSet<String> =
        stack["configs"].as_mapping().unwrap().values().map(|config| config["file"].as_str().unwrap().to_owned()).collect();
    let mut expected = BTreeSet::from(["docker/prometheus/swarm.yml".to_owned()]);
    for folder in [
        "docker/prometheus/rules",
        "docker/grafana/provisioning/datasources",
        "docker/grafana/provisioning/dashboards",
        "docker/start",
        "docker/postgres",
        "docker/nginx",
        "docker/app",
        "dashboards",
    ] {
        let entries = std::fs::read_dir(project(folder)).unwrap().map(|entry| entry.unwrap().path());
        let shipped = entries
            .filter(|path| path.is_file() && (folder != "dashboards" || path.extension().is_some_and(|end| end == "json")));
        expected.extend(shipped.map(|path| format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap())));
    }
    let expected: BTreeSet<String> = expected.iter().map(|file| project(file).to_str().unwrap().to_owned()).collect();
    similar_asserts::assert_eq!(expected, files);
    let mounted: BTreeSet<&str> = stack["services"]
        .as_mapping()
        .unwrap()
        .values()
        .flat_map(|service| list(&service["configs"]))
        .map(|one| one["source"].as_str().unwrap())
        .collect();
    assert_eq!(mounted.len(), files.len(), "each is mounted somewhere");
    for file in files {
        assert!(std::fs::metadata(&file).unwrap().len() < 500_000, "{file}: a Swarm takes 500 kB at most");
    }
    // Renamed when a file changes, and then only for the services that use it.
    let versions: BTreeSet<String> = yaml("docker/stack.yml")["configs"]
        .as_mapping()
        .unwrap()
        .values()
        .map(|config| config["name"].as_str().unwrap().split_once("${").unwrap().1.to_owned())
        .collect();
    let expected = ["DATA", "FRONT", "GRAFANA", "PROMETHEUS"].map(|of| format!("{of}_VERSION:-1}}"));
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_databases_are_set_up_as_in_compose() {
    let (stack, compose) = (yaml("docker/stack.yml"), yaml("docker/compose.yml"));
    for (service, keys) in [
        ("postgres", &["image", "entrypoint", "environment", "labels", "healthcheck"][..]),
        ("redis", &["image", "entrypoint", "labels", "healthcheck"]),
        ("grafana", &["image", "environment", "healthcheck"]),
        ("prometheus", &["image", "command", "healthcheck"]),
        ("gateway", &["image", "healthcheck"]),
    ] {
        for key in keys {
            assert_eq!(stack["services"][service][*key], compose["services"][service][*key], "{service}: {key}");
        }
    }
}
