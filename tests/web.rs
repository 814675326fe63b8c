//! The web side of the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Agent, free_port, http, wait_for};

/// Only the host, so that these tests need no server.
const HOST: [&str; 3] = ["--no-containers", "--no-postgres", "--no-redis"];

#[test]
fn pages_and_probes_are_where_they_should_be() {
    let agent = Agent::start(&[], &[]);
    for path in ["/metrics", "/metrics/node", "/metrics/containers", "/metrics/postgres", "/metrics/redis"] {
        let response = agent.request(path, &[]);
        assert_eq!(
            (response.status, response.header("content-type")),
            (200, Some("text/plain; version=0.0.4; charset=utf-8")),
            "{path}"
        );
        let page = support::exposition::parse(&response.text()).unwrap();
        assert_eq!(page.value("stack_exporter_build_info", &[]), Some(1.0), "{path}");
        if path != "/metrics" {
            let node = page.series.iter().any(|series| series.name == "node_load1");
            assert_eq!(node, path == "/metrics/node", "{path}");
        }
    }
    let landing = agent.request("/", &[]);
    assert!(
        landing.text().contains("<a href=\"/metrics\">Metrics</a>")
            && landing.text().contains("href=\"/metrics/node\"")
            && landing.header("content-type").unwrap().starts_with("text/html")
    );
    assert_eq!(agent.get("/-/healthy"), "healthy\n");
    assert_eq!(agent.get("/-/ready"), "ready\n");
    for path in ["/nothing", "/metrics/", "/metrics/nothing", "/metricsnode", "//metrics", "/../metrics"] {
        assert_eq!(agent.request(path, &[]).status, 404, "{path}");
    }
    assert_eq!(http("HEAD", agent.port, "/metrics", &[]).status, 200);
    let post = http("POST", agent.port, "/metrics", &[("Content-Length", "0")]);
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn filters_answer_with_node_exporters_codes() {
    let agent = Agent::start(&["--no-collector.stat"], &[]);
    let status = |query: &str| {
        let response = agent.request(&format!("/metrics?{query}"), &[]);
        (response.status, response.text())
    };
    assert_eq!(status("collect[]=nonsense"), (400, "missing collector: nonsense\n".to_owned()));
    assert_eq!(status("collect[]=stat"), (400, "disabled collector: stat\n".to_owned()));
    assert_eq!(status("collect[]=loadavg&exclude[]=cpu").0, 400);
    let only = support::exposition::parse(&status("collect%5B%5D=loadavg").1).unwrap();
    let collectors: Vec<_> =
        only.all("node_scrape_collector_success").map(|series| series.labels["collector"].as_str()).collect();
    assert_eq!(collectors, ["loadavg"]);
    let without = support::exposition::parse(&status("exclude[]=loadavg&exclude[]=nonsense").1).unwrap();
    assert!(without.value("node_load1", &[]).is_none() && without.all("node_scrape_collector_success").count() > 1);
}

#[test]
fn gzip_comes_when_asked_for() {
    let agent = Agent::start(&[&HOST[..], &["--web.compression=on"]].concat(), &[]);
    let zipped = agent.request("/metrics", &[("Accept-Encoding", "gzip")]);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
    assert!(support::exposition::parse(&text).unwrap().value("node_load1", &[]).is_some());
    assert!(zipped.body.len() * 3 < text.len());
    assert_eq!(agent.request("/metrics", &[]).header("content-encoding"), None);
}

#[test]
fn a_page_of_two_packets_is_sent_as_it_is() {
    let agent = Agent::start(&[&HOST[..], &["--web.compression=on", "--web.disable-exporter-metrics"]].concat(), &[]);
    let page = agent.request("/metrics?collect[]=loadavg", &[("Accept-Encoding", "gzip")]);
    assert!(page.text().contains("node_load1") && page.body.len() < 4096, "{}", page.text());
    assert_eq!(page.header("content-encoding"), None);
}

#[test]
fn who_is_near_gets_gzip_only_where_that_was_asked_for() {
    for (setting, near) in [("auto", None), ("on", Some("gzip")), ("off", None)] {
        let agent = Agent::start(&[&HOST[..], &[&format!("--web.compression={setting}")]].concat(), &[]);
        let response = agent.request("/metrics", &[("Accept-Encoding", "gzip")]);
        assert_eq!(response.header("content-encoding"), near, "{setting}");
        assert_eq!(response.header("vary"), Some("Accept-Encoding"));
    }
}

#[test]
fn a_prefix_stands_before_every_path() {
    for prefix in ["/agent", "/agent/"] {
        let agent = Agent::start(&[&HOST[..], &[&format!("--web.route-prefix={prefix}")]].concat(), &[]);
        for path in ["/agent", "/agent/", "/agent/metrics", "/agent/metrics/node", "/agent/-/healthy", "/agent/-/ready"] {
            assert_eq!(agent.request(path, &[]).status, 200, "{path}");
        }
        for path in ["/", "/metrics", "/-/healthy", "/agents", "/agentmetrics", "/agent/agent/metrics", "/agent//metrics"] {
            assert_eq!(agent.request(path, &[]).status, 404, "{path}");
        }
        let landing = agent.get("/agent/");
        for link in ["/agent/metrics", "/agent/metrics/node", "/agent/-/ready"] {
            assert!(landing.contains(&format!("href=\"{link}\"")), "{landing}");
        }
    }
}

#[test]
fn the_page_at_the_root_takes_the_place_of_the_landing_page() {
    let agent = Agent::start(&[&HOST[..], &["--web.telemetry-path=/"]].concat(), &[]);
    for path in ["/", "/node"] {
        assert_eq!(agent.scrape(path).value("stack_exporter_build_info", &[]), Some(1.0), "{path}");
    }
    assert_eq!(agent.get("/-/healthy"), "healthy\n");
    for path in ["/metrics", "//", "//node", "/node/"] {
        assert_eq!(agent.request(path, &[]).status, 404, "{path}");
    }
}

#[test]
fn exporter_metrics_can_be_left_out_as_node_exporter_does() {
    let names = |agent: &Agent| {
        let page = agent.scrape("/metrics");
        page.series
            .iter()
            .map(|series| series.name.clone())
            .filter(|name| ["process_", "promhttp_"].iter().any(|prefix| name.starts_with(prefix)))
            .count()
    };
    assert!(names(&Agent::start(&HOST, &[])) > 8);
    assert_eq!(names(&Agent::start(&[&HOST[..], &["--web.disable-exporter-metrics"]].concat(), &[])), 0);
}

#[test]
fn one_request_too_many_gets_a_503() {
    let agent = Agent::start(&["--web.max-requests=2", HOST[0], HOST[1], HOST[2]], &[]);
    // A peer that does not read keeps its answer in flight; small receive buffers would be filled by a page this size only if
    // it is larger than the socket's, so the answers are held by pipelining many of them.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(("127.0.0.1", agent.port)).unwrap();
        for _ in 0..2_000 {
            if stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").is_err() {
                break;
            }
        }
        held.push(stream);
    }
    wait_for("a 503", Duration::from_secs(20), || agent.request("/metrics", &[]).status == 503);
    drop(held);
    wait_for("a 200", Duration::from_secs(20), || agent.request("/metrics", &[]).status == 200);
    assert!(agent.scrape("/metrics").value("promhttp_metric_handler_requests_total", &[("code", "503")]).unwrap() >= 1.0);
}

#[test]
fn sigterm_stops_within_a_second() {
    for held in [false, true] {
        let mut agent = Agent::start(&[], &[]);
        let idle = held.then(|| TcpStream::connect(("127.0.0.1", agent.port)).unwrap());
        agent.get("/metrics");
        let (took, status) = agent.terminate();
        assert!(took < Duration::from_secs(1) && status.success(), "{took:?} {status}");
        drop(idle);
    }
}

#[test]
fn a_slow_header_is_given_up() {
    let agent = Agent::start(&HOST, &[]);
    let mut stream = TcpStream::connect(("127.0.0.1", agent.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /metrics HTT").unwrap();
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "the connection is closed without an answer");
    assert!((8..20).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[test]
fn a_thousand_slow_peers_do_not_stop_a_scrape() {
    let agent = Agent::start(&HOST, &[]);
    let connect = || TcpStream::connect(("127.0.0.1", agent.port)).unwrap();
    // Some have had an answer and say nothing any more, most send a byte now and then.
    let mut idle: Vec<_> = (0..200).map(|_| connect()).collect();
    for stream in &mut idle {
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 512]).unwrap() > 0);
    }
    let mut slow: Vec<_> = (0..1_000).map(|_| connect()).collect();
    for byte in b"GET /" {
        for stream in &mut slow {
            // Those that had to make room are gone.
            let _ = stream.write_all(&[*byte]);
        }
        let start = Instant::now();
        agent.get("/metrics");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count();
    assert!(descriptors < 700, "{descriptors}");
}

#[test]
fn mistakes_are_one_line_and_exit_code_2_before_the_port_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stack.yml");
    std::fs::write(&file, "web:\n  listen-adress: [':1']\n").unwrap();
    let file = format!("--config.file={}", file.display());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("--web.listen-address={}", taken.local_addr().unwrap());
    for (args, names) in [
        (vec!["--colector.cpu"], "--colector.cpu"),
        (vec!["--web.max-requests=many"], "web.max-requests"),
        (vec!["--web.listen-address=nowhere"], "nowhere"),
        (vec!["--web.listen-address=:99999"], ":99999"),
        (vec!["--web.telemetry-path=metrics"], "web.telemetry-path"),
        (vec!["--web.telemetry-path=/metrics/"], "web.telemetry-path"),
        (vec!["--web.route-prefix=agent"], "web.route-prefix"),
        (vec!["--web.compression=best"], "none of auto, on, off"),
        (vec!["--web.listen-address=unix://agent.sock"], "absolute path"),
        (vec!["--web.listen-address=vsock://9100"], "vsock://:9100"),
        (vec!["--web.listen-address=http://localhost:9100"], "neither unix://"),
        (vec!["--web.systemd-socket"], "no socket activation file descriptors found"),
        (vec!["--web.config.file=/does/not/exist.yml"], "/does/not/exist.yml"),
        (vec!["--config.file=/does/not/exist"], "/does/not/exist"),
        (vec![file.as_str()], "line 2"),
        (vec![address.as_str()], &address["--web.listen-address=".len()..]),
        (vec!["--log.level=loud"], "log.level"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stack-exporter")).args(&args).env_clear().output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        let errors: Vec<_> = text.lines().filter(|line| line.starts_with("stack-exporter: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(names), "{args:?}: {text}");
    }
}

#[test]
fn the_settings_are_shown_without_secrets() {
    let port = free_port();
    let output = Command::new(env!("CARGO_BIN_EXE_stack-exporter"))
        .args(["--config.check", &format!("--web.listen-address=127.0.0.1:{port}"), "--no-containers"])
        .env_clear()
        .env("REDIS_PASSWORD", "hunter2")
        .env("DATA_SOURCE_NAME", "postgresql://monitor:hunter3@127.0.0.1:1/postgres?sslmode=disable")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains(&format!("web.listen-address: [\"127.0.0.1:{port}\"]  # command line")), "{text}");
    assert!(text.contains("redis.password: ***  # environment"), "{text}");
    assert!(!text.contains("hunter"), "{text}");
}
