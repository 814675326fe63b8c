//! Docker daemons for tests: the one that tests/run started, or one of the test's own that may be killed.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::{signal, wait_for};

/// The client of a daemon, by its command line.
pub struct Docker {
    /// `unix:///...`
    pub host: String,
}

impl Docker {
    /// The daemon that tests/run started for all tests, with an image `busybox:test`.
    pub fn shared() -> Docker {
        let host = std::env::var("STACK_EXPORTER_TEST_DOCKER");
        Docker { host: host.expect("run this test with tests/run, which starts a throw-away Docker daemon") }
    }

    /// Runs `docker <args>` and returns what it printed; it must succeed.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.attempt(args);
        assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Makes an image of busybox called `name`, in which Debian's servers run once the host's /usr is mounted; `changes` as a Dockerfile
    /// has them.
    pub fn image(&self, name: &str, changes: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        for inside in ["bin", "etc", "run/postgresql", "var/lib/postgresql", "tmp", "usr"] {
            std::fs::create_dir_all(root.join(inside)).unwrap();
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("/bin/busybox (Debian's package busybox-static)");
        let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, root.join(from)).unwrap();
        ["sh", "sleep", "cat", "echo", "ln", "rm", "mkdir"].into_iter().for_each(|name| link("busybox", &format!("bin/{name}")));
        [("usr/lib", "lib"), ("usr/lib64", "lib64"), ("/run", "var/run")].into_iter().for_each(|(to, from)| link(to, from));
        std::fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n").unwrap();
        let mode =
            |inside: &str| std::fs::set_permissions(root.join(inside), std::os::unix::fs::PermissionsExt::from_mode(0o777));
        ["tmp", "run/postgresql", "var/lib/postgresql"].into_iter().for_each(|inside| mode(inside).unwrap());
        let tar = folder.path().join("image.tar");
        let packed =
            Command::new("tar").arg("-C").arg(&root).args(["--owner=0", "--group=0", "-c", ".", "-f"]).arg(&tar).status();
        assert!(packed.unwrap().success());
        let changes: Vec<&str> = changes.iter().flat_map(|change| ["--change", change]).collect();
        self.run(&[&["import"], &changes[..], &[tar.to_str().unwrap(), name]].concat());
    }

    /// Starts a container that `docker run <args>` describes; it goes away with the value.
    pub fn start(&self, args: &[&str]) -> Container<'_> {
        let id = self.run(&[&["run", "-d"], args].concat());
        assert_eq!(id.len(), 64, "{id}");
        Container { docker: self, id }
    }

    fn attempt(&self, args: &[&str]) -> Output {
        let command = Command::new("docker").arg("-H").arg(&self.host).args(args).stdin(Stdio::null()).output();
        command.expect("the command docker (Debian's package docker.io)")
    }

    /// Makes a container of `busybox:test` as [`container`](Self::container) does, and does not start it.
    pub fn created(&self, options: &[&str], command: &[&str]) -> Container<'_> {
        let id = self.run(&[&["create"], options, &["busybox:test"], command].concat());
        Container { docker: self, id }
    }

    /// Starts a container of `busybox:test` that `docker run <options>` describes; it goes away with the value.
    pub fn container(&self, options: &[&str], command: &[&str]) -> Container<'_> {
        let id = self.run(&[&["run", "-d"], options, &["busybox:test"], command].concat());
        assert_eq!(id.len(), 64, "{id}");
        Container { docker: self, id }
    }
}

/// A running container.
pub struct Container<'a> {
    docker: &'a Docker,
    pub id: String,
}

impl Container<'_> {
    /// One value of `docker inspect`.
    pub fn inspect(&self, format: &str) -> String {
        self.docker.run(&["inspect", "-f", format, &self.id])
    }

    /// Its cgroup's path with the driver cgroupfs.
    pub fn cgroup(&self) -> String {
        format!("/docker/{}", self.id)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.docker.attempt(&["rm", "-f", &self.id]);
    }
}

/// A daemon of the test's own, with its own data below /tmp.
pub struct Daemon {
    pub docker: Docker,
    child: Child,
    args: &'static [&'static str],
    alone: bool,
    // Short, since a socket's path may have 107 bytes only.
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts it, without any network but the host's, and imports `busybox:test`.
    pub fn start() -> Daemon {
        // The second keeps containers alive without it.
        Daemon::start_with(&["--storage-driver=vfs", "--live-restore"])
    }

    /// As [`start`](Self::start), with arguments of the test's own: `--storage-driver=overlay2` keeps what a container writes in a folder.
    pub fn start_with(args: &'static [&'static str]) -> Daemon {
        Daemon::spawned(args, false)
    }

    /// As [`start`](Self::start), in a network namespace of its own, where its bridges are in nobody's way.
    pub fn start_alone() -> Daemon {
        Daemon::spawned(&["--storage-driver=vfs"], true)
    }

    fn spawned(args: &'static [&'static str], alone: bool) -> Daemon {
        let folder = tempfile::Builder::new().prefix("dockerd.").tempdir_in("/tmp").unwrap();
        let docker = Docker { host: format!("unix://{}", folder.path().join("docker.sock").display()) };
        let daemon = Daemon { child: spawn(&folder, args, alone), docker, args, alone, folder };
        daemon.wait();
        let root = daemon.folder.path().join("busybox");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("/bin/busybox (Debian's package busybox-static)");
        for name in ["sh", "sleep", "cat", "dd"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let tar = daemon.folder.path().join("busybox.tar");
        let packed = Command::new("tar").arg("-C").arg(&root).args(["-c", ".", "-f"]).arg(&tar).status().unwrap();
        assert!(packed.success());
        daemon.docker.run(&["import", tar.to_str().unwrap(), "busybox:test"]);
        daemon
    }

    fn wait(&self) {
        wait_for("the Docker daemon", Duration::from_secs(60), || self.docker.attempt(&["version"]).status.success());
    }

    /// The socket's path.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// SIGKILL: containers live on without it.
    pub fn kill(&mut self) {
        signal(self.child.id(), "KILL");
        self.child.wait().unwrap();
    }

    /// Starts it again over the same data.
    pub fn restart(&mut self) {
        // The processes may not be reaped yet, and then count as running.
        for stale in ["dockerd.pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(self.folder.path().join(stale));
        }
        self.child = spawn(&self.folder, self.args, self.alone);
        self.wait();
    }

    /// SIGSTOP: it accepts connections and answers nothing.
    pub fn freeze(&self) {
        signal(self.child.id(), "STOP");
    }

    /// SIGCONT
    pub fn thaw(&self) {
        signal(self.child.id(), "CONT");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        send("CONT", self.child.id());
        let all = self.docker.attempt(&["ps", "-aq"]);
        for id in String::from_utf8_lossy(&all.stdout).lines() {
            self.docker.attempt(&["rm", "-f", id]);
        }
        send("TERM", self.child.id());
        let _ = self.child.wait();
        // What a failed test may leave: containers without a daemon.
        for shim in self.processes() {
            for child in std::fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).unwrap_or_default().split(' ') {
                child.parse().into_iter().for_each(|pid| send("KILL", pid));
            }
            send("KILL", shim);
        }
        // A daemon leaves its network namespaces mounted.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = self.folder.path().to_str().unwrap();
        for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(below)) {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
    }
}

impl Daemon {
    /// What the engine answers to the path of a question.
    pub fn ask(&self, path: &str) -> String {
        let socket = self.socket();
        let args = ["-s", "--unix-socket", socket.to_str().unwrap(), &format!("http://docker{path}")];
        String::from_utf8(Command::new("curl").args(args).output().unwrap().stdout).unwrap()
    }

    /// The figures of a container that `docker stats` shows, as the engine tells them.
    pub fn stats(&self, container: &Container<'_>) -> serde_json::Value {
        serde_json::from_str(&self.ask(&format!("/containers/{}/stats?stream=false&one-shot=true", container.id))).unwrap()
    }

    /// The processes that carry this daemon's folder in their command line: its own, and those that it started.
    fn processes(&self) -> Vec<u32> {
        let folder = self.folder.path().to_str().unwrap();
        let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(folder))
        })
        .collect()
    }
}

/// A signal to a process of ours that may have ended.
fn send(name: &str, pid: u32) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

fn spawn(folder: &tempfile::TempDir, args: &[&str], alone: bool) -> Child {
    let path = |name: &str| folder.path().join(name);
    let log = std::fs::File::options().create(true).append(true).open(path("log")).unwrap();
    let mut command = Command::new(if alone { "unshare" } else { "dockerd" });
    if alone {
        command.args(["--net", "dockerd"]);
    }
    command
        .arg("--host")
        .arg(format!("unix://{}", path("docker.sock").display()))
        .arg("--data-root")
        .arg(path("data"))
        .arg("--exec-root")
        .arg(path("exec"))
        .arg("--pidfile")
        .arg(path("dockerd.pid"))
        .args(args)
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"])
        .arg("--ip-masq=false")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("dockerd in PATH (Debian's package docker.io), and root")
}
