//! Requests that no scraper would send: each gets its own refusal, none reaches the log, and the page still comes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use support::Agent;

fn agent() -> Agent {
    Agent::start(&["--no-host", "--no-containers", "--no-postgres", "--no-redis"], &[])
}

/// Everything that comes back until the agent ends the connection; it is told that nothing else follows.
fn answers(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may have refused, and left, before it saw the whole.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The status of each answer.
fn statuses(answers: &str) -> Vec<u16> {
    answers.split("HTTP/1.").skip(1).map(|answer| answer.get(2..5).unwrap().parse().unwrap()).collect()
}

#[test]
fn odd_requests_get_their_own_refusals() {
    let agent = agent();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    let with = |first: &str, rest: &str| format!("{first}\r\nHost: agent\r\n{rest}");
    let much = "a".repeat(100_000);
    let cases = [
        // Methods.
        ("TRACE", with("TRACE / HTTP/1.1", "\r\n"), 405),
        ("an unknown method", with("FROB / HTTP/1.1", "\r\n"), 405),
        ("a proxy's CONNECT", with("CONNECT elsewhere:1 HTTP/1.1", "\r\n"), 405),
        ("POST", with("POST /metrics HTTP/1.1", "Content-Length: 2\r\n\r\nhi"), 405),
        // Paths: no path leads to a file, none has two names.
        ("a parent", get("/../metrics"), 404),
        ("an escaped parent", get("/%2e%2e/etc/passwd"), 404),
        ("two slashes", get("//metrics"), 404),
        ("a slash at the end", get("/metrics/"), 404),
        ("an escaped letter", get("/%6detrics"), 404),
        ("an escaped zero byte", get("/metrics%00"), 404),
        ("a backslash", get("/metrics\\x"), 404),
        ("another host's page", get("http://elsewhere/page"), 404),
        ("a star", with("OPTIONS * HTTP/1.1", "\r\n"), 404),
        // Queries.
        ("an unknown collector with a line break", get("/metrics?collect[]=a%0d%0alevel=error"), 400),
        ("a host that is none", "GET /sd HTTP/1.1\r\nHost: a\"b\r\n\r\n".to_owned(), 400),
        // Sizes.
        ("a long header", with("GET / HTTP/1.1", &format!("X: {much}\r\n\r\n")), 431),
        ("a long path", get(&format!("/{much}")), 431),
        ("many headers", with("GET / HTTP/1.1", &("X: a\r\n".repeat(500) + "\r\n")), 431),
        // Forms.
        ("another protocol's version", with("GET / HTTP/3.0", "\r\n"), 400),
        ("no version", "GET /\r\n\r\n".to_owned(), 400),
        ("no host", "GET /-/healthy HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("two hosts", with("GET /-/healthy HTTP/1.1", "Host: other\r\n\r\n"), 400),
        ("no host in a version that knows none", "GET /-/healthy HTTP/1.0\r\n\r\n".to_owned(), 200),
        ("a header on two lines", with("GET / HTTP/1.1", "X: a\r\n b\r\n\r\n"), 400),
        ("a space before the colon", with("GET / HTTP/1.1", "X : a\r\n\r\n"), 400),
        ("the beginning of TLS", "\x16\x03\x01\x02\0\x01\0".to_owned(), 400),
        // Lengths that two readers would read in two ways.
        ("two lengths", with("GET /no HTTP/1.1", "Content-Length: 4\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400),
        ("a negative length", with("GET /no HTTP/1.1", "Content-Length: -4\r\n\r\n"), 400),
        ("a length with a sign", with("GET /no HTTP/1.1", "Content-Length: +4\r\n\r\n0000"), 400),
        ("a length beyond numbers", with("POST /no HTTP/1.1", &format!("Content-Length: {}\r\n\r\n", "9".repeat(24))), 400),
        ("an unknown coding", with("GET /no HTTP/1.1", "Transfer-Encoding: xchunked\r\n\r\n"), 400),
        ("chunks in HTTP/1.0", "GET /no HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
    ];
    for (what, request, status) in cases {
        let answers = answers(agent.port, request.as_bytes());
        assert_eq!(statuses(&answers), [status], "{what}: {answers}");
    }
    // A body, and a request that hides behind a length which chunks overrule: it is not answered as one.
    let hidden = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for lengths in [hidden, "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"] {
        let request = with("GET /no HTTP/1.1", lengths) + &get("/-/healthy");
        let answers = answers(agent.port, request.as_bytes());
        assert!(matches!(statuses(&answers)[..], [404 | 400]), "{lengths}: {answers}");
    }
    let body = with("GET /metrics HTTP/1.1", "Content-Length: 31\r\n\r\nGET /-/healthy HTTP/1.1\r\nHost:\r\n");
    assert_eq!(statuses(&answers(agent.port, body.as_bytes()))[0], 200);
    assert_eq!(agent.request("/metrics", &[]).status, 200);
    let log = agent.log();
    for forged in ["level=error", "elsewhere", "FROB", "aaaa", "etc/passwd"] {
        assert!(!log.contains(forged), "{forged}: {log}");
    }
}

#[test]
fn ten_thousand_random_requests_do_no_harm() {
    let agent = agent();
    // What is said of the start is said by then.
    assert_eq!(agent.request("/metrics", &[]).status, 200);
    let before = agent.log();
    let word = "[A-Z]{1,8}|GET|GET|GET|HEAD";
    let path = "/[ -~]{0,30}|/metrics[?]([a-z]{1,9}(\\[\\])?=[ -~]{0,20}&?){0,3}|/(sd|status|scrape|probe|api/v1/status)[ -~]{0,9}|[ -~]{0,40}";
    let header =
        "([!-~]{1,12}: ?[ -~]{0,40}\r\n){0,4}|(Host|Accept|Accept-Encoding|Connection|Range|Expect|Upgrade): [ -~]{0,20}\r\n";
    let version = "HTTP/1[.]1|HTTP/1[.]1|HTTP/1[.]0|[ -~]{0,9}";
    let shaped = (word, path, version, header)
        .prop_map(|(word, path, version, header)| format!("{word} {path} {version}\r\nHost: agent\r\n{header}\r\n").into_bytes());
    let bytes = proptest::collection::vec(proptest::num::u8::ANY, 0..200);
    let requests = proptest::strategy::Union::new_weighted(vec![(9, shaped.boxed()), (1, bytes.boxed())]);
    let mut runner = TestRunner::default();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..10_000 {
        let request = requests.new_tree(&mut runner).unwrap().current();
        let answers = answers(agent.port, &request);
        for status in statuses(&answers) {
            *seen.entry(status).or_insert(0) += 1;
            // None is the agent's own fault, but for the 501 and 505 of the protocol.
            let expected = status < 500 || matches!(status, 501 | 503 | 505);
            assert!(expected, "{}: {answers}", String::from_utf8_lossy(&request));
        }
    }
    assert!(seen.contains_key(&400) && seen.contains_key(&404) && seen.contains_key(&405), "{seen:?}");
    assert_eq!(agent.request("/metrics", &[]).status, 200);
    assert_eq!(agent.log(), before, "nothing that anybody may send is written to the log");
}
