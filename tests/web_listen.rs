//! Where the agent listens: both families, Unix sockets, vsock, and systemd's sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use support::pki::Pki;
use support::{free_port, signal, wait_for};

/// An agent of the host alone, and its log.
struct Running {
    child: Child,
    log: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        command.args(["--no-containers", "--no-postgres", "--no-redis"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, log) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Running { child, log }
    }

    fn listening(addresses: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
        command.env_clear().args(addresses.iter().map(|address| format!("--web.listen-address={address}")));
        let running = Running::start(&mut command);
        running.wait_until_listening(addresses.len());
        running
    }

    /// The addresses of so many lines that say that it listens.
    fn wait_until_listening(&self, count: usize) -> Vec<String> {
        let mut addresses = Vec::new();
        while addresses.len() < count {
            let line = self.log.recv_timeout(Duration::from_secs(20)).expect("it does not listen");
            if line.contains("msg=listening") {
                let address = line.split("address=").nth(1).unwrap();
                addresses.push(address.split(" tls=").next().unwrap().trim_matches('"').to_owned());
            }
        }
        addresses
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status of a healthy answer over `stream`.
fn status(mut stream: impl Read + Write) -> String {
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn every_address_is_listened_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let (all, v4, v6) = (free_port(), free_port(), free_port());
    let mut agent = Running::listening(&[
        &format!(":{all}"),
        &format!("127.0.0.1:{v4}"),
        &format!("[::1]:{v6}"),
        &format!("unix://{}", path.display()),
    ]);
    for (host, port, answers) in [
        ("127.0.0.1", all, true),
        ("::1", all, true),
        ("127.0.0.1", v4, true),
        ("::1", v4, false),
        ("::1", v6, true),
        ("127.0.0.1", v6, false),
    ] {
        let stream = TcpStream::connect((host, port)).ok();
        assert_eq!(stream.map(status), answers.then(|| "200".to_owned()), "{host} {port}");
    }
    assert_eq!(status(UnixStream::connect(&path).unwrap()), "200");
    signal(agent.child.id(), "TERM");
    assert!(agent.child.wait().unwrap().success() && !path.exists(), "the socket's file goes with the agent");
}

#[test]
fn a_unix_socket_left_by_a_killed_agent_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let address = format!("unix://{}", path.display());
    let mut killed = Running::listening(&[&address]);
    signal(killed.child.id(), "KILL");
    killed.child.wait().unwrap();
    assert!(path.exists());
    let _agent = Running::listening(&[&address]);
    assert_eq!(status(UnixStream::connect(&path).unwrap()), "200");
    let second =
        Command::new(env!("CARGO_BIN_EXE_stack-exporter")).arg(format!("--web.listen-address={address}")).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert_eq!(status(UnixStream::connect(&path).unwrap()), "200", "the first one keeps it");
}

#[test]
fn vsock_is_listened_on_where_the_kernel_has_it() {
    let Ok(socket) = Socket::new(Domain::VSOCK, Type::STREAM, None) else { return };
    let port = 20_000 + u32::from(free_port());
    let address = format!("vsock://:{port}");
    let _agent = Running::listening(&[&address]);
    // Context 1 is this machine itself, where the kernel has vsock_loopback.
    if socket.connect(&SockAddr::vsock(1, port)).is_ok() {
        assert_eq!(status(socket), "200");
    }
}

#[test]
fn systemds_sockets_take_the_place_of_the_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let (port, unused) = (free_port(), free_port());
    let mut command = Command::new("systemd-socket-activate");
    command.arg(format!("--listen=127.0.0.1:{port}")).arg(format!("--listen={}", path.display()));
    command.args([env!("CARGO_BIN_EXE_stack-exporter"), "--web.systemd-socket"]);
    let agent = Running::start(command.arg(format!("--web.listen-address=127.0.0.1:{unused}")));
    wait_for("systemd-socket-activate", Duration::from_secs(20), || path.exists());
    // The first connection starts the agent, and is answered by it.
    assert_eq!(status(TcpStream::connect(("127.0.0.1", port)).unwrap()), "200");
    assert_eq!(agent.wait_until_listening(2), [format!("127.0.0.1:{port}"), "systemd's socket 1".to_owned()]);
    assert_eq!(status(UnixStream::connect(&path).unwrap()), "200");
    assert!(TcpStream::connect(("127.0.0.1", unused)).is_err());
}

#[test]
fn systemds_sockets_speak_tls_and_ask_for_passwords_too() {
    let pki = Pki::new();
    let config = pki.config(&format!(
        "tls_server_config: {{cert_file: server.crt, key_file: server.key}}\nbasic_auth_users: {{alice: {}}}\n",
        bcrypt::hash("secret", 5).unwrap()
    ));
    let port = free_port();
    let mut command = Command::new("systemd-socket-activate");
    command.arg(format!("--listen=127.0.0.1:{port}")).args([
        env!("CARGO_BIN_EXE_stack-exporter"),
        "--web.systemd-socket",
        &config,
    ]);
    let _agent = Running::start(&mut command);
    wait_for("an answer", Duration::from_secs(20), || pki.status(&[], port) == 401);
    assert_eq!(pki.status(&["-u", "alice:secret"], port), 200);
}

#[test]
fn what_is_passed_must_be_ours_and_listen() {
    let run = |variables: &str, descriptor: &str| {
        let script = format!("{variables} exec {} --web.systemd-socket {descriptor}", env!("CARGO_BIN_EXE_stack-exporter"));
        let output = Command::new("bash").args(["-c", &script]).env_clear().output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap().trim_end().to_owned())
    };
    let none = "stack-exporter: web.systemd-socket: no socket activation file descriptors found";
    for variables in ["", "LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID=$$ LISTEN_FDS=0", "LISTEN_PID=$$ LISTEN_FDS=x", "LISTEN_FDS=1"]
    {
        assert_eq!(run(variables, "3</dev/null"), (Some(2), none.to_owned()), "{variables}");
    }
    let wrong = "stack-exporter: web.systemd-socket: a socket of the unit is no stream that is listened on";
    assert_eq!(run("LISTEN_PID=$$ LISTEN_FDS=1", "3</dev/null"), (Some(2), wrong.to_owned()));
}

#[test]
fn a_taken_path_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("file"), folder.path().join("socket"));
    std::fs::write(&file, "precious").unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    for path in [&file, &socket] {
        let address = format!("--web.listen-address=unix://{}", path.display());
        let output = Command::new(env!("CARGO_BIN_EXE_stack-exporter")).arg(address).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2) && error.ends_with(": Address already in use (os error 98)\n") && path.exists(),
            "{error}"
        );
    }
}
