//! The PostgreSQL part through PgBouncer in transaction mode: each message may go to another connection, which an application uses next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::postgres::{Postgres, server_user};
use support::{Agent, free_port, wait_for};

const FLAGS: [&str; 4] = ["--no-host", "--no-containers", "--no-redis", "--no-postgres.all-databases"];

/// A PgBouncer in front of a server, as Debian has it.
struct Bouncer {
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Bouncer {
    fn start(server: &Postgres, mode: &str) -> Bouncer {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("users"), "\"postgres\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\npostgres = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 1\n",
            server.port,
            folder.path().join("users").display()
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("/usr/sbin/pgbouncer");
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        let child = command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let bouncer = Bouncer { port, child: child.expect("this test needs PgBouncer (Debian: pgbouncer)"), _folder: folder };
        wait_for("PgBouncer", Duration::from_secs(20), || bouncer.ask(server, "SELECT 1").as_deref() == Some("1"));
        bouncer
    }

    /// What an application gets to see through it.
    fn ask(&self, server: &Postgres, sql: &str) -> Option<String> {
        let output = server.psql("postgres").args(["-p", &self.port.to_string(), "-c", sql]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }
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
