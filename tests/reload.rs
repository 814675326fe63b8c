//! SIGHUP and `/-/reload`: other settings, without a restart and without a failed scrape.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use support::pki::Pki;
use support::redis::Redis;
use support::{Agent, http, signal, wait_for};

/// An agent whose settings stand in a file.
struct Configured {
    agent: Agent,
    folder: tempfile::TempDir,
}

impl Configured {
    fn start(text: &str, args: &[&str]) -> Configured {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stack.yml");
        std::fs::write(&file, text).unwrap();
        let flag = format!("--config.file={}", file.display());
        let agent = Agent::start(&[&[flag.as_str(), "--no-containers", "--no-postgres"], args].concat(), &[]);
        Configured { agent, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("stack.yml")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.agent.scrape("/metrics").value(name, &[])
    }

    /// `POST /-/reload`
    fn reload(&self) -> (u16, String) {
        let response = http("POST", self.agent.port, "/-/reload", &[]);
        (response.status, response.text())
    }

    /// How many threads and descriptors it has.
    fn holds(&self) -> (usize, usize) {
        let count = |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", self.agent.pid())).unwrap().count();
        (count("task"), count("fd"))
    }
}

const SUCCESS: &str = "stack_exporter_config_last_reload_successful";
const TIME: &str = "stack_exporter_config_last_reload_success_timestamp_seconds";

#[test]
fn a_signal_has_other_settings_take_effect() {
    let redis = Redis::start(&[]);
    let running = Configured::start("redis.find: false\n", &[]);
    let before = running.agent.scrape("/metrics");
    let start = before.value(TIME, &[]).unwrap();
    assert!(before.value("node_load1", &[]).is_some() && before.all("redis_up").next().is_none());
    assert_eq!(before.value(SUCCESS, &[]), Some(1.0));

    let target = format!("redis: {{find: false, targets: [{{name: cache, address: \"{}\"}}]}}\n", redis.addr());
    running.write(&format!("{target}collector.loadavg: false\n"));
    signal(running.agent.pid(), "HUP");
    let up = || running.agent.scrape("/metrics").value("redis_up", &[("target", "cache")]);
    wait_for("the new target", Duration::from_secs(20), || up() == Some(1.0));
    let after = running.agent.scrape("/metrics");
    assert_eq!(after.value("node_load1", &[]), None);
    assert!(after.value(TIME, &[]).unwrap() > start);
    // The agent itself is still the same one.
    let counter = ("promhttp_metric_handler_requests_total", [("code", "200")]);
    assert!(after.value(counter.0, &counter.1).unwrap() > before.value(counter.0, &counter.1).unwrap());

    // A name taken away is a target less, at once.
    running.write("redis.find: false\n");
    signal(running.agent.pid(), "HUP");
    wait_for("the target's end", Duration::from_secs(20), || up().is_none());
    assert_eq!(redis.info()["connected_clients"], "1", "its connection is closed: this asks alone");
}

#[test]
fn settings_that_cannot_be_used_change_nothing() {
    let running = Configured::start("collector.loadavg: false\n", &["--web.enable-lifecycle"]);
    let time = running.value(TIME).unwrap();
    let mistakes = [
        ("collector.loadavg: false\ncollector.cpuu: true\n", "line 2"),
        ("redis.targets: [{name: a, address: 'redis://:hunter2@cache:x'}]\n", "port"),
        ("collector.filesystem.mount-points-exclude: '('\n", "mount-points-exclude"),
        ("web.config.file: /does/not/exist\n", "/does/not/exist"),
        ("web.route-prefix: agent\n", "route-prefix"),
    ];
    for (text, told) in mistakes {
        running.write(text);
        let (status, answer) = running.reload();
        assert!(status == 500 && answer.contains("as they were") && answer.contains(told), "{text}: {status} {answer}");
        assert_eq!(running.value(SUCCESS), Some(0.0), "{text}");
        assert_eq!((running.value(TIME), running.value("node_load1")), (Some(time), None), "{text}");
    }
    std::fs::remove_file(running.file()).unwrap();
    assert_eq!(running.reload().0, 500);
    // The last line may come after the answer.
    let told = || running.agent.log().lines().filter(|line| line.contains("the settings cannot be used")).count();
    wait_for("a line for each", Duration::from_secs(20), || told() > mistakes.len());
    let log = running.agent.log();
    assert_eq!(told(), mistakes.len() + 1, "{log}");
    assert!(!log.contains("hunter2"), "{log}");

    running.write("collector.loadavg: true\n");
    assert_eq!(running.reload(), (200, String::new()));
    assert!(running.value("node_load1").is_some() && running.value(SUCCESS) == Some(1.0) && running.value(TIME).unwrap() > time);
}

#[test]
fn the_path_is_prometheus_own() {
    let closed = Configured::start("{}\n", &["--no-redis"]);
    assert_eq!(closed.reload(), (403, "Lifecycle API is not enabled.\n".to_owned()));
    let get = closed.agent.request("/-/reload", &[]);
    assert_eq!((get.status, get.header("allow")), (405, Some("POST, PUT")));

    let running = Configured::start("{}\n", &["--no-redis", "--web.enable-lifecycle"]);
    assert_eq!(http("PUT", running.agent.port, "/-/reload", &[]).status, 200);
    running.write("log: {level: debug}\ncollector.loadavg: false\n");
    assert_eq!(running.reload(), (200, "only a restart can change log.level\n".to_owned()));
    assert_eq!(running.value("node_load1"), None, "the rest takes effect");
    // What switches the path on or off can be read again as well, here by the file's own last word.
    assert_eq!(running.agent.request("/-/reload", &[]).status, 405);
}

#[test]
fn no_scrape_notices_and_nothing_piles_up() {
    let redis = Redis::start(&[]);
    let target = |name: &str| {
        format!("redis: {{find: false, targets: [{{name: cache, address: \"{}\"}}]}}\ncollector.{name}: true\n", redis.addr())
    };
    let running = Configured::start(&target("loadavg"), &["--web.enable-lifecycle"]);
    let (port, ended, scrapes) = (running.agent.port, AtomicBool::new(false), AtomicUsize::new(0));
    let reload = |times: usize| {
        for time in 0..times {
            running.write(&target(["loadavg", "uname"][time % 2]));
            assert_eq!(running.reload().0, 200);
        }
    };
    reload(5);
    let before = running.holds();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // One kept connection, over all changes.
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                while !ended.load(Ordering::Relaxed) {
                    let page = kept(&mut stream);
                    assert!(page.starts_with("HTTP/1.1 200") && page.contains("redis_up{target=\"cache\"} 1\n"), "{page}");
                    scrapes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reload(20)));
        ended.store(true, Ordering::Relaxed);
        result.unwrap();
    });
    assert!(scrapes.load(Ordering::Relaxed) > 20);
    // Threads and connections of earlier settings end with the scrapes they were in.
    let same = || {
        let now = running.holds();
        now.0 <= before.0 && now.1 <= before.1
    };
    wait_for("the end of what earlier settings had", Duration::from_secs(20), same);
    assert_eq!(running.agent.log().matches("the settings were read again").count(), 25);
    wait_for("one connection", Duration::from_secs(20), || redis.info()["connected_clients"] == "2");
}

/// The next page on a connection that stays open.
fn kept(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /metrics/redis HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "closed: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..length]);
        let head = text.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(head) = head else { continue };
        let lines = String::from_utf8_lossy(&text[..head]).to_ascii_lowercase();
        let whole = match lines.split("content-length: ").nth(1) {
            Some(rest) => text.len() >= head + 4 + rest.lines().next().unwrap().trim().parse::<usize>().unwrap(),
            None => text.ends_with(b"\r\n0\r\n\r\n"),
        };
        if whole {
            return String::from_utf8(text).unwrap();
        }
    }
}

#[test]
fn tls_can_come_and_go() {
    let pki = Pki::new();
    pki.write("web.yml", "tls_server_config: {cert_file: server.crt, key_file: server.key}\n");
    let running = Configured::start("{}\n", &["--no-redis", "--web.enable-lifecycle"]);
    let mut plain = TcpStream::connect(("127.0.0.1", running.agent.port)).unwrap();
    plain.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut first = [0; 15];
    plain.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");

    running.write(&format!("web.config.file: {}\n", pki.path("web.yml").display()));
    assert_eq!(running.reload().0, 200);
    let (page, error) = pki.curl(&[], running.agent.port, "/-/healthy");
    assert_eq!(page, "healthy\n", "{error}");
    // A connection of before is not answered in the clear any more.
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut rest = Vec::new();
    let _ = plain.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let _ = plain.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1 "), "{}", String::from_utf8_lossy(&rest));

    running.write("{}\n");
    signal(running.agent.pid(), "HUP");
    let healthy = || {
        let mut stream = TcpStream::connect(("127.0.0.1", running.agent.port)).unwrap();
        let mut text = String::new();
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        stream.read_to_string(&mut text).is_ok() && text.contains("healthy")
    };
    wait_for("plain HTTP", Duration::from_secs(20), healthy);
}
