//! PostgreSQL in containers.

use crate::support::docker::{Container, Docker};
use crate::{Network, SECRET, agent, docker, is_told, is_up, keeps_secrets, told, up};

/// As the official image: whoever is on its socket is let in, whoever comes over the network needs a password.
const SERVER: &str = r#"
export LC_ALL=C PGDATA=/var/lib/postgresql/data
if [ ! -e $PGDATA/PG_VERSION ]; then
  echo "$POSTGRES_PASSWORD" > /tmp/password
  initdb -U "${POSTGRES_USER:-postgres}" --pwfile=/tmp/password --auth-local="${LOCAL:-trust}" --no-sync || exit 1
  echo "host all all all scram-sha-256" >> $PGDATA/pg_hba.conf
fi
exec postgres -c listen_addresses=* -c fsync=off -c unix_socket_directories=/var/run/postgresql
"#;

const PASSWORD: &str = "POSTGRES_PASSWORD=hunter2-of-the-test";

pub(crate) fn start<'a>(network: &Network<'a>, name: &str, options: &[&str]) -> Container<'a> {
    network.start(name, &[&["-u", "999:999", "-e", PASSWORD], options].concat(), "postgres:14", &["sh", "-c", SERVER])
}

fn isolated<'a>(docker: &'a Docker, name: &str, options: &[&str]) -> Container<'a> {
    let first = ["--network", "none", "--name", name, "-v", "/usr:/usr:ro", "-u", "999:999", "-e", PASSWORD];
    docker.start(&[&first, options, &["postgres:14", "sh", "-c", SERVER]].concat())
}

#[test]
fn a_container_without_a_network_is_reached_by_its_socket() {
    let docker = docker();
    let agent = agent(&docker, &["--postgres.collector.backend_group"]);
    let _server = isolated(&docker, "pg-socket", &["-e", "POSTGRES_USER=shop", "-m", "512m"]);
    let _peer = isolated(&docker, "pg-peer", &["-e", "LOCAL=peer"]);
    assert_eq!(is_told(&agent, "pg-socket", None).labels["how"], "socket");
    is_up(&agent, "pg_up", "pg-socket");
    is_up(&agent, "pg_up", "pg-peer");
    let page = agent.scrape("/metrics/postgres");
    assert!(page.value("pg_stat_database_numbackends", &[("datname", "postgres"), ("target", "pg-socket")]).is_some());
    let share = page.value("pg_shared_buffers_memory_ratio", &[("target", "pg-socket")]);
    let buffers = page.value("pg_settings_shared_buffers_bytes", &[("target", "pg-socket")]).unwrap();
    assert_eq!(share, Some(buffers / f64::from(512 << 20)), "of its own limit");
    // Whatever the numbers of its processes are in there.
    let checkpointer = [("target", "pg-socket"), ("backend_type", "checkpointer")];
    assert!(page.value("pg_backend_group_resident_bytes", &checkpointer).is_some_and(|bytes| bytes > 0.0));
    assert!(page.all("stack_exporter_discovered_target").all(|series| series.labels["part"] == "postgres"));
    keeps_secrets(&agent);
}

#[test]
fn a_password_comes_from_a_file_that_a_label_names_or_with_the_switch() {
    let docker = docker();
    let network = Network::new(&docker, "pg-password");
    let _plain = start(&network, "pg-plain", &["-e", "LOCAL=scram-sha-256"]);
    let label = ["--label", "stack-exporter.postgres.password-file=pg", "--label", "stack-exporter.postgres.name=main db"];
    let _labelled = start(&network, "pg-labelled", &[&["-e", "LOCAL=scram-sha-256"], &label[..]].concat());
    let secrets = tempfile::tempdir().unwrap();
    let folder = format!("--discovery.secrets={}", secrets.path().display());
    let careful = agent(&docker, &[&folder]);
    let allowed = agent(&docker, &[&folder, "--discovery.environment"]);

    is_told(&careful, "pg-plain", Some("password"));
    assert_eq!(up(&careful, "pg_up", "pg-plain"), None, "what nobody asked for is no alert");
    is_told(&careful, "main db", Some("secret"));
    std::fs::write(secrets.path().join("pg"), format!("{SECRET}\n")).unwrap();
    is_told(&careful, "main db", None);
    is_up(&careful, "pg_up", "main db");

    is_told(&allowed, "pg-plain", None);
    is_up(&allowed, "pg_up", "pg-plain");
    keeps_secrets(&careful);
    keeps_secrets(&allowed);
}

#[test]
fn what_is_missing_is_told_by_one_word() {
    let docker = docker();
    let _database = isolated(&docker, "pg-database", &["-e", "POSTGRES_DB=nowhere"]);
    let _user = isolated(&docker, "pg-user", &["--label", "stack-exporter.postgres=user=nobody"]);
    let _option = isolated(&docker, "pg-option", &["--label", "stack-exporter.postgres=host=10.0.0.1"]);
    let _off = isolated(&docker, "pg-off", &["--label", "stack-exporter.postgres=false"]);
    let nothing = ["--network", "none", "--name", "pg-nothing", "postgres:14", "sleep", "600"];
    let _nothing = docker.start(&nothing);
    let agent = agent(&docker, &[]);
    is_told(&agent, "pg-database", Some("database"));
    is_told(&agent, "pg-user", Some("user"));
    is_told(&agent, "pg-option", Some("label"));
    is_told(&agent, "pg-nothing", Some("network"));
    assert_eq!(up(&agent, "pg_up", "pg-user"), Some(0.0), "whatever the operator asked for is a target");
    assert_eq!((up(&agent, "pg_up", "pg-database"), up(&agent, "pg_up", "pg-option")), (None, None));
    assert_eq!(told(&agent, "pg-off"), None);
}

#[test]
fn a_restart_is_one_gap_under_the_same_name() {
    let docker = docker();
    let network = Network::new(&docker, "pg-restart");
    let label = ["-e", "LOCAL=scram-sha-256", "--label", "stack-exporter.postgres.password-file=pg"];
    let _server = start(&network, "pg-again", &label);
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("pg"), SECRET).unwrap();
    let agent = agent(&docker, &[&format!("--discovery.secrets={}", secrets.path().display())]);
    is_up(&agent, "pg_up", "pg-again");
    let started =
        |agent| crate::support::Agent::scrape(agent, "/metrics/postgres").value("pg_postmaster_start_time_seconds", &[]);
    let before = started(&agent);
    docker.run(&["restart", "-t", "0", "pg-again"]);
    let mut seen = Vec::new();
    crate::support::wait_for("the server after its restart", crate::SOON, || {
        // Never absent: it is down, or it is up.
        seen.push(up(&agent, "pg_up", "pg-again").expect("the target stays"));
        seen.last() == Some(&1.0) && (before.is_none() || started(&agent) != before)
    });
    seen.dedup();
    assert!(seen.len() <= 3, "up, down for a while, and up again: {seen:?}");
}

#[test]
fn a_link_in_a_container_leads_nowhere_else() {
    let docker = docker();
    let host = tempfile::tempdir().unwrap();
    let socket = host.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let link = format!("ln -s {} /run/postgresql/.s.PGSQL.5432; exec sleep 600", socket.display());
    let _hostile = docker.start(&["--network", "none", "--name", "pg-link", "postgres:14", "sh", "-c", &link]);
    let agent = agent(&docker, &[]);
    is_told(&agent, "pg-link", Some("network"));
    assert!(listener.accept().is_err(), "nobody came");
}

/// As docker/compose.yml runs it: the host below /host, no capability, and a volume with the socket of a server that the settings name.
#[test]
fn an_agent_in_a_container_takes_a_shared_socket_for_one_server() {
    let docker = docker();
    let network = Network::new(&docker, "pg-volume");
    docker.run(&["volume", "create", "pg-socket-volume"]);
    let _server = start(&network, "pg-shared", &["-v", "pg-socket-volume:/var/run/postgresql"]);
    let _other = start(&network, "pg-alone", &[]);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_stack-exporter"));
    let port = crate::support::free_port();
    let (mount, listen) = (format!("{}:/agent:ro", binary.display()), format!("--web.listen-address=127.0.0.1:{port}"));
    let engine = format!("--docker=unix:///host{}", docker.host.trim_start_matches("unix://"));
    let options = "--name pg-agent --network host --cap-drop ALL --read-only -v /usr:/usr:ro -v /:/host:ro,rslave \
        -v pg-socket-volume:/var/run/postgresql:ro";
    let paths = "/agent --path.procfs=/host/proc --path.sysfs=/host/sys --path.rootfs=/host --no-host --no-redis";
    let image = "registry.test:5000/tools/other:1";
    let mut args: Vec<&str> = options.split_ascii_whitespace().collect();
    args.extend(["-e", "DATA_SOURCE_NAME=user=postgres host=/var/run/postgresql", "-v", &mount, image]);
    args.extend(paths.split_ascii_whitespace().chain([listen.as_str(), engine.as_str()]));
    let agent = docker.start(&args);
    let mut page = crate::support::exposition::Exposition::default();
    crate::support::wait_for("the other server to be told", crate::SOON, || {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            return false;
        }
        let body = crate::support::http("GET", port, "/metrics", &[]).text();
        page = crate::support::exposition::parse(&body).unwrap();
        let other = [("target", "pg-alone"), ("missing", "password"), ("how", "network")];
        let named = page.all("pg_up").any(|series| series.labels.is_empty() && series.value == 1.0);
        named && page.value("stack_exporter_discovered_target", &other).is_some()
    });
    assert!(page.series.iter().all(|series| !series.has(&[("target", "pg-shared")])));
    drop((agent, _server));
    docker.run(&["volume", "rm", "pg-socket-volume"]);
}
