//! Real PostgreSQL servers, against the memory of a host.

use std::time::Duration;

use serde_json::Value;

use crate::support::postgres::Postgres;
use crate::support::{Agent, wait_for};
use crate::{checks, found, write};

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
fn postgres_is_judged_against_a_host_that_is_too_small_for_it() {
    let tree = tempfile::tempdir().unwrap();
    let memory = |mib: u32| write(tree.path(), "proc/meminfo", &format!("MemTotal: {} kB\n", mib * 1024));
    memory(256);
    write(tree.path(), "proc/diskstats", "254 0 vda 1 0 8 1 1 0 8 1 0 1 2\n");
    write(tree.path(), "sys/block/vda/queue/rotational", "0\n");
    let mut server = Postgres::start(&[]);
    let set = |server: &Postgres, settings: &[&str]| {
        settings.iter().for_each(|setting| drop(server.sql("postgres", &format!("ALTER SYSTEM SET {setting}"))));
        server.sql("postgres", "SELECT pg_reload_conf()");
    };
    set(&server, &["autovacuum = off", "work_mem = '64MB'"]);
    (0..12).for_each(|_| drop(server.sql("postgres", "CHECKPOINT")));
    let roots = ["proc", "sys"].map(|root| format!("--path.{root}fs={}/{root}", tree.path().display()));
    let args = ["--docker=", "--no-containers", "--no-redis", &roots[0], &roots[1]];
    let agent = Agent::start(&args, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    let wanted = checks([
        "autovacuum_off",
        "data_checksums_off",
        "effective_cache_size_off",
        "max_wal_size_default",
        "memory_worst_case",
        "random_page_cost_default",
        "shared_buffers_large",
    ]);
    let missing = || wanted.difference(&found(&agent, "/metrics", None)).cloned().collect::<Vec<_>>();
    wait_for("all to be found", Duration::from_secs(30), || missing().is_empty());

    memory(1024);
    let settings = ["autovacuum = on", "work_mem = '1MB'", "effective_cache_size = '768MB'", "max_wal_size = '4GB'"];
    set(&server, &[&settings[..], &["random_page_cost = 1.1"]].concat());
    server.stop("INT");
    server.enable_checksums();
    server.resume();
    wait_for("the end of all", Duration::from_secs(60), || missing().len() == wanted.len());
    let page = agent.scrape("/metrics");
    assert_eq!((page.value("pg_up", &[]), page.value("pg_settings_data_checksums", &[])), (Some(1.0), Some(1.0)));
}
