//! Servers of Kubernetes' runtime interface that no real one would be: refusals, nonsense, silence, and ends of all kinds.

use std::time::{Duration, Instant};

use crate::grpc::{Manner, Server};
use crate::support::exposition::Exposition;
use crate::support::{Agent, wait_for};
use crate::trees::{ID, Machine};

const PAGE: &str = "/metrics/containers";
const SOON: Duration = Duration::from_secs(60);
const NAME: &str = "k8s_web_shop_default_6e1c_0";

/// A message of fields that are bytes: `(1, "ab")` is `0a 02 "ab"`.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let field = |(number, bytes): &(u8, &[u8])| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], *bytes].concat();
    fields.iter().flat_map(field).collect()
}

/// What a server says of one pod with one container.
fn answer(question: &str) -> Vec<u8> {
    const RUNNING: &[u8] = &[6 << 3, 1];
    match question.rsplit('/').next().unwrap() {
        "Version" => message(&[(1, b"0.1.0"), (2, b"cri-o"), (3, b"9.9.9"), (4, b"v1")]),
        "ListPodSandbox" => {
            message(&[(1, &message(&[(1, b"5a5a"), (2, &message(&[(1, b"shop"), (2, b"6e1c"), (3, b"default")]))]))])
        }
        "ListContainers" => {
            let container =
                message(&[(1, ID.as_bytes()), (2, b"5a5a"), (3, &message(&[(1, b"web")])), (4, &message(&[(1, b"nginx")]))]);
            message(&[(1, &[&container, RUNNING].concat())])
        }
        "ContainerStatus" => message(&[(1, &message(&[(1, ID.as_bytes())]))]),
        other => panic!("{other} is asked"),
    }
}

/// A length of 4 GiB, and more of it than the head.
fn long() -> Vec<u8> {
    let mut bytes = vec![0; 8 << 20];
    bytes[1..5].fill(0xff);
    bytes
}

/// An empty table of settings, as every server begins with.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// ... and GOAWAY, last stream 0, `ENHANCE_YOUR_CALM`.
const GOAWAY: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
/// ... and RST_STREAM of the first stream, `REFUSED_STREAM`.
const RESET: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
/// ... and a head `:status: 200` of the first stream, and of its 100 bytes of data the first.
const CUT: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88, 0, 0, 100, 0, 0, 0, 0, 0, 1, 0];
const HTTP_1: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

/// Each way to fail, and what is told of it.
const HOSTILE: [(Manner, &str); 18] = [
    (Manner::Head("12"), "answered with gRPC status 12"),
    (Manner::Head("7"), "answered with gRPC status 7"),
    (Manner::End("14"), "answered with gRPC status 14"),
    (Manner::End("no"), "answer not understood"),
    (Manner::End("0"), "the stream ended"),
    (Manner::Status(503), "answered with status 503"),
    (Manner::Message(|| b"\x0a\x05ab".to_vec()), "answer not understood"),
    (Manner::Message(|| vec![0xff; 1 << 20]), "answer not understood"),
    (Manner::Body(|| b"\x01\0\0\0\x02ab".to_vec()), "answer not understood"),
    (Manner::Body(|| b"\0\0\0\0\x02a".to_vec()), "the stream ended"),
    (Manner::Body(long), "the answer is longer than 64 MiB"),
    (Manner::Reset, "connection failed"),
    (Manner::Silent, "no answer within 5 s"),
    (Manner::Raw(SETTINGS), "connection failed"),
    (Manner::Raw(GOAWAY), "connection failed"),
    (Manner::Raw(RESET), "connection failed"),
    (Manner::Raw(CUT), "connection failed"),
    (Manner::Raw(HTTP_1), "connection failed"),
];

fn machine() -> (Machine, String) {
    let (mut machine, cgroup) = (Machine::new(), format!("/kubepods.slice/kubepods-pod6e1c.slice/crio-{ID}.scope"));
    machine.mount("", "cgroup2", "nsdelegate", &[(&format!("{cgroup}/pids.current"), "3\n")]);
    (machine, cgroup)
}

fn is_told(page: &Exposition, address: &str, reason: &str) -> bool {
    let engine = [("engine", "cri-o"), ("address", address)];
    page.value("container_engine_up", &engine) == Some(0.0)
        && page.value("container_engine_last_error_info", &[engine[0], engine[1], ("reason", reason)]) == Some(1.0)
}

/// Kilobytes that the agent takes.
fn memory(agent: &Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

fn descriptors(agent: &Agent) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count()
}

#[test]
fn whatever_a_server_does_is_told_and_costs_its_names_only() {
    let (machine, cgroup) = machine();
    let servers: Vec<_> = HOSTILE.iter().map(|(manner, reason)| (Server::start(*manner, answer), *reason)).collect();
    let engines: Vec<_> = servers.iter().map(|(server, _)| format!("--containers.engines=cri-o={}", server.address())).collect();
    let agent = machine.agent_with("", &engines.iter().map(String::as_str).collect::<Vec<_>>());
    let numbers = [("id", cgroup.as_str())];
    let named = [("id", cgroup.as_str()), ("name", NAME), ("image", "nginx")];

    let mut fastest = Duration::MAX;
    let mut are_told = |servers: &[(Server, &str)], named: &[(&str, &str)]| {
        for (server, reason) in servers {
            wait_for(&format!("{reason}\n{}", agent.log()), SOON, || {
                let start = Instant::now();
                let page = agent.scrape(PAGE);
                fastest = fastest.min(start.elapsed());
                assert_eq!(page.value("container_threads", named), Some(3.0), "what is known is there");
                is_told(&page, &server.address(), reason)
            });
        }
    };
    are_told(&servers, &numbers);
    let (before, open) = (memory(&agent), descriptors(&agent));

    // A server that is well again is found to be, and gives the name.
    for (number, (server, _)) in servers.iter().enumerate() {
        server.behave(if number % 2 == 0 { Manner::Good } else { Manner::Pieces });
    }
    wait_for("all to be up", SOON, || {
        let page = agent.scrape(PAGE);
        page.all("container_engine_up").filter(|series| series.value == 1.0).count() == servers.len()
            && page.all("container_engine_last_error_info").next().is_none()
    });
    assert_eq!(agent.scrape(PAGE).value("container_threads", &named), Some(3.0));

    // One that goes mad meanwhile takes nothing away that it gave. Silence was waited for once.
    let is_silent = |(_, reason): &(Server, &str)| reason.starts_with("no answer");
    let (_silent, others): (Vec<_>, Vec<_>) = servers.into_iter().partition(is_silent);
    for ((server, _), (manner, _)) in others.iter().zip(HOSTILE.iter().filter(|(manner, _)| !matches!(manner, Manner::Silent))) {
        server.behave(*manner);
    }
    are_told(&others, &named);
    // None of them is waited for: a scrape that waited for the silent one would take its 5 s each time.
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    let after = memory(&agent);
    assert!(after < before + 16 * 1024, "{before} kB, then {after} kB");
    wait_for("no more descriptors than before", SOON, || descriptors(&agent) <= open + 2 * others.len());
}
