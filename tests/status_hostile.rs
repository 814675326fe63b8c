//! What others write onto the operator's page: names with markup, errors that quote passwords.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use support::redis::{Answer, Stub};
use support::{Agent, http, wait_for};

/// Each way to give a password has one of its own, which must not be shown anywhere.
const MARKER: &str = "hunter2-of-";

const MARKUP: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// A PostgreSQL that wants the password in clear text and quotes it when it refuses.
fn quoting_postgres() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || quote(stream));
        }
    });
    port
}

fn quote(mut stream: TcpStream) -> Option<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut startup).ok()?;
    // AuthenticationCleartextPassword
    stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).ok()?;
    let mut head = [0; 5];
    stream.read_exact(&mut head).ok()?;
    let mut password = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize - 4];
    stream.read_exact(&mut password).ok()?;
    let password = String::from_utf8_lossy(&password).trim_end_matches('\0').to_owned();
    let fields = format!("SFATAL\0VFATAL\0C28P01\0M{MARKUP} wrong password {password}\0\0");
    stream.write_all(b"E").ok()?;
    stream.write_all(&(u32::try_from(fields.len()).unwrap() + 4).to_be_bytes()).ok()?;
    stream.write_all(fields.as_bytes()).ok()
}

/// A Redis that quotes every command in an error.
fn quoting_redis() -> Stub {
    Stub::start(|command| Answer::Send(format!("-WRONGPASS {MARKUP} {command}\r\n").into_bytes()))
}

#[test]
fn no_secret_and_no_markup_reach_a_page() {
    let (postgres, redis) = (quoting_postgres(), quoting_redis());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let redis_file = file("redis", &format!("{MARKER}redis-file\n"));
    let postgres_file = file("postgres", &format!("{MARKER}postgres-file\n"));
    let name = serde_json::to_string(MARKUP).unwrap();
    let port = redis.port;
    let config = file(
        "config.yml",
        &format!(
            "postgres:\n  targets:\n\
             \x20   - {{name: {name}, address: \"postgresql://u:{MARKER}postgres-url@127.0.0.1:{postgres}/d?sslmode=disable\"}}\n\
             \x20   - {{name: p2, address: \"host=127.0.0.1 port={postgres} user=u sslmode=disable\", password: {MARKER}postgres-field}}\n\
             \x20   - {{name: p3, address: \"host=127.0.0.1 port={postgres} user=u sslmode=disable\", password_file: {postgres_file}}}\n\
             redis:\n  targets:\n\
             \x20   - {{name: {name}, address: \"redis://u:{MARKER}redis-url@127.0.0.1:{port}\"}}\n\
             \x20   - {{name: r2, address: \"redis://127.0.0.1:{port}\", password: {MARKER}redis-field}}\n\
             \x20   - {{name: r3, address: \"redis://127.0.0.1:{port}\", password_file: {redis_file}}}\n"
        ),
    );
    let dsn = format!("postgresql://u:{MARKER}dsn@127.0.0.1:{postgres}/d?application_name=x&sslmode=disable");
    let uri = format!("127.0.0.1:{postgres}/d?sslmode=disable");
    let address = redis.addr();
    let environments: [&[(&str, &str)]; 2] = [
        &[("DATA_SOURCE_NAME", &dsn), ("REDIS_ADDR", &address), ("REDIS_PASSWORD", "hunter2-of-redis-variable")],
        &[("DATA_SOURCE_URI", &uri), ("DATA_SOURCE_USER", "u"), ("DATA_SOURCE_PASS", "hunter2-of-postgres-variable")],
    ];
    for environment in environments {
        let agent = Agent::start(&["--docker=", "--no-host", "--no-containers", "--config.file", &config], environment);
        let pages = || ["/metrics", "/", "/status?refresh=off", "/api/v1/status"].map(|path| (path, agent.get(path)));
        // Twice: PostgreSQL is not asked again at once, and tells the kept reason.
        for (path, text) in pages().into_iter().chain(pages()) {
            assert!(!text.contains(MARKER), "{path}: {text}");
            if path != "/metrics" && path != "/api/v1/status" {
                assert!(!text.contains("<script") && !text.contains("<img"), "{path}: {text}");
                assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&gt;&lt;img"), "{path}");
                assert!(text.contains("wrong password ***") && text.contains("--postgres.password-file"), "{text}");
            }
        }
        let status: serde_json::Value = serde_json::from_str(&agent.get("/api/v1/status")).unwrap();
        let targets = status["targets"].as_array().unwrap();
        assert!(targets.len() > 6 && targets.iter().all(|target| target["up"] == false), "{status}");
        assert!(!agent.log().contains(MARKER), "{}", agent.log());
    }
    // The markers did go out, so that their absence says something.
    let commands = redis.commands.lock().unwrap().join("\n");
    for way in ["redis-url", "redis-field", "redis-file", "redis-variable"] {
        assert!(commands.contains(&format!("{MARKER}{way}")), "{way}: {commands}");
    }
}

#[test]
fn passwords_stand_before_the_page_and_the_status() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    let hash = bcrypt::hash(format!("{MARKER}web"), 4).unwrap();
    std::fs::write(
        &path,
        format!("basic_auth_users: {{u: {hash}}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"),
    )
    .unwrap();
    let flag = format!("--web.config.file={}", path.display());
    let agent = Agent::start(&["--docker=", "--no-containers", "--no-postgres", "--no-redis", &flag], &[]);
    use base64::prelude::{BASE64_STANDARD, Engine};
    let known = format!("Basic {}", BASE64_STANDARD.encode(format!("u:{MARKER}web")));
    for page in ["/", "/status", "/api/v1/status"] {
        let refused = agent.request(page, &[]);
        assert_eq!((refused.status, refused.text().as_str()), (401, "Unauthorized\n"), "{page}");
        let shown = agent.request(page, &[("Authorization", &known)]);
        assert_eq!((shown.status, shown.header("x-frame-options")), (200, Some("deny")), "{page}");
        assert!(!shown.text().contains(MARKER) && !shown.text().contains(&hash));
        assert_eq!(http("HEAD", agent.port, page, &[("Authorization", &known)]).status, 200);
        assert_eq!(http("POST", agent.port, page, &[("Authorization", &known), ("Content-Length", "0")]).status, 405);
    }
    wait_for("the log", Duration::from_secs(10), || agent.log().contains("listening"));
    assert!(!agent.log().contains(MARKER));
}

#[test]
fn a_thousand_servers_are_a_bounded_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yml");
    let target = |number: usize| format!("  - {{name: \"{}{number}\", address: \"redis://127.0.0.1:1\"}}\n", "n".repeat(500));
    let targets: String = (0..1000).map(target).collect();
    std::fs::write(&path, format!("redis.targets:\n{targets}")).unwrap();
    let args = ["--docker=", "--no-host", "--no-containers", "--no-postgres", "--config.file", path.to_str().unwrap()];
    let agent = Agent::start(&args, &[]);
    agent.get("/metrics");
    let page = agent.get("/");
    assert!(page.len() < 1_000_000, "{}", page.len());
    for counted in ["500 more databases are left out here", "950 more databases", "800 more findings are left out here"] {
        assert!(page.contains(counted), "{counted}");
    }
    assert!(!page.contains(&"n".repeat(500)));
    let status: serde_json::Value = serde_json::from_str(&agent.get("/api/v1/status")).unwrap();
    assert_eq!((status["findings"].as_array().unwrap().len(), &status["collectors_total"]), (201, &1000.into()));
}
