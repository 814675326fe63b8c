//! TLS to PostgreSQL: every mode beside libpq, channel binding with somebody in between, client certificates.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use support::pki::Pki;
use support::postgres::Postgres;
use support::{Agent, free_port, wait_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const ALONE: [&str; 5] = ["--no-host", "--no-containers", "--no-redis", "--no-postgres.find", "--no-postgres.all-databases"];

/// For a hundred handshakes at once.
const PATIENT: [&str; 3] = ["--postgres.connect-timeout=25s", "--postgres.timeout=25s", "--scrape.timeout=30s"];

const EVERYBODY: &str = "host all all 127.0.0.1/32 trust\n";

/// Certificates that every user of this machine may read.
fn pki() -> Pki {
    let pki = Pki::new();
    std::fs::set_permissions(pki.folder(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    pki
}

/// A file of settings with these targets, the text of each behind its name.
fn settings(folder: &Path, targets: &[(String, String)]) -> String {
    let list = targets.iter().map(|(name, text)| format!("    - {{name: {name}, {text}}}\n"));
    let file = folder.join("agent.yml");
    std::fs::write(&file, format!("postgres:\n  targets:\n{}", list.collect::<String>())).unwrap();
    format!("--config.file={}", file.display())
}

/// Whether each of the agent's sessions is encrypted, by its application_name.
fn encrypted(server: &Postgres) -> BTreeMap<String, String> {
    let sql =
        "SELECT application_name, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'stack-%'";
    server
        .sql("postgres", sql)
        .lines()
        .map(|line| line.split_once('|').map(|(name, ssl)| (name.to_owned(), ssl.to_owned())).unwrap())
        .collect()
}

/// Every mode with each file of CAs and each name: what it is called, and the connection string.
fn combinations(kind: &str, port: u16, roots: [(&str, &str); 3]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for mode in ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] {
        for (trust, root) in roots {
            for host in ["localhost", "db.example"] {
                if root.is_empty() && mode.starts_with("verify") {
                    continue;
                }
                let name = format!("stack-{kind}-{mode}-{trust}-{host}");
                let root = if root.is_empty() { String::new() } else { format!(" sslrootcert={root}") };
                let place = format!("host={host} hostaddr=127.0.0.1 port={port} user=monitor dbname=postgres");
                all.push((name.clone(), format!("{place} application_name={name} sslmode={mode}{root}")));
            }
        }
    }
    all
}

#[test]
fn every_mode_does_what_libpq_does() {
    let pki = pki();
    let many = ["max_connections=200"];
    let servers = [
        ("both", Postgres::start_with_tls(&pki, "server", &many), EVERYBODY),
        // psql's own sessions are of the superuser; the rule is for the one who is asked about.
        (
            "tls",
            Postgres::start_with_tls(&pki, "server", &many),
            "host all postgres 127.0.0.1/32 trust\nhostssl all monitor 127.0.0.1/32 trust\n",
        ),
        (
            "plain",
            Postgres::start_with_tls(&pki, "server", &many),
            "host all postgres 127.0.0.1/32 trust\nhostnossl all monitor 127.0.0.1/32 trust\n",
        ),
        ("without", Postgres::start(&many), EVERYBODY),
        ("nobody", Postgres::start_with_tls(&pki, "server", &many), "host all postgres 127.0.0.1/32 trust\n"),
    ];
    let (ca, other) = (pki.path("ca.crt").display().to_string(), pki.path("next.crt").display().to_string());
    let mut expected = BTreeMap::new();
    let mut targets = Vec::new();
    for (kind, server, hba) in &servers {
        server.sql("postgres", "CREATE ROLE monitor LOGIN IN ROLE pg_monitor");
        server.hba(hba);
        for (name, address) in combinations(kind, server.port, [("nobody", ""), ("ca", &ca), ("other", &other)]) {
            let mut psql = server.psql("postgres");
            psql.args(["-d", &address, "-c", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"]);
            let output = psql.output().unwrap();
            let said = output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned());
            expected.insert(name.clone(), said);
            targets.push((name, format!("address: \"{address}\"")));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(&[&ALONE[..], &[&settings(folder.path(), &targets)], &PATIENT[..]].concat(), &[]);
    let page = agent.scrape("/metrics/postgres?collect[]=up");
    let open: BTreeMap<String, String> = servers.iter().flat_map(|(_, server, _)| encrypted(server)).collect();
    for (name, said) in &expected {
        let up = page.value("pg_up", &[("target", name)]);
        assert_eq!(
            (up, open.get(name)),
            (Some(f64::from(u8::from(said.is_some()))), said.as_ref()),
            "{name}: psql said {said:?}"
        );
    }
    let count = |wanted: Option<&str>| expected.values().filter(|said| said.as_deref() == wanted).count();
    assert!(count(None) > 20 && count(Some("t")) > 20 && count(Some("f")) > 20, "{expected:?}");
}

/// Takes TLS with one certificate and passes everything on to `port` by TLS of its own: somebody in between.
fn between(pki: &Pki, certificate: &str, port: u16) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_file(pki.path(&format!("{certificate}.crt"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(pki.path(&format!("{certificate}.key"))).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server.with_no_client_auth().with_single_cert(chain, key).unwrap()));
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::pem_file_iter(pki.path("trusted.crt")).unwrap();
    trusted.for_each(|certificate| roots.add(certificate.unwrap()).unwrap());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
    let own = free_port();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", own)).await.unwrap();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                tokio::spawn(async move {
                    let mut question = [0; 8];
                    stream.read_exact(&mut question).await.ok()?;
                    stream.write_all(b"S").await.ok()?;
                    let mut client = acceptor.accept(stream).await.ok()?;
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
                    stream.write_all(&question).await.ok()?;
                    stream.read_u8().await.ok()?;
                    let mut server = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.ok()?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()
                });
            }
        });
    });
    wait_for("the one in between", Duration::from_secs(5), || std::net::TcpStream::connect(("127.0.0.1", own)).is_ok());
    own
}

#[test]
fn channel_binding_notices_somebody_in_between() {
    let pki = pki();
    let san = "subjectAltName=DNS:localhost";
    pki.issue_with(&["rsa:2048", "-sha512"], "rsa-sha512", None, san);
    pki.issue_with(&["ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"], "ec-sha384", Some("ca"), san);
    // ring, which checks what is signed, knows no ECDSA with SHA-512: this one signs itself, and is trusted beside the CA.
    pki.write("trusted.crt", &["ca.crt", "rsa-sha512.crt"].map(|file| std::fs::read_to_string(pki.path(file)).unwrap()).concat());
    let mut targets = Vec::new();
    let mut servers = Vec::new();
    for certificate in ["server", "rsa-sha512", "ec-sha384"] {
        let server = Postgres::start_with_tls(&pki, certificate, &[]);
        server.sql("postgres", "CREATE ROLE monitor LOGIN PASSWORD 'hunter2' IN ROLE pg_monitor; CREATE ROLE trusted LOGIN");
        server.hba("host all postgres,trusted 127.0.0.1/32 trust\nhost all monitor 127.0.0.1/32 scram-sha-256\n");
        let middle = between(&pki, "next", server.port);
        let bindings = if certificate == "server" { &["disable", "prefer", "require"][..] } else { &["require"] };
        for binding in bindings {
            let mut add = |what: &str, port: u16, user: &str, mode: &str| {
                let ca = pki.path("trusted.crt").display().to_string();
                let address = format!(
                    "host=localhost port={port} user={user} password=hunter2 dbname=postgres channel_binding={binding} sslmode={mode} sslrootcert={ca}"
                );
                targets.push((format!("{certificate}-{binding}-{what}"), format!("address: \"{address}\"")));
            };
            add("direct", server.port, "monitor", "verify-full");
            add("between", middle, "monitor", "verify-full");
            add("trusted", server.port, "trusted", "verify-full");
            add("plain", server.port, "monitor", "disable");
        }
        servers.push(server);
    }
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(&[&ALONE[..], &[&settings(folder.path(), &targets)], &PATIENT[..]].concat(), &[]);
    let works = |name: &str| match name.rsplit_once('-').unwrap() {
        (_, "direct") => true,
        // Whoever has a certificate of the same CA is found out by the binding alone.
        (start, "between") => start.ends_with("-disable"),
        (start, _) => !start.ends_with("-require"),
    };
    let ups = || {
        let page = agent.scrape("/metrics/postgres?collect[]=up");
        targets
            .iter()
            .map(|(name, _)| (name.clone(), page.value("pg_up", &[("target", name)]) == Some(1.0)))
            .collect::<BTreeMap<_, _>>()
    };
    // Each login is thousands of digests, which take their time in a debug build: what is let in stays so.
    let expected: BTreeMap<_, _> = targets.iter().map(|(name, _)| (name.clone(), works(name))).collect();
    wait_for(&format!("all that should be let in, and nobody else: {}", agent.log()), Duration::from_secs(120), || {
        ups() == expected
    });
    for reason in ["SCRAM channel binding check failed", "server did not use channel binding"] {
        assert!(agent.log().contains(reason), "{reason}: {}", agent.log());
    }
    assert!(!agent.log().contains("hunter2"), "{}", agent.log());
}

#[test]
fn a_certificate_of_ours_signs_in() {
    let pki = pki();
    pki.issue("monitor", Some("ca"), "basicConstraints=CA:FALSE");
    pki.issue("stranger", None, "basicConstraints=CA:FALSE");
    // A server's certificate that signs itself and says that it is a CA's, as `openssl req -x509` makes it.
    pki.issue("self", None, "basicConstraints=critical,CA:TRUE");
    let server = Postgres::start_with_tls(&pki, "server", &[]);
    let own = Postgres::start_with_tls(&pki, "self", &[]);
    server.sql("postgres", "CREATE ROLE monitor LOGIN IN ROLE pg_monitor");
    server.hba("host all postgres 127.0.0.1/32 trust\nhostssl all monitor 127.0.0.1/32 cert\n");
    let path = |file: &str| pki.path(file).display().to_string();
    let (ca, port) = (path("ca.crt"), server.port);
    let block = |certificate: &str, more: &str| {
        let (cert, key) = (path(&format!("{certificate}.crt")), path(&format!("{certificate}.key")));
        format!(
            "address: 'postgresql://monitor@localhost:{port}/postgres', tls: {{ca_file: {ca}, cert_file: {cert}, key_file: {key}{more}}}"
        )
    };
    let string = |certificate: &str| {
        format!(
            "address: 'host=localhost port={port} user=monitor dbname=postgres sslmode=verify-full sslrootcert={ca} sslcert={} sslkey={}'",
            path(&format!("{certificate}.crt")),
            path(&format!("{certificate}.key"))
        )
    };
    let targets = [
        ("block", block("monitor", ""), true),
        ("string", string("monitor"), true),
        ("name", block("monitor", ", server_name: db.example"), false),
        ("anyone", block("monitor", ", insecure_skip_verify: true, server_name: db.example"), true),
        ("stranger", string("stranger"), false),
        ("none", format!("address: 'postgresql://monitor@localhost:{port}/postgres?sslmode=require'"), false),
        (
            "self",
            format!(
                "address: 'postgresql://postgres@localhost:{}/postgres?sslmode=verify-ca&sslrootcert={}'",
                own.port,
                path("self.crt")
            ),
            true,
        ),
        (
            "other-self",
            format!("address: 'postgresql://postgres@localhost:{}/postgres?sslmode=verify-ca&sslrootcert={ca}'", own.port),
            false,
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let list: Vec<_> = targets.iter().map(|(name, text, _)| ((*name).to_owned(), text.clone())).collect();
    let file = settings(folder.path(), &list);
    let agent = Agent::start(&[&ALONE[..], &[&file]].concat(), &[]);
    let page = agent.scrape("/metrics/postgres");
    for (name, _, works) in targets {
        assert_eq!(page.value("pg_up", &[("target", name)]), Some(f64::from(u8::from(works))), "{name}: {}", agent.log());
    }
    // All the rest works over TLS as well.
    let works = |target: &str| {
        page.all("pg_scrape_collector_success")
            .filter(|series| series.has(&[("target", target)]))
            .all(|series| series.value == 1.0)
    };
    assert!(works("block") && works("string"), "{}", agent.log());
}

#[test]
fn what_cannot_be_used_is_told_before_the_port_is_open() {
    let (pki, folder) = (pki(), tempfile::tempdir().unwrap());
    let string = |certificate: &str| {
        let path = pki.path(certificate).display().to_string();
        format!("address: 'host=localhost sslcert={path}.crt sslkey={path}.key'")
    };
    std::fs::set_permissions(pki.path("server.key"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for (target, tells) in [
        (string("server"), "0600"),
        (string("missing"), "missing.key"),
        ("address: 'host=localhost sslmode=verify-full'".to_owned(), "sslrootcert"),
        ("address: 'host=localhost sslrootcert=/does/not/exist'".to_owned(), "/does/not/exist"),
        ("address: 'host=localhost sslmode=require sslrootcert=system'".to_owned(), "verify-full"),
        ("address: 'host=localhost sslcrl=/x'".to_owned(), "sslcrl"),
    ] {
        let file = settings(folder.path(), &[("shop".to_owned(), target)]);
        let output = Command::new(env!("CARGO_BIN_EXE_stack-exporter")).args(ALONE).arg(file).env_clear().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.trim_end().lines().count()), (Some(2), 1), "{tells}: {said}");
        assert!(said.contains(tells) && said.contains("shop"), "{tells}: {said}");
    }
}
