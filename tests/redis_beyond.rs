//! What the Redis part shows beyond redis_exporter, on recorded states and on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::exposition::Exposition;
use support::redis::{Answer, BEYOND, Redis, Stub, programs};
use support::{Agent, shared, wait_for};

fn watch(addr: &str) -> Agent {
    Agent::start(&["--no-host", "--no-containers", "--no-postgres"], &[("REDIS_ADDR", addr)])
}

fn page(agent: &Agent) -> Exposition {
    agent.scrape("/metrics/redis")
}

/// The page of a recorded state, after as many scrapes as it takes to get to know the server.
fn recorded(state: &str) -> Exposition {
    let stub = Stub::recorded(&shared("fixtures/redis").join(state));
    page(&watch(&stub.addr()))
}

/// The findings of a page.
fn findings(page: &Exposition) -> BTreeSet<String> {
    page.all("redis_audit_finding").filter(|series| series.value == 1.0).map(|series| series.labels["check"].clone()).collect()
}

fn blocked(page: &Exposition) -> Vec<(String, f64)> {
    page.all("redis_writes_blocked").map(|series| (series.labels["reason"].clone(), series.value)).collect()
}

#[test]
fn no_name_is_redis_exporters() {
    let contract = std::fs::read_to_string(shared("contract/redis.tsv")).unwrap();
    let theirs: BTreeSet<&str> = contract.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    assert!(theirs.len() > 400);
    for family in BEYOND {
        let parts = ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{family}{suffix}"));
        assert!(!parts.iter().any(|name| theirs.contains(name.as_str())), "{family}");
    }
}

#[test]
fn why_writes_are_refused() {
    let only =
        |reason: &str| ["bgsave", "aof", "oom", "min_replicas"].map(|name| (name.to_owned(), f64::from(name == reason))).to_vec();
    for (state, reason) in [("standalone-fresh", ""), ("bgsave-failed", "bgsave"), ("oom-noeviction", "oom"), ("eviction", "")] {
        for server in ["redis-7.0", "redis-8.0", "valkey-8.1", "valkey-9.1"] {
            assert_eq!(blocked(&recorded(&format!("{server}/{state}"))), only(reason), "{server} {state}");
        }
    }
    assert!(findings(&recorded("redis-7.0/bgsave-failed")).contains("save_failing"));
    assert!(findings(&recorded("redis-7.0/oom-noeviction")).contains("noeviction_with_limit"));
    assert!(blocked(&recorded("redis-7.0/sentinel")).is_empty() && findings(&recorded("redis-7.0/sentinel")).is_empty());
}

#[test]
fn replication_in_bytes_and_seconds() {
    let master = recorded("valkey-9.1/master-1-replica");
    assert_eq!(master.all("redis_connected_slave_lag_bytes").count(), 1);
    assert!(master.value("redis_min_slaves_good_slaves", &[]) == Some(1.0));
    let down = recorded("redis-7.0/replica-link-down");
    assert_eq!(down.all("redis_master_link_down_since_seconds").next().unwrap().value, 3.0);
    assert!(recorded("redis-7.0/replica").all("redis_master_link_down_since_seconds").next().is_none());
}

#[test]
fn loading_and_its_end() {
    let page = recorded("redis-7.0/loading");
    assert_eq!(page.value("redis_loading_total_bytes", &[]), Some(1_308_988.0));
    assert_eq!(page.value("redis_loading_loaded_bytes", &[]), Some(110_587.0));
    assert_eq!(page.value("redis_loading_eta_seconds", &[]), Some(21.0));
}

#[test]
fn who_the_server_is() {
    for (server, version) in [("redis-7.0", "7.0.15"), ("redis-8.0", "8.0.6"), ("valkey-8.1", "8.1.1"), ("valkey-9.1", "9.1.2")] {
        let page = recorded(&format!("{server}/standalone-busy"));
        let labels = [("server", server.split('-').next().unwrap()), ("version", version), ("mode", "standalone")];
        assert_eq!(page.value("redis_server_info", &labels), Some(1.0), "{server}");
    }
    let eight = recorded("redis-8.0/standalone-busy");
    let strings = [("db", "db0"), ("type", "strings"), ("unit", "bytes")];
    assert_eq!(eight.value("redis_key_size_distribution_count", &strings), Some(605.0));
    assert_eq!(eight.value("redis_io_thread_reads_total", &[("thread", "0")]), Some(558.0));
}

#[test]
fn histograms_follow_each_command_at_once() {
    let redis = Redis::start(&[]);
    let agent = watch(&redis.addr());
    let calls = |command: &str| {
        let page = page(&agent);
        let ours = page.value("redis_command_latency_seconds_count", &[("cmd", command)]);
        let theirs = page.value("redis_commands_latencies_usec_count", &[("cmd", command)]);
        assert_eq!(ours, theirs);
        assert_eq!(ours, page.value("redis_commands_total", &[("cmd", command)]), "no histogram is older than INFO");
        ours
    };
    assert_eq!(calls("set"), None);
    for count in 1..4 {
        redis.send(&["SET", "a", "b"]);
        assert_eq!(calls("set"), Some(f64::from(count)));
    }
    redis.send(&["GET", "a"]);
    assert_eq!((calls("get"), calls("set")), (Some(1.0), Some(3.0)));
    redis.send(&["CONFIG", "RESETSTAT"]);
    assert_eq!((calls("get"), calls("set")), (None, None));
    redis.send(&["GET", "a"]);
    assert_eq!(calls("get"), Some(1.0));
}

#[test]
fn histograms_that_were_followed_are_the_servers_own() {
    let redis = Redis::start(&[]);
    let agent = watch(&redis.addr());
    let commands: [&[&str]; 9] = [
        &["SET", "a", "1"],
        &["GET", "a"],
        &["INCR", "a"],
        &["LPUSH", "l", "x"],
        &["LRANGE", "l", "0", "-1"],
        &["EVAL", "for i = 1, 2000 do redis.call('exists', i) end", "0"],
        &["BLPOP", "l", "1"],
        &["CLIENT", "NO-EVICT", "off"],
        &["GET", "a", "too", "much"],
    ];
    for round in 0..30 {
        redis.send_all(&commands[round % 4..]);
        redis.send(&["EVAL", "for i = 1, tonumber(ARGV[1]) do redis.call('ping') end", "0", &(1 << (round % 15)).to_string()]);
        page(&agent);
    }
    let histogram = |page: &Exposition| -> BTreeSet<String> {
        // Both agents ask, and so count these.
        let own = [
            "info",
            "latency|histogram",
            "latency|latest",
            "slowlog|len",
            "slowlog|get",
            "config|get",
            "command|info",
            "client|setname",
        ];
        let all = page.series.iter().filter(|series| series.name.starts_with("redis_commands_latencies_usec"));
        let all = all.filter(|series| !own.contains(&series.labels["cmd"].as_str()));
        all.map(|series| format!("{} {:?} {}", series.name, series.labels, series.value)).collect()
    };
    let asked =
        redis.info()["cmdstat_latency|histogram"].split(',').next().unwrap().trim_start_matches("calls=").parse::<u32>().unwrap();
    assert!(asked < 60, "asked {asked} times");
    let (followed, fresh) = (histogram(&page(&agent)), histogram(&page(&watch(&redis.addr()))));
    assert!(followed.len() > 30, "{followed:?}");
    assert_eq!(followed, fresh);
}

#[test]
fn slow_commands_are_counted_once_and_without_arguments() {
    let redis = Redis::start(&["--slowlog-log-slower-than", "1000000", "--slowlog-max-len", "4"]);
    let agent = watch(&redis.addr());
    page(&agent);
    redis.send_all(&[&["CONFIG", "SET", "slowlog-log-slower-than", "0"], &["SET", "hunter2", "x"], &["SET", "hunter2", "y"]]);
    redis.send(&["CONFIG", "SET", "slowlog-log-slower-than", "1000000"]);
    let count = |page: &Exposition| page.value("redis_slowlog_command_duration_seconds_count", &[("cmd", "set")]);
    for _ in 0..2 {
        let page = page(&agent);
        assert_eq!((count(&page), page.value("redis_slowlog_missed_total", &[])), (Some(2.0), Some(0.0)));
    }
    let text = agent.request("/metrics/redis", &[]).text();
    assert!(!text.contains("hunter2"));
}

#[test]
fn the_host_of_a_local_server() {
    let redis = Redis::start(&["--maxmemory", "100mb"]);
    let agent = watch(&redis.addr());
    let page = page(&agent);
    assert_eq!(page.value("redis_memory_limit_bytes", &[("source", "maxmemory")]), Some(104_857_600.0));
    assert!(page.value("redis_memory_limit_bytes", &[("source", "host")]).unwrap() > 1e8);
    assert!(page.all("redis_audit_finding").any(|series| series.labels["check"] == "overcommit_memory_0"));
    assert!(findings(&page).contains("default_user_nopass"));
    assert!(page.value("redis_scrape_command_duration_seconds", &[("command", "pipeline")]).unwrap() > 0.0);
    // Every family of ours has a HELP, and none stands under a name that is not in the list.
    wait_for("a second page", Duration::from_secs(5), || agent.scrape("/metrics/redis").value("redis_up", &[]) == Some(1.0));
}

/// The additions of section (e) of ../shared/reference/redis.md, tiers 1 and 2: family, and the labels beside those of a histogram.
const TIERS: [(&str, &str); 34] = [
    ("redis_connected_slave_lag_bytes", "slave_ip,slave_port"),
    ("redis_master_link_down_since_seconds", "master_host,master_port"),
    ("redis_master_sync_left_bytes", "master_host,master_port"),
    ("redis_master_sync_read_bytes", "master_host,master_port"),
    ("redis_min_slaves_good_slaves", ""),
    ("redis_master_failover_in_progress", ""),
    ("redis_aof_rewrite_consecutive_failures", ""),
    ("redis_aof_rewrites_total", ""),
    ("redis_rdb_last_save_age_seconds", ""),
    ("redis_loading_total_bytes", ""),
    ("redis_loading_loaded_bytes", ""),
    ("redis_loading_eta_seconds", ""),
    ("redis_current_cow_size_bytes", ""),
    ("redis_current_fork_progress_ratio", ""),
    ("redis_forks_total", ""),
    ("redis_rss_overhead_bytes", ""),
    ("redis_active_defrag_time_seconds_total", ""),
    ("redis_writes_blocked", "reason"),
    ("redis_memory_limit_bytes", "source"),
    ("redis_db_keys_with_expiring_items", "db"),
    ("redis_io_thread_clients", "thread"),
    ("redis_io_thread_reads_total", "thread"),
    ("redis_io_thread_writes_total", "thread"),
    ("redis_key_size_distribution", "db,type,unit"),
    ("redis_tls_cert_expires_seconds", "role"),
    ("redis_server_info", "mode,server,version"),
    ("redis_scrape_command_duration_seconds", "command"),
    ("redis_scrape_command_ok", "command"),
    ("redis_scrape_failure", "reason"),
    ("redis_command_latency_seconds", "cmd"),
    ("redis_slowlog_entries_total", ""),
    ("redis_slowlog_command_duration_seconds", "cmd"),
    ("redis_slowlog_missed_total", ""),
    ("redis_latency_spike_max_seconds", "event_name"),
];

/// Families and labels of a page, without `le`, and the checks that were made.
fn shown(page: &Exposition, families: &mut BTreeSet<(String, String)>, checks: &mut BTreeSet<String>) {
    for series in &page.series {
        let labels: Vec<&str> = series.labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
        families.insert((page.family(&series.name).to_owned(), labels.join(",")));
        checks.extend(series.labels.get("check").filter(|_| series.name == "redis_audit_finding").cloned());
    }
}

/// The page of a server whose INFO is the recorded one with another line in place of one.
fn altered(state: &str, line: &str, other: &str) -> Exposition {
    let recorded = std::fs::read_to_string(shared("fixtures/redis").join(state).join("replies/info_all.resp")).unwrap();
    let (_, text) = recorded.split_once("\r\n").unwrap();
    let start = text.find(line).unwrap();
    let end = start + text[start..].find("\r\n").unwrap();
    let text = format!("{}{other}{}", &text[..start], text[end..].trim_end());
    let reply = format!("${}\r\n{text}\r\n", text.len()).into_bytes();
    let stub = Stub::start(move |command| match command {
        "INFO ALL" => Answer::Send(reply.clone()),
        _ => Answer::Send(b"-ERR unknown command\r\n".to_vec()),
    });
    page(&watch(&stub.addr()))
}

#[test]
fn every_addition_of_the_first_two_tiers_is_on_some_page() {
    let text = std::fs::read_to_string(shared("reference/redis.md")).unwrap();
    let (_, tiers) = text.split_once("Proposed additions. Tier 1").unwrap();
    let (tiers, _) = tiers.split_once("Tier 3").unwrap();
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    // In a row of the table the names stand in its first column; in the second tier's text there are others, of checks.
    let (table, rest) = tiers.split_once("Tier 2").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| redis_").and_then(|row| row.split('|').next()));
    let names: String = rows.map(|row| format!("redis_{row} ")).chain([rest.to_owned()]).collect();
    let wanted: BTreeSet<&str> = names.split(word).filter(|name| name.starts_with("redis_")).collect();
    let listed: BTreeSet<&str> = TIERS.iter().map(|(family, _)| *family).chain(["redis_audit_finding"]).collect();
    similar_asserts::assert_eq!(listed, wanted);

    let (mut families, mut checks) = (BTreeSet::new(), BTreeSet::new());
    for server in ["redis-7.0", "redis-8.0", "valkey-9.1"] {
        for state in ["standalone-busy", "master-1-replica", "replica-link-down", "replica-syncing", "loading"] {
            shown(&recorded(&format!("{server}/{state}")), &mut families, &mut checks);
        }
    }
    // No recorded server had a certificate, nor was sent a snapshot whose size is known.
    let certificate = "tls_server_cert_serial:0A\r\ntls_server_cert_expires_in_seconds:86400";
    let secure = altered("valkey-9.1/standalone-fresh", "tls_server_cert_serial:", certificate);
    assert_eq!(secure.value("redis_tls_cert_expires_seconds", &[("role", "server")]), Some(86_400.0));
    let syncing = altered("redis-7.0/replica-syncing", "master_sync_left_bytes:", "master_sync_left_bytes:4096");
    assert_eq!(syncing.all("redis_master_sync_left_bytes").map(|series| series.value).collect::<Vec<_>>(), [4096.0]);
    [secure, syncing].iter().for_each(|page| shown(page, &mut families, &mut checks));
    // What only a live server on this host has: new slow commands, limits of the host, settings of all kinds.
    let redis =
        Redis::start(&["--min-replicas-to-write", "1", "--slowlog-log-slower-than", "0", "--latency-monitor-threshold", "1"]);
    let agent = watch(&redis.addr());
    page(&agent);
    redis.send_all(&[&["CONFIG", "SET", "protected-mode", "no"], &["GET", "a"]]);
    shown(&page(&agent), &mut families, &mut checks);
    shown(&page(&watch("redis://127.0.0.1:1")), &mut families, &mut checks);
    let missing: Vec<_> =
        TIERS.iter().filter(|(family, labels)| !families.contains(&((*family).to_owned(), (*labels).to_owned()))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let (_, list) = rest.split_once("0/1 for:").unwrap();
    let (list, _) = list.split_once("The host checks").unwrap();
    let list: BTreeSet<String> = list
        .split(word)
        .filter(|name| name.contains('_') || *name == "appendfsync_no")
        .filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect();
    similar_asserts::assert_eq!(checks, list);
}

/// Servers count the time that a client waits neither as the command's nor as its latency; nor may we, who add calls that INFO counts.
#[test]
fn waiting_is_no_latency() {
    for program in programs() {
        let (name, server) = (&program.name, program.start(&[]));
        let agent = watch(&server.addr());
        server.send(&["SET", "a", "x"]);
        server.send_all(&[&["XADD", "stream", "1-1", "k", "v"]]);
        let count = |page: &Exposition, cmd: &str, le: &str| {
            page.value("redis_command_latency_seconds_bucket", &[("cmd", cmd), ("le", le)]).unwrap_or(0.0)
        };
        for round in 1..=3 {
            page(&agent);
            std::thread::scope(|scope| {
                let waits = [
                    &["BLPOP", "empty", "0.4"][..],
                    &["XREAD", "BLOCK", "400", "STREAMS", "stream", "9-9"],
                    &["WAIT", "1", "400"],
                    &["BLMOVE", "empty", "full", "LEFT", "LEFT", "0.4"],
                ];
                for words in waits {
                    scope.spawn(|| server.send(words));
                }
                // While they wait they may be counted, and have no latency yet.
                std::thread::sleep(Duration::from_millis(150));
                page(&agent);
            });
            server.send_all(&[&["SUBSCRIBE", "channel"]]);
            for _ in 0..2 {
                let page = page(&agent);
                for cmd in ["blpop", "xread", "wait", "blmove", "subscribe"] {
                    let (quick, all) = (count(&page, cmd, "0.067633"), count(&page, cmd, "+Inf"));
                    assert_eq!(quick, all, "{name}: {cmd} in round {round}");
                    assert!(all <= f64::from(round), "{name}: {cmd} was called {all} times in round {round}");
                    let sum = page.value("redis_command_latency_seconds_sum", &[("cmd", cmd)]).unwrap_or(0.0);
                    assert!(sum < 0.1 * f64::from(round), "{name}: {cmd} took {sum} s");
                }
            }
        }
        // Where there are histograms at all, those of the waits are the server's own in the end.
        if server.send(&["LATENCY", "HISTOGRAM", "blpop"]).contains("calls") {
            for cmd in ["blpop", "xread", "wait", "blmove"] {
                assert_eq!(count(&page(&agent), cmd, "+Inf"), 3.0, "{name}: {cmd}");
            }
        }
    }
}
