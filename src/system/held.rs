//! Sockets inside of containers, whose file systems are hostile.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, SFlag, fstat};

/// A socket that may be connected to by [`path`](Self::path) for as long as this lives.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    _descriptor: Option<OwnedFd>,
}

impl Held {
    /// Holds the socket at `path`. In `/proc/<pid>/root/…` every link is followed within that root, as the process itself would: a link to
    /// a socket of the host leads nowhere. Needs openat2(2), Linux 5.6; before, such a path is refused.
    pub fn socket(path: &Path) -> std::io::Result<Self> {
        let Some((root, inside)) = split(path) else { return Ok(Held { path: path.to_owned(), _descriptor: None }) };
        if may_hang(&std::fs::read(root.with_file_name("mountinfo"))?) {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "not looked for on a file system that may hang"));
        }
        let root = open(&root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let socket = openat2(&root, &inside, OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(resolve))?;
        let kind = SFlag::from_bits_truncate(fstat(&socket)?.st_mode) & SFlag::S_IFMT;
        if kind != SFlag::S_IFSOCK {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "not a socket"));
        }
        Ok(Held { path: PathBuf::from(format!("/proc/self/fd/{}", socket.as_raw_fd())), _descriptor: Some(socket) })
    }

    /// Where to connect.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a lookup below /run, /var or /tmp may wait for another machine or a user's program, by a container's mountinfo. A link that leads
/// to another folder may as well: of the file systems that a user's program answers for there must be none at all.
///
/// `36 35 98:0 /mnt1 /mnt/parent rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn may_hang(mountinfo: &[u8]) -> bool {
    String::from_utf8_lossy(mountinfo).lines().any(|line| {
        let Some((place, kind)) = line.split_once(" - ") else { return false };
        let (place, kind) = (place.split(' ').nth(4).unwrap_or_default(), kind.split(' ').next().unwrap_or_default());
        let below = ["/run", "/var/run", "/tmp"].iter().any(|folder| place.starts_with(folder));
        let remote =
            ["nfs", "cifs", "smb", "9p", "ceph", "afs", "gfs", "ocfs", "lustre"].iter().any(|name| kind.starts_with(name));
        kind.starts_with("fuse") && kind != "fuse.lxcfs" || remote && (below || matches!(place, "/" | "/var"))
    })
}

/// `/proc/7/root` and `run/x` of `/proc/7/root/run/x`, wherever /proc is mounted.
fn split(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str()).collect();
    let is_root = |pair: &[&std::ffi::OsStr]| matches!(pair, [pid, root] if *root == "root" && pid.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let at = parts.windows(2).position(is_root)? + 2;
    let (root, inside) = parts.split_at_checked(at)?;
    (!inside.is_empty()).then(|| (root.iter().collect(), inside.iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_out_of_a_root_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("7/root");
        std::fs::create_dir_all(root.join("run/own")).unwrap();
        std::fs::create_dir_all(dir.path().join("host")).unwrap();
        std::fs::write(dir.path().join("7/mountinfo"), "1 0 0:1 / / rw - overlay overlay rw\n").unwrap();
        let bind = |path: &Path| std::os::unix::net::UnixListener::bind(path).unwrap();
        let (_own, _host) = (bind(&root.join("run/own/s")), bind(&dir.path().join("host/s")));
        let link = |from: &str, to: &str| std::os::unix::fs::symlink(to, root.join(from)).unwrap();
        link("run/absolute", dir.path().join("host").to_str().unwrap());
        link("run/up", "../../../host");
        link("run/inside", "/run/own");
        std::fs::write(root.join("run/own/file"), "").unwrap();
        let connect = |path: &str| {
            let held = Held::socket(&root.join(path))?;
            std::os::unix::net::UnixStream::connect(held.path()).map(drop)
        };
        for fine in ["run/own/s", "run/inside/s"] {
            assert!(connect(fine).is_ok(), "{fine}: {:?}", connect(fine));
        }
        for wrong in ["run/absolute/s", "run/up/s", "run/own/file", "run/own", "run/none"] {
            assert!(connect(wrong).is_err(), "{wrong}");
        }
        assert!(Held::socket(&dir.path().join("host/s")).is_ok());
    }

    #[test]
    fn what_may_hang_is_not_asked() {
        let mount = |place: &str, kind: &str| format!("36 35 0:9 / {place} rw,noatime master:1 - {kind} x rw\n");
        for (place, kind) in
            [("/", "overlay"), ("/run", "tmpfs"), ("/var/lib/postgresql/data", "nfs4"), ("/proc/stat", "fuse.lxcfs")]
        {
            assert!(!may_hang(mount(place, kind).as_bytes()), "{place} {kind}");
        }
        for (place, kind) in [("/", "nfs"), ("/run/postgresql", "nfs4"), ("/mnt", "fuse.sshfs"), ("/tmp", "cifs"), ("/var", "9p")]
        {
            assert!(may_hang((mount("/", "overlay") + &mount(place, kind)).as_bytes()), "{place} {kind}");
        }
        assert!(!may_hang(b"\xff\n - \n-"));
    }
}
