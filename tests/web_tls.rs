//! TLS and passwords as curl, openssl and Prometheus meet them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::pki::Pki;
use support::{Agent, free_port, http, wait_for};

const PAIR: &str = "cert_file: server.crt, key_file: server.key";

/// An agent of the host alone, with `text` as its web configuration.
fn agent(pki: &Pki, text: &str) -> Agent {
    Agent::start(&["--no-containers", "--no-postgres", "--no-redis", &pki.config(text)], &[])
}

fn tls(more: &str) -> String {
    format!("tls_server_config: {{{PAIR}, {more}}}\n")
}

/// Hashes as htpasswd makes them, of a cost that is quick to test with.
fn users(users: &[(&str, &str)]) -> String {
    let hash = |password| bcrypt::hash(password, 5).unwrap();
    users.iter().fold("basic_auth_users:\n".to_owned(), |text, (user, password)| format!("{text}  {user}: {}\n", hash(password)))
}

#[test]
fn only_the_versions_and_suites_that_are_allowed_shake_hands() {
    let pki = Pki::new();
    let ecdsa = |name: &str| format!("cipher_suites: [TLS_ECDHE_ECDSA_WITH_{name}]");
    for (settings, args, spoken) in [
        ("", &["-tls1_2"][..], Some("Protocol  : TLSv1.2")),
        ("", &["-tls1_3"], Some("New, TLSv1.3")),
        ("", &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], None),
        ("min_version: TLS13", &["-tls1_2"], None),
        ("min_version: TLS13", &["-tls1_3"], Some("New, TLSv1.3")),
        ("max_version: TLS12", &[], Some("Protocol  : TLSv1.2")),
        ("max_version: TLS12", &["-tls1_3"], None),
        (&ecdsa("AES_128_GCM_SHA256"), &["-tls1_2"], Some("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256")),
        (&ecdsa("AES_128_GCM_SHA256"), &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], None),
        (&ecdsa("AES_128_GCM_SHA256"), &["-tls1_3"], Some("New, TLSv1.3")),
        (&ecdsa("CHACHA20_POLY1305_SHA256"), &["-tls1_2"], Some("Cipher is ECDHE-ECDSA-CHACHA20-POLY1305")),
        ("curve_preferences: [CurveP384]", &["-curves", "P-384"], Some("ECDH, secp384r1, 384 bits")),
        ("curve_preferences: [CurveP384]", &["-curves", "X25519:P-256"], None),
        ("curve_preferences: [CurveP256, X25519]", &["-curves", "X25519"], Some("X25519")),
    ] {
        let agent = agent(&pki, &tls(settings));
        let said = pki.s_client(agent.port, args);
        match spoken {
            Some(spoken) => assert!(said.contains(spoken) && said.contains("Verification: OK"), "{settings} {args:?}: {said}"),
            None => assert!(said.contains("Cipher is (NONE)"), "{settings} {args:?}: {said}"),
        }
    }
}

#[test]
fn a_server_with_an_rsa_key_chooses_among_its_own_suites() {
    let pki = Pki::new();
    pki.issue_with(&["rsa:2048"], "server", Some("ca"), "subjectAltName=DNS:localhost");
    let names = "[TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]";
    let both = ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"];
    for (prefer, chosen) in [("true", "ECDHE-RSA-CHACHA20-POLY1305"), ("false", "ECDHE-RSA-AES256-GCM-SHA384")] {
        let agent = agent(&pki, &tls(&format!("cipher_suites: {names}, prefer_server_cipher_suites: {prefer}")));
        let said = pki.s_client(agent.port, &both);
        assert!(said.contains(&format!("Cipher is {chosen}")), "{said}");
    }
}

#[test]
fn client_certificates_are_asked_for_and_checked_as_the_type_says() {
    let pki = Pki::new();
    pki.issue("client", Some("ca"), "subjectAltName=DNS:scraper.example");
    pki.issue("stranger", None, "subjectAltName=DNS:scraper.example");
    let client = &["--cert", "client.crt", "--key", "client.key"][..];
    let stranger = &["--cert", "stranger.crt", "--key", "stranger.key"][..];
    // Without, with one of the CA, with another.
    for (demand, statuses) in [
        ("client_auth_type: NoClientCert", [200, 200, 200]),
        ("client_auth_type: RequestClientCert", [200, 200, 200]),
        ("client_auth_type: RequireAnyClientCert", [0, 200, 200]),
        ("client_auth_type: RequireClientCert", [0, 200, 200]),
        ("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt", [200, 200, 0]),
        ("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt", [0, 200, 0]),
    ] {
        let agent = agent(&pki, &tls(demand));
        for version in ["1.2", "1.3"] {
            let version = ["--tls-max", version];
            let status = |args: &[&str]| pki.status(&[&version, args].concat(), agent.port);
            assert_eq!([status(&[]), status(client), status(stranger)], statuses, "{demand} {version:?}");
        }
        let asked = pki.s_client(agent.port, &[]).contains("No client certificate CA names sent");
        assert_eq!(asked, !demand.contains("client_ca_file"), "{demand}");
    }
}

#[test]
fn a_name_of_the_client_must_be_on_the_list() {
    let pki = Pki::new();
    let sans = "DNS:scraper.example,email:ops@example.org,URI:spiffe://example/scraper,IP:192.0.2.7,IP:2001:db8::1";
    pki.issue("client", Some("ca"), &format!("subjectAltName={sans}"));
    pki.issue("nameless", Some("ca"), "basicConstraints=CA:FALSE");
    let client = ["--cert", "client.crt", "--key", "client.key"];
    for (allowed, status) in [
        ("scraper.example", 200),
        ("[other.example, ops@example.org]", 200),
        ("'spiffe://example/scraper'", 200),
        ("192.0.2.7", 200),
        ("'2001:db8::1'", 200),
        ("scraper", 0),
        ("SCRAPER.example", 0),
        ("'*.example'", 0),
        ("192.0.2.70", 0),
        ("client", 0),
    ] {
        let list = if allowed.starts_with('[') { allowed.to_owned() } else { format!("[{allowed}]") };
        let text = format!("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt, client_allowed_sans: {list}");
        let agent = agent(&pki, &tls(&text));
        assert_eq!(pki.status(&client, agent.port), status, "{allowed}");
        assert_eq!(pki.status(&["--cert", "nameless.crt", "--key", "nameless.key"], agent.port), 0, "{allowed}");
    }
}

#[test]
fn http2_comes_with_tls_unless_it_is_switched_off() {
    let pki = Pki::new();
    let version = |agent: &Agent, arg: &str| {
        pki.curl(&["-o", "/dev/null", "-w", "%{http_version} %{http_code}", arg], agent.port, "/metrics").0
    };
    let with = agent(&pki, &tls(""));
    assert_eq!([version(&with, "--http2"), version(&with, "--http1.1")], ["2 200", "1.1 200"]);
    // 40 requests at once on one connection.
    let pages: Vec<_> = (0..40).map(|_| format!("https://localhost:{}/metrics", with.port)).collect();
    let mut args = vec!["--http2", "--parallel", "--parallel-max", "40", "-w", "%{http_code} "];
    pages.iter().for_each(|page| args.extend(["-o", "/dev/null", page]));
    args.extend(["-o", "/dev/null"]);
    assert_eq!(pki.curl(&args, with.port, "/-/healthy").0, "200 ".repeat(41));
    let without = agent(&pki, &(tls("") + "http_server_config: {http2: false}"));
    assert_eq!(version(&without, "--http2"), "1.1 200");
    let plain = agent(&pki, "http_server_config: {http2: true}");
    assert_eq!(http("GET", plain.port, "/metrics", &[]).status, 200, "no TLS, no HTTP/2, no harm");
}

#[test]
fn passwords_open_every_page_and_nothing_else_does() {
    let pki = Pki::new();
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-Content-Type-Options: nosniff\n    \
                   X-XSS-Protection: 1; mode=block\n    Strict-Transport-Security: max-age=9\n    \
                   Content-Security-Policy: default-src 'none'\n";
    let agent = agent(&pki, &(users(&[("alice", "wonder:land"), ("bob", "builder")]) + headers));
    // base64 of user:password
    let (alice, wrong) = ("Basic YWxpY2U6d29uZGVyOmxhbmQ=", "Basic YWxpY2U6Ym9i");
    // carol:wonder:land
    let unknown = "Basic Y2Fyb2w6d29uZGVyOmxhbmQ=";
    for (path, found) in [("/", 200), ("/metrics", 200), ("/-/healthy", 200), ("/nothing", 404)] {
        let ask = |authorization| agent.request(path, &[("Authorization", authorization)]);
        for refused in [agent.request(path, &[]), ask(wrong), ask(unknown), ask("Basic !"), ask("Bearer abc")] {
            assert_eq!((refused.status, refused.text().as_str()), (401, "Unauthorized\n"), "{path}");
            assert_eq!(refused.header("www-authenticate"), Some("Basic"));
            assert_eq!(refused.header("x-frame-options"), Some("deny"));
        }
        let answer = ask(alice);
        assert_eq!(answer.status, found, "{path}");
        for (name, value) in [
            ("X-Frame-Options", "deny"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-XSS-Protection", "1; mode=block"),
            ("Strict-Transport-Security", "max-age=9"),
            ("Content-Security-Policy", "default-src 'none'"),
        ] {
            let values: Vec<_> = answer.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).collect();
            assert!(values.len() == 1 && values[0].1 == value, "{path} {name}: {values:?}");
        }
    }
    assert!(!agent.log().contains("wonder") && !agent.log().contains("$2"), "{}", agent.log());
}

#[test]
fn comparing_passwords_holds_up_neither_others_nor_those_already_known() {
    let pki = Pki::new();
    let slow = format!("basic_auth_users: {{alice: {}}}\n", bcrypt::hash("secret", 9).unwrap());
    let agent = agent(&pki, &slow);
    // base64 of alice:secret
    let known = [("Authorization", "Basic YWxpY2U6c2VjcmV0")];
    assert_eq!(agent.request("/-/healthy", &known).status, 200);
    // Twenty who guess at once take the thread that compares for seconds.
    let mut guesses = Vec::new();
    for guess in 0..20 {
        let mut stream = TcpStream::connect(("127.0.0.1", agent.port)).unwrap();
        let text = format!("{:03}", guess).replace('0', "A").replace('1', "B");
        let header = format!("Authorization: Basic YWxpY2U6{text}A\r\n");
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n").as_bytes()).unwrap();
        guesses.push(stream);
    }
    let start = Instant::now();
    assert_eq!(agent.request("/-/healthy", &known).status, 200);
    assert_eq!(agent.request("/-/healthy", &[]).status, 401);
    let took = start.elapsed();
    let start = Instant::now();
    for mut guess in guesses {
        let mut answer = String::new();
        guess.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    assert!(took * 3 < start.elapsed(), "{took:?}, while the guesses took {:?}", start.elapsed());
}

#[test]
fn a_crowd_that_guesses_passwords_keeps_no_one_out() {
    let pki = Pki::new();
    let agent = agent(&pki, &format!("basic_auth_users: {{alice: {}}}\n", bcrypt::hash("secret", 11).unwrap()));
    let known = [("Authorization", "Basic YWxpY2U6c2VjcmV0")];
    assert_eq!(agent.request("/-/healthy", &known).status, 200);
    // More than there may be connections, each waiting for a comparison that is minutes away.
    let guess = |number: usize| {
        let mut stream = TcpStream::connect(("127.0.0.1", agent.port)).unwrap();
        let header = format!("Authorization: Basic YWxpY2U6{number:04}\r\n");
        let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n").as_bytes());
        stream
    };
    let guesses: Vec<_> = (1_000..1_700).map(guess).collect();
    let open = format!("/proc/{}/fd", agent.pid());
    wait_for("the crowd is let in", Duration::from_secs(20), || std::fs::read_dir(&open).unwrap().count() > 500);
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(agent.request("/metrics", &known).status, 200);
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(guesses);
}

#[test]
fn more_than_the_rate_allows_is_429_before_any_password() {
    let pki = Pki::new();
    let agent = agent(&pki, &(users(&[("alice", "secret")]) + "rate_limit: {interval: 1h, burst: 3}\n"));
    let known = [("Authorization", "Basic YWxpY2U6c2VjcmV0")];
    let statuses: Vec<_> =
        [&known[..], &[], &known, &known, &[]].iter().map(|with| agent.request("/metrics", with).status).collect();
    assert_eq!(statuses, [200, 401, 200, 429, 429]);
}

#[test]
fn a_file_that_turns_bad_refuses_everyone_until_it_is_good_again() {
    let pki = Pki::new();
    let agent = agent(&pki, &tls(""));
    assert_eq!(pki.status(&[], agent.port), 200);
    pki.config("tls_server_config: {cert_fil: x}");
    assert_eq!(pki.status(&[], agent.port), 0, "no handshake");
    assert_eq!(pki.status(&[], agent.port), 0);
    pki.config("");
    assert_eq!(pki.status(&[], agent.port), 0, "TLS does not end by itself");
    pki.config(&(tls("") + &users(&[("alice", "secret")])));
    assert_eq!([pki.status(&[], agent.port), pki.status(&["-u", "alice:secret"], agent.port)], [401, 200]);
    pki.config(&tls(""));
    assert_eq!(pki.status(&[], agent.port), 200);
    let lines = |text: &str| agent.log().lines().filter(|line| line.contains(text)).count();
    assert_eq!([lines("cert_fil"), lines("without TLS now"), lines("in order again")], [1, 1, 1], "{}", agent.log());
}

#[test]
fn without_tls_a_bad_file_is_500_on_a_kept_connection_too() {
    let pki = Pki::new();
    let agent = agent(&pki, "http_server_config: {headers: {X-Frame-Options: deny}}");
    let mut kept = TcpStream::connect(("127.0.0.1", agent.port)).unwrap();
    let mut status = || {
        kept.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        let length = kept.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status(), "200");
    pki.config("basic_auth_users: {alice: hunter2}");
    assert_eq!(status(), "500");
    pki.config(&tls(""));
    assert_eq!(status(), "500", "TLS does not begin by itself, and plain HTTP is not what was asked for");
    std::fs::remove_file(pki.path("web.yml")).unwrap();
    assert_eq!(status(), "500");
    pki.config("{}");
    assert_eq!(status(), "200");
    assert!(!agent.log().contains("hunter2") && agent.log().contains("alice"), "{}", agent.log());
}

#[test]
fn certificates_are_replaced_under_load_without_a_failed_request() {
    let pki = Arc::new(Pki::new());
    std::fs::copy(pki.path("server.crt"), pki.path("live.crt")).unwrap();
    std::fs::copy(pki.path("server.key"), pki.path("live.key")).unwrap();
    let agent = agent(&pki, "tls_server_config: {cert_file: live.crt, key_file: live.key}");
    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..3)
        .map(|_| {
            let (pki, done, asked, port) = (pki.clone(), done.clone(), asked.clone(), agent.port);
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let (code, error) = pki.curl(&["-o", "/dev/null", "-w", "%{http_code}"], port, "/metrics");
                    assert_eq!(code, "200", "{error}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let shown = || pki.s_client(agent.port, &[]).lines().find_map(|line| line.strip_prefix("subject=CN = ").map(str::to_owned));
    for round in 0..10 {
        let name = if round % 2 == 0 { "next" } else { "server" };
        // One after the other, as most tools do: in between they do not fit each other.
        for kind in ["crt", "key"] {
            std::fs::copy(pki.path(&format!("{name}.{kind}")), pki.path(&format!("live.{kind}"))).unwrap();
            let before = asked.load(Ordering::Relaxed);
            wait_for("the load meets it", Duration::from_secs(20), || asked.load(Ordering::Relaxed) > before + 3);
        }
        assert_eq!(shown().as_deref(), Some(name));
    }
    done.store(true, Ordering::Relaxed);
    for thread in load {
        thread.join().unwrap();
    }
    assert!(asked.load(Ordering::Relaxed) > 20, "{asked:?}");
    assert!(agent.log().contains("not the key of the certificate"), "{}", agent.log());
}

#[test]
fn a_new_client_ca_counts_from_the_next_handshake_on() {
    let pki = Pki::new();
    pki.issue("client", Some("ca"), "subjectAltName=DNS:scraper.example");
    pki.issue("other", None, "basicConstraints=critical,CA:TRUE");
    std::fs::copy(pki.path("ca.crt"), pki.path("clients.crt")).unwrap();
    let agent = agent(&pki, &tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients.crt"));
    let client = ["--cert", "client.crt", "--key", "client.key"];
    assert_eq!(pki.status(&client, agent.port), 200);
    std::fs::copy(pki.path("other.crt"), pki.path("clients.crt")).unwrap();
    assert_eq!(pki.status(&client, agent.port), 0);
    std::fs::remove_file(pki.path("clients.crt")).unwrap();
    assert_eq!(pki.status(&client, agent.port), 0, "what is gone vouches for nobody");
    std::fs::copy(pki.path("ca.crt"), pki.path("clients.crt")).unwrap();
    assert_eq!(pki.status(&client, agent.port), 200);
}

#[test]
fn silent_and_slow_peers_do_not_stop_a_scrape() {
    let pki = Pki::new();
    let agent = agent(&pki, &tls(""));
    let mut silent: Vec<_> = (0..1_000).map(|_| TcpStream::connect(("127.0.0.1", agent.port)).unwrap()).collect();
    for (index, stream) in silent.iter_mut().enumerate().filter(|(index, _)| index % 2 == 0) {
        // The beginning of a ClientHello, or of a request by someone who does not know of TLS.
        let _ = stream.write_all(if index % 4 == 0 { b"\x16\x03\x01\x02\x00\x01" } else { b"GET /metrics HTTP/1.1\r\n" });
    }
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(pki.status(&[], agent.port), 200);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let mut rest = [0; 64];
    let first = &mut silent[0];
    first.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(!matches!(first.read(&mut rest), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "it was let go");
}

/// Ends what a test started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prometheus_scrapes_over_tls_with_a_password() {
    let pki = Pki::new();
    let agent = agent(&pki, &(tls("") + &users(&[("alice", "secret")])));
    let scrape = |job: &str, password: &str| {
        format!(
            "  - job_name: {job}\n    scheme: https\n    tls_config: {{ca_file: ca.crt}}\n    basic_auth: {{username: alice, password: \
             {password}}}\n    static_configs: [{{targets: ['localhost:{}']}}]\n",
            agent.port
        )
    };
    let scrapes = scrape("right", "secret") + &scrape("wrong", "guess");
    pki.write("prometheus.yml", &format!("global: {{scrape_interval: 1s}}\nscrape_configs:\n{scrapes}"));
    let port = free_port();
    let mut prometheus = Command::new("prometheus");
    prometheus.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]);
    prometheus.arg(format!("--web.listen-address=127.0.0.1:{port}")).current_dir(pki.folder());
    let _prometheus = Running(prometheus.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_for("Prometheus", Duration::from_secs(60), || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let query = |query: &str| http("GET", port, &format!("/api/v1/query?query={query}"), &[]).text();
    wait_for("both scrapes", Duration::from_secs(60), || {
        let (right, wrong) = (query("up%7Bjob=%22right%22%7D"), query("up%7Bjob=%22wrong%22%7D"));
        right.contains(",\"1\"]") && wrong.contains(",\"0\"]")
    });
    assert!(query("node_load1").contains("\"job\":\"right\""), "{}", query("node_load1"));
    let targets = http("GET", port, "/api/v1/targets", &[]).text();
    assert!(targets.contains("401 Unauthorized"), "{targets}");
}
