//! Engines that no real daemon would be.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::support::engine::{Answer, Engine};
use crate::support::redis::Redis;
use crate::support::{Agent, wait_for};
use crate::{SECRET, is_told, is_up, keeps_secrets, told};

const ID: &str = "10fa44541b0d1b167cdb6a2300c4536157403232852e2badc3c15c0c3a1c3386";

fn version() -> Option<(u16, String)> {
    Some((200, r#"{"Version":"9.9.9","ApiVersion":"1.44"}"#.to_owned()))
}

fn list() -> Option<(u16, String)> {
    Some((200, format!(r#"[{{"Id":"{ID}","Names":["/cache"],"State":"running"}}]"#)))
}

/// A container of the host's network that names its port by a label.
fn inspect(port: u16) -> String {
    format!(
        r#"{{"Id":"{ID}","Name":"/cache","Image":"sha256:abc","State":{{"Running":true,"Pid":4294967294}},
        "Config":{{"Image":"redis:6","Env":["REDIS_PASSWORD={SECRET}","POSTGRES_PASSWORD={SECRET}","OTHER={SECRET}"],
            "Cmd":["redis-server","--requirepass","{SECRET}"],
            "Labels":{{"stack-exporter.redis":"port={port}","stack-exporter.redis.name":"mine"}}}},
        "HostConfig":{{"NetworkMode":"host"}}}}"#
    )
}

fn agent(engine: &Engine, args: &[&str]) -> Agent {
    Agent::start(&[&["--docker", &engine.address(), "--no-host", "--no-containers"], args].concat(), &[])
}

/// The server that the fake containers stand for, one for all tests that hold it.
fn server() -> Arc<Redis> {
    static SERVER: Mutex<Weak<Redis>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap();
    server.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Redis::start(&["--requirepass", SECRET]));
        *server = Arc::downgrade(&started);
        started
    })
}

#[test]
fn labels_count_once_the_engine_tells_those_of_the_image() {
    let _server = server();
    let engine = Engine::start(|question, _| match question {
        "GET /version" => version(),
        "GET /containers/json" => list(),
        "GET /events" => None,
        "GET /images/sha256:abc/json" => Some((200, r#"{"Config":{"Labels":{"stack-exporter.redis.name":"mine"}}}"#.to_owned())),
        _ => Some((200, inspect(server().port))),
    });
    let careful = agent(&engine, &[]);
    assert_eq!(is_told(&careful, "cache", Some("password")).labels["how"], "host");
    assert_eq!(told(&careful, "mine"), None, "the name comes with the image");
    let status: serde_json::Value = serde_json::from_str(&careful.get("/api/v1/status")).unwrap();
    let target = status["targets"].as_array().unwrap().iter().find(|target| target["name"] == "cache").unwrap();
    assert_eq!((target["found"].as_str(), target["missing"].as_str()), (Some("host"), Some("password")), "{target}");
    assert!(target["advice"].as_str().unwrap().contains("stack-exporter.redis.password-file"), "{target}");
    assert!(careful.get("/").contains("stack-exporter.redis.password-file"));
    let allowed = agent(&engine, &["--discovery.environment"]);
    is_told(&allowed, "cache", None);
    keeps_secrets(&careful);
    keeps_secrets(&allowed);
    assert!(engine.asked().iter().all(|question| question.starts_with("GET ")), "{:?}", engine.asked());
}

/// Of a container in a network that does not lead here, only its published port answers.
#[test]
fn a_published_port_serves_where_the_network_does_not_lead() {
    let _server = server();
    let engine = Engine::start(|question, _| match question {
        "GET /version" => version(),
        "GET /containers/json" => list(),
        "GET /events" => None,
        image if image.starts_with("GET /images/") => Some((200, r#"{"Config":{}}"#.to_owned())),
        _ => {
            // 192.0.2.0/24 is for documentation: nobody is there.
            let ports = format!(r#""6379/tcp":[{{"HostIp":"0.0.0.0","HostPort":"{}"}}]"#, server().port);
            Some((
                200,
                format!(
                    r#"{{"Id":"{ID}","Name":"/cache","Image":"sha256:abc","State":{{"Running":true,"Pid":4294967294}},
                    "Config":{{"Image":"redis:6","Env":["REDIS_PASSWORD={SECRET}"]}},"HostConfig":{{"NetworkMode":"shop"}},
                    "NetworkSettings":{{"Ports":{{{ports}}},"Networks":{{"shop":{{"IPAddress":"192.0.2.7"}}}}}}}}"#
                ),
            ))
        }
    });
    let agent = agent(&engine, &["--discovery.environment", "--redis.connection-timeout=1s"]);
    assert_eq!(is_told(&agent, "cache", None).labels["how"], "published");
    is_up(&agent, "redis_up", "cache");
}

#[test]
fn an_engine_that_keeps_its_images_to_itself_costs_the_labels_only() {
    let _server = server();
    let images: [Answer; 3] = [
        |_, _| Some((403, "no".to_owned())),
        |_, _| Some((200, "{".to_owned())),
        |_, _| Some((200, r#"{"Config":{"Labels":[1]}}"#.to_owned())),
    ];
    for answer in images {
        let engine = Engine::start_with(move |question, before| match question {
            "GET /version" => version(),
            "GET /containers/json" => list(),
            "GET /events" => None,
            image if image.starts_with("GET /images/") => answer(question, before),
            _ => Some((200, inspect(server().port))),
        });
        let agent = agent(&engine, &[]);
        wait_for("the line of the log", Duration::from_secs(30), || agent.log().contains("are not used"));
        is_told(&agent, "cache", Some("network"));
        assert_eq!(told(&agent, "mine"), None);
    }
}

#[test]
fn labels_are_asked_for_again_after_a_failure_of_the_engine() {
    let _server = server();
    let engine = Engine::start(|question, before| match question {
        "GET /version" => version(),
        "GET /containers/json" => list(),
        "GET /events" if before < 2 => Some((200, String::new())),
        "GET /events" => None,
        // Once it has told, labels are kept though it fails again.
        "GET /images/sha256:abc/json" if before == 1 => Some((200, "{}".to_owned())),
        "GET /images/sha256:abc/json" => Some((500, "{}".to_owned())),
        _ => Some((200, inspect(server().port))),
    });
    let agent = agent(&engine, &[]);
    is_told(&agent, "mine", Some("password"));
    assert_eq!(told(&agent, "cache"), None, "it was called so while the labels were unknown");
    let asked = || engine.asked().iter().filter(|question| question.starts_with("GET /images/")).count();
    wait_for("the next failure", Duration::from_secs(30), || asked() > 2);
    is_told(&agent, "mine", Some("password"));
    assert_eq!(agent.log().matches("are not used").count(), 1, "{}", agent.log());
}

#[test]
fn a_container_that_only_the_list_knows_to_be_gone_is_forgotten() {
    let _server = server();
    let engine = Engine::start(|question, before| match question {
        "GET /version" => version(),
        "GET /containers/json" if before == 0 => list(),
        "GET /containers/json" => Some((200, "[]".to_owned())),
        // Each session lists anew.
        "GET /events" if before == 0 => Some((200, String::new())),
        "GET /events" => None,
        "GET /images/sha256:abc/json" => Some((200, "{}".to_owned())),
        _ if before == 0 => Some((200, inspect(server().port))),
        _ => Some((404, "{}".to_owned())),
    });
    let agent = agent(&engine, &[]);
    wait_for("the second list", Duration::from_secs(30), || {
        engine.asked().iter().filter(|question| *question == "GET /containers/json").count() > 1
    });
    wait_for("the container to be forgotten", Duration::from_secs(30), || told(&agent, "mine").is_none());
}

/// As in tests/redis.rs: the usual port is free in a network namespace of its own.
const LOCAL: &str = r#"
ip link set lo up || exit 1
redis-server --port 6379 --bind 127.0.0.1 --save "" --dir /tmp >/dev/null & server=$!
until redis-cli ping >/dev/null 2>&1; do sleep 0.05; done
"$AGENT" --web.listen-address=127.0.0.1:9100 --no-host --no-containers --no-postgres "--docker=$ENGINE" 2>/dev/null & agent=$!
told() { curl -s 127.0.0.1:9100/metrics/redis | grep -E '^(redis_up[{]|stack_exporter_discovered_target)'; }
for attempt in $(seq 400); do told | grep -q "$UNTIL" && break; sleep 0.1; done
told
kill $agent $server
"#;

fn local(engine: &Engine, until: &str) -> String {
    let mut command = std::process::Command::new("unshare");
    command.args(["--net", "bash", "-c", LOCAL]).env("AGENT", env!("CARGO_BIN_EXE_stack-exporter"));
    let output = command.env("ENGINE", engine.address()).env("UNTIL", until).output().expect("unshare (util-linux), as root");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_container_on_the_usual_port_is_no_local_server_too() {
    fn engine(image: &'static str) -> Engine {
        Engine::start_with(move |question, _| match question {
            "GET /version" => version(),
            "GET /containers/json" => list(),
            "GET /events" => None,
            _ => {
                let host = r#""HostConfig":{"NetworkMode":"host"}"#;
                Some((
                    200,
                    format!(r#"{{"Id":"{ID}","Name":"/cache","State":{{"Pid":7}},"Config":{{"Image":"{image}"}},{host}}}"#),
                ))
            }
        })
    }
    let told = |how: &str, name: &str| {
        format!(
            "redis_up{{target=\"{name}\"}} 1\n\
            stack_exporter_discovered_target{{how=\"{how}\",part=\"redis\",reached=\"yes\",target=\"{name}\"}} 1\n"
        )
    };
    assert_eq!(local(&engine("redis:6"), "^redis_up"), told("host", "cache"));
    assert_eq!(local(&engine("busybox"), "^redis_up"), told("local", "127.0.0.1:6379"));
}
