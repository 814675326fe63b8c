//! Engines that no real daemon would be: answers of nonsense, failures, silence, other versions. And what they were asked.

use std::time::Duration;

use crate::support::engine::{Answer, Engine};
use crate::support::wait_for;
use crate::trees::{ID, v2};

/// A container that has no cgroup.
const OTHER: &str = "20fa44541b0d1b167cdb6a2300c4536157403232852e2badc3c15c0c3a1c3386";

fn version() -> String {
    r#"{"Version":"9.9.9","ApiVersion":"1.44"}"#.to_owned()
}

fn list() -> String {
    format!(r#"[{{"Id":"{ID}","Names":["/web"],"Image":"busybox","Labels":{{}},"State":"running"}}]"#)
}

fn inspect() -> String {
    format!(
        r#"{{"Id":"{ID}","Name":"/web","Created":"2026-01-01T00:00:00Z","State":{{"Running":true,"Pid":42,
        "StartedAt":"2026-01-02T00:00:00.5Z","Health":{{"Status":"healthy","FailingStreak":0,"Log":[]}}}},
        "Config":{{"Image":"busybox","Env":["PASSWORD=hunter2"],"Labels":{{"com.docker.compose.project":"p"}}}},
        "HostConfig":{{"NetworkMode":"default"}}}}"#
    )
}

#[test]
fn a_failed_inspection_is_tried_again_and_only_get_is_asked() {
    // Without a version in the path, which every engine understands.
    let engine = Engine::start(|question, before| match question {
        "GET /version" => Some((200, version())),
        "GET /containers/json" => Some((200, list())),
        "GET /events" => None,
        rest if rest.ends_with("/json") && before == 0 => Some((500, r#"{"message":"try later"}"#.to_owned())),
        rest if rest.ends_with("/json") => Some((200, inspect())),
        _ => Some((200, "OK".to_owned())),
    });
    let machine = v2();
    let agent = machine.agent(&engine.address());
    let id = format!("/system.slice/docker-{ID}.scope");
    let identity =
        [("id", id.as_str()), ("name", "web"), ("image", "busybox"), ("container_label_com_docker_compose_project", "p")];
    wait_for("the second inspection", Duration::from_secs(30), || {
        agent.scrape("/metrics/containers").value("container_threads", &identity).is_some()
    });
    let page = agent.scrape("/metrics/containers");
    assert_eq!(page.value("container_health_state", &identity), Some(1.0));
    assert_eq!(page.value("container_start_time_seconds", &identity), Some(1_767_312_000.0));
    assert_eq!(page.value("container_engine_up", &[]), Some(1.0));
    assert_eq!(page.value("cadvisor_version_info", &[("dockerVersion", "9.9.9")]), Some(1.0));
    assert!(engine.asked().iter().all(|question| question.starts_with("GET ")), "{:?}", engine.asked());
    assert!(!agent.get("/metrics").contains("hunter2") && !agent.log().contains("hunter2"));
}

#[test]
fn nonsense_and_silence_cost_the_names_only() {
    let nonsense: [(Answer, &str); 4] = [
        (|_, _| Some((200, "\u{0}{[<html>".to_owned())), "answer not understood"),
        (|_, _| Some((503, "go away".to_owned())), "answered with status 503"),
        (|question, _| question.ends_with("/version").then(|| (200, version())), "no answer within 5 s"),
        (|_, _| None, "no answer within 5 s"),
    ];
    let machine = v2();
    let running = nonsense.map(|(answer, reason)| {
        let engine = Engine::start(answer);
        (machine.agent(&engine.address()), reason, engine)
    });
    for (agent, reason, _engine) in &running {
        let mut page = agent.scrape("/metrics/containers");
        wait_for(reason, Duration::from_secs(30), || {
            page = agent.scrape("/metrics/containers");
            page.value("container_engine_last_error_info", &[("engine", "docker"), ("reason", reason)]).is_some()
        });
        assert_eq!(page.value("container_engine_up", &[]), Some(0.0));
        let id = format!("/system.slice/docker-{ID}.scope");
        assert_eq!(page.value("container_threads", &[("id", &id)]), Some(3.0));
    }
}

#[test]
fn kills_are_counted_that_come_early_out_of_order_or_between_two_sessions() {
    fn told(seconds: &[u64]) -> Option<(u16, String)> {
        let event = |time| format!(r#"{{"Action":"oom","Actor":{{"ID":"{OTHER}"}},"timeNano":{time}000000000}}"#) + "\n";
        Some((200, seconds.iter().map(event).collect()))
    }
    let engine = Engine::start(|question, before| match (question, before) {
        ("GET /version", _) => Some((200, version())),
        // It is made after the list, and not inspected before it was killed.
        ("GET /containers/json", 0) => Some((200, "[]".to_owned())),
        ("GET /containers/json", _) => Some((200, list().replace(ID, OTHER))),
        ("GET /events", 0) => told(&[20, 10]),
        // One that was counted is sent again, and two befell meanwhile.
        ("GET /events", 1) => told(&[20, 22, 21]),
        ("GET /events", _) => None,
        _ => Some((200, inspect().replace(ID, OTHER))),
    });
    let machine = v2();
    let agent = machine.agent(&engine.address());
    let kills = || agent.scrape("/metrics/containers").value("container_oom_events_total", &[("name", "web")]);
    wait_for("the third session", Duration::from_secs(30), || {
        engine.asked().iter().filter(|question| *question == "GET /events").count() == 3 && kills().is_some()
    });
    assert_eq!(kills(), Some(4.0));
}

#[test]
fn two_scrapes_are_the_same_to_the_letter() {
    // Of keys that become one name the first that is not empty is shown, each time.
    let labels = r#"{"a.b":"","a_b":"third","a-b":"second","com.docker.compose.project":"p","":"none","empty":""}"#;
    const LABELS: &str = r#"{"com.docker.compose.project":"p"}"#;
    let inspected = inspect().replace(LABELS, labels);
    let inspected: &'static str = Box::leak(inspected.into_boxed_str());
    let engine = Engine::start_with(move |question, _| match question {
        "GET /version" => Some((200, version())),
        "GET /containers/json" => Some((200, list())),
        "GET /events" => None,
        _ => Some((200, inspected.to_owned())),
    });
    let machine = v2();
    let agent = machine.agent_with(&engine.address(), &["--containers.labels=all"]);
    let shown = || -> Vec<String> {
        let page = agent.get("/metrics/containers");
        // What the host's disks hold changes meanwhile.
        let changes = |line: &&str| line.starts_with("container_last_seen") || line.starts_with("container_fs_");
        let own = |line: &&str| line.starts_with("container_") || line.starts_with("machine_");
        page.lines().filter(own).filter(|line| !changes(line)).map(str::to_owned).collect()
    };
    wait_for("the labels", Duration::from_secs(30), || shown().iter().any(|line| line.contains("container_label_a_b")));
    let first = shown();
    for _ in 0..20 {
        similar_asserts::assert_eq!(shown(), first);
    }
    assert!(first.iter().any(|line| line.contains(r#"container_label_a_b="second""#)), "{first:#?}");
    // Nor has any an empty label or a time of its own, which would keep the dead alive.
    assert!(first.iter().all(|line| !line.contains(r#"="""#)), "{first:#?}");
    assert!(first.iter().all(|line| line.rsplit('}').next().unwrap().split_whitespace().count() <= 2), "{first:#?}");
}
