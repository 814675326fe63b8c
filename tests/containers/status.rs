//! Containers without a name, and why, on `/api/v1/status`.

use std::time::Duration;

use serde_json::Value;

use crate::support::engine::{Answer, Engine};
use crate::support::{Agent, wait_for};
use crate::trees::{ID, v2};

fn containers(agent: &Agent) -> Value {
    agent.get("/metrics/containers");
    let status: Value = serde_json::from_str(&agent.get("/api/v1/status")).unwrap();
    status["containers"].clone()
}

#[test]
fn containers_without_a_name_are_told_with_the_reason() {
    let empty: Answer = |question, _| match question {
        "GET /version" => Some((200, r#"{"Version":"9.9.9","ApiVersion":"1.44"}"#.to_owned())),
        "GET /events" => None,
        _ => Some((200, "[]".to_owned())),
    };
    let (other, broken): (Engine, Engine) = (Engine::start(empty), Engine::start(|_, _| Some((503, "go away".to_owned()))));
    for (address, up, reason, advice) in [
        (String::new(), None, "no container engine is asked", "--docker"),
        (broken.address(), Some(false), "the container engine does not answer", "socket"),
        (other.address(), Some(true), "the container engine does not know them: another engine runs them", "--docker"),
    ] {
        let machine = v2();
        let agent = machine.agent(&address);
        let told = |containers: &Value| containers["engines"][0]["up"].as_bool();
        let settled = |containers: &Value| {
            told(containers) == up && (up != Some(false) || containers["engines"][0]["last_error"].is_string())
        };
        wait_for(reason, Duration::from_secs(30), || settled(&containers(&agent)));
        let containers = containers(&agent);
        assert_eq!(containers["nameless_reason"], reason);
        let paths = containers["nameless"].as_array().unwrap();
        assert!(paths.iter().any(|path| path.as_str().unwrap().contains(ID)), "{containers}");
        assert_eq!(containers["nameless_total"], paths.len());
        let page = agent.get("/");
        assert!(page.contains(ID) && page.contains(reason) && page.contains(advice), "{page}");
    }
}
