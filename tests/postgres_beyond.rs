//! What postgres_exporter has not, beside the views of real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::too_many_lines)]

mod support;

use std::time::Duration;

use support::exposition::Exposition;
use support::postgres::{Postgres, add_slots, furnish};
use support::{Agent, wait_for};

const PAGE: &str = "/metrics/postgres";

/// Only this part, and no session besides the one: connections are counted.
const ONLY: [&str; 4] = ["--no-host", "--no-containers", "--no-redis", "--no-postgres.all-databases"];

fn agent(server: &Postgres) -> Agent {
    Agent::start(&ONLY, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))])
}

#[test]
fn values_are_those_of_the_views() {
    let server = Postgres::start(&[
        "wal_level=logical",
        "shared_preload_libraries=pg_stat_statements",
        "archive_mode=on",
        "archive_command=/bin/true",
        "superuser_reserved_connections=5",
    ]);
    furnish(&server);
    add_slots(&server);
    server.sql("postgres", "SELECT pg_switch_wal()");
    server.sql("postgres", "CHECKPOINT");
    wait_for("an archived file", Duration::from_secs(20), || {
        server.sql("postgres", "SELECT last_archived_time IS NOT NULL FROM pg_stat_archiver") == "t"
    });
    server.sql("postgres", "ALTER SYSTEM SET max_connections = 77");
    server.sql("postgres", "ALTER SYSTEM SET wal_level = 'replica'");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let mut idle = server.session("shop");
    idle.run("BEGIN; SELECT pg_current_xact_id()");
    let agent = agent(&server);
    wait_for("the reload", Duration::from_secs(20), || agent.scrape(PAGE).value("pg_settings_pending_restart", &[]) == Some(2.0));
    let page = agent.scrape(PAGE);
    let near = |name: &str, labels: &[(&str, &str)], sql: &str, slack: f64| {
        let (ours, theirs) = (page.value(name, labels), server.number("postgres", sql));
        let ours = ours.unwrap_or_else(|| panic!("{name} {labels:?} is missing: {}", agent.log()));
        assert!((ours - theirs).abs() <= slack, "{name}: {ours}, the server says {theirs}");
    };
    near("pg_connections_limit", &[], "SELECT 30", 0.0);
    near("pg_connections_reserved", &[], "SELECT 5", 0.0);
    // Of what is running: 77 connections wait for a restart.
    near(
        "pg_memory_worst_case_bytes",
        &[],
        "SELECT pg_size_bytes('128MB') + 30 * pg_size_bytes('4MB') + 3 * pg_size_bytes('64MB')",
        0.0,
    );
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let memory = memory.split_ascii_whitespace().nth(1).unwrap();
    near("pg_shared_buffers_memory_ratio", &[], &format!("SELECT pg_size_bytes('128MB') / ({memory} * 1024.0)"), 1e-9);
    // The agent's and the idle one.
    near("pg_connections_used", &[], "SELECT 2", 0.0);
    let state = [("datname", "shop"), ("state", "idle in transaction"), ("backend_type", "client backend")];
    near("pg_sessions", &state, "SELECT 1", 0.0);
    near("pg_sessions", &[("datname", ""), ("state", ""), ("backend_type", "checkpointer")], "SELECT 1", 0.0);
    near(
        "pg_database_xid_age_transactions",
        &[("datname", "shop")],
        "SELECT age(datfrozenxid) FROM pg_database WHERE datname = 'shop'",
        5.0,
    );
    near(
        "pg_database_mxid_age_multixacts",
        &[("datname", "shop")],
        "SELECT mxid_age(datminmxid) FROM pg_database WHERE datname = 'shop'",
        0.0,
    );
    near("pg_wraparound_used_ratio", &[("kind", "xid")], "SELECT max(age(datfrozenxid)) / 2147483648.0 FROM pg_database", 1e-6);
    near("pg_checkpoints_total", &[("reason", "requested")], "SELECT checkpoints_req FROM pg_stat_bgwriter", 0.0);
    near("pg_checkpoint_write_seconds_total", &[], "SELECT checkpoint_write_time / 1000 FROM pg_stat_bgwriter", 0.001);
    near(
        "pg_checkpoint_last_timestamp_seconds",
        &[],
        "SELECT extract(epoch FROM checkpoint_time) FROM pg_control_checkpoint()",
        0.0,
    );
    near("pg_wal_position_bytes", &[], "SELECT pg_current_wal_lsn() - '0/0'", 100_000.0);
    near("pg_stat_wal_records_total", &[], "SELECT wal_records FROM pg_stat_wal", 500.0);
    near(
        "pg_archiver_last_archived_timestamp_seconds",
        &[],
        "SELECT extract(epoch FROM last_archived_time) FROM pg_stat_archiver",
        0.0,
    );
    let slot = [("slot_name", "lslot"), ("slot_type", "logical"), ("database", "postgres")];
    near(
        "pg_replication_slot_retained_bytes",
        &slot,
        "SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = 'lslot'",
        100_000.0,
    );
    near("pg_replication_slot_invalid", &slot, "SELECT 0", 0.0);
    near("pg_stat_replication_slots_total_bytes_total", &[("slot_name", "lslot")], "SELECT 0", 0.0);
    near(
        "pg_stat_database_sessions_total",
        &[("datname", "shop")],
        "SELECT sessions FROM pg_stat_database WHERE datname = 'shop'",
        0.0,
    );
    assert!(page.value("pg_xmin_horizon_age_transactions", &[("holder", "backend")]).unwrap() >= 1.0);
    assert!(page.value("pg_xmin_horizon_age_transactions", &[("holder", "slot_catalog")]).is_some());
    assert_eq!(page.value("pg_stat_database_checksum_failures_total", &[("datname", "shop")]), None, "there are no checksums");
    assert_eq!(page.all("pg_replication_receiver_up").count(), 0, "this is a primary");
    let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).collect();
    assert!(failed.is_empty(), "{failed:?} {}", agent.log());
}

#[test]
fn cut_off_is_not_caught_up() {
    let mut server = Postgres::start(&["wal_level=replica"]);
    let standby = server.standby("near");
    let (primary, replica) = (agent(&server), agent(&standby));
    let labels = [("application_name", "near"), ("client_addr", "127.0.0.1"), ("sync_state", "async")];
    wait_for("the standby to have caught up", Duration::from_secs(30), || {
        let page = primary.scrape(PAGE);
        ["sent", "write", "flush", "replay"]
            .iter()
            .all(|stage| page.value(&format!("pg_replication_{stage}_lag_bytes"), &labels) == Some(0.0))
    });
    let page = replica.scrape(PAGE);
    assert_eq!(page.value("pg_replication_receiver_up", &[]), Some(1.0), "{}", replica.log());
    assert_eq!(page.value("pg_replication_receive_replay_gap_bytes", &[]), Some(0.0));
    assert!(page.value("pg_replication_last_message_age_seconds", &[]).is_some_and(|age| (0.0..60.0).contains(&age)));
    assert!(page.value("pg_wal_position_bytes", &[]).unwrap() > 0.0, "what it has replayed");

    server.stop("QUIT");
    wait_for("the standby to be cut off", Duration::from_secs(30), || {
        let page = replica.scrape(PAGE);
        page.value("pg_replication_receiver_up", &[]) == Some(0.0)
            && page.value("pg_replication_receive_replay_gap_bytes", &[]) == Some(0.0)
    });
    server.resume();
    wait_for("the standby to be back", Duration::from_secs(60), || {
        replica.scrape(PAGE).value("pg_replication_receiver_up", &[]) == Some(1.0)
    });
}

#[test]
fn a_standby_that_is_promoted_while_it_is_watched_becomes_a_primary() {
    let server = Postgres::start(&["wal_level=replica"]);
    server.sql("postgres", "CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id");
    let standby = server.standby("heir");
    let on = ["--postgres.collector.stat_wal_receiver", "--postgres.settings-interval=0s"];
    let agent = Agent::start(&[&ONLY[..], &on].concat(), &[("DATA_SOURCE_NAME", &standby.dsn("postgres"))]);
    wait_for("the standby to stream", Duration::from_secs(60), || {
        agent.scrape(PAGE).value("pg_replication_receiver_up", &[]) == Some(1.0)
    });
    let before = agent.scrape(PAGE);
    assert_eq!(before.value("pg_replication_is_replica", &[]), Some(1.0));
    assert_eq!(before.value("pg_settings_transaction_read_only", &[]), Some(1.0));
    assert_eq!(before.all("pg_stat_wal_receiver_received_tli").count(), 1, "{}", agent.log());
    let ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'stack-exporter'";
    let session = standby.sql("postgres", ours);

    assert_eq!(standby.sql("postgres", "SELECT pg_promote(true, 60)"), "t");
    // The first page after it is a primary's, whole, through the session that was open.
    let page = agent.scrape(PAGE);
    assert_eq!(page.value("pg_up", &[]), Some(1.0));
    assert_eq!(page.value("pg_replication_is_replica", &[]), Some(0.0));
    assert_eq!(page.value("pg_replication_lag_seconds", &[]), Some(0.0));
    let of_a_standby =
        ["pg_replication_receiver_up", "pg_replication_receive_replay_gap_bytes", "pg_stat_wal_receiver_received_tli"];
    for family in of_a_standby {
        wait_for(family, Duration::from_secs(20), || agent.scrape(PAGE).all(family).next().is_none());
    }
    standby.sql("postgres", "INSERT INTO orders SELECT generate_series(1, 1000); CHECKPOINT");
    let page = agent.scrape(PAGE);
    assert_eq!(page.value("pg_settings_transaction_read_only", &[]), Some(0.0));
    let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).collect();
    assert!(failed.is_empty() && page.all("pg_agent_query_refused").next().is_none(), "{failed:?} {}", agent.log());
    // WAL goes on from where the primary's ended, and no counter of the server begins anew.
    let position = |page: &Exposition| page.value("pg_wal_position_bytes", &[]).unwrap();
    assert!(position(&page) > position(&before), "{} then {}", position(&before), position(&page));
    let commits = |page: &Exposition| page.value("pg_stat_database_xact_commit", &[("datname", "postgres")]).unwrap();
    assert!(commits(&page) >= commits(&before), "{} then {}", commits(&before), commits(&page));
    assert_eq!(standby.sql("postgres", ours), session, "one session, the same as before");
}

#[test]
fn a_long_command_tells_how_far_it_is() {
    let server = Postgres::start(&[]);
    server.sql(
        "postgres",
        "CREATE TABLE big (id int, note text); INSERT INTO big SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i",
    );
    // It waits for this transaction after it has built the index.
    let mut open = server.session("postgres");
    open.run("BEGIN; SELECT pg_current_xact_id()");
    open.run("INSERT INTO big VALUES (0, ''); SELECT 1");
    let mut builder = server.session("postgres");
    builder.send("CREATE INDEX CONCURRENTLY big_id ON big (id)");
    let agent = agent(&server);
    wait_for("the command", Duration::from_secs(20), || {
        server.number("postgres", "SELECT count(*) FROM pg_stat_progress_create_index") == 1.0
    });
    let page = agent.scrape(PAGE);
    let series: Vec<_> = page.all("pg_stat_progress_create_index_ratio").collect();
    // Before it has begun to read there is nothing to divide by.
    assert!(series.iter().all(|series| series.labels["relname"] == "big" && (0.0..=1.0).contains(&series.value)), "{series:?}");
    assert_eq!(page.value("pg_blocked_sessions", &[("datname", "postgres")]), Some(1.0), "it waits for the writer");
    open.run("COMMIT; SELECT 1");
    wait_for("the command to end", Duration::from_secs(30), || {
        agent.scrape(PAGE).all("pg_stat_progress_create_index_ratio").next().is_none()
    });
}

#[test]
fn sizes_are_asked_for_seldom_and_tell_their_age() {
    let server = Postgres::start(&["log_statement=all"]);
    let asked = || server.log().matches("pg_database_size(").count();
    let agent = agent(&server);
    let size = |page: &Exposition| page.value("pg_database_size_bytes", &[("datname", "postgres")]);
    let page = agent.scrape(PAGE);
    let (first, once) = (size(&page), asked());
    assert!(first.is_some() && once == 1, "the first page has them already");
    assert_eq!(page.value("pg_agent_cache_age_seconds", &[("collector", "database")]), Some(0.0));
    server.sql("postgres", "CREATE TABLE big AS SELECT repeat('x', 1000) AS note FROM generate_series(1, 5000)");
    let page = agent.scrape(PAGE);
    assert_eq!((size(&page), asked()), (first, once));
    assert!(page.value("pg_agent_cache_age_seconds", &[("collector", "stat_user_tables")]).unwrap() > 0.0);

    let fresh =
        Agent::start(&[&ONLY[..], &["--postgres.size-interval=0s"]].concat(), &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    let before = size(&fresh.scrape(PAGE)).unwrap();
    assert!(before > first.unwrap());
    server.sql("postgres", "DROP TABLE big");
    assert!(size(&fresh.scrape(PAGE)).unwrap() < before);
    // A new session knows nothing yet.
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stack-exporter'");
    wait_for("sizes of this session", Duration::from_secs(10), || {
        agent.scrape(PAGE).value("pg_agent_cache_age_seconds", &[("collector", "database")]) == Some(0.0)
    });
}
