//! Real Redis servers, and a generated host.

use std::time::Duration;

use crate::support::redis::Redis;
use crate::support::{Agent, signal, wait_for};
use crate::{checks, found, write};

#[test]
fn redis_is_judged_by_the_checks_of_its_part() {
    let redis = Redis::start(&[]);
    let args = ["--docker=", "--no-containers", "--no-host", "--no-postgres", "--audit.disable=slowlog_off,latency_monitor_off"];
    let agent = Agent::start(&[&args[..], &["--redis.addr", &redis.addr()]].concat(), &[]);
    let now = found(&agent, "/metrics", None);
    assert!(now.contains("maxmemory_unset") && !now.contains("latency_monitor_off"), "{now:?}");
    redis.send(&["CONFIG", "SET", "maxmemory", "100mb"]);
    let now = found(&agent, "/metrics", None);
    assert!(!now.contains("maxmemory_unset") && now.contains("noeviction_with_limit"), "{now:?}");
    let page = agent.scrape("/metrics");
    assert_eq!(page.value("stack_audit_checks_total", &[("part", "redis")]), Some(3.0 * 16.0));
    assert!(found(&agent, "/metrics?collect[]=redis", None).is_empty(), "a part of a page is no ground to judge on");

    let off = Agent::start(&["--no-audit", "--docker=", "--no-postgres", "--redis.addr", &redis.addr()], &[]);
    assert!(!off.get("/metrics").contains("stack_audit_"));
}

/// A generated host for real servers.
struct Host(tempfile::TempDir);

impl Host {
    fn kernel(&self, overcommit: &str, pages: &str, somaxconn: &str) {
        write(self.0.path(), "proc/sys/vm/overcommit_memory", overcommit);
        write(self.0.path(), "sys/kernel/mm/transparent_hugepage/enabled", pages);
        write(self.0.path(), "proc/sys/net/core/somaxconn", somaxconn);
    }

    /// How many files the server may have open.
    fn files(&self, redis: &Redis, limit: u32) {
        let process = self.0.path().join("proc").join(redis.pid().to_string());
        write(&process, "comm", "redis-server\n");
        write(&process, "limits", &format!("Max open files            {limit}                {limit}                files\n"));
    }

    fn watch(&self, redis: &Redis, env: &[(&str, &str)]) -> Agent {
        let roots = ["proc", "sys"].map(|root| format!("--path.{root}fs={}/{root}", self.0.path().display()));
        let addr = redis.addr();
        let args = ["--docker=", "--no-containers", "--no-postgres", &roots[0], &roots[1], "--redis.addr", &addr];
        Agent::start(&args, env)
    }
}

fn set(redis: &Redis, settings: &[(&str, &str)]) {
    for (name, value) in settings {
        assert_eq!(redis.send(&["CONFIG", "SET", name, value]), "+OK\r\n", "{name}");
    }
}

/// Waits until some checks find something and others do not. The server's settings are read again when the agent's are.
fn is(agent: &Agent, there: &[&str], gone: &[&str]) {
    signal(agent.pid(), "HUP");
    let (there, gone) = (checks(there.iter().copied()), checks(gone.iter().copied()));
    wait_for(&format!("{there:?}, not {gone:?}"), Duration::from_secs(20), || {
        let now = found(agent, "/metrics", None);
        now.is_superset(&there) && now.is_disjoint(&gone)
    });
}

#[test]
fn the_host_and_the_settings_of_a_redis_are_judged() {
    let (host, redis) = (Host(tempfile::tempdir().unwrap()), Redis::start(&[]));
    host.kernel("0\n", "[always] madvise never\n", "128\n");
    host.files(&redis, 1024);
    let agent = host.watch(&redis, &[]);
    let kernel = ["overcommit_memory_0", "transparent_hugepages", "somaxconn_below_tcp_backlog", "maxclients_above_fd_limit"];
    let usual = ["default_user_nopass", "maxmemory_unset", "latency_monitor_off"];
    is(&agent, &[&kernel[..], &usual].concat(), &[]);

    host.kernel("1\n", "always [madvise] never\n", "4096\n");
    host.files(&redis, 65_536);
    set(&redis, &[("latency-monitor-threshold", "100"), ("maxmemory", "100mb"), ("maxmemory-policy", "noeviction")]);
    set(&redis, &[("save", ""), ("appendonly", "no"), ("protected-mode", "no"), ("slowlog-log-slower-than", "-1")]);
    set(&redis, &[("client-output-buffer-limit", "replica 100 0 0")]);
    let now = ["noeviction_with_limit", "no_persistence", "protected_mode_off", "slowlog_off", "replica_buffer_limit_low"];
    is(&agent, &now, &[&kernel[..], &usual[1..]].concat());

    set(&redis, &[("maxmemory-policy", "volatile-lru"), ("appendonly", "yes"), ("appendfsync", "no"), ("protected-mode", "yes")]);
    set(&redis, &[("slowlog-log-slower-than", "10000"), ("client-output-buffer-limit", "replica 256mb 0 0")]);
    redis.send(&["SET", "a", "value"]);
    is(&agent, &["policy_volatile_without_ttl", "appendfsync_no"], &now);
    set(&redis, &[("maxmemory-policy", "allkeys-lru"), ("appendfsync", "everysec"), ("requirepass", "correct")]);
    let with_a_password = host.watch(&redis, &[("REDIS_PASSWORD", "correct")]);
    assert_eq!(with_a_password.scrape("/metrics").value("redis_up", &[]), Some(1.0));
    is(&with_a_password, &[], &["policy_volatile_without_ttl", "appendfsync_no", "default_user_nopass"]);
}

#[test]
fn a_save_that_fails_is_told_until_one_succeeds() {
    let (host, redis) = (Host(tempfile::tempdir().unwrap()), Redis::start(&[]));
    let agent = host.watch(&redis, &[]);
    // No snapshot can take the place of a folder.
    let snapshot = redis.dir.path().join("dump.rdb");
    std::fs::create_dir_all(snapshot.join("in-the-way")).unwrap();
    redis.send(&["BGSAVE"]);
    is(&agent, &["save_failing"], &[]);
    std::fs::remove_dir_all(&snapshot).unwrap();
    wait_for("a save", Duration::from_secs(20), || {
        redis.send(&["BGSAVE"]);
        redis.info()["rdb_last_bgsave_status"] == "ok"
    });
    is(&agent, &[], &["save_failing"]);
}

#[test]
fn a_master_and_its_replica_are_judged() {
    let (host, master) = (Host(tempfile::tempdir().unwrap()), Redis::start(&[]));
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &master.port.to_string(), "--repl-diskless-sync-delay", "0"]);
    let (of_master, of_replica) = (host.watch(&master, &[]), host.watch(&replica, &[]));
    let online = || master.info().get("slave0").is_some_and(|line| line.contains("state=online"));
    wait_for("the replica", Duration::from_secs(30), online);
    // The backlog is the smallest there is, and what is written in the first minute is more.
    set(&master, &[("repl-backlog-size", "16384")]);
    master.send(&["SET", "big", &"x".repeat(60_000)]);
    set(&replica, &[("replica-read-only", "no")]);
    is(&of_master, &["backlog_too_small"], &[]);
    is(&of_replica, &["replica_writable"], &["backlog_too_small"]);
    set(&master, &[("repl-backlog-size", "100mb")]);
    set(&replica, &[("replica-read-only", "yes")]);
    is(&of_master, &[], &["backlog_too_small"]);
    is(&of_replica, &[], &["replica_writable"]);
}
