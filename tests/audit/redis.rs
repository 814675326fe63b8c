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

#[test]
fn each_check_of_redis_is_provoked_and_ends() {
    let tree = tempfile::tempdir().unwrap();
    let host = |overcommit: &str, pages: &str, somaxconn: &str| {
        write(tree.path(), "proc/sys/vm/overcommit_memory", overcommit);
        write(tree.path(), "sys/kernel/mm/transparent_hugepage/enabled", pages);
        write(tree.path(), "proc/sys/net/core/somaxconn", somaxconn);
    };
    host("0\n", "[always] madvise never\n", "128\n");
    let master = Redis::start(&[]);
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &master.port.to_string(), "--repl-diskless-sync-delay", "0"]);
    // The server's own process, which its limit of files is read of.
    let server = tree.path().join("proc").join(master.pid().to_string());
    let files = |limit: u32| {
        write(&server, "comm", "redis-server\n");
        write(&server, "limits", &format!("Max open files            {limit}                {limit}                files\n"));
    };
    files(1024);
    let set = |redis: &Redis, settings: &[(&str, &str)]| {
        for (name, value) in settings {
            assert_eq!(redis.send(&["CONFIG", "SET", name, value]), "+OK\r\n", "{name}");
        }
    };
    let roots = ["proc", "sys"].map(|root| format!("--path.{root}fs={}/{root}", tree.path().display()));
    let args = ["--docker=", "--no-containers", "--no-postgres", &roots[0], &roots[1]];
    let watch = |redis: &Redis| {
        let addr = redis.addr();
        Agent::start(&[&args[..], &["--redis.addr", &addr]].concat(), &[])
    };
    let (of_master, of_replica) = (watch(&master), watch(&replica));
    // Settings are read again when the agent's are.
    let is = |agent: &Agent, there: &[&str], gone: &[&str]| {
        signal(agent.pid(), "HUP");
        let (there, gone) = (checks(there.iter().copied()), checks(gone.iter().copied()));
        wait_for(&format!("{there:?}, not {gone:?}"), Duration::from_secs(20), || {
            let now = found(agent, "/metrics", None);
            now.is_superset(&there) && now.is_disjoint(&gone)
        });
    };

    let lasting = ["default_user_nopass", "overcommit_memory_0", "transparent_hugepages", "somaxconn_below_tcp_backlog"];
    let of_files = ["maxclients_above_fd_limit"];
    is(&of_master, &[&lasting[..], &of_files[..], &["maxmemory_unset", "latency_monitor_off"]].concat(), &[]);
    host("1\n", "always [madvise] never\n", "4096\n");
    files(65_536);
    set(&master, &[("latency-monitor-threshold", "100"), ("maxmemory", "100mb"), ("maxmemory-policy", "noeviction")]);
    set(&master, &[("save", ""), ("appendonly", "no"), ("protected-mode", "no"), ("slowlog-log-slower-than", "-1")]);
    set(&master, &[("client-output-buffer-limit", "replica 100 0 0")]);
    let now = ["noeviction_with_limit", "no_persistence", "protected_mode_off", "slowlog_off", "replica_buffer_limit_low"];
    is(&of_master, &now, &[&lasting[1..], &of_files[..], &["maxmemory_unset", "latency_monitor_off"]].concat());

    set(&master, &[("maxmemory-policy", "volatile-lru"), ("appendonly", "yes"), ("appendfsync", "no")]);
    set(
        &master,
        &[("protected-mode", "yes"), ("slowlog-log-slower-than", "10000"), ("client-output-buffer-limit", "replica 256mb 0 0")],
    );
    master.send(&["SET", "a", "value"]);
    is(&of_master, &["policy_volatile_without_ttl", "appendfsync_no"], &now);

    // No snapshot can take the place of a folder.
    let snapshot = master.dir.path().join("dump.rdb");
    let _ = std::fs::remove_file(&snapshot);
    std::fs::create_dir_all(snapshot.join("in-the-way")).unwrap();
    set(&master, &[("maxmemory-policy", "allkeys-lru"), ("appendfsync", "everysec")]);
    master.send(&["BGSAVE"]);
    is(&of_master, &["save_failing"], &["policy_volatile_without_ttl", "appendfsync_no"]);
    std::fs::remove_dir_all(&snapshot).unwrap();
    wait_for("a save", Duration::from_secs(20), || {
        master.send(&["BGSAVE"]);
        master.info()["rdb_last_bgsave_status"] == "ok"
    });
    is(&of_master, &[], &["save_failing"]);

    // Its backlog is the smallest there is, and what it has written in its first minute is more.
    wait_for("the replica", Duration::from_secs(30), || {
        master.info().get("slave0").is_some_and(|line| line.contains("state=online"))
    });
    set(&master, &[("repl-backlog-size", "16384")]);
    master.send(&["SET", "big", &"x".repeat(60_000)]);
    set(&replica, &[("replica-read-only", "no")]);
    is(&of_master, &["backlog_too_small"], &[]);
    is(&of_replica, &["replica_writable"], &["backlog_too_small"]);
    set(&master, &[("repl-backlog-size", "100mb")]);
    set(&replica, &[("replica-read-only", "yes")]);
    is(&of_master, &[], &["backlog_too_small"]);
    is(&of_replica, &[], &["replica_writable"]);

    set(&master, &[("requirepass", "correct")]);
    let with_a_password =
        Agent::start(&[&args[..], &["--redis.addr", &master.addr()]].concat(), &[("REDIS_PASSWORD", "correct")]);
    assert_eq!(with_a_password.scrape("/metrics").value("redis_up", &[]), Some(1.0));
    is(&with_a_password, &[], &["default_user_nopass"]);
}
