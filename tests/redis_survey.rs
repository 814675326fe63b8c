//! Large keys, prefixes, keys that never expire and hot keys, on real servers: off unless asked for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use support::exposition::Exposition;
use support::redis::{Answer, Redis, Stub, programs};
use support::{Agent, shared, wait_for};

fn watch(addr: &str, args: &[&str]) -> Agent {
    let only = ["--no-host", "--no-containers", "--no-postgres"];
    Agent::start(&[&only[..], args].concat(), &[("REDIS_ADDR", addr)])
}

fn page(agent: &Agent) -> Exposition {
    agent.scrape("/metrics/redis")
}

/// A page for which `done` holds.
fn page_where(agent: &Agent, what: &str, done: impl Fn(&Exposition) -> bool) -> Exposition {
    let mut last = None;
    wait_for(what, Duration::from_secs(60), || {
        let page = page(agent);
        let is_done = done(&page);
        last = Some(page);
        is_done
    });
    last.unwrap()
}

fn searched(agent: &Agent) -> Exposition {
    page_where(agent, "a pass over the keys", |page| page.value("redis_keys_check_success", &[]).is_some())
}

/// The series of a family by the value of one label, of one database.
fn by(page: &Exposition, family: &str, db: &str, label: &str) -> BTreeMap<String, f64> {
    let series = page.all(family).filter(|series| series.labels["db"] == db);
    series.map(|series| (series.labels[label].clone(), series.value)).collect()
}

fn run(server: &Redis, script: &str) -> String {
    let answer = server.send(&["EVAL", script, "0"]);
    assert!(!answer.starts_with('-'), "{answer}");
    answer
}

/// What MEMORY USAGE says of keys, by the server itself.
fn memory(server: &Redis, db: &str, key: &str) -> f64 {
    let answer = server.send_all(&[&["SELECT", db], &["MEMORY", "USAGE", key]]);
    answer.strip_prefix("+OK\r\n:").and_then(|rest| rest.trim().parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn nothing_of_it_is_shown_unless_asked_for() {
    let redis = Redis::start(&[]);
    redis.send(&["SET", "user:1", "x"]);
    let page = page(&watch(&redis.addr(), &[]));
    let names = ["redis_bigkey", "redis_key_prefix", "redis_keys_sample", "redis_keys_without_ttl", "redis_hotkey"];
    assert!(!page.series.iter().any(|series| names.iter().any(|name| series.name.starts_with(name))));
    assert!(!page.series.iter().any(|series| series.labels.values().any(|value| value.contains("user:1"))), "no key name");
}

#[test]
fn keys_and_bytes_are_those_of_the_data() {
    for program in programs() {
        let (name, server) = (&program.name, program.start(&[]));
        run(
            &server,
            "for i = 1, 700 do redis.call('SET', 'user:' .. i, string.rep('x', 100)) end \
             for i = 1, 300 do redis.call('SET', 'session:' .. i .. ':cart', 'y') end \
             for i = 1, 50 do redis.call('SET', 'tiny' .. i % 10 .. ':' .. i, 1) end \
             for i = 1, 5000 do redis.call('RPUSH', 'queue:mail', 'message ' .. i) end \
             for i = 1, 2000 do redis.call('HSET', 'catalogue', 'item' .. i, i) end \
             redis.call('SELECT', 2) redis.call('SET', 'blob', string.rep('z', 50000)) redis.call('SET', 'user:1', 'x')",
        );
        let agent = watch(&server.addr(), &["--redis.big-keys=3", "--redis.key-prefixes=4", "--redis.keys.server-percent=50"]);
        let page = searched(&agent);
        assert_eq!(page.value("redis_keys_check_success", &[]), Some(1.0), "{name}");
        let keys = by(&page, "redis_key_prefix_keys", "db0", "prefix");
        let expected = [("user:", 700.0), ("session:", 300.0), ("queue:", 1.0), ("", 1.0), ("other", 50.0)];
        assert_eq!(keys, expected.map(|(prefix, keys)| (prefix.to_owned(), keys)).into(), "{name}");
        let bytes = by(&page, "redis_key_prefix_bytes", "db0", "prefix");
        let of = |prefix: &str, numbers: std::ops::RangeInclusive<u32>, suffix: &str| -> f64 {
            let answer = run(
                &server,
                &format!(
                    "local sum = 0 for i = {}, {} do sum = sum + redis.call('MEMORY', 'USAGE', '{prefix}' .. i .. '{suffix}') end return sum",
                    numbers.start(),
                    numbers.end()
                ),
            );
            answer.trim_start_matches(':').trim().parse().unwrap()
        };
        assert_eq!(bytes["user:"], of("user:", 1..=700, ""), "{name}");
        assert_eq!(bytes["session:"], of("session:", 1..=300, ":cart"), "{name}");
        assert_eq!(
            (bytes["queue:"], bytes[""]),
            (memory(&server, "0", "queue:mail"), memory(&server, "0", "catalogue")),
            "{name}"
        );
        assert_eq!(by(&page, "redis_key_prefix_keys", "db2", "prefix"), [(String::new(), 1.0), ("user:".into(), 1.0)].into());
        for db in ["db0", "db2"] {
            assert_eq!(page.value("redis_keys_sample_ratio", &[("db", db)]), Some(1.0), "{name}");
        }
        let mut largest: Vec<_> = page.all("redis_bigkey_bytes").map(|series| (series.labels.clone(), series.value)).collect();
        largest.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let found: Vec<_> = largest.iter().map(|(labels, _)| (&*labels["db"], &*labels["key"], &*labels["type"])).collect();
        let mut expected =
            [("2", "blob", "string"), ("0", "queue:mail", "list"), ("0", "catalogue", "hash")].map(|(db, key, kind)| {
                let bytes = memory(&server, db, key);
                (format!("db{db}"), key, kind, bytes)
            });
        expected.sort_by(|a, b| b.3.total_cmp(&a.3));
        assert_eq!(found, expected.each_ref().map(|(db, key, kind, _)| (&**db, *key, *kind)), "{name}");
        assert_eq!(largest.iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>(), expected.map(|large| large.3), "{name}");
    }
}

#[test]
fn a_large_database_is_sampled_within_the_budget_and_in_the_end_whole() {
    let redis = Redis::start(&["--enable-debug-command", "yes"]);
    redis.send(&["DEBUG", "POPULATE", "12000", "user"]);
    redis.send(&["DEBUG", "POPULATE", "4000", "session"]);
    run(&redis, "for i = 1, 3 do redis.call('SET', 'huge:' .. i, string.rep('x', 100000 * i)) end");
    let agent = watch(
        &redis.addr(),
        &[
            "--redis.big-keys=3",
            "--redis.key-prefixes=10",
            "--redis.keys.sample=2000",
            "--redis.keys.interval=10ms",
            "--redis.check-keys-batch-size=500",
            "--redis.keys.server-percent=5",
        ],
    );
    let page = searched(&agent);
    let ratio = page.value("redis_keys_sample_ratio", &[("db", "db0")]).unwrap();
    assert!((0.12..0.2).contains(&ratio), "{ratio}");
    // A stretch of SCAN is a fair sample: within 15 % of what there is.
    let keys = by(&page, "redis_key_prefix_keys", "db0", "prefix");
    for (prefix, there) in [("user:", 12_000.0), ("session:", 4_000.0)] {
        assert!((keys[prefix] / there - 1.0).abs() < 0.15, "{keys:?}");
    }
    let bytes = by(&page, "redis_key_prefix_bytes", "db0", "prefix");
    let of_one = memory(&redis, "0", "user:11111");
    assert!((bytes["user:"] / keys["user:"] / of_one - 1.0).abs() < 0.1, "{bytes:?}, {of_one} each");

    let duration = page.value("redis_keys_check_duration_seconds", &[]).unwrap();
    let waited = page.value("redis_keys_check_round_trips_seconds", &[]).unwrap();
    assert!(waited <= duration * 0.051, "{waited} s of {duration} s");
    let looked_at = page.value("redis_keys_check_keys", &[]).unwrap();
    assert!((2_000.0..=3_000.0).contains(&looked_at) && looked_at / duration <= 10_000.0, "{looked_at} keys in {duration} s");

    let page = page_where(&agent, "all of the largest keys", |page| {
        let largest: Vec<_> = page.all("redis_bigkey_bytes").map(|series| series.labels["key"].clone()).collect();
        ["huge:1", "huge:2", "huge:3"].iter().all(|key| largest.iter().any(|found| found == key))
    });
    assert_eq!(page.all("redis_bigkey_bytes").count(), 3);
    // A key that is gone is not shown for long.
    redis.send(&["DEL", "huge:3"]);
    page_where(&agent, "the key to go", |page| !page.all("redis_bigkey_bytes").any(|series| series.labels["key"] == "huge:3"));
}

#[test]
fn the_share_of_keys_that_never_expire() {
    for program in programs() {
        let (name, server) = (&program.name, program.start(&[]));
        run(
            &server,
            "for i = 1, 40 do redis.call('SET', 'a' .. i, 1) end for i = 1, 10 do redis.call('EXPIRE', 'a' .. i, 1000) end \
             redis.call('SELECT', 3) redis.call('SET', 'b', 1, 'EX', 1000)",
        );
        let agent = watch(&server.addr(), &["--redis.keys-without-ttl"]);
        let page = page(&agent);
        let shares = |db: &str| page.value("redis_keys_without_ttl_ratio", &[("db", db)]);
        assert_eq!([shares("db0"), shares("db3"), shares("db1")], [Some(0.75), Some(0.0), None], "{name}");
        assert!(!server.send(&["INFO", "commandstats"]).contains("cmdstat_scan"), "{name}: it costs no search");
    }
}

#[test]
fn masters_are_spared_where_replicas_tell() {
    let redis = Redis::start(&[]);
    redis.send(&["SET", "user:1", "x"]);
    let flags = ["--redis.big-keys=3", "--redis.key-prefixes=3", "--redis.skip-checkkeys-for-role-master"];
    let page = searched(&watch(&redis.addr(), &flags));
    assert!(page.all("redis_bigkey_bytes").next().is_none() && page.all("redis_key_prefix_keys").next().is_none());
    let port = redis.port.to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    wait_for("the replica", Duration::from_secs(30), || replica.send(&["INFO", "keyspace"]).contains("keys=1"));
    let page = searched(&watch(&replica.addr(), &flags));
    assert_eq!(page.value("redis_key_prefix_keys", &[("db", "db0"), ("prefix", "user:")]), Some(1.0));
}

/// What `stack-exporter redis acl` prints.
fn acl(flags: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
    let output = command.env_clear().args(["redis", "acl"]).args(flags).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn only_the_rights_that_the_acl_line_names_are_needed() {
    let redis = Redis::start(&[]);
    redis.send(&["SET", "user:1", "x"]);
    let flags = ["--redis.big-keys=3", "--redis.key-prefixes=3", "--redis.keys-without-ttl"];
    let rules = acl(&flags);
    let words: Vec<&str> = ["ACL", "SETUSER", "mon", "on", ">secret"].into_iter().chain(rules.split_ascii_whitespace()).collect();
    assert!(redis.send(&words).starts_with("+OK"), "{rules}");
    let agent = watch(&redis.addr(), &[&flags[..], &["--redis.user=mon", "--redis.password=secret"]].concat());
    let page = searched(&agent);
    assert_eq!(page.value("redis_keys_check_success", &[]), Some(1.0));
    assert_eq!(page.all("redis_bigkey_bytes").count(), 1);
    assert_eq!(redis.send(&["ACL", "LOG"]), "*0\r\n");
    assert!(acl(&["--redis.hot-keys=3"]).contains(" +hotkeys|get"));
}

/// No registry has a server of 8.6: the answers are as its documentation shows them.
#[test]
fn hot_keys_while_a_session_runs() {
    let info = std::fs::read(shared("fixtures/redis/redis-8.0/standalone-busy/replies/info_all.resp")).unwrap();
    let session = |active: u8, outer: &str| {
        let text = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let mut fields = vec![("tracking-active", format!(":{active}\r\n")), ("sample-ratio", ":1\r\n".to_owned())];
        fields.extend([
            ("all-commands-all-slots-us", ":200\r\n".to_owned()),
            ("net-bytes-all-commands-all-slots", ":1000\r\n".into()),
        ]);
        let keys = |list: &[(&str, u32)]| {
            let pairs: String = list.iter().map(|(key, taken)| format!("{}:{taken}\r\n", text(key))).collect();
            format!("*{}\r\n{pairs}", list.len() * 2)
        };
        fields.push(("by-cpu-time-us", keys(&[("a", 100), ("b", 50), ("c", 1)])));
        fields.push(("by-net-bytes", keys(&[("b", 700)])));
        let body: String = fields.iter().map(|(name, value)| text(name) + value).collect();
        format!("{outer}*{}\r\n{body}", fields.len() * 2)
    };
    let cases = [(session(1, "*1\r\n"), 3), (session(1, ""), 3), (session(0, "*1\r\n"), 0), ("*-1\r\n".to_owned(), 0)];
    for (reply, shown) in cases {
        let (info, answer) = (info.clone(), reply.clone());
        let stub = Stub::start(move |command| match command {
            "INFO ALL" => Answer::Send(info.clone()),
            "HOTKEYS GET" => Answer::Send(answer.clone().into_bytes()),
            _ => Answer::Send(b"-ERR unknown command\r\n".to_vec()),
        });
        let page = page(&watch(&stub.addr(), &["--redis.hot-keys=2"]));
        assert_eq!(page.all("redis_hotkey_share").count(), shown, "{reply:?}");
        if shown > 0 {
            let share = |key, resource| page.value("redis_hotkey_share", &[("key", key), ("resource", resource)]);
            assert_eq!([share("a", "cpu"), share("b", "cpu"), share("b", "network")], [Some(0.5), Some(0.25), Some(0.7)]);
        }
        assert!(stub.commands.lock().unwrap().iter().all(|command| !command.starts_with("HOTKEYS START")));
    }
    // A server that knows no such command is asked once, and stays up.
    let redis = Redis::start(&[]);
    let agent = watch(&redis.addr(), &["--redis.hot-keys=2"]);
    for _ in 0..3 {
        assert_eq!(self::page(&agent).value("redis_up", &[]), Some(1.0));
    }
    assert_eq!(redis.info().get("errorstat_ERR").map(String::as_str), Some("count=1"));
}
