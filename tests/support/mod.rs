//! What integration tests share: the real binary on a free port, HTTP, an exposition parser of its own, waiting.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

pub mod bus;
pub mod containerd;
pub mod containers;
pub mod cri;
pub mod docker;
pub mod engine;
pub mod exposition;
pub mod node;
pub mod pki;
pub mod podman;
pub mod postgres;
pub mod postgres_beyond;
pub mod postgres_exporter;
pub mod redis;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A loopback port that was free a moment ago, and that no other test of this program was given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// Polls until `done` or fails with `what` after `limit`.
pub fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < end, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder of facts and fixtures beside the project; tests that need it fail, with this reason, where it is missing.
pub fn shared(path: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    assert!(path.exists(), "this test compares with {}, which is missing", path.display());
    path
}

/// The real binary, running.
pub struct Agent {
    pub child: Child,
    pub port: u16,
    log: File,
}

impl Agent {
    /// Starts it with `args` on a free loopback port, its environment empty but for `env`, and waits until it answers.
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Agent {
        Agent::start_in(".", args, env)
    }

    /// As [`start`](Self::start), with the working directory `dir`.
    pub fn start_in(dir: &str, args: &[&str], env: &[(&str, &str)]) -> Agent {
        // Not a pipe: what the agent logged before it answered is there as soon as the answer is.
        let (port, log) = (free_port(), tempfile::tempfile().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_stack-exporter"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(args)
            .current_dir(dir)
            .env_clear()
            .envs(env.iter().copied())
            .stdout(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut agent = Agent { child, port, log };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = agent.child.try_wait().unwrap() {
                panic!("the agent ended with {status}: {}", agent.log());
            }
            assert!(Instant::now() < end, "the agent does not listen: {}", agent.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        let mut text = vec![0; usize::try_from(self.log.metadata().unwrap().len()).unwrap()];
        // At its start, and not where the agent writes.
        self.log.read_exact_at(&mut text, 0).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// GET, status and all.
    pub fn request(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        http("GET", self.port, path, headers)
    }

    /// The text of a page that must come with 200.
    pub fn get(&self, path: &str) -> String {
        let response = self.request(path, &[]);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.text()
    }

    /// The page's samples.
    pub fn scrape(&self, path: &str) -> exposition::Exposition {
        exposition::parse(&self.get(path)).unwrap()
    }

    /// SIGTERM, and how long it took to end, and how.
    pub fn terminate(&mut self) -> (Duration, std::process::ExitStatus) {
        let start = Instant::now();
        signal(self.pid(), "TERM");
        let status = self.child.wait().unwrap();
        (start.elapsed(), status)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by name to a process that the test started.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// An HTTP response.
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is UTF-8")
    }
}

/// One request on a connection of its own.
pub fn http(method: &str, port: u16, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    stream.write_all((request + "\r\n").as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    read_response(&bytes).unwrap_or_else(|| panic!("no HTTP response: {:?}", String::from_utf8_lossy(&bytes)))
}

fn read_response(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    let chunked = headers.iter().any(|(key, value)| key.eq_ignore_ascii_case("transfer-encoding") && value == "chunked");
    let rest = &bytes[end + 4..];
    Some(Response { status, body: if chunked { dechunk(rest)? } else { rest.to_vec() }, headers })
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    // A HEAD answer has the header but no body.
    while !rest.is_empty() {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 2 + size + 2..)?;
    }
    Some(body)
}
