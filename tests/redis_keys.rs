//! Keys, streams, groups of keys and scripts of the Redis part, on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use support::exposition::Exposition;
use support::redis::{Answer, Redis, Stub};
use support::{Agent, shared, signal, wait_for};

/// An agent that watches one server, with `args`.
fn watch(addr: &str, args: &[&str]) -> Agent {
    let only = ["--no-host", "--no-containers", "--no-postgres"];
    Agent::start(&[&only[..], args].concat(), &[("REDIS_ADDR", addr)])
}

fn page(agent: &Agent) -> Exposition {
    agent.scrape("/metrics/redis")
}

/// A page after the first pass over the keys.
fn searched(agent: &Agent) -> Exposition {
    let mut last = None;
    wait_for("a pass over the keys", Duration::from_secs(60), || {
        let page = page(agent);
        let done = page.value("redis_keys_check_success", &[]).is_some();
        last = Some(page);
        done
    });
    last.unwrap()
}

fn fill(redis: &Redis, script: &str) {
    let answer = redis.send(&["EVAL", script, "0"]);
    assert!(!answer.starts_with('-'), "{answer}");
}

/// How often `command` was called, by the server's own count, and how long all of it took.
fn spent(redis: &Redis, command: &str) -> (f64, f64) {
    let stats = redis.send(&["INFO", "commandstats"]);
    let Some(line) = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:"))) else { return (0.0, 0.0) };
    let field = |name: &str| line.split(',').find_map(|item| item.strip_prefix(name)).unwrap().trim().parse().unwrap();
    (field("calls="), field("usec="))
}

#[test]
fn equals_redis_exporter_on_recorded_replies() {
    for server in ["redis-7.0", "redis-8.0", "valkey-8.1", "valkey-9.1"] {
        let state = shared(&format!("fixtures/redis/{server}/standalone-busy"));
        let stub = Stub::recorded(&state);
        let agent = watch(
            &stub.addr(),
            &[
                "--redis.check-single-keys=user:1,counter,build,ratio,uniq,h,queue:mail,tags,board,orders,absent",
                "--redis.check-single-streams=orders",
                "--redis.count-keys=session:*,user:1?",
            ],
        );
        let series = |page: &Exposition| -> BTreeMap<String, f64> {
            // redis_key_size_distribution is not about keys that were asked for.
            let ours = |name: &str| {
                let named = ["redis_key_", "redis_keys_count", "redis_stream_"].iter().any(|prefix| name.starts_with(prefix));
                named && !name.starts_with("redis_key_size_distribution")
            };
            let series = page.series.iter().filter(|series| ours(&series.name));
            series.map(|series| (format!("{}{:?}", series.name, series.labels), series.value)).collect()
        };
        let text = std::fs::read_to_string(state.join("expected/head-flags.prom")).unwrap();
        let help = |line: &str| match line.strip_prefix("# TYPE ") {
            Some(rest) => format!("# HELP {} -\n{line}\n", rest.split(' ').next().unwrap()),
            None => format!("{line}\n"),
        };
        let theirs = support::exposition::parse(&text.lines().map(help).collect::<String>()).unwrap();
        let own = searched(&agent);
        let (mut expected, ours) = (series(&theirs), series(&own));
        // Nil in the recorded replies: the server does not know it, and 0 would be a lie.
        expected.retain(|series, _| {
            let unknown = series.starts_with("redis_stream_group_lag") && series.contains("billing")
                || series.starts_with("redis_stream_group_entries_read") && series.contains("shipping");
            !unknown
        });
        similar_asserts::assert_eq!(ours, expected, "{}", server);
        assert!(expected.len() > 40, "{expected:?}");
        for name in expected.keys().map(|series| series.split('{').next().unwrap()) {
            assert_eq!(own.types[name], theirs.types[name], "{name}");
        }
    }
}

#[test]
fn keys_that_are_named_are_fresh_in_every_scrape() {
    let redis = Redis::start(&[]);
    let agent = watch(&redis.addr(), &["--redis.check-single-keys=queue,db3=other"]);
    let size = |db, key| page(&agent).value("redis_key_size", &[("db", db), ("key", key)]);
    assert_eq!((size("db0", "queue"), size("db3", "other")), (Some(0.0), Some(0.0)));
    for length in 1..5 {
        redis.send(&["LPUSH", "queue", "x"]);
        redis.send_all(&[&["SELECT", "3"], &["SET", "other", &"x".repeat(length)]]);
        let length = f64::from(u32::try_from(length).unwrap());
        assert_eq!((size("db0", "queue"), size("db3", "other")), (Some(length), Some(length)));
    }
    redis.send(&["DEL", "queue"]);
    redis.send(&["PFADD", "queue", "a", "b", "c"]);
    assert_eq!(size("db0", "queue"), Some(3.0));
    assert!(!redis.send(&["INFO", "errorstats"]).contains("errorstat_"), "no command went to a key of another type");
    let clients = redis.send(&["CLIENT", "LIST"]);
    assert!(clients.lines().any(|client| client.contains("name=stack-exporter") && client.contains("db=0")), "{clients}");
}

#[test]
fn a_search_keeps_to_its_budget() {
    let redis = Redis::start(&["--enable-debug-command", "yes"]);
    redis.send(&["DEBUG", "POPULATE", "5000", "user"]);
    redis.send(&["DEBUG", "POPULATE", "3000", "session"]);
    let agent = watch(
        &redis.addr(),
        &[
            "--redis.check-keys=session:1*",
            "--redis.count-keys=user:*",
            "--redis.keys.server-percent=5",
            "--redis.keys.interval=1h",
        ],
    );
    let before = page(&agent);
    assert_eq!(before.value("redis_keys_check_age_seconds", &[]), Some(f64::INFINITY));
    assert!(!before.series.iter().any(|series| series.name == "redis_keys_count"));
    let page = searched(&agent);
    assert_eq!(page.value("redis_keys_count", &[("db", "db0"), ("key", "user:*")]), Some(5000.0));
    // session:1, 10 to 19, 100 to 199, 1000 to 1999.
    assert_eq!(page.all("redis_key_size").count(), 1111);
    assert!(page.value("redis_keys_check_age_seconds", &[]).unwrap() < 60.0);

    let duration = page.value("redis_keys_check_duration_seconds", &[]).unwrap();
    let waited = page.value("redis_keys_check_round_trips_seconds", &[]).unwrap();
    assert!(waited <= duration * 0.051, "{waited} s of {duration} s");
    let commands = ["scan", "type", "memory|usage", "strlen", "get", "getrange", "pfcount"];
    let (calls, usec) = commands.iter().map(|command| spent(&redis, command)).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert!(usec / 1e6 <= duration * 0.05, "{usec} us of {duration} s");
    // Two scans of 8,000 keys by 1,000 each, and of 1,111 keys type, memory, length and value.
    assert!(calls <= 18.0 + 4.0 * 1111.0, "{calls} commands");
    let looked_at = page.value("redis_keys_check_keys", &[]).unwrap();
    assert!(looked_at / duration <= 10_000.0, "{looked_at} keys in {duration} s");
    let scans = spent(&redis, "scan").0;
    for _ in 0..3 {
        self::page(&agent);
    }
    assert_eq!(spent(&redis, "scan").0, scans, "the next search is an hour away");
}

#[test]
fn streams_with_their_groups() {
    let redis = Redis::start(&[]);
    fill(
        &redis,
        "for i = 1, 9 do redis.call('XADD', 'orders', i .. '-1', 'k', 'v') end redis.call('XADD', 'orders:eu', '7-7', 'k', 'v')",
    );
    redis.send(&["XGROUP", "CREATE", "orders", "known", "0"]);
    redis.send(&["XREADGROUP", "GROUP", "known", "worker", "COUNT", "4", "STREAMS", "orders", ">"]);
    // From the middle: how much it has read is not known to the server.
    redis.send(&["XGROUP", "CREATE", "orders", "unknown", "5-1"]);
    redis.send(&["XDEL", "orders", "7-1"]);
    let agent = watch(&redis.addr(), &["--redis.check-single-streams=orders,missing", "--redis.check-streams=orders:*"]);
    let page = searched(&agent);
    let of = |name: &str, labels: &[(&str, &str)]| page.value(name, &[&[("db", "db0"), ("stream", "orders")], labels].concat());
    assert_eq!(of("redis_stream_length", &[]), Some(8.0));
    assert_eq!(of("redis_stream_entries_added_total", &[]), Some(9.0));
    assert_eq!(of("redis_stream_max_deleted_entry_id", &[]), Some(7.0));
    assert_eq!(of("redis_stream_group_entries_read", &[("group", "known")]), Some(4.0));
    assert_eq!(of("redis_stream_group_messages_pending", &[("group", "known")]), Some(4.0));
    assert_eq!(of("redis_stream_group_last_delivered_id", &[("group", "unknown")]), Some(5.0));
    assert_eq!(of("redis_stream_group_lag", &[("group", "unknown")]), None);
    assert_eq!(of("redis_stream_group_consumer_messages_pending", &[("group", "known"), ("consumer", "worker")]), Some(4.0));
    assert_eq!(page.value("redis_stream_length", &[("db", "db0"), ("stream", "orders:eu")]), Some(1.0));
    assert!(!page.all("redis_stream_length").any(|series| series.labels["stream"] == "missing"));

    let agent = watch(&redis.addr(), &["--redis.check-single-streams=orders", "--redis.streams-exclude-consumer-metrics"]);
    let page = self::page(&agent);
    assert!(page.all("redis_stream_group_consumers").count() == 2);
    assert_eq!(page.all("redis_stream_group_consumer_messages_pending").count(), 0);
}

#[test]
fn a_search_that_hangs_costs_no_scrape() {
    let redis = Redis::start(&["--enable-debug-command", "yes"]);
    redis.send(&["DEBUG", "POPULATE", "20000", "user"]);
    let agent = watch(
        &redis.addr(),
        &[
            "--redis.count-keys=user:*",
            "--redis.keys.per-second=1000",
            "--redis.check-single-keys=user:1",
            "--redis.connection-timeout=1s",
            "--redis.keys.interval=1s",
        ],
    );
    assert_eq!(page(&agent).value("redis_up", &[]), Some(1.0));
    wait_for("the search to be under way", Duration::from_secs(20), || spent(&redis, "scan").0 > 0.0);
    // In the middle of a search of 20 seconds.
    let start = Instant::now();
    let during = page(&agent);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(during.value("redis_up", &[]), Some(1.0));
    assert_eq!(during.value("redis_key_size", &[("db", "db0"), ("key", "user:1")]), Some(7.0));
    assert_eq!(during.value("redis_keys_check_age_seconds", &[]), Some(f64::INFINITY));
    signal(redis.pid(), "STOP");
    let start = Instant::now();
    let hung = page(&agent);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(hung.value("redis_up", &[]), Some(0.0));
    wait_for("the reason", Duration::from_secs(30), || {
        page(&agent).value("redis_keys_check_failure", &[("of", "search"), ("reason", "timeout")]) == Some(1.0)
    });
    signal(redis.pid(), "CONT");
    wait_for("redis_up to be 1 again", Duration::from_secs(20), || page(&agent).value("redis_up", &[]) == Some(1.0));
}

#[test]
fn keys_by_group() {
    let redis = Redis::start(&[]);
    fill(
        &redis,
        "for i = 1, 50 do redis.call('SET', 'user:' .. i, i) redis.call('SET', 'cache_' .. i % 5 .. '_' .. i, i) end redis.call('SET', 'lonely', 1)",
    );
    let check = "--redis.check-key-groups=^(user):%d+$,^(cache)(_%d)";
    let agent = watch(&redis.addr(), &[check]);
    let count = |page: &Exposition, group| page.value("redis_key_group_count", &[("db", "db0"), ("key_group", group)]);
    let page = searched(&agent);
    assert_eq!(count(&page, "user"), Some(50.0));
    assert_eq!(
        (count(&page, "cache_0"), count(&page, "cache_4"), count(&page, "unclassified")),
        (Some(10.0), Some(10.0), Some(1.0))
    );
    assert_eq!(page.value("redis_number_of_distinct_key_groups", &[("db", "db0")]), Some(7.0));
    assert!(page.value("redis_key_group_memory_usage_bytes", &[("db", "db0"), ("key_group", "user")]).unwrap() > 50.0 * 40.0);
    assert!(page.value("redis_last_key_groups_scrape_duration_milliseconds", &[]).is_some());

    let agent = watch(&redis.addr(), &[check, "--redis.max-distinct-key-groups=1"]);
    let page = searched(&agent);
    assert_eq!((count(&page, "user"), count(&page, "overflow"), count(&page, "cache_0")), (Some(50.0), Some(51.0), None));
    assert_eq!(page.value("redis_number_of_distinct_key_groups", &[("db", "db0")]), Some(7.0));
}

#[test]
fn scripts_and_a_server_without_search() {
    let redis = Redis::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.lua", "return {'answer', '42', 'half', '0.5'}");
    let (empty, bad) = (file("empty.lua", "return {}"), file("bad.lua", "return redis.call('SET', 'a', 'b')"));
    let scripts = format!("--redis.script={good},{empty},{bad}");
    let agent = watch(&redis.addr(), &[&scripts, "--redis.lua-script-read-only", "--redis.include-search-indexes-metrics"]);
    let page = searched(&agent);
    assert_eq!(page.value("redis_script_values", &[("key", "answer"), ("filename", &good)]), Some(42.0));
    assert_eq!(page.value("redis_script_values", &[("key", "half"), ("filename", &good)]), Some(0.5));
    for (file, result) in [(&good, 1.0), (&empty, 2.0), (&bad, 0.0)] {
        assert_eq!(page.value("redis_script_result", &[("filename", file)]), Some(result), "{file}");
    }
    assert_eq!(page.value("redis_up", &[]), Some(1.0));
    assert_eq!(page.value("redis_keys_check_failure", &[("of", "search"), ("reason", "script")]), Some(1.0));
    assert!(redis.send(&["EXISTS", "a"]).starts_with(":0"), "EVAL_RO must not write");
}

#[test]
fn masters_may_be_spared() {
    let redis = Redis::start(&[]);
    redis.send(&["SET", "key", "1"]);
    let keys = ["--redis.check-single-keys=key", "--redis.count-keys=*", "--redis.skip-checkkeys-for-role-master"];
    let agent = watch(&redis.addr(), &keys);
    let page = searched(&agent);
    assert!(!page.series.iter().any(|series| ["redis_key_size", "redis_keys_count"].contains(&&*series.name)));
    assert_eq!(spent(&redis, "scan").0, 0.0);
}

#[test]
fn least_rights() {
    let redis = Redis::start(&[]);
    fill(
        &redis,
        "redis.call('SET', 'text', 'x') redis.call('PFADD', 'uniq', 'a', 'b') redis.call('LPUSH', 'list', 1) redis.call('XADD', 'stream', '1-1', 'k', 'v')",
    );
    let may = "ACL SETUSER mon on >secret resetkeys resetchannels -@all +info +client|setname +config|get +latency|latest +latency|histogram \
        +slowlog|len +slowlog|get +command|info +select +scan +type +memory|usage +strlen +llen +scard +zcard +hlen +xlen +pfcount +get +getrange \
        +xinfo|stream +xinfo|groups +xinfo|consumers ~*";
    assert!(redis.send(&may.split_ascii_whitespace().collect::<Vec<_>>()).starts_with("+OK"));
    redis.send(&["ACL", "SETUSER", "info", "on", ">secret", "resetkeys", "-@all", "+info", "+type", "%R~list"]);
    let login = |user: &'static str, more: &[&str]| {
        let user = format!("--redis.user={user}");
        watch(&redis.addr(), &[&[&user, "--redis.password=secret"][..], more].concat())
    };
    let agent = login(
        "mon",
        &[
            "--redis.check-keys=*,db1=*",
            "--redis.check-single-keys=list",
            "--redis.check-single-streams=stream",
            "--redis.check-key-groups=^(.)",
            "--redis.count-keys=*",
        ],
    );
    let page = searched(&agent);
    assert_eq!(page.value("redis_keys_check_success", &[]), Some(1.0));
    assert_eq!(page.value("redis_key_size", &[("db", "db0"), ("key", "uniq")]), Some(2.0));
    assert_eq!(page.all("redis_key_size").count(), 4);
    assert_eq!(redis.send(&["ACL", "LOG"]), "*0\r\n");

    let agent = login("info", &["--redis.check-single-keys=list,text", "--redis.count-keys=*"]);
    let page = searched(&agent);
    for of in ["named", "search"] {
        assert_eq!(page.value("redis_keys_check_failure", &[("of", of), ("reason", "noperm")]), Some(1.0), "{of}");
    }
    assert_eq!((page.value("redis_up", &[]), page.all("redis_keys_count").count()), (Some(1.0), 0));
}

#[test]
fn keys_of_another_node_are_not_here() {
    let info = std::fs::read(shared("fixtures/redis/redis-7.0/cluster-node/replies/info_all.resp")).unwrap();
    let stub = Stub::start(move |command| match command {
        "INFO ALL" => Answer::Send(info.clone()),
        command if command.starts_with("TYPE") || command.starts_with("XINFO") => {
            Answer::Send(b"-MOVED 866 127.0.0.1:7001\r\n".to_vec())
        }
        _ => Answer::Send(b"-ERR unknown\r\n".to_vec()),
    });
    let agent = watch(&stub.addr(), &["--redis.check-single-keys=a", "--redis.check-single-streams=b"]);
    let page = page(&agent);
    assert_eq!(page.value("redis_up", &[]), Some(1.0));
    let ours = |name: &str| ["redis_key_", "redis_keys_check", "redis_stream_"].iter().any(|prefix| name.starts_with(prefix));
    assert!(!page.series.iter().any(|series| ours(&series.name)));
}

/// Answers of wrong shapes to every command, in turn.
#[test]
fn answers_that_make_no_sense() {
    let info = std::fs::read(shared("fixtures/redis/redis-7.0/standalone-busy/replies/info_all.resp")).unwrap();
    let shapes = [
        "*2\r\n$1\r\n7\r\n*1\r\n$1\r\na\r\n",
        ":-1\r\n",
        "*-1\r\n",
        "+stream\r\n",
        "*2\r\n*0\r\n:1\r\n",
        "+string\r\n",
        "*1\r\n*2\r\n$4\r\nname\r\n$2\r\n\u{e9}\r\n",
        "$-1\r\n",
    ];
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let stub = Stub::start(move |command| match command {
        "INFO ALL" => Answer::Send(info.clone()),
        _ => {
            let shape = shapes[turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) * 7 % 23 % shapes.len()];
            Answer::Send(shape.as_bytes().to_vec())
        }
    });
    let agent = watch(
        &stub.addr(),
        &[
            "--redis.check-keys=*",
            "--redis.check-streams=*",
            "--redis.count-keys=*",
            "--redis.check-key-groups=a",
            "--redis.check-single-keys=a,b,c",
            "--redis.check-single-streams=a,b,c",
            "--redis.include-search-indexes-metrics",
            "--redis.keys.server-percent=100",
            "--redis.keys.per-second=100000000",
            "--redis.keys.interval=1ms",
        ],
    );
    for _ in 0..20 {
        assert_eq!(page(&agent).value("redis_up", &[]), Some(1.0));
    }
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
}
