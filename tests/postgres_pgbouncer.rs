//! The PostgreSQL part through PgBouncer in transaction mode: each message may go to another connection, which an application uses next. And
//! what PgBouncer's own console tells.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::exposition::Exposition;
use support::postgres::{Postgres, server_user};
use support::{Agent, free_port, wait_for};

const PAGE: &str = "/metrics/postgres";

const FLAGS: [&str; 4] = ["--no-host", "--no-containers", "--no-redis", "--no-postgres.all-databases"];

/// A PgBouncer in front of a server, as Debian has it.
struct Bouncer {
    port: u16,
    child: Child,
    folder: tempfile::TempDir,
}

impl Bouncer {
    fn start(server: &Postgres, mode: &str) -> Bouncer {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("users"), "\"postgres\" \"\"\n\"stats\" \"\"\n\"nobody\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\npostgres = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 1\nmax_client_conn = 77\n\
             stats_users = stats\n",
            server.port,
            folder.path().join("users").display()
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let bouncer = Bouncer { port, child: spawn(&file), folder };
        wait_for("PgBouncer", Duration::from_secs(20), || bouncer.ask(server, "SELECT 1").as_deref() == Some("1"));
        bouncer
    }

    /// What an application gets to see through it.
    fn ask(&self, server: &Postgres, sql: &str) -> Option<String> {
        let output = server.psql("postgres").args(["-p", &self.port.to_string(), "-c", sql]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }
}

fn spawn(file: &Path) -> Child {
    let mut command = Command::new("/usr/sbin/pgbouncer");
    if let Some((user, group)) = server_user() {
        command.uid(user).gid(group);
    }
    let child = command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.expect("this test needs PgBouncer (Debian: pgbouncer)")
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_of_ours_stays_on_a_connection_of_the_pool() {
    let server = Postgres::start(&["log_statement=all"]);
    let bouncer = Bouncer::start(&server, "transaction");
    let settings = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('transaction_read_only'), \
                    current_setting('default_transaction_read_only'), current_setting('datestyle'), pg_backend_pid()";
    let before = bouncer.ask(&server, settings).unwrap();
    let dsn = format!("postgresql://postgres@127.0.0.1:{}/postgres", bouncer.port);
    let agent = Agent::start(&FLAGS, &[("DATA_SOURCE_NAME", &dsn)]);
    for _ in 0..5 {
        let page = agent.scrape("/metrics/postgres");
        assert_eq!(page.value("pg_up", &[]), Some(1.0), "{}", agent.log());
        assert!(page.all("pg_scrape_collector_success").all(|series| series.value == 1.0), "{}", agent.log());
        // The pool has one connection, the one that we have just used; its settings are as they were, and it may write.
        assert_eq!(bouncer.ask(&server, settings).as_deref(), Some(before.as_str()));
        assert!(bouncer.ask(&server, "CREATE TEMP TABLE t (a int)").is_some());
        assert!(bouncer.ask(&server, "DROP TABLE t").is_some());
    }
    // Nor does a scrape need what belongs to one connection.
    assert_eq!(server.number("postgres", "SELECT count(*) FROM pg_prepared_statements"), 0.0);
    assert!(!server.log().contains("execute s"), "a prepared statement: {}", server.log());
}

/// A family's samples on the page, against a column of the console by psql.
fn compare(page: &Exposition, rows: &str, labels: &[&str], family: &str, at: usize, unit: f64) {
    for row in rows.lines().map(|line| line.split('|').collect::<Vec<_>>()) {
        let of: Vec<_> = labels.iter().enumerate().map(|(at, label)| (*label, row[at])).collect();
        let (is, wanted) = (page.value(family, &of), row[at].parse::<f64>().unwrap() * unit);
        assert!(is.is_some_and(|is| (is - wanted).abs() < 1e-9), "{family} {of:?}: {is:?}, the console says {wanted}");
    }
}

#[test]
fn the_console_is_told_in_pgbouncer_exporters_names() {
    let server = Postgres::start(&[]);
    let mut bouncer = Bouncer::start(&server, "transaction");
    (0..3).for_each(|_| _ = bouncer.ask(&server, "SELECT pg_sleep(0.01)"));
    let dsn = format!("pgbouncer://stats@127.0.0.1:{}", bouncer.port);
    let agent = Agent::start(&[&FLAGS[..], &["--no-postgres.find"]].concat(), &[("PGBOUNCER_EXPORTER_CONNECTION_STRING", &dsn)]);
    let page = agent.scrape(PAGE);
    assert_eq!(page.value("pgbouncer_up", &[]), Some(1.0), "{}", agent.log());
    assert_eq!(page.value("pg_scrape_collector_success", &[("collector", "pgbouncer")]), Some(1.0));
    assert!(page.value("pg_up", &[]).is_none(), "it is no server");
    let show = |what: &str| {
        let mut psql = server.psql("pgbouncer");
        let output = psql.args(["-p", &bouncer.port.to_string(), "-U", "stats", "-c", what]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // 1.18: database, xact_count, query_count, bytes_received, bytes_sent, xact_time, query_time, wait_time.
    let totals = show("SHOW STATS_TOTALS");
    let totals: String = totals.lines().filter(|line| line.starts_with("postgres|")).map(|line| format!("{line}\n")).collect();
    for (name, at, unit) in [
        ("sql_transactions_pooled_total", 1, 1.0),
        ("queries_pooled_total", 2, 1.0),
        ("received_bytes_total", 3, 1.0),
        ("sent_bytes_total", 4, 1.0),
        ("server_in_transaction_seconds_total", 5, 1e-6),
        ("queries_duration_seconds_total", 6, 1e-6),
        ("client_wait_seconds_total", 7, 1e-6),
    ] {
        compare(&page, &totals, &["database"], &format!("pgbouncer_stats_totals_{name}"), at, unit);
    }
    assert!(page.value("pgbouncer_stats_totals_queries_pooled_total", &[("database", "postgres")]).unwrap() >= 3.0);
    let pools = page.all("pgbouncer_pools_server_idle_connections").filter(|series| series.labels["database"] == "postgres");
    assert_eq!(pools.map(|series| series.value).sum::<f64>(), 1.0);
    let place = [("name", "postgres"), ("host", "127.0.0.1"), ("database", "postgres"), ("pool_mode", "")];
    let size = page.all("pgbouncer_databases_pool_size").find(|series| series.labels["name"] == "postgres").unwrap();
    assert_eq!((size.value, size.labels["host"].as_str(), size.labels["port"].parse()), (1.0, place[1].1, Ok(server.port)));
    assert_eq!(page.value("pgbouncer_config_max_client_connections", &[]), Some(77.0));
    assert!(page.value("pgbouncer_databases", &[]).unwrap() >= 1.0 && page.value("pgbouncer_used_clients", &[]).unwrap() >= 1.0);
    let version = page.all("pgbouncer_version_info").next().unwrap().labels["version"].clone();
    assert!(version.starts_with("PgBouncer 1."), "{version}");
    // One session is kept; when it is lost, the next scrape opens another.
    let sessions =
        show("SHOW CLIENTS").lines().filter(|line| line.contains("|stats|") && line.contains("stack-exporter")).count();
    assert!(sessions <= 1, "{sessions} sessions");
    let _ = bouncer.child.kill();
    let _ = bouncer.child.wait();
    let page = agent.scrape(PAGE);
    assert_eq!(page.value("pgbouncer_up", &[]), Some(0.0));
    assert!(page.all("pgbouncer_pools_client_active_connections").next().is_none());
    bouncer.child = spawn(&bouncer.folder.path().join("pgbouncer.ini"));
    wait_for("PgBouncer again", Duration::from_secs(20), || agent.scrape(PAGE).value("pgbouncer_up", &[]) == Some(1.0));
}

#[test]
fn who_may_not_look_is_told_and_several_have_labels() {
    let server = Postgres::start(&[]);
    let bouncer = Bouncer::start(&server, "session");
    let both = format!("host=127.0.0.1 port={0} user=nobody,pgbouncer://stats@127.0.0.1:{0}/pgbouncer", bouncer.port);
    let flags = [&FLAGS[..], &["--postgres.pgbouncer", &both]].concat();
    let agent = Agent::start(&flags, &[("DATA_SOURCE_NAME", &server.dsn("postgres"))]);
    let page = agent.scrape(PAGE);
    let of = format!("127.0.0.1:{}", bouncer.port);
    assert_eq!(page.value("pgbouncer_up", &[("target", &of)]), Some(0.0), "nobody: {}", agent.log());
    assert_eq!(page.value("pgbouncer_up", &[("target", &format!("{of}/pgbouncer"))]), Some(1.0), "{}", agent.log());
    let reasons: Vec<_> = page.all("stack_exporter_collector_last_error_info").map(|series| &series.labels["error"]).collect();
    assert!(reasons.iter().any(|reason| reason.contains("SQLSTATE")), "{reasons:?}");
    assert_eq!(page.value("pg_up", &[]), Some(1.0), "the server is told beside them");
}
