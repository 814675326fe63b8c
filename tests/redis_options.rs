//! The flags of redis_exporter about what is asked and shown, and our own ones beyond it, on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use support::exposition::Exposition;
use support::redis::{Answer, Redis, Stub};
use support::{Agent, shared, wait_for};

fn agent(addr: &str, args: &[&str]) -> Agent {
    let only = ["--no-host", "--no-containers", "--no-postgres"];
    Agent::start(&[&only[..], args].concat(), &[("REDIS_ADDR", addr)])
}

fn watch(addr: &str, args: &[&str]) -> Exposition {
    agent(addr, args).scrape("/metrics/redis")
}

#[test]
fn settings_are_shown_without_passwords() {
    let redis = Redis::start(&["--masterauth", "hunter2", "--tls-key-file-pass", "hunter2", "--requirepass", "hunter2"]);
    let only = ["--no-host", "--no-containers", "--no-postgres", "--redis.include-config-metrics"];
    let agent = Agent::start(&only, &[("REDIS_ADDR", &redis.addr()), ("REDIS_PASSWORD", "hunter2")]);
    let text = agent.get("/metrics/redis");
    assert!(text.contains("\nredis_up 1\n") && !text.contains("hunter2"));
    assert!(text.contains("redis_config_key_value{key=\"appendfsync\",value=\"everysec\"} 1\n"));
    assert!(text.contains("\nredis_config_value{key=\"databases\"} 16\n"));
}

#[test]
fn the_snapshot_of_a_local_server_has_a_size() {
    let redis = Redis::start(&[]);
    let agent = agent(&redis.addr(), &["--redis.include-rdb-file-size-metric"]);
    let size = || agent.scrape("/metrics/redis").value("redis_rdb_current_size_bytes", &[]);
    assert_eq!(size(), Some(0.0), "there is none yet");
    redis.send_all(&[&["SET", "a", "b"], &["SAVE"]]);
    let written = std::fs::metadata(redis.dir.path().join("dump.rdb")).unwrap().len();
    assert_eq!(size(), Some(f64::from(u32::try_from(written).unwrap())));
    std::fs::remove_file(redis.dir.path().join("dump.rdb")).unwrap();
    std::fs::create_dir(redis.dir.path().join("dump.rdb")).unwrap();
    assert_eq!(size(), None, "no file");
}

#[test]
fn the_role_is_on_each_series_of_the_server() {
    let master = Redis::start(&[]);
    let page = watch(&master.addr(), &["--redis.append-instance-role-label", "--redis.ping-on-connect"]);
    let never = [
        "redis_exporter_last_scrape_connect_time_seconds",
        "redis_exporter_last_scrape_ping_time_seconds",
        "redis_exporter_build_info",
        "redis_exporter_scrapes_total",
        "redis_exporter_scrape_duration_seconds_sum",
        "redis_exporter_scrape_duration_seconds_count",
        "redis_target_scrape_request_errors_total",
    ];
    for series in page.series.iter().filter(|series| series.name.starts_with("redis_")) {
        let role = series.labels.get("instance_role").map(String::as_str);
        assert_eq!(role, (!never.contains(&series.name.as_str())).then_some("master"), "{series:?}");
    }
    for name in never {
        assert!(page.all(name).next().is_some(), "{name}");
    }
}

#[test]
fn modules_and_tile38() {
    let fields = "# search_version\r\nsearch_number_of_indexes:3\r\nsearch_total_indexing_time:1.5\r\nbf_bloom_num_objects:7\r\n\
        module:name=search,ver=21005,api=1,filters=0,usedby=[],using=[ReJSON],options=[handle-io-errors]\r\n";
    let stub = Stub::start(move |command| {
        Answer::Send(match command {
            "INFO MODULES" => format!("${}\r\n{fields}\r\n", fields.len()).into_bytes(),
            "INFO ALL" => b"$23\r\nrun_id:a\r\nrole:master\r\n\r\n".to_vec(),
            "SERVER EXT" => b"*4\r\n$15\r\ntile38_aof_size\r\n$2\r\n42\r\n$10\r\ngo_threads\r\n$1\r\n9\r\n".to_vec(),
            _ => b"-ERR unknown command\r\n".to_vec(),
        })
    });
    let page = watch(&stub.addr(), &["--redis.include-modules-metrics", "--redis.is-tile38"]);
    for (name, value) in [
        ("redis_search_number_of_indexes", 3.0),
        ("redis_search_indexing_time_ms_total", 1.5),
        ("redis_bf_bloom_num_objects", 7.0),
        ("redis_tile38_aof_size_bytes", 42.0),
        ("redis_tile38_threads_total", 9.0),
    ] {
        assert_eq!(page.value(name, &[]), Some(value), "{name}");
    }
    assert_eq!(page.value("redis_module_info", &[("name", "search"), ("ver", "21005"), ("using", "[ReJSON]")]), Some(1.0));
}

#[test]
fn the_other_sentinels() {
    let stub = Stub::recorded(&shared("fixtures/redis/redis-7.0/sentinel"));
    let page = watch(&stub.addr(), &["--redis.include-sentinel-peer-info"]);
    let peers: Vec<_> = page.all("redis_sentinel_peer_info").collect();
    assert!(
        !peers.is_empty()
            && peers.iter().all(|peer| peer.labels["master_name"] == "mymaster" && peer.labels["flags"] == "sentinel")
    );
}

#[test]
fn what_is_done_elsewhere_is_refused_in_one_line() {
    for (name, value, want) in [
        ("REDIS_EXPORTER_WEB_LISTEN_ADDRESS", ":9121", "--web.listen-address"),
        ("REDIS_EXPORTER_BASIC_AUTH_PASSWORD", "hunter2", "--web.config.file"),
        ("REDIS_EXPORTER_TLS_SERVER_KEY_FILE", "/key", "--web.config.file"),
        ("REDIS_EXPORTER_NAMESPACE", "cache", "redis_*"),
        ("REDIS_EXPORTER_LOG_LEVEL", "debug", "--log.level"),
        ("REDIS_EXPORTER_REDACT_CONFIG_METRICS", "false", "passwords are never shown"),
        ("INCLUDE_GO_RUNTIME_METRICS", "true", "no Go runtime"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
        let output = command.arg("--web.listen-address=127.0.0.1:0").env_clear().env(name, value).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && text.lines().count() == 1 && text.contains(want), "{name}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

// --- Keys that a request names ---

#[test]
fn a_request_names_keys_where_it_may() {
    let redis = Redis::start(&[]);
    redis.send_all(&[&["SET", "session:1", "a"], &["SET", "session:2", "b"], &["RPUSH", "queue:mail", "x", "y"]]);
    let agent = agent(&redis.addr(), &["--redis.scrape-keys"]);
    let path = format!("/scrape?target={}&check-single-keys=queue:mail&count-keys=session:*", redis.addr());
    let queue = agent.scrape(&path).value("redis_key_size", &[("db", "db0"), ("key", "queue:mail")]);
    assert_eq!(queue, Some(2.0), "keys named one by one are there at once");
    wait_for("keys to be counted", Duration::from_secs(20), || {
        agent.scrape(&path).value("redis_keys_count", &[("db", "db0"), ("key", "session:*")]) == Some(2.0)
    });
    assert_eq!(agent.scrape("/metrics/redis").all("redis_key_size").count(), 0, "nobody else asked");
    let wrong = agent.request(&format!("/scrape?target={}&check-keys=a=b=c", redis.addr()), &[]);
    assert!(wrong.status == 400 && wrong.text().contains("check-keys"), "{}", wrong.text());
    let other = agent.request("/scrape?target=127.0.0.1:1&check-keys=a", &[]);
    assert!(other.status == 400 && other.text().contains("configured servers only"), "{}", other.text());
}

#[test]
fn a_request_names_no_keys_unless_it_may() {
    let redis = Redis::start(&[]);
    let agent = agent(&redis.addr(), &[]);
    let refused = agent.request(&format!("/scrape?target={}&check-keys=*", redis.addr()), &[]);
    assert!(refused.status == 400 && refused.text().contains("--redis.scrape-keys"), "{}", refused.text());
}

// --- Beyond ---

#[test]
fn percentiles_are_read_now_and_then_and_new_commands_at_once() {
    let redis = Redis::start(&[]);
    let agent = agent(&redis.addr(), &[]);
    let page = || agent.scrape("/metrics/redis");
    let percentile = |command: &str| page().value("redis_latency_percentiles_usec", &[("cmd", command), ("quantile", "50")]);
    redis.send(&["SET", "a", "b"]);
    assert!(percentile("set").is_some());
    // Our own commands come into the statistics, and then nothing is new.
    for _ in 0..3 {
        page();
    }
    let counted = || redis.info()["cmdstat_info"].split(',').next().unwrap().to_owned();
    redis.send(&["CONFIG", "RESETSTAT"]);
    redis.send(&["GET", "a"]);
    assert!(percentile("get").is_some() && percentile("set").is_none(), "counts that begin anew are noticed");
    for _ in 0..3 {
        page();
    }
    let before = page();
    redis.send(&["GET", "a"]);
    let after = page();
    let count = |page: &Exposition, family| page.value(family, &[("cmd", "get")]).unwrap();
    for family in ["redis_commands_total", "redis_latency_percentiles_usec_count", "redis_commands_latencies_usec_count"] {
        assert_eq!(count(&after, family), count(&before, family) + 1.0, "{family} is not old");
    }
    let age = |page: &Exposition| page.value("redis_latency_percentiles_age_seconds", &[]).unwrap();
    assert!(age(&after) > age(&before) && age(&after) < 60.0, "{} {}", age(&before), age(&after));
    assert!(counted().starts_with("calls="));
}

#[test]
fn clients_are_counted_by_sort_and_shown_with_ports_if_asked() {
    let redis = Redis::start(&[]);
    let mut kept = Vec::new();
    for name in ["worker", "worker", "web"] {
        let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
        write!(stream, "CLIENT SETNAME {name}\r\n").unwrap();
        kept.push(stream);
    }
    wait_for("names", Duration::from_secs(5), || redis.send(&["CLIENT", "LIST"]).matches("name=w").count() == 3);
    let page = watch(&redis.addr(), &["--redis.client-groups=1", "--redis.export-client-list", "--redis.export-client-port"]);
    let labels = [("user", "default"), ("name", "worker"), ("lib", ""), ("kind", "normal")];
    assert_eq!(page.value("redis_client_connections", &labels), Some(2.0));
    assert!(page.value("redis_client_connections", &[("name", "other"), ("kind", "other")]).unwrap() >= 2.0);
    assert!(page.value("redis_client_idle_seconds_max", &[]).is_some());
    let port = kept[0].local_addr().unwrap().port().to_string();
    assert_eq!(page.value("redis_connected_client_info", &[("name", "worker"), ("port", &port)]), Some(1.0));
}
