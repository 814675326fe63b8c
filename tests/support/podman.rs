//! A Podman of the test's own: its service, which may be killed, on sockets of the test's own. The command docker speaks to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::docker::Docker;
use super::{signal, wait_for};

/// Podman with its own data below /tmp; its service ends with the value, and its containers.
pub struct Podman {
    pub docker: Docker,
    socket: PathBuf,
    service: Option<Child>,
    // Short, since a socket's path may have 107 bytes only.
    folder: tempfile::TempDir,
}

/// cgroupfs and runc: crun refuses a machine with both versions of cgroups. Limits that need no more rights than a test has.
const SETTINGS: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"#;

impl Podman {
    /// A Podman whose service is not started yet, and listens at `socket` below its own folder.
    pub fn new(socket: &str) -> Podman {
        let folder = tempfile::Builder::new().prefix("podman.").tempdir_in("/tmp").unwrap();
        std::fs::write(folder.path().join("containers.conf"), SETTINGS).unwrap();
        let socket = folder.path().join(socket);
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let docker = Docker { host: format!("unix://{}", socket.display()) };
        Podman { docker, socket, service: None, folder }
    }

    /// Its folder, which may stand for a host's root.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the service, and imports `busybox:test` where it is not there yet.
    pub fn start(&mut self) {
        let service = self.command().args(["system", "service", "--time=0", &self.docker.host]).spawn();
        self.service = Some(service.expect("podman in PATH (Debian's package podman), and root"));
        wait_for("Podman's service", Duration::from_secs(60), || std::os::unix::net::UnixStream::connect(&self.socket).is_ok());
        if self.docker.run(&["images", "-q"]).is_empty() {
            self.docker.image("busybox:test", &[]);
        }
    }

    fn service(&self) -> u32 {
        self.service.as_ref().unwrap().id()
    }

    /// SIGKILL: containers live on without it, and the socket stays.
    pub fn kill(&mut self) {
        signal(self.service(), "KILL");
        self.service.take().unwrap().wait().unwrap();
    }

    /// SIGSTOP: it accepts connections and answers nothing.
    pub fn freeze(&self) {
        signal(self.service(), "STOP");
    }

    /// SIGCONT
    pub fn thaw(&self) {
        signal(self.service(), "CONT");
    }

    /// The cgroup of a container.
    pub fn cgroup(id: &str) -> String {
        format!("/libpod_parent/libpod-{id}")
    }

    /// The command `podman` over this Podman's data.
    fn command(&self) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        let log = std::fs::File::options().create(true).append(true).open(path("log")).unwrap();
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", path("containers.conf")).arg("--root").arg(path("data"));
        command.arg("--runroot").arg(path("state")).arg("--tmpdir").arg(path("tmp")).arg("--storage-driver=vfs");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.command().args(["rm", "--all", "--force", "--time=0"]).status();
        if let Some(service) = &mut self.service {
            let _ = service.kill();
            let _ = service.wait();
        }
        // It mounts its data on itself.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = self.folder.path().to_str().unwrap();
        for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(below)) {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
    }
}
