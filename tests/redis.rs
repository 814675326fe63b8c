//! The Redis part on real servers, and on servers that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::{Duration, Instant};

use support::exposition::{Exposition, parse};
use support::redis::{Answer, Redis, Stub};
use support::{Agent, shared, signal, wait_for};

/// An agent with the Redis part alone.
fn agent(args: &[&str], env: &[(&str, &str)]) -> Agent {
    let only = ["--no-host", "--no-containers", "--no-postgres"];
    Agent::start(&[&only[..], args].concat(), env)
}

/// An agent that watches one server, as redis_exporter would.
fn watch(addr: &str) -> Agent {
    agent(&[], &[("REDIS_ADDR", addr)])
}

fn page(agent: &Agent) -> Exposition {
    agent.scrape("/metrics/redis")
}

/// The reason of the page's failure as both families give it.
fn reason(page: &Exposition) -> String {
    let err = page.all("redis_exporter_last_scrape_error").next().unwrap();
    assert_eq!(err.value, f64::from(!err.labels["err"].is_empty()));
    let error = page.all("stack_exporter_collector_last_error_info").next();
    assert_eq!(err.labels["err"], error.map(|series| series.labels["error"].clone()).unwrap_or_default());
    err.labels["err"].clone()
}

fn up(page: &Exposition) -> f64 {
    page.value("redis_up", &[]).unwrap()
}

// --- Round trips ---

#[test]
fn a_steady_scrape_is_one_round_trip_on_one_connection() {
    let stub = Stub::recorded(&shared("fixtures/redis/valkey-9.1/standalone-busy"));
    let agent = watch(&stub.addr());
    // The second scrape learns that this server does not answer INFO in parts.
    assert_eq!((up(&page(&agent)), up(&page(&agent))), (1.0, 1.0));
    assert!(stub.batches() <= 5, "{} round trips to get to know the server", stub.batches());
    let (before, asked) = (stub.batches(), stub.commands.lock().unwrap().len());
    for _ in 0..10 {
        assert_eq!(up(&page(&agent)), 1.0);
    }
    assert_eq!((stub.connections(), stub.batches() - before), (1, 10));
    let commands = stub.commands.lock().unwrap();
    assert!(!commands[asked..].iter().any(|command| command.starts_with("CONFIG")), "settings are read when they change");
    assert_eq!(commands.iter().filter(|command| command.starts_with("CLIENT SETNAME")).count(), 1);
}

#[test]
fn a_server_that_knows_only_plain_info() {
    let info = std::fs::read(shared("fixtures/redis/redis-7.0/standalone-busy/replies/info_all.resp")).unwrap();
    let stub = Stub::start(move |command| match command {
        "INFO" => Answer::Send(info.clone()),
        _ => Answer::Send(b"-ERR syntax error\r\n".to_vec()),
    });
    let agent = watch(&stub.addr());
    for _ in 0..3 {
        assert_eq!(up(&page(&agent)), 1.0);
    }
    let commands = stub.commands.lock().unwrap();
    let asked = |of: &str| commands.iter().filter(|command| *command == of).count();
    assert_eq!((asked("INFO ALL"), asked("INFO")), (1, 3));
}

#[test]
fn changed_settings_show_in_the_same_scrape() {
    let redis = Redis::start(&[]);
    let agent = watch(&redis.addr());
    assert_eq!(page(&agent).value("redis_config_maxmemory", &[]), Some(0.0));
    redis.send(&["CONFIG", "SET", "maxmemory", "104857600"]);
    let page = page(&agent);
    assert_eq!(page.value("redis_config_maxmemory", &[]), Some(104_857_600.0));
    assert_eq!(page.value("redis_memory_max_bytes", &[]), Some(104_857_600.0));
}

// --- Servers in trouble ---

/// A page that comes within the second given, and the server is not up on it.
fn down(agent: &Agent) -> Exposition {
    let start = Instant::now();
    let response = agent.request("/metrics/redis", &[("X-Prometheus-Scrape-Timeout-Seconds", "1.5")]);
    assert!(start.elapsed() < Duration::from_millis(1_500), "the page took {:?}", start.elapsed());
    assert_eq!(response.status, 200);
    let page = parse(&response.text()).unwrap();
    assert_eq!(up(&page), 0.0);
    assert_eq!(page.value("stack_exporter_collector_success", &[("collector", "redis")]), Some(0.0));
    assert!(page.value("redis_exporter_scrapes_total", &[]).is_some());
    assert!(!page.series.iter().any(|series| series.name == "redis_connected_clients"));
    page
}

fn recovers(agent: &Agent) {
    wait_for("redis_up to be 1 again", Duration::from_secs(20), || up(&page(agent)) == 1.0);
    assert_eq!(reason(&page(agent)), "");
}

#[test]
fn a_server_that_stops_and_starts() {
    let mut redis = Redis::start(&[]);
    let agent = watch(&redis.addr());
    assert_eq!(up(&page(&agent)), 1.0);
    redis.stop();
    let first = reason(&down(&agent));
    assert!(first.contains("cannot connect") && first.contains("refused"), "{first}");
    down(&agent);
    redis.restart();
    recovers(&agent);
    assert_eq!(agent.log().matches("Connection refused").count(), 1, "said once: {}", agent.log());
    // A restart between two scrapes is not even noticed: the lost connection is opened anew within the scrape.
    redis.stop();
    redis.restart();
    assert_eq!(up(&page(&agent)), 1.0);
}

#[test]
fn a_server_that_hangs() {
    let redis = Redis::start(&[]);
    let agent = watch(&redis.addr());
    assert_eq!(up(&page(&agent)), 1.0);
    signal(redis.pid(), "STOP");
    let reasons = [reason(&down(&agent)), reason(&down(&agent))];
    signal(redis.pid(), "CONT");
    assert!(reasons.iter().all(|reason| reason.contains("no answer in time")), "{reasons:?}");
    recovers(&agent);
}

#[test]
fn a_password_that_is_missing_wrong_or_right() {
    let redis = Redis::start(&["--requirepass", "s3cret"]);
    let none = watch(&redis.addr());
    assert_eq!(reason(&down(&none)), "NOAUTH Authentication required.");
    let wrong = agent(&["--redis.password=hunter2"], &[("REDIS_ADDR", &redis.addr())]);
    let page_of_wrong = down(&wrong);
    assert!(reason(&page_of_wrong).starts_with("WRONGPASS "), "{}", reason(&page_of_wrong));
    let told = wrong.get("/metrics") + &wrong.log();
    assert!(!told.contains("hunter2"), "{told}");

    let file = redis.dir.path().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    let by_file = agent(&[], &[("REDIS_ADDR", &redis.addr()), ("REDIS_PASSWORD_FILE", file.to_str().unwrap())]);
    down(&by_file);
    std::fs::write(&file, "s3cret\n").unwrap();
    recovers(&by_file);

    let map = redis.dir.path().join("map.json");
    std::fs::write(&map, format!(r#"{{"{}": "s3cret"}}"#, redis.addr())).unwrap();
    recovers(&agent(&[], &[("REDIS_ADDR", &redis.addr()), ("REDIS_PASSWORD_FILE", map.to_str().unwrap())]));
    let in_address = format!("redis://:s3cret@127.0.0.1:{}/0", redis.port);
    recovers(&watch(&in_address));
}

#[test]
fn a_user_who_may_do_little() {
    let redis = Redis::start(&[]);
    redis.send(&["ACL", "SETUSER", "mon", "on", ">p", "resetkeys", "resetchannels", "-@all", "+info"]);
    let agent = agent(&[], &[("REDIS_ADDR", &redis.addr()), ("REDIS_USER", "mon"), ("REDIS_PASSWORD", "p")]);
    for _ in 0..5 {
        let page = page(&agent);
        assert_eq!((up(&page), reason(&page).as_str()), (1.0, ""));
        assert_eq!(page.all("redis_db_keys").count(), 16, "the default where CONFIG is refused");
        assert!(page.value("redis_slowlog_length", &[]).is_none());
    }
    // Each command that is refused was tried once, not at each scrape.
    let denied = page(&agent).value("redis_errors_total", &[("err", "NOPERM")]).unwrap();
    assert!(denied <= 7.0, "{denied} commands were refused");
}

#[test]
fn a_server_that_loads_its_data() {
    let stub = Stub::recorded(&shared("fixtures/redis/redis-7.0/loading"));
    let page = page(&watch(&stub.addr()));
    assert_eq!((up(&page), page.value("redis_loading_dump_file", &[])), (1.0, Some(1.0)));
}

#[test]
fn answers_that_are_none() {
    for (answer, want) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "not an answer of Redis"),
        ("$3\r\nabc\r\n", "not an answer of Redis"),
        ("*-1\r\n", "not an answer of Redis"),
        (":1\r\n", "not an answer of Redis"),
        ("-ERR unknown command 'INFO', with args beginning with: 'ALL' \r\n", "ERR unknown command 'INFO'"),
        ("\u{0}\u{1}\u{2}\r\n", "not an answer of Redis"),
        ("*1000000000\r\n", "no answer in time"),
        ("$99999999999999999999\r\n", "not an answer of Redis"),
    ] {
        let stub = Stub::start(move |_| Answer::Send(answer.as_bytes().to_vec()));
        let reason = reason(&down(&watch(&stub.addr())));
        assert!(reason.contains(want), "{answer:?} gives {reason:?}");
    }
    let echo = Stub::start(|command| Answer::Send(format!("-ERR no such command: {command}\r\n").into_bytes()));
    let agent = agent(&["--redis.password=hunter2"], &[("REDIS_ADDR", &echo.addr())]);
    assert_eq!(reason(&down(&agent)), "ERR no such command: AUTH ***");
}

#[test]
fn a_server_that_says_no_and_closes() {
    let stub = Stub::start(|_| Answer::SendAndClose(b"-DENIED Redis is running in protected mode.\r\n".to_vec()));
    assert_eq!(reason(&down(&watch(&stub.addr()))), "DENIED Redis is running in protected mode.");
    let stub = Stub::start(|command| Answer::SendAndClose(format!("-ERR not here: {command}\r\n").into_bytes()));
    let agent = agent(&["--redis.password=hunter2"], &[("REDIS_ADDR", &stub.addr())]);
    assert_eq!(reason(&down(&agent)), "ERR not here: AUTH ***");
}

#[test]
fn answers_cut_in_the_middle() {
    let info = std::fs::read(shared("fixtures/redis/redis-7.0/standalone-busy/replies/info_all.resp")).unwrap();
    let cut = info[..info.len() / 2].to_vec();
    let closing = cut.clone();
    let stub = Stub::start(move |_| Answer::SendAndClose(closing.clone()));
    let first = reason(&down(&watch(&stub.addr())));
    assert!(first.contains("lost the connection"), "{first}");
    let stub = Stub::start(move |command| if command == "INFO ALL" { Answer::Hang } else { Answer::Send(cut.clone()) });
    let second = reason(&down(&watch(&stub.addr())));
    assert!(second.contains("no answer in time"), "{second}");
}

#[test]
fn answers_of_100_mb_and_without_end() {
    let (blob, list) = (vec![b'x'; 1 << 16], b":1\r\n".repeat(1 << 14));
    for (start, flood, more) in [
        (&b"$104857600\r\n"[..], &blob, true),
        (b"$2000000000\r\n", &blob, true),
        (b"*2000000000\r\n", &list, true),
        (b"+", &blob, true),
        // A list in a list in a list.
        (b"", &b"*2000000000\r\n".repeat(1 << 12), false),
    ] {
        let flood = flood.clone();
        let stub = Stub::start(move |command| match command {
            "INFO ALL" => Answer::Flood(start.to_vec(), flood.clone()),
            _ => Answer::Send(b"+OK\r\n".to_vec()),
        });
        let agent = watch(&stub.addr());
        let page = page(&agent);
        let want = if more { "sent more than 2 MiB" } else { "not an answer of Redis" };
        assert!(reason(&page).contains(want), "{}", reason(&page));
        assert_eq!(page.value("redis_scrape_failure", &[("reason", "protocol")]), Some(1.0));
        let memory = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
        let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 40 * 1024, "{peak} kB for {:?}", String::from_utf8_lossy(start));
    }
}

#[test]
fn a_server_with_100_000_values_in_one_list_is_read_within_bounds() {
    let list = [b"*100000\r\n".to_vec(), b"$1\r\nx\r\n".repeat(100_000)].concat();
    let info = std::fs::read(shared("fixtures/redis/redis-7.0/standalone-busy/replies/info_all.resp")).unwrap();
    let stub = Stub::start(move |command| match command {
        "INFO ALL" => Answer::Send(info.clone()),
        "CONFIG GET *" | "LATENCY HISTOGRAM" | "SLOWLOG GET 1" => Answer::Send(list.clone()),
        _ => Answer::Send(b"-ERR unknown command\r\n".to_vec()),
    });
    assert_eq!(up(&page(&watch(&stub.addr()))), 1.0);
}

// --- Settings ---

fn refused(args: &[&str], env: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
    let output =
        command.arg("--web.listen-address=127.0.0.1:0").args(args).env_clear().envs(env.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn a_wrong_address_is_one_line_without_its_password() {
    for (addr, want) in [
        ("rediss://u:hunter2@cache:port", "port"),
        ("redis://:hunter2@cache:port", "port"),
        ("http://u:hunter2@cache", "scheme"),
        ("redis://a:6379,redis://b:6379", "redis.targets"),
    ] {
        let text = refused(&[], &[("REDIS_ADDR", addr)]);
        assert!(text.contains("redis.addr") && text.contains(want) && !text.contains("hunter2"), "{text}");
    }
    let text = refused(&["--redis.password-file=/nonexistent"], &[]);
    assert!(text.contains("/nonexistent"), "{text}");
}

#[test]
fn several_targets_of_the_file_each_have_their_label() {
    let (open, closed) = (Redis::start(&[]), Redis::start(&["--requirepass", "s3cret"]));
    let socket = open.dir.path().join("redis.sock");
    let local = Redis::start(&["--unixsocket", socket.to_str().unwrap()]);
    let file = open.dir.path().join("config.yml");
    let (open_addr, closed_addr) = (open.addr(), closed.addr());
    let text = format!(
        "redis:\n  targets:\n    - {{name: open, address: \"{open_addr}\"}}\n    - {{name: closed, address: \"{closed_addr}\", password: s3cret}}\n    \
         - {{name: local, address: \"unix://{}\"}}\n    - {{name: gone, address: \"127.0.0.1:1\"}}\n",
        socket.display()
    );
    std::fs::write(&file, text).unwrap();
    let by_file = format!("--config.file={}", file.display());
    let agent = agent(&[&by_file], &[("REDIS_ADDR", &open.addr())]);
    let page = page(&agent);
    for (target, want) in [("open", 1.0), ("closed", 1.0), ("local", 1.0), ("gone", 0.0)] {
        assert_eq!(page.value("redis_up", &[("target", target)]), Some(want), "{target}");
        let success = page.value("stack_exporter_collector_success", &[("collector", "redis"), ("target", target)]);
        assert_eq!(success, Some(want), "{target}");
    }
    let given = page.all("redis_up").find(|series| series.labels.is_empty());
    assert_eq!(given.map(|series| series.value), Some(1.0), "the target of REDIS_ADDR has no label");
    let pid = |target| page.value("redis_process_id", &[("target", target)]).unwrap();
    assert_eq!((pid("closed"), pid("local")), (f64::from(closed.pid()), f64::from(local.pid())));
    assert!(!page.all("redis_connected_clients").any(|series| series.has(&[("target", "gone")])));
}

#[test]
fn switches_leave_out_what_they_say() {
    let redis = Redis::start(&[]);
    redis.send(&["SET", "key", "value"]);
    let args = [
        "--redis.config-command=-",
        "--no-redis.include-metrics-for-empty-databases",
        "--redis.exclude-latency-histogram-metrics",
        "--no-redis.set-client-name",
    ];
    let agent = agent(&args, &[("REDIS_ADDR", &redis.addr())]);
    let page = page(&agent);
    assert_eq!(page.all("redis_db_keys").count(), 1);
    for family in ["redis_config_maxmemory", "redis_commands_latencies_usec_count"] {
        assert_eq!(page.all(family).count(), 0, "{family}");
    }
    let asked = redis.send(&["INFO", "commandstats"]);
    for command in ["config", "latency", "setname"] {
        assert!(!asked.contains(command), "{asked}");
    }
}

// --- Found without a setting ---

/// In a network and mount namespace of its own, so that the usual places are free: a server on both of them is found once, and
/// stays a target when it goes.
const FOUND: &str = r#"
ip link set lo up && mount -t tmpfs none /run && mkdir /run/redis || exit 1
redis-server --port 6379 --bind 127.0.0.1 --unixsocket /run/redis/redis.sock --save "" --dir /run >/dev/null & server=$!
until redis-cli -s /run/redis/redis.sock ping >/dev/null 2>&1; do sleep 0.05; done
"$AGENT" --web.listen-address=127.0.0.1:9100 --no-host --no-containers --no-postgres 2>/dev/null & agent=$!
ups() { curl -s 127.0.0.1:9100/metrics/redis | grep '^redis_up{'; }
for attempt in $(seq 400); do ups >/dev/null && break; sleep 0.1; done
ups
kill $server && wait $server
ups
kill $agent
"#;

#[test]
fn a_local_server_is_found_and_kept() {
    let mut command = std::process::Command::new("unshare");
    command.args(["--net", "--mount", "bash", "-c", FOUND]).env("AGENT", env!("CARGO_BIN_EXE_stack-exporter"));
    let output = command.output().expect("unshare (util-linux) is needed for this test");
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        told, "redis_up{target=\"127.0.0.1:6379\"} 1\nredis_up{target=\"127.0.0.1:6379\"} 0\n",
        "as root, with iproute2 and curl"
    );
}
