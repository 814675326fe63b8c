//! The audit of the real binary: checks are provoked on real servers and on a generated tree, and their findings go when the cause does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use support::postgres::Postgres;
use support::redis::Redis;
use support::{Agent, wait_for};

/// The checks that found something, of one subject or of all.
fn found(agent: &Agent, path: &str, subject: Option<&str>) -> BTreeSet<String> {
    let page = agent.scrape(path);
    let fits = |labels: &std::collections::BTreeMap<String, String>| subject.is_none_or(|subject| labels["subject"] == subject);
    let findings = page.all("stack_audit_finding").filter(|series| series.value == 1.0 && fits(&series.labels));
    findings.map(|series| series.labels["check"].clone()).collect()
}

fn checks<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn postgres_is_judged_by_its_settings_and_the_memory_of_its_host() {
    let mut server = Postgres::start(&["fsync=off", "archive_mode=on", "max_connections=600"]);
    let args = ["--docker=", "--no-containers", "--no-redis", "--audit.threshold=shared_buffers_default=0.999999"];
    let agent = Agent::start(&args, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    server.sql("postgres", "SELECT pg_create_physical_replication_slot('gone', true); CREATE TABLE t (i int)");
    // Not on the server's command line, which would outdo what is set below.
    server.sql("postgres", "ALTER SYSTEM SET archive_command = '/bin/false'");
    server.sql("postgres", "SELECT pg_reload_conf(), pg_switch_wal()");
    let always = ["idle_in_transaction_timeout_unset", "statement_timeout_unset", "temp_file_limit_unset", "track_io_timing_off"];
    let bad = [
        "fsync_off",
        "shared_buffers_default",
        "max_connections_high",
        "log_lock_waits_off",
        "slot_wal_unlimited",
        "archiving_fails",
    ];
    let wanted = checks(always.into_iter().chain(bad));
    let all = || found(&agent, "/metrics", None);
    wait_for("archiving", Duration::from_secs(30), || all().contains("archiving_fails"));
    let missing: Vec<String> = wanted.difference(&all()).cloned().collect();
    assert!(missing.is_empty(), "not found: {missing:?}");
    let status: Value = serde_json::from_str(&agent.get("/api/v1/status")).unwrap();
    let finding =
        status["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == "shared_buffers_default").unwrap();
    assert!(finding["figure"].as_str().unwrap().starts_with("128.0 MiB of "), "{finding}");
    assert_eq!((finding["severity"].as_str(), finding["part"].as_str()), (Some("warning"), Some("postgres")));
    assert!(finding["source"].as_str().unwrap().contains("pg_settings_shared_buffers_bytes"));
    assert!(agent.get("/").contains("shared_buffers is what the factory set"));

    for setting in [
        "fsync = on",
        "shared_buffers = '64MB'",
        "max_connections = 100",
        "log_lock_waits = on",
        "max_slot_wal_keep_size = '1GB'",
        "archive_command = '/bin/true'",
        "idle_in_transaction_session_timeout = '10min'",
        "statement_timeout = '1min'",
        "temp_file_limit = '1GB'",
        "track_io_timing = on",
    ] {
        server.sql("postgres", &format!("ALTER SYSTEM SET {setting}"));
    }
    server.stop("INT");
    assert!(all().is_disjoint(&wanted), "a server that is down is not judged: {:?}", all());
    server.resume();
    wait_for("what came with the restart", Duration::from_secs(30), || all().contains("shared_buffers_small"));
    wait_for("the end of all others", Duration::from_secs(60), || {
        all().is_disjoint(&checks(always.into_iter().chain(bad[3..].iter().copied())))
    });
}

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
fn the_host_is_judged_by_what_its_kernel_tells() {
    let tree = tempfile::tempdir().unwrap();
    let proc = tree.path().join("proc");
    let write = |path: &str, text: &str| {
        std::fs::create_dir_all(proc.join(path).parent().unwrap()).unwrap();
        std::fs::write(proc.join(path), text).unwrap();
    };
    let memory =
        |swap: u32| write("meminfo", &format!("MemTotal: 1000 kB\nMemAvailable: 10 kB\nSwapTotal: {swap} kB\nSwapFree: 0 kB\n"));
    let pressed = |micros: u64| {
        let line = |kind| format!("{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={micros}\n");
        write("pressure/memory", &(line("some") + &line("full")));
        for other in ["cpu", "io"] {
            write(&format!("pressure/{other}"), &(line("some") + &line("full")));
        }
    };
    let swapped = |pages: u64| write("vmstat", &format!("pswpin {pages}\npswpout {pages}\n"));
    let overflows = |count: u64| write("1/net/netstat", &format!("TcpExt: ListenOverflows\nTcpExt: {count}\n"));
    let conntrack = |count: u32| write("sys/net/netfilter/nf_conntrack_count", &format!("{count}\n"));
    let mounts = |options: &str| write("1/mountinfo", &format!("27 1 254:0 / / {options} - ext4 /dev/vda {options}\n"));
    write("sys/net/netfilter/nf_conntrack_max", "100\n");
    write("1/net/snmp", "");
    memory(0);
    pressed(0);
    swapped(0);
    overflows(0);
    conntrack(10);
    mounts("rw,relatime");
    let path = format!("--path.procfs={}", proc.display());
    let thresholds = ["--audit.threshold=filesystem_full=1.1", "--audit.threshold=inodes_used_up=1.1"];
    let args = ["--docker=", "--no-containers", "--no-postgres", "--no-redis", "--audit.disable=clock_unsynchronised", &path];
    let agent = Agent::start(&[&args[..], &thresholds].concat(), &[]);
    let all = || found(&agent, "/metrics", None);
    assert_eq!(all(), checks([]), "{}", agent.log());

    let mut total = 0;
    let mut wait = |what: &str, wanted: &[&str], grows: u64| {
        wait_for(what, Duration::from_secs(30), || {
            total += grows;
            pressed(total * 1_000_000);
            swapped(total * 100_000);
            overflows(total);
            all() == checks(wanted.iter().copied())
        });
    };
    conntrack(90);
    mounts("ro,relatime");
    wait(
        "without swap",
        &["conntrack_near_limit", "filesystem_read_only", "listen_queue_overflows", "swap_off_under_pressure"],
        1,
    );
    memory(500);
    conntrack(10);
    mounts("rw,relatime");
    wait("with swap", &["listen_queue_overflows", "swap_under_pressure"], 1);
    wait("the end", &[], 0);

    let full = ["--audit.threshold=filesystem_full=0.000001", "--audit.threshold=inodes_used_up=0.0000001"];
    let agent = Agent::start(&[&args[..], &full].concat(), &[]);
    assert_eq!(found(&agent, "/metrics", Some("/")), checks(["filesystem_full", "inodes_used_up"]));
}

#[test]
fn a_disk_that_fills_is_told_by_its_trend() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(tree.path().join("proc/1")).unwrap();
    let disk = std::path::Path::new("/dev/shm").join(format!("audit-{}", std::process::id()));
    std::fs::create_dir(&disk).unwrap();
    std::fs::write(tree.path().join("proc/1/mountinfo"), "27 1 0:50 / /dev/shm rw - tmpfs /dev/shm rw\n").unwrap();
    let proc = format!("--path.procfs={}", tree.path().join("proc").display());
    let args = ["--docker=", "--no-containers", "--no-postgres", "--no-redis", "--audit.disk-interval=200ms", &proc];
    let agent = Agent::start(&[&args[..], &["--collector.filesystem.mount-points-exclude=^$"]].concat(), &[]);
    let fills = || found(&agent, "/metrics", Some("/dev/shm")).contains("disk_filling");
    assert!(!fills());
    let mut file = 0;
    wait_for("the trend", Duration::from_secs(30), || {
        std::fs::write(disk.join(file.to_string()), vec![1; 64 * 1024]).unwrap();
        file += 1;
        fills()
    });
    std::fs::remove_dir_all(&disk).unwrap();
    wait_for("its end", Duration::from_secs(60), || !fills());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (flag, says) in [
        ("--audit.disable=nothing", "there is no check \"nothing\""),
        ("--audit.threshold=filesystem_full", "is not <check>=<number>"),
        ("--audit.threshold=filesystem_full=NaN", "is not <check>=<number>"),
        ("--audit.threshold=privileged=1", "compares with no number"),
    ] {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_stack-exporter")).args(["--config.check", flag]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(says), "{flag}: {text}");
    }
}
