//! What libpq's users have lying about: its environment variables, password file, service file, sockets; and lists in one variable.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use support::postgres::Postgres;
use support::{Agent, wait_for};

const ALONE: [&str; 5] = ["--no-host", "--no-containers", "--no-redis", "--no-postgres.find", "--no-postgres.all-databases"];

/// With a colon, a comma, a backslash, a quote and an at sign.
const ODD: &str = r"a:b,c\d'e@f";

/// A server whose role `monitor` has the odd password, also on its socket.
fn server() -> Postgres {
    let server = Postgres::start(&["log_connections=on"]);
    server.sql("postgres", &format!("CREATE ROLE monitor LOGIN PASSWORD '{}' IN ROLE pg_monitor", ODD.replace('\'', "''")));
    server.sql("postgres", "CREATE DATABASE shop");
    server.hba(
        "host all postgres 127.0.0.1/32 trust\nhost all monitor 127.0.0.1/32 scram-sha-256\nlocal all monitor scram-sha-256\n",
    );
    server
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.display().to_string()
}

fn ups(agent: &Agent) -> Vec<f64> {
    agent.scrape("/metrics/postgres?collect[]=up").all("pg_up").map(|series| series.value).collect()
}

#[test]
fn the_environment_says_what_the_string_does_not() {
    let server = server();
    let port = server.port.to_string();
    let folder = tempfile::tempdir().unwrap();
    let socket = server.socket_folder();
    let escaped = ODD.replace('\\', "\\\\").replace(':', "\\:");
    let passfile = write(
        folder.path(),
        "pgpass",
        &format!("# no\n*:1:*:monitor:no\n127.0.0.1:*:shop:monitor:{escaped}\n{}:{port}:*:*:{escaped}\n", socket.display()),
    );
    let services = write(
        folder.path(),
        "services",
        &format!("[shop]\nhost=127.0.0.1\nport={port}\nuser=monitor\ndbname=shop\n[other]\nhost=nowhere.invalid\n"),
    );
    write(folder.path(), ".pgpass", &format!("*:*:*:*:{escaped}\n"));
    write(folder.path(), ".pg_service.conf", &std::fs::read_to_string(&services).unwrap());
    let home = folder.path().display().to_string();
    let on_socket = format!("host={} port={port} user=monitor dbname=shop", socket.display());
    let tcp = format!("postgresql://127.0.0.1:{port}/shop");
    let everything = [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGUSER", "monitor"),
        ("PGPASSWORD", ODD),
        ("PGDATABASE", "shop"),
        ("PGSSLMODE", "disable"),
    ];
    let cases: [(&str, Vec<(&str, &str)>); 9] = [
        ("everything", [&everything[..], &[("DATA_SOURCE_NAME", "application_name=odd")]].concat()),
        ("password", vec![("DATA_SOURCE_NAME", &tcp), ("PGUSER", "monitor"), ("PGPASSWORD", ODD)]),
        ("passfile", vec![("DATA_SOURCE_NAME", &tcp), ("PGUSER", "monitor"), ("PGPASSFILE", &passfile)]),
        ("socket", vec![("DATA_SOURCE_NAME", &on_socket), ("PGPASSFILE", &passfile)]),
        ("home", vec![("DATA_SOURCE_NAME", &tcp), ("PGUSER", "monitor"), ("HOME", &home)]),
        ("service", vec![("DATA_SOURCE_NAME", "service=shop"), ("PGSERVICEFILE", &services), ("PGPASSFILE", &passfile)]),
        ("service of the environment", vec![("DATA_SOURCE_NAME", "postgresql://"), ("PGSERVICE", "shop"), ("HOME", &home)]),
        (
            "service as URL",
            vec![("DATA_SOURCE_NAME", "postgresql:///shop?service=shop"), ("PGSERVICEFILE", &services), ("HOME", &home)],
        ),
        (
            "pieces",
            vec![
                ("DATA_SOURCE_URI", tcp.trim_start_matches("postgresql://")),
                ("DATA_SOURCE_USER", "monitor"),
                ("DATA_SOURCE_PASS", ODD),
            ],
        ),
    ];
    for (what, env) in cases {
        let agent = Agent::start(&ALONE, &env);
        let page = agent.scrape("/metrics/postgres?collect[]=up&collect[]=stat_database");
        assert_eq!(page.value("pg_up", &[]), Some(1.0), "{what}: {}", agent.log());
        let told = agent.log() + &agent.get("/metrics/postgres") + &agent.get("/api/v1/status");
        assert!(!told.contains(ODD), "{what}");
    }
    assert!(server.log().contains("database=shop application_name=odd"), "{}", server.log());
}

#[test]
fn a_password_file_that_others_may_read_is_left_alone_and_told() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "pgpass", "*:*:*:*:wrong\n");
    let dsn = format!("postgresql://monitor@127.0.0.1:{}/shop", server.port);
    let agent = Agent::start(&ALONE, &[("DATA_SOURCE_NAME", &dsn), ("PGPASSFILE", &file)]);
    assert_eq!(ups(&agent), [0.0]);
    // The file is read for each connection.
    write(folder.path(), "pgpass", &format!("*:*:*:*:{}\n", ODD.replace('\\', "\\\\").replace(':', "\\:")));
    wait_for("the password that is good", Duration::from_secs(40), || ups(&agent) == [1.0]);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'monitor'");
    wait_for("no password", Duration::from_secs(5), || ups(&agent) == [0.0]);
    let page = agent.scrape("/metrics/postgres?collect[]=up");
    let reason = page.all("stack_exporter_collector_last_error_info").next().unwrap().labels["error"].clone();
    assert!(reason.contains("password missing") && reason.contains(&file) && reason.contains("0600"), "{reason}");
}

#[test]
fn a_list_in_one_variable_takes_passwords_with_commas() {
    let servers = [server(), server()];
    let url = |server: &Postgres| {
        format!("postgresql://monitor:{}@127.0.0.1:{}/shop?sslmode=disable", ODD.replace('\\', "%5C"), server.port)
    };
    let pairs = |server: &Postgres| {
        format!(
            "host=127.0.0.1 port={} user=monitor dbname=shop password='{}'",
            server.port,
            ODD.replace('\\', "\\\\").replace('\'', "\\'")
        )
    };
    for list in [
        [url(&servers[0]), url(&servers[1])].join(","),
        [pairs(&servers[0]), pairs(&servers[1])].join(", "),
        [url(&servers[0]), pairs(&servers[1])].join(","),
        [pairs(&servers[0]), url(&servers[1])].join(","),
    ] {
        let agent = Agent::start(&ALONE, &[("DATA_SOURCE_NAME", &list)]);
        let page = agent.scrape("/metrics/postgres?collect[]=up");
        for server in &servers {
            let target = format!("127.0.0.1:{}", server.port);
            assert_eq!(page.value("pg_up", &[("target", &target)]), Some(1.0), "{list}: {}", agent.log());
        }
        assert!(!agent.log().contains(ODD) && !agent.get("/metrics").contains(ODD));
    }
}
