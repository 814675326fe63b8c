//! A containerd of the test's own, which may be killed; containers are started with its command ctr, and pods by Kubernetes' interface.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::cri::Cri;
use super::docker::Docker;
use super::{signal, wait_for};

/// containerd with its own data below /tmp; it ends with the value, and its containers.
pub struct Containerd {
    child: Child,
    // Short, since a socket's path may have 107 bytes only.
    folder: tempfile::TempDir,
}

impl Containerd {
    /// Starts it, with `busybox:test` of the tests' Docker daemon in its namespaces.
    pub fn start() -> Containerd {
        let folder = tempfile::Builder::new().prefix("containerd.").tempdir_in("/tmp").unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let settings = format!(
            r#"
version = 2
root = "{}"
state = "{}"
[grpc]
address = "{}"
[ttrpc]
address = "{}"
[plugins."io.containerd.internal.v1.opt"]
path = "{}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/pause:test"
# A pod is made the last to be killed, but by a test only where it has the right to.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{}"
"#,
            path("data"),
            path("state"),
            path("s"),
            path("t"),
            path("opt"),
            path("cni")
        );
        std::fs::write(folder.path().join("config.toml"), settings).unwrap();
        let image = path("image.tar");
        let containerd = Containerd { child: spawn(&folder), folder };
        containerd.wait();
        let docker = Docker::shared();
        // What a pod's first container runs: nothing, for ever.
        let pause = docker.container(&["--network", "none"], &["true"]);
        docker.run(&["commit", "-c", r#"CMD ["/bin/sleep", "100000"]"#, &pause.id, "pause:test"]);
        docker.run(&["save", "-o", &image, "busybox:test", "pause:test"]);
        for namespace in ["default", "k8s.io"] {
            containerd.run(namespace, &["images", "import", "--snapshotter=native", &image]);
        }
        containerd
    }

    fn wait(&self) {
        wait_for("containerd", Duration::from_secs(60), || self.ctr("default", &["version"]).status().unwrap().success());
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// `unix:///...`
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Kubernetes' interface.
    pub fn cri(&self) -> Cri {
        Cri { socket: self.socket() }
    }

    /// Runs `ctr <args>`; it must succeed.
    pub fn run(&self, namespace: &str, args: &[&str]) -> String {
        let output = self.ctr(namespace, args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "ctr {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a container of `busybox:test` that sleeps.
    pub fn sleep(&self, namespace: &str, id: &str, options: &[&str]) {
        self.start_container(namespace, id, options, &["sleep", "600"]);
    }

    /// Starts a container of `busybox:test` that runs `command`.
    pub fn start_container(&self, namespace: &str, id: &str, options: &[&str], command: &[&str]) {
        let image = ["docker.io/library/busybox:test", id];
        self.run(namespace, &[&["run", "-d", "--snapshotter=native"], options, &image, command].concat());
    }

    /// Kills a container and removes it.
    pub fn remove(&self, namespace: &str, id: &str) {
        self.run(namespace, &["task", "rm", "-f", id]);
        self.run(namespace, &["container", "rm", id]);
    }

    fn ctr(&self, namespace: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(self.socket()).args(["-n", namespace]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// SIGKILL: containers live on without it, and the socket stays.
    pub fn kill(&mut self) {
        signal(self.child.id(), "KILL");
        self.child.wait().unwrap();
    }

    /// Starts it again over the same data.
    pub fn restart(&mut self) {
        self.child = spawn(&self.folder);
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

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-CONT").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        for namespace in ["default", "k8s.io", "moby"] {
            let tasks = self.ctr(namespace, &["tasks", "ls", "-q"]).stdout(Stdio::piped()).output();
            let tasks = tasks.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            for id in tasks.lines() {
                let _ = self.ctr(namespace, &["task", "rm", "-f", id]).status();
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The shims' mounts.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = self.folder.path().to_str().unwrap();
        for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(below)) {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
    }
}

fn spawn(folder: &tempfile::TempDir) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
    let mut command = Command::new("containerd");
    command.arg("--config").arg(folder.path().join("config.toml"));
    let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
    child.expect("containerd in PATH (Debian's package containerd), and root")
}
