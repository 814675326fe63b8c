//! A proxy before the engine's socket that lets through only what the agent asks for, in the clear and over TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::support::docker::Docker;
use crate::support::pki::Pki;
use crate::support::{Agent, wait_for};

/// A proxy on a loopback port, for as long as the test runs.
struct Proxy {
    port: u16,
    /// Method and path of all that was asked, with the status of the answer: 0 where it was passed on.
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Proxy {
    /// Before the engine at `socket`, with a certificate, and a client's demanded, where there is a `pki`.
    fn start(socket: &str, pki: Option<&Pki>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let (socket, log, tls) = (socket.to_owned(), asked.clone(), pki.map(|pki| Arc::new(server(pki))));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, socket, log, tls) = (stream.unwrap(), socket.clone(), log.clone(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => pass(stream, &socket, &log),
                    Some(tls) => pass(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream), &socket, &log),
                });
            }
        });
        Proxy { port, asked }
    }

    fn asked(&self) -> Vec<(String, u16)> {
        self.asked.lock().unwrap().clone()
    }
}

fn server(pki: &Pki) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.path("ca.crt")).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let chain = vec![CertificateDer::from_pem_file(pki.path("server.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(pki.path("server.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap()
}

/// The paths that go without an id.
const LISTS: [&str; 8] = ["/_ping", "/version", "/info", "/events", "/containers/json", "/images/json", "/volumes", "/services"];

/// What the README says that a proxy has to let through.
fn is_let_through(request: &str) -> bool {
    let (method, path) = request.split_once(' ').unwrap();
    let one = |rest: &str| {
        let id = rest.strip_suffix("/json").or_else(|| rest.strip_suffix("/stats"));
        id.is_some_and(|id| id.trim_start_matches("sha256:").len() == 64)
    };
    method == "GET"
        && (LISTS.contains(&path) || path.strip_prefix("/containers/").or_else(|| path.strip_prefix("/images/")).is_some_and(one))
}

fn pass(mut stream: impl Read + Write, socket: &str, log: &Mutex<Vec<(String, u16)>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let request = head.lines().next().unwrap().split(['?', ' ']).take(2).collect::<Vec<_>>().join(" ");
    if !is_let_through(&request) {
        log.lock().unwrap().push((request, 403));
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    log.lock().unwrap().push((request, 0));
    let mut engine = UnixStream::connect(socket).unwrap();
    engine.write_all(head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = BufReader::new(engine);
    loop {
        let Ok(bytes) = answer.fill_buf() else { return };
        if bytes.is_empty() || stream.write_all(bytes).is_err() || stream.flush().is_err() {
            return;
        }
        let length = bytes.len();
        answer.consume(length);
    }
}

#[test]
fn a_proxy_of_these_paths_is_enough() {
    let docker = Docker::shared();
    let container = docker.container(&["--network", "none", "--name", "behind-a-proxy"], &["sleep", "600"]);
    let pki = Pki::new();
    for (name, tls) in [("ca.pem", "ca.crt"), ("cert.pem", "next.crt"), ("key.pem", "next.key")] {
        std::fs::copy(pki.path(tls), pki.path(name)).unwrap();
    }
    let folder = pki.folder().to_str().unwrap();
    for encrypted in [None, Some(&pki)] {
        let proxy = Proxy::start(docker.host.strip_prefix("unix://").unwrap(), encrypted);
        let host = format!("tcp://127.0.0.1:{}", proxy.port);
        let mut env = vec![("DOCKER_HOST", host.as_str())];
        if encrypted.is_some() {
            env.extend([("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", folder)]);
        }
        let agent = Agent::start(&[], &env);
        let named = |name: &str| {
            agent.scrape("/metrics/containers").value("container_last_seen", &[("id", &container.cgroup()), ("name", name)])
        };
        wait_for("the container's name", Duration::from_secs(20), || named("behind-a-proxy").is_some());
        docker.run(&["rename", "behind-a-proxy", "renamed"]);
        wait_for("its new name, by the events", Duration::from_secs(20), || named("renamed").is_some());
        docker.run(&["rename", "renamed", "behind-a-proxy"]);
        wait_for("all lists", Duration::from_secs(20), || {
            let asked = proxy.asked();
            ["/info", "/images/json", "/volumes"].iter().all(|path| asked.iter().any(|(request, _)| request.ends_with(path)))
        });
        let asked = proxy.asked();
        assert!(asked.iter().all(|(_, status)| *status == 0), "{asked:?}");
        assert!(asked.iter().any(|(request, _)| request == "GET /events"), "{asked:?}");
    }
}

#[test]
fn an_engine_that_is_not_to_be_trusted_is_told_nothing() {
    let (pki, foreign) = (Pki::new(), Pki::new());
    std::fs::copy(foreign.path("ca.crt"), pki.path("ca.pem")).unwrap();
    let proxy = Proxy::start("/nonexistent", Some(&pki));
    let host = format!("tcp://127.0.0.1:{}", proxy.port);
    let folder = pki.folder().to_str().unwrap();
    let agent = Agent::start(&[], &[("DOCKER_HOST", &host), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", folder)]);
    wait_for("the refusal", Duration::from_secs(20), || {
        let page = agent.scrape("/metrics/containers");
        let told = page.all("container_engine_last_error_info").any(|series| series.labels["reason"].contains("certificate"));
        told && page.value("container_engine_up", &[]) == Some(0.0)
    });
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
}
