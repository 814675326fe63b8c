//! What is told beyond postgres_exporter, row by row of the table of additions: each family on a page of a real server under its condition.
//! It takes a primary with its standby, and commands that stand still half done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use support::postgres::{Postgres, Session, add_slots, bin, every_collector, furnish, versions};
use support::{Agent, wait_for};

/// The rows: the first family of each, when it is told (`c`: with each scrape, `s`: on a schedule, `o`: where asked for), and our families,
/// with the version of PostgreSQL that they take where it is not 10.
const ROWS: [(&str, &str, &str); 38] = [
    ("pg_blocked_sessions", "c", "pg_blocked_sessions pg_blocking_root_sessions"),
    ("pg_lock_wait_longest_seconds", "c", "pg_lock_wait_longest_seconds"),
    ("pg_lock_tree_depth", "c", "pg_lock_tree_depth pg_lock_root_victims_max"),
    ("pg_lock_waiting", "c", "pg_lock_waiting"),
    ("pg_transaction_oldest_age_seconds", "c", "pg_transaction_oldest_age_seconds"),
    ("pg_query_oldest_age_seconds", "c", "pg_query_oldest_age_seconds"),
    ("pg_sessions", "c", "pg_sessions"),
    ("pg_session_samples_total", "o", "pg_session_samples_total"),
    ("pg_connections_used", "c", "pg_connections_used pg_connections_limit pg_connections_reserved"),
    ("pg_xmin_horizon_age_transactions", "c", "pg_xmin_horizon_age_transactions"),
    ("pg_database_xid_age_transactions", "c", "pg_database_xid_age_transactions pg_database_mxid_age_multixacts"),
    ("pg_wraparound_used_ratio", "c", "pg_wraparound_used_ratio pg_wraparound_autovacuum_ratio"),
    ("pg_prepared_transactions", "c", "pg_prepared_transactions pg_prepared_transactions_oldest_age_seconds"),
    ("pg_autovacuum_workers", "c / s", "pg_autovacuum_workers pg_autovacuum_tables_due pg_autovacuum_due_oldest_seconds"),
    (
        "pg_stat_progress_{analyze,create_index,cluster,basebackup,copy}_ratio",
        "c",
        "pg_stat_progress_analyze_ratio:13 pg_stat_progress_create_index_ratio:12 pg_stat_progress_cluster_ratio:12 \
         pg_stat_progress_basebackup_ratio:13 pg_stat_progress_copy_ratio:14",
    ),
    (
        "pg_stat_progress_vacuum_dead_tuple_bytes",
        "c",
        "pg_stat_progress_vacuum_dead_tuple_bytes:17 pg_stat_progress_vacuum_max_dead_tuple_bytes:17 \
         pg_stat_progress_vacuum_dead_item_ids:17",
    ),
    ("pg_table_bloat_estimate_bytes", "s, o", "pg_table_bloat_estimate_bytes pg_index_bloat_estimate_bytes"),
    ("pg_index_unused_bytes", "s", "pg_index_unused_bytes pg_index_unused pg_index_invalid"),
    ("pg_sequence_used_ratio", "s", "pg_sequence_used_ratio"),
    ("pg_wal_position_bytes", "c", "pg_wal_position_bytes"),
    (
        "pg_stat_wal_{records,fpi,bytes,buffers_full}_total",
        "c",
        "pg_stat_wal_records_total:14 pg_stat_wal_fpi_total:14 pg_stat_wal_bytes_total:14 pg_stat_wal_buffers_full_total:14",
    ),
    ("pg_checkpoints_total", "c", "pg_checkpoints_total pg_checkpoint_write_seconds_total pg_checkpoint_sync_seconds_total"),
    ("pg_checkpoint_last_timestamp_seconds", "c", "pg_checkpoint_last_timestamp_seconds pg_wal_since_checkpoint_bytes"),
    ("pg_archiver_ready_files", "s", "pg_archiver_ready_files:12"),
    (
        "pg_archiver_last_{archived,failed}_timestamp_seconds",
        "c",
        "pg_archiver_last_archived_timestamp_seconds pg_archiver_last_failed_timestamp_seconds",
    ),
    (
        "pg_replication_slot_retained_bytes",
        "c",
        "pg_replication_slot_retained_bytes pg_replication_slot_inactive_seconds:17 pg_replication_slot_invalid:13",
    ),
    (
        "pg_replication_{sent,write,flush,replay}_lag_bytes",
        "c",
        "pg_replication_sent_lag_bytes pg_replication_write_lag_bytes pg_replication_flush_lag_bytes pg_replication_replay_lag_bytes \
         pg_replication_write_lag_seconds pg_replication_flush_lag_seconds pg_replication_replay_lag_seconds",
    ),
    (
        "pg_replication_receiver_up",
        "c",
        "pg_replication_receiver_up pg_replication_last_message_age_seconds pg_replication_receive_replay_gap_bytes",
    ),
    (
        "pg_stat_replication_slots_{spill,stream,total}_bytes_total",
        "c",
        "pg_stat_replication_slots_spill_bytes_total:14 pg_stat_replication_slots_stream_bytes_total:14 \
         pg_stat_replication_slots_total_bytes_total:14",
    ),
    (
        "pg_stat_database_sessions_total",
        "c",
        "pg_stat_database_sessions_total:14 pg_stat_database_sessions_abandoned_total:14 pg_stat_database_sessions_fatal_total:14 \
         pg_stat_database_sessions_killed_total:14 pg_stat_database_session_seconds_total:14 \
         pg_stat_database_idle_in_transaction_seconds_total:14",
    ),
    ("pg_stat_database_checksum_failures_total", "c", "pg_stat_database_checksum_failures_total:12"),
    (
        "pg_stat_io_{reads,writes,extends,hits,evictions,fsyncs}_total",
        "c",
        "pg_stat_io_reads_total:16 pg_stat_io_writes_total:16 pg_stat_io_extends_total:16 pg_stat_io_hits_total:16 \
         pg_stat_io_evictions_total:16 pg_stat_io_fsyncs_total:16 pg_stat_io_read_bytes_total:16 pg_stat_io_write_bytes_total:16 \
         pg_stat_io_extend_bytes_total:16 pg_stat_io_read_seconds_total:16 pg_stat_io_write_seconds_total:16 \
         pg_stat_io_extend_seconds_total:16 pg_stat_io_fsync_seconds_total:16",
    ),
    (
        "pg_stat_slru_{hit,read,written,..}_total",
        "o",
        "pg_stat_slru_hit_total:13 pg_stat_slru_read_total:13 pg_stat_slru_written_total:13 pg_stat_slru_flush_total:13 \
         pg_stat_slru_truncate_total:13",
    ),
    (
        "pg_stat_statements extras: wal_bytes, temp_blks_written_bytes, plan_seconds _total; pg_stat_statements_entries",
        "o",
        "pg_stat_statements_wal_bytes_total:13 pg_stat_statements_temp_blks_written_bytes_total pg_stat_statements_plan_seconds_total:13 \
         pg_stat_statements_entries pg_stat_statements_deallocated_total:14",
    ),
    ("pg_settings_pending_restart", "c", "pg_settings_pending_restart"),
    ("pg_shared_buffers_memory_ratio", "s", "pg_shared_buffers_memory_ratio pg_memory_worst_case_bytes"),
    (
        "pg_backend_group_{cpu_seconds_total,resident_bytes}",
        "o",
        "pg_backend_group_cpu_seconds_total pg_backend_group_resident_bytes",
    ),
    ("pg_agent_query_duration_seconds", "c", "pg_agent_query_duration_seconds pg_agent_connections pg_agent_cache_age_seconds"),
];

/// The rows that no family of `pg_*` on a server's page stands for, and why.
const LEFT_OUT: [(&str, &str); 3] = [
    ("pg_settings_audit", "the audit of the whole host tells it, on its own page: stack_audit_*"),
    ("pg_log_messages_total", "the server's log is not read: a collector of logs does that"),
    ("pgbouncer_*", "on the page of a PgBouncer's console: tests/postgres_pgbouncer.rs"),
];

/// The families of the rows that are told as one of `costs` says, on version `major`.
fn families(major: u32, costs: &str) -> BTreeSet<&'static str> {
    let of_cost = |cost: &str| cost.split([',', '/', ' ']).filter(|word| !word.is_empty()).all(|word| costs.contains(word));
    let all = ROWS.into_iter().filter(|(_, cost, _)| of_cost(cost)).flat_map(|(.., families)| families.split_whitespace());
    let since = |family: &'static str| match family.split_once(':') {
        Some((name, since)) => (name, since.parse().unwrap()),
        None => (family, 10),
    };
    all.map(since).filter(|(_, since)| *since <= major).map(|(name, _)| name).collect()
}

#[test]
fn every_row_of_the_table_is_told_or_left_out_for_a_reason() {
    assert!(LEFT_OUT.iter().all(|(_, reason)| !reason.is_empty()));
    let named: BTreeSet<_> = ROWS.into_iter().flat_map(|(.., families)| families.split_whitespace()).collect();
    let beyond = |name: &&&str| !support::postgres_beyond::BEYOND.contains(&name.split(':').next().unwrap());
    assert_eq!(named.iter().filter(beyond).collect::<Vec<_>>(), Vec::<&&str>::new());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/postgres.md");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("{} is missing: the rows were not compared with its table", path.display());
        return;
    };
    let table = text.split("\n## (f)").nth(1).unwrap().split("\n\n").nth(1).unwrap();
    let listed: BTreeMap<&str, &str> = table.lines().skip(2).map(first_and_last).collect();
    let told = ROWS.into_iter().map(|(row, cost, _)| (row, cost));
    let ours: BTreeMap<&str, Option<&str>> =
        told.map(|(row, cost)| (row, Some(cost))).chain(LEFT_OUT.map(|(row, _)| (row, None))).collect();
    assert_eq!(ours.keys().collect::<Vec<_>>(), listed.keys().collect::<Vec<_>>());
    for (row, cost) in ours {
        assert!(cost.is_none_or(|cost| cost == listed[row]), "{row}: {cost:?}, the table says {}", listed[row]);
    }
}

/// The first family in the first cell of a line, and the last cell.
fn first_and_last(line: &str) -> (&str, &str) {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let first = cells[0].split(" (").next().unwrap();
    let inside = |at: &usize| first[..*at].matches('{').count() > first[..*at].matches('}').count();
    let end = first.match_indices(", ").map(|(at, _)| at).find(|at| !inside(at) && !first.contains(": "));
    (&first[..end.unwrap_or(first.len())], cells[cells.len() - 1])
}

/// Sessions and commands that stand still until they are dropped.
struct Still {
    sessions: Vec<Session>,
    backup: Option<Child>,
}

impl Drop for Still {
    fn drop(&mut self) {
        self.sessions.clear();
        if let Some(backup) = &mut self.backup {
            let _ = backup.kill();
            let _ = backup.wait();
        }
    }
}

/// A server on which everything that there is a row for happens, and its standby.
fn eventful(major: u32) -> (Postgres, Postgres) {
    let settings = [
        "wal_level=logical",
        "shared_preload_libraries=pg_stat_statements",
        "archive_mode=on",
        // In the data folder.
        "archive_command=test ! -e archive_is_full",
        "autovacuum_naptime=1s",
        "max_prepared_transactions=5",
        "deadlock_timeout=60s",
    ];
    let server = Postgres::start_with_checksums(&bin(major), &settings);
    furnish(&server);
    add_slots(&server);
    let standby = server.standby("near");
    server.sql("postgres", "SELECT pg_switch_wal()");
    wait_for("an archived file", Duration::from_secs(30), || {
        server.sql("postgres", "SELECT last_archived_time IS NOT NULL FROM pg_stat_archiver") == "t"
    });
    server.sql("postgres", "COPY (SELECT) TO PROGRAM 'touch archive_is_full'");
    server.sql(
        "shop",
        "CREATE SEQUENCE near; SELECT nextval('near'); CREATE TABLE airy (id int PRIMARY KEY, note text); \
         INSERT INTO airy SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i; DELETE FROM airy WHERE id % 4 <> 0",
    );
    server.sql("shop", "VACUUM ANALYZE airy");
    // What vacuum takes long for, once it has vacuumed it before.
    server.sql(
        "shop",
        "CREATE TABLE slow (id int PRIMARY KEY, note text) WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, \
         autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1, autovacuum_analyze_threshold = 1000000000, fillfactor = 10); \
         INSERT INTO slow SELECT i, repeat('x', 200) FROM generate_series(1, 10000) i",
    );
    server.sql("shop", "VACUUM slow");
    server.sql("shop", "DELETE FROM slow WHERE id % 2 = 0");
    (server, standby)
}

/// Has commands begin on `server` that come to no end, and somebody wait for a lock.
fn begin(server: &Postgres, major: u32) -> Still {
    let copied = server.socket_folder().join("rows");
    server.sql(
        "shop",
        &format!(
            "CREATE FUNCTION held(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN i; END'; \
             CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END'; \
             CREATE TABLE a AS SELECT i FROM generate_series(1, 5000) i; CREATE INDEX ON a (held(i)); CREATE TABLE b AS TABLE a; \
             CREATE TABLE c AS TABLE a; CREATE INDEX ON c (held(i)); CREATE TABLE d (i int); \
             CREATE TRIGGER t BEFORE INSERT ON d FOR EACH ROW EXECUTE PROCEDURE held(); COPY a TO '{copied}'",
            copied = copied.display()
        ),
    );
    let session = |sql: &str| {
        let mut session = server.session("shop");
        session.send(sql);
        session
    };
    let mut holder = server.session("shop");
    holder.run("BEGIN; SELECT pg_advisory_lock(1); UPDATE orders SET note = '' WHERE id = 1; SELECT txid_current()");
    server.sql("shop", "BEGIN; INSERT INTO orders VALUES (0); PREPARE TRANSACTION 'left'");
    let copy = format!("COPY d FROM '{}'", copied.display());
    let commands =
        ["ANALYZE a", "CREATE INDEX ON b (held(i))", "VACUUM FULL c", &copy, "UPDATE orders SET note = '' WHERE id = 1"];
    let sessions = commands.into_iter().map(session).chain([holder]).collect();
    // As a client of the protocol: pg_basebackup refuses a server that is younger than itself.
    let backup = if major >= 15 {
        "BASE_BACKUP (PROGRESS, MAX_RATE 32, CHECKPOINT 'fast')"
    } else {
        "BASE_BACKUP PROGRESS FAST MAX_RATE 32"
    };
    let mut psql = server.psql("replication=database dbname=postgres");
    let backup = psql.args(["-c", backup]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    Still { sessions, backup: Some(backup) }
}

fn every_row_is_on_a_page(major: u32) {
    let (server, standby) = eventful(major);
    let only = ["--no-host", "--no-containers", "--no-redis"];
    let mut asked_for = every_collector();
    asked_for.extend(
        ["slru", "statement_costs", "bloat", "backend_group", "session_samples"]
            .map(|name| format!("--postgres.collector.{name}")),
    );
    let asked_for: Vec<&str> = only.into_iter().chain(asked_for.iter().map(String::as_str)).collect();
    let agent = |of: &Postgres, flags: &[&str]| {
        // By its socket, which leads to its processes.
        let dsn = format!("host={} port={} user=postgres dbname=shop", of.socket_folder().display(), of.port);
        Agent::start(flags, &[("DATA_SOURCE_NAME", &dsn)])
    };
    let _still = begin(&server, major);
    let (plain, full, standbys) = (agent(&server, &only), agent(&server, &asked_for), agent(&standby, &only));
    let (mut seen, mut with_flags) = (BTreeSet::new(), BTreeSet::new());
    let (by_default, on_demand) = (families(major, "cs"), families(major, "cso"));
    assert!(by_default.len() > 40 && on_demand.len() > by_default.len());
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        // So that there is something to send.
        server.sql("postgres", "SELECT txid_current()");
        for page in [plain.scrape("/metrics/postgres"), standbys.scrape("/metrics/postgres")] {
            seen.extend(page.series.into_iter().map(|series| series.name));
        }
        with_flags.extend(full.scrape("/metrics/postgres").series.into_iter().map(|series| series.name));
        let lacks: Vec<_> = by_default.iter().filter(|name| !seen.contains(**name)).collect();
        let lacks_more: Vec<_> = on_demand.iter().filter(|name| !with_flags.contains(**name) && !seen.contains(**name)).collect();
        if lacks.is_empty() && lacks_more.is_empty() {
            break;
        }
        assert!(Instant::now() < end, "{major}: {lacks:?} {lacks_more:?} {}", full.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let unasked: Vec<_> = on_demand.difference(&by_default).filter(|name| seen.contains(**name)).collect();
    assert!(unasked.is_empty(), "{major}: nobody asked for {unasked:?}");
}

#[test]
fn every_row_is_on_a_page_of_debians_server() {
    every_row_is_on_a_page(15);
}

#[test]
#[ignore = "needs the servers that tests/postgres-versions fetches"]
fn every_row_is_on_a_page_of_every_version() {
    for major in versions() {
        every_row_is_on_a_page(major);
        println!("{major}: every row");
    }
}
