//! The image: built by docker/Dockerfile with a real daemon, run by docker-compose as compose.yml says.
//!
//! No image can be pulled where the tests run. So the build stage's base is one made here, of busybox and a `cargo` that
//! hands over the binary which the real cargo built outside with the same arguments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use support::exposition::{self, Exposition};
use support::{Agent, free_port, http, wait_for};

const IMAGE: &str = "stack-exporter:0.1.0";
const STATIC: &str = "-C target-feature=+crt-static";
/// 8 MB as memory is counted. In millions of bytes, as Docker prints it, it is 8.34.
const LIMIT: u64 = 8 << 20;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn daemon() -> String {
    std::env::var("STACK_EXPORTER_TEST_DOCKER").expect(
        "STACK_EXPORTER_TEST_DOCKER names no Docker daemon to test with; tests/run starts one: tests/run cargo test --test image",
    )
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs what the tests need"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

fn docker(args: &[&str]) -> String {
    run(Command::new("docker").arg("-H").arg(daemon()).args(args))
}

fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// The static release binary, built with the Dockerfile's arguments: tests/run has built it already.
fn binary() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let args = ["build", "--release", "--locked", "--target", &target()];
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo sets for a test: ring's build script looks at it, and would have all that depends on it built anew.
    let is_tests =
        |name: &str| name == "OUT_DIR" || ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start));
    for (name, _) in std::env::vars().filter(|(name, _)| is_tests(name)) {
        cargo.env_remove(name);
    }
    run(cargo.args(args).current_dir(project(".")).env("RUSTFLAGS", STATIC).env("CARGO_TARGET_DIR", folder));
    folder.join(target()).join("release/stack-exporter")
}

/// Makes the base of the build stage.
fn import_base() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["bin", "etc/ssl/certs"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    fs::copy("/bin/busybox", root.path().join("bin/busybox")).expect("busybox-static is installed");
    for applet in ["sh", "uname", "mkdir", "cp", "test"] {
        std::os::unix::fs::symlink("busybox", root.path().join("bin").join(applet)).unwrap();
    }
    fs::copy("/etc/ssl/certs/ca-certificates.crt", root.path().join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    fs::copy(binary(), root.path().join("stack-exporter")).unwrap();
    let cargo = format!(
        "#!/bin/sh -e\ntest \"$*\" = 'build --release --locked --target {target}'\ntest \"$RUSTFLAGS\" = '{STATIC}'\n\
         mkdir -p target/{target}/release\ncp /stack-exporter target/{target}/release/\n",
        target = target()
    );
    fs::write(root.path().join("bin/cargo"), cargo).unwrap();
    fs::set_permissions(root.path().join("bin/cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut tar = Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
    let output = tar.stdout.take().unwrap();
    run(Command::new("docker").arg("-H").arg(daemon()).args(["import", "-", "base:test"]).stdin(output));
    assert!(tar.wait().unwrap().success());
}

/// The image, built once.
fn image() -> &'static str {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        import_base();
        let context = project(".");
        let file = project("docker/Dockerfile");
        let (context, file) = (context.to_str().unwrap(), file.to_str().unwrap());
        docker(&["build", "--network=none", "--build-arg", "BASE=base:test", "-f", file, "-t", IMAGE, context]);
    });
    IMAGE
}

/// A container that is removed with its value.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").arg("-H").arg(daemon()).args(["rm", "-f", "-v", &self.0]).output();
    }
}

#[test]
fn the_image_is_one_static_binary_and_certificates() {
    let size: u64 = docker(&["image", "inspect", "--format", "{{.Size}}", image()]).parse().unwrap();
    assert!(size <= LIMIT, "{size} bytes");
    let container = Container(docker(&["create", image()]));
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("image.tar");
    docker(&["export", "-o", tar.to_str().unwrap(), &container.0]);
    let list = run(Command::new("tar").arg("-tf").arg(&tar));
    // The daemon lays its own files over every container's root.
    let own = ["dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", ".dockerenv"];
    let files: BTreeSet<_> = list.lines().filter(|name| !name.ends_with('/') && !own.contains(name)).collect();
    assert_eq!(files, BTreeSet::from(["etc/ssl/certs/ca-certificates.crt", "stack-exporter"]));
    assert!(docker(&["run", "--rm", "--network=none", image(), "--version"]).starts_with("stack-exporter "));
}

/// Answers every question for an IPv4 address with 127.0.0.1, every other with nothing.
fn answer(server: &UdpSocket) {
    let mut message = [0; 512];
    while let Ok((length, peer)) = server.recv_from(&mut message) {
        let name = message[12..].iter().position(|byte| *byte == 0).unwrap();
        let end = 12 + name + 5;
        let wants_ipv4 = message[end - 4..end - 2] == [0, 1];
        assert!(end <= length);
        // A response without error; one question, one answer or none.
        message[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(wants_ipv4), 0, 0, 0, 0]);
        let mut response = message[..end].to_vec();
        if wants_ipv4 {
            // The name of the question, type A, class IN, 60 s, four bytes.
            response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        server.send_to(&response, peer).unwrap();
    }
}

#[test]
fn names_are_resolved_in_the_empty_image() {
    // An address of the test's own, since resolvers ask port 53 only.
    let dns = UdpSocket::bind("127.77.53.1:53").expect("this test runs as root");
    std::thread::spawn(move || answer(&dns));
    let redis = TcpListener::bind("127.0.0.1:0").unwrap();
    redis.set_nonblocking(true).unwrap();
    let address = format!("REDIS_ADDR=redis://cache.test:{}", redis.local_addr().unwrap().port());
    let listen = format!("--web.listen-address=127.0.0.1:{}", free_port());
    let options = ["run", "-d", "--network=host", "--dns=127.77.53.1", "-e", &address];
    let container = Container(docker(&[&options[..], &[image(), &listen]].concat()));
    wait_for(&format!("a connection to cache.test by {}", container.0), Duration::from_secs(30), || {
        let port = listen.rsplit(':').next().unwrap().parse().unwrap();
        // Only a scrape makes the agent connect. It gets no answer from this server, which is no Redis.
        if let Ok(mut agent) = TcpStream::connect(("127.0.0.1", port)) {
            let _ = agent.write_all(b"GET /metrics/redis HTTP/1.0\r\n\r\n");
        }
        redis.accept().is_ok()
    });
}

#[test]
fn the_build_stage_has_all_that_cargo_wants() {
    image();
    let file = project("docker/Dockerfile");
    let args = ["build", "--network=none", "--build-arg", "BASE=base:test", "--target=build", "-t", "build:test", "-f"];
    docker(&[&args[..], &[file.to_str().unwrap(), project(".").to_str().unwrap()]].concat());
    let container = Container(docker(&["create", "build:test", "/bin/sh"]));
    let folder = tempfile::tempdir().unwrap();
    docker(&["cp", &format!("{}:/build", container.0), folder.path().to_str().unwrap()]);
    let source = folder.path().join("build");
    let args = ["metadata", "--offline", "--locked", "--no-deps", "--format-version=1"];
    run(Command::new(env!("CARGO")).args(args).current_dir(&source));
    let secrets_or_builds = ["secrets", "tests", ".git"].into_iter().filter(|name| source.join(name).exists());
    assert_eq!(secrets_or_builds.collect::<Vec<_>>(), Vec::<&str>::new());
}

/// The agent as docker-compose starts it from compose.yml, but for its port and the daemon that it asks.
struct Composed {
    project: String,
    folder: tempfile::TempDir,
    port: u16,
}

impl Composed {
    /// As compose.yml has it, which is as root, or as another user, who gets the engine's socket where he may reach it.
    fn up(user: Option<&str>) -> Composed {
        image();
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let composed = Composed { project: format!("test{port}"), folder, port };
        let socket = daemon().replacen("unix://", "", 1);
        let (engine, more) = match user {
            None => (format!("/host{socket}"), String::new()),
            Some(user) => {
                ("/run/engine.sock".to_owned(), format!("    user: '{user}'\n    volumes: ['{socket}:/run/engine.sock']\n"))
            }
        };
        let other = format!(
            "services:\n  agent:\n    command: [{}, --web.listen-address=127.0.0.1:{port}]\n\
             \x20   environment: {{DOCKER_HOST: 'unix://{engine}'}}\n{more}\
             secrets:\n  monitoring_password: {{file: '{}'}}\n",
            flags().join(", "),
            composed.folder.path().join("password").display()
        );
        fs::write(composed.folder.path().join("password"), "").unwrap();
        fs::write(composed.folder.path().join("other.yml"), other).unwrap();
        run(composed.compose().args(["up", "-d", "--no-build", "--no-deps", "agent"]));
        wait_for("the agent in the container", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        composed
    }

    fn compose(&self) -> Command {
        let mut command = Command::new("docker-compose");
        // compose makes the networks of all services; each test has its own.
        let subnet = format!("10.{}.{}", 100 + self.port / 250 % 100, self.port % 250);
        command.env("DOCKER_HOST", daemon()).env("STACK_SUBNET", subnet);
        command.args(["-p", &self.project, "-f"]).arg(project("docker/compose.yml"));
        command.arg("-f").arg(self.folder.path().join("other.yml"));
        command
    }

    fn container(&self) -> String {
        format!("{}_agent_1", self.project)
    }

    fn scrape(&self, path: &str) -> Exposition {
        let response = http("GET", self.port, path, &[]);
        assert_eq!(response.status, 200);
        exposition::parse(&response.text()).unwrap()
    }
}

impl Drop for Composed {
    fn drop(&mut self) {
        let _ = self.compose().args(["down", "-v"]).output();
    }
}

/// compose.yml's own flags for the agent, but for where it listens.
fn flags() -> Vec<String> {
    let config = run(Command::new("docker-compose").arg("-f").arg(project("docker/compose.yml")).arg("config"));
    let config: yaml_serde::Value = yaml_serde::from_str(&config).unwrap();
    let command = config["services"]["agent"]["command"].as_sequence().unwrap();
    let flags = command.iter().map(|flag| flag.as_str().unwrap().to_owned());
    flags.filter(|flag| !flag.starts_with("--web.listen-address")).collect()
}

/// What a page says, but for what is the process' own or another's in the same moment, and the way on which each reaches the engine.
fn series(page: &Exposition, prefix: &str, id: &str) -> BTreeSet<String> {
    let wanted = page.series.iter().filter(|series| series.name.starts_with(prefix));
    let wanted = wanted.filter(|series| series.name != "container_engine_up");
    let wanted = wanted.filter(|series| series.labels.get("id").is_none_or(|path| path.contains(id)));
    wanted.map(|series| format!("{} {:?}", series.name, series.labels)).collect()
}

#[test]
fn the_restricted_container_sees_what_root_sees_on_the_host() {
    let socket = fs::metadata(daemon().replacen("unix://", "", 1)).unwrap();
    let ordinary = format!("65534:{}", socket.gid());
    for user in [None, Some(ordinary.as_str())] {
        sees_what_root_sees_on_the_host(user);
    }
}

fn sees_what_root_sees_on_the_host(user: Option<&str>) {
    // As another user, whose processes root without capabilities may not look into.
    let sleep = ["run", "-d", "--network=none", "--name=sleeper", "--user=70:70", "busybox:test", "sleep", "600"];
    let busybox = Container(docker(&sleep));
    let id = format!("/docker/{}", busybox.0);
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &busybox.0]);
    run(Command::new("nsenter").args(["-t", &pid, "-n", "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8"]));
    let composed = Composed::up(user);
    let socket = daemon();
    let host = Agent::start(&[], &[("DOCKER_HOST", &socket)]);
    let named = |page: &Exposition| page.series.iter().any(|series| series.has(&[("id", &id), ("name", "sleeper")]));
    wait_for("the container's name", Duration::from_secs(20), || {
        named(&composed.scrape("/metrics")) && named(&host.scrape("/metrics"))
    });
    let (inside, outside) = (composed.scrape("/metrics"), host.scrape("/metrics"));
    for (prefix, least) in [("node_", 300), ("machine_", 1), ("container_", 20)] {
        let (inside, outside) = (series(&inside, prefix, &busybox.0), series(&outside, prefix, &busybox.0));
        assert!(outside.len() >= least, "{prefix}: {}", outside.len());
        similar_asserts::assert_eq!(outside, inside, "{} as {:?}", prefix, user);
    }
    assert!(inside.all("container_network_receive_bytes_total").any(|series| series.has(&[("id", &id), ("interface", "eth7")])));
    let same = ["node_boot_time_seconds", "node_memory_MemTotal_bytes", "node_os_version", "node_filesystem_size_bytes"];
    for name in same {
        for expected in outside.all(name) {
            let labels: Vec<_> = expected.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(inside.value(name, &labels), Some(expected.value), "{name} {labels:?} as {user:?}");
        }
    }
}

#[test]
fn the_container_has_no_more_than_compose_allows() {
    let composed = Composed::up(None);
    // What HEALTHCHECK runs, which knows compose's flags from process 1.
    assert_eq!(docker(&["exec", &composed.container(), "/stack-exporter", "healthcheck"]), "healthy");
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &composed.container()]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&field(set), 16), Ok(0), "{set}");
    }
    assert_eq!((field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()), ("1", "2"));
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let read_only = |point: &str| {
        let mount = mounts.lines().find(|line| line.split(' ').nth(4) == Some(point));
        mount
            .unwrap_or_else(|| panic!("no mount {point}: {mounts}"))
            .split(' ')
            .nth(5)
            .unwrap()
            .split(',')
            .any(|option| option == "ro")
    };
    for point in ["/", "/host", "/run/secrets/monitoring_password"] {
        assert!(read_only(point), "{point} can be written");
    }
}
