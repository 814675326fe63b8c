//! Containers of every kind and in every state of a real daemon, each beside what `docker inspect` says of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::docker::{Container, Docker};
use crate::support::exposition::Exposition;
use crate::support::{Agent, wait_for};

const PAGE: &str = "/metrics/containers";
const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

/// Takes memory until it is killed; not at once, as an engine begins to listen for kills only when the container runs.
pub(crate) const HOG: &str = "sleep 1; x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done";

fn inspect(docker: &Docker, container: &Container<'_>) -> Value {
    let all: Value = serde_json::from_str(&docker.run(&["inspect", &container.id])).unwrap();
    all[0].clone()
}

/// Where the page differs from `docker inspect`; empty where all is the same.
fn differences(page: &Exposition, inspect: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = inspect["Name"].as_str().unwrap().trim_start_matches('/');
    let state = &inspect["State"];
    let mut check = |family: &str, labels: &[(&str, &str)], expected: Option<f64>| {
        let labels = [&[("name", name), ("image", inspect["Config"]["Image"].as_str().unwrap())], labels].concat();
        let found: Vec<f64> = page.all(family).filter(|series| series.has(&labels)).map(|series| series.value).collect();
        if found != expected.into_iter().collect::<Vec<_>>() {
            wrong.push(format!("{family}{labels:?}: {found:?} instead of {expected:?}"));
        }
    };
    for word in STATES {
        check("container_state", &[("state", word)], Some(f64::from(u8::from(state["Status"] == word))));
    }
    let restart_policy = inspect["HostConfig"]["RestartPolicy"]["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("no");
    let info = [
        ("container_id", inspect["Id"].as_str().unwrap()),
        ("image_id", inspect["Image"].as_str().unwrap()),
        ("restart_policy", restart_policy),
        ("privileged", if inspect["HostConfig"]["Privileged"] == true { "true" } else { "false" }),
    ];
    check("container_info", &info, Some(1.0));
    check("container_restart_count", &[], inspect["RestartCount"].as_f64());
    let ended = !state["FinishedAt"].as_str().unwrap().starts_with("0001");
    if !matches!(state["Status"].as_str(), Some("running" | "paused")) {
        check("container_exit_code", &[], state["ExitCode"].as_f64().filter(|_| ended));
    }
    match state["Health"]["Status"].as_str() {
        Some(status) => {
            for word in ["none", "starting", "healthy", "unhealthy"] {
                check("container_health_status", &[("status", word)], Some(f64::from(u8::from(status == word))));
            }
        }
        None => {
            check("container_health_status", &[], Some(1.0));
            check("container_health_status", &[("status", "none")], Some(1.0));
        }
    }
    let log = &inspect["HostConfig"]["LogConfig"];
    let option = |name: &'static str, key: &'static str| log["Config"][key].as_str().map(|text| (name, text));
    let log = [Some(("driver", log["Type"].as_str().unwrap())), option("max_size", "max-size"), option("max_file", "max-file")];
    check("container_log_rotation_info", &log.into_iter().flatten().collect::<Vec<_>>(), Some(1.0));
    wrong
}

/// Scrapes until the page says of all these containers what the engine says.
fn agree(agent: &Agent, docker: &Docker, containers: &[&Container<'_>]) -> Exposition {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let page = agent.scrape(PAGE);
        let wrong: Vec<_> = containers.iter().flat_map(|container| differences(&page, &inspect(docker, container))).collect();
        if wrong.is_empty() {
            return page;
        }
        assert!(Instant::now() < end, "{wrong:#?}");
    }
}

fn ended(docker: &Docker, container: &Container<'_>) {
    wait_for("the container's end", Duration::from_secs(30), || inspect(docker, container)["State"]["Status"] == "exited");
}

#[test]
fn every_state_is_that_of_inspect() {
    let docker = Docker::shared();
    let none = ["--network", "none"];
    let logged = ["--log-opt", "max-size=10m", "--log-opt", "max-file=3", "--restart", "unless-stopped", "--pids-limit", "77"];
    let limited = docker.container(&[&none[..], &["--name", "m-limited"], &logged].concat(), &["sleep", "600"]);
    let plain = docker.container(&["--network", "none", "--name", "m-plain"], &["sleep", "600"]);
    let paused = docker.container(&["--network", "none", "--name", "m-paused"], &["sleep", "600"]);
    let hosted = docker.container(&["--network", "host", "--name", "m-hosted", "--log-driver", "none"], &["sleep", "600"]);
    let joined = ["--network", &format!("container:{}", plain.id), "--name", "m-joined", "--log-driver", "local"];
    let joined = docker.container(&joined, &["sleep", "600"]);
    let exited = docker.container(&["--network", "none", "--name", "m-exited"], &["sh", "-c", "exit 7"]);
    let looped = ["--network", "none", "--name", "m-looped", "--restart", "on-failure:2"];
    let looped = docker.container(&looped, &["sh", "-c", "sleep 1; exit 3"]);
    let created = docker.created(&["--network", "none", "--name", "m-created"], &["sleep", "600"]);
    // Not started: not every machine that tests run on has all rights to give.
    let privileged = docker.created(&["--network", "none", "--name", "m-privileged", "--privileged"], &["sleep", "600"]);
    docker.run(&["pause", "m-paused"]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    let all = [&limited, &plain, &paused, &hosted, &joined, &exited, &looped, &created, &privileged];
    let page = agree(&agent, &docker, &all);
    let value = |family: &str, name: &str| page.value(family, &[("name", name)]);
    assert_eq!((value("container_pids_limit", "m-limited"), value("container_pids", "m-limited")), (Some(77.0), Some(1.0)));
    assert_eq!((value("container_pids_limit", "m-plain"), value("container_exit_code", "m-exited")), (None, Some(7.0)));

    // While it is watched: every change of state, and a new name.
    docker.run(&["unpause", "m-paused"]);
    docker.run(&["stop", "-t", "0", "m-limited"]);
    docker.run(&["start", "m-created"]);
    docker.run(&["rename", "m-plain", "m-renamed"]);
    ended(&docker, &looped);
    let page = agree(&agent, &docker, &all);
    assert_eq!(page.value("container_restart_count", &[("name", "m-looped")]), Some(2.0));
    assert_eq!(page.value("container_exit_code", &[("name", "m-looped")]), Some(3.0));
    // Ended, it keeps the labels that it had.
    let stopped = [("name", "m-limited"), ("id", &limited.cgroup()), ("state", "exited")];
    assert_eq!(page.value("container_state", &stopped), Some(1.0));
    assert!(page.series.iter().all(|series| !series.has(&[("name", "m-plain")])), "the old name is on no series");
    // Started again, it still tells how it ended.
    docker.run(&["start", "m-limited"]);
    let page = agree(&agent, &docker, &all);
    assert_eq!(page.value("container_exit_code", &[("name", "m-limited")]), Some(137.0));
    let removed = created.id.clone();
    drop(created);
    wait_for("a removed container to be gone", Duration::from_secs(20), || {
        agent.scrape(PAGE).all("container_info").all(|series| series.labels["container_id"] != removed)
    });
}

#[test]
fn health_is_followed() {
    let docker = Docker::shared();
    let check = ["--health-cmd", "cat /well", "--health-interval", "1s", "--health-retries", "2", "--health-start-period", "2s"];
    let container = docker.container(&[&["--network", "none", "--name", "checked"], &check[..]].concat(), &["sleep", "600"]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    let is = |word: &str| {
        wait_for(word, Duration::from_secs(30), || {
            agent.scrape(PAGE).value("container_health_status", &[("name", "checked"), ("status", word)]) == Some(1.0)
        });
        agent.scrape(PAGE)
    };
    is("starting");
    let page = is("unhealthy");
    assert_eq!(page.value("container_health_state", &[("name", "checked")]), Some(0.0));
    assert!(page.value("container_health_failing_streak", &[("name", "checked")]) >= Some(2.0));
    docker.run(&["exec", "checked", "sh", "-c", "echo > /well"]);
    let page = is("healthy");
    assert_eq!(page.value("container_health_state", &[("name", "checked")]), Some(1.0));
    assert_eq!(page.value("container_health_failing_streak", &[("name", "checked")]), Some(0.0));
    agree(&agent, &docker, &[&container]);
}

#[test]
fn kills_for_want_of_memory_are_counted_over_restarts_and_removal() {
    let docker = Docker::shared();
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    let ooms = || {
        let page = agent.scrape(PAGE);
        let found: Vec<_> = page.all("container_oom_events_total").filter(|series| series.has(&[("name", "hog")])).collect();
        assert!(found.len() <= 1, "{found:?}");
        found.first().map(|series| series.value)
    };
    let mut last = 0.0;
    let mut reaches = |expected: f64| {
        wait_for(&format!("{expected} kills"), Duration::from_secs(30), || {
            // Between a container and the next one of its name there is no series.
            let Some(now) = ooms() else { return false };
            assert!(now >= last && now <= expected, "{last}, then {now}, at most {expected}");
            last = now;
            now == expected
        });
    };
    let options = ["--network", "none", "--name", "hog", "-m", "8m", "--restart", "on-failure:2"];
    let hog = docker.container(&options, &["sh", "-c", HOG]);
    ended(&docker, &hog);
    assert_eq!(hog.inspect("{{.RestartCount}}"), "2");
    reaches(3.0);
    agree(&agent, &docker, &[&hog]);
    // Made anew under the same name.
    drop(hog);
    let hog = docker.container(&["--network", "none", "--name", "hog", "-m", "8m"], &["sh", "-c", HOG]);
    ended(&docker, &hog);
    reaches(4.0);
    // Killed without its first process: the kernel alone counts on.
    drop(hog);
    let survivor = format!("while :; do sh -c '{HOG}'; sleep 600; done");
    let _hog = docker.container(&["--network", "none", "--name", "hog", "-m", "8m"], &["sh", "-c", &survivor]);
    reaches(5.0);
}

#[test]
fn series_are_on_the_page_once() {
    let docker = Docker::shared();
    let container = docker.container(&["--network", "none", "--name", "once"], &["sleep", "600"]);
    let agent = Agent::start(&["--docker", &docker.host], &[]);
    let page = agree(&agent, &docker, &[&container]);
    let mut seen = BTreeMap::new();
    for series in &page.series {
        *seen.entry((&series.name, &series.labels)).or_insert(0) += 1;
    }
    assert!(seen.values().all(|count| *count == 1));
}
