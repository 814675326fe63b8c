//! Whether the trees and namespaces that are read are the host's. In a container nothing fails without them: the figures
//! are just those of the container, which nobody sees.
//!
//! Only what any user may read is looked at, and what cannot be told (hidepid, trees made for a test) is no finding.

use std::path::Path;

use nix::sys::socket::SockProtocol;
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, statfs};

use super::netlink::Netlink;
use super::sockets::lists;
use super::{Roots, text};

/// `PROC_UTS_INIT_INO`: the number of the first UTS namespace, the same on every kernel.
const FIRST_UTS: &str = "uts:[4026531838]";

/// Something of a container's own where the host's is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is, in one word.
    pub what: &'static str,
    /// The host collectors that show the container's figures therefore.
    pub collectors: &'static [&'static str],
    /// What to mount or to share.
    pub remedy: &'static str,
}

static PROCFS: Foreign = Foreign {
    what: "procfs",
    collectors: &["filesystem", "mountstats", "netdev", "netstat", "processes", "sockstat", "udp_queues"],
    remedy: "mount / of the host read-only at /host and set --path.procfs=/host/proc",
};
static ROOTFS: Foreign = Foreign {
    what: "rootfs",
    collectors: &["btrfs", "filesystem", "os", "systemd"],
    remedy: "mount / of the host read-only at /host and set --path.rootfs=/host",
};
static SYSFS: Foreign = Foreign {
    what: "sysfs",
    collectors: &["bonding", "netclass"],
    remedy: "mount / of the host read-only at /host and set --path.sysfs=/host/sys",
};
static NETWORK: Foreign = Foreign {
    what: "network",
    collectors: &["conntrack", "sysctl"],
    remedy: "run in the host's network: docker run --network=host, or network_mode: host",
};
static UTS: Foreign = Foreign {
    what: "hostname",
    collectors: &["uname"],
    remedy: "share the host's name: docker run --uts=host, or --network=host",
};

/// What is not the host's.
pub fn foreign(roots: &Roots) -> Vec<&'static Foreign> {
    let is = |path: &Path, magic| statfs(path).is_ok_and(|found| found.filesystem_type() == magic);
    let mut found = Vec::new();
    if is(&roots.proc, PROC_SUPER_MAGIC) {
        if is_foreign_proc(roots) {
            found.push(&PROCFS);
            // With a process list of its own, this is a container; a root that was not mounted anew is its own, too.
            found.extend((roots.root == Path::new("/")).then_some(&ROOTFS));
        } else if let (Ok(ours), Ok(hosts)) = (std::fs::read("/proc/self/mountinfo"), std::fs::read(roots.proc("1/mountinfo"))) {
            let root = (device_and_root(&ours, &roots.root), device_and_root(&hosts, Path::new("/")));
            found.extend((root.1.is_some() && root.0 != root.1).then_some(&ROOTFS));
            let hosts = device_and_root(&hosts, Path::new("/sys")).map(|(device, _)| device);
            let is_other = |hosts: &[u8]| device_of(&roots.sys).is_some_and(|ours| ours.as_bytes() != hosts);
            found.extend((is(&roots.sys, SYSFS_MAGIC) && hosts.is_some_and(is_other)).then_some(&SYSFS));
            found.extend(is_foreign_network(roots).then_some(&NETWORK));
        }
    }
    found.extend(is_foreign_name(roots).then_some(&UTS));
    found
}

/// Whether the process list is not the kernel's first one, where process 2 is the parent of the kernel's threads.
fn is_foreign_proc(roots: &Roots) -> bool {
    let hides = !roots.proc("1/comm").exists();
    match std::fs::read(roots.proc("2/comm")) {
        Ok(name) => name != b"kthreadd\n",
        Err(error) => !hides && error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Whether a socket of ours is in another network namespace than the host's first process.
fn is_foreign_network(roots: &Roots) -> bool {
    let Ok(socket) = Netlink::open(SockProtocol::NetlinkRoute) else { return false };
    let list = std::fs::read(roots.proc("1/net/netlink"));
    matches!((socket.inode(), list), (Ok(inode), Ok(list)) if !lists(&list, inode))
}

/// Whether the name that the kernel tells us is another than the host has set for itself. An engine may have given a container the host's name.
fn is_foreign_name(roots: &Roots) -> bool {
    let is_first = std::fs::read_link("/proc/self/ns/uts").is_ok_and(|space| space == Path::new(FIRST_UTS));
    let (ours, hosts) = (nix::unistd::gethostname(), std::fs::read(roots.root("etc/hostname")));
    !is_first && matches!((ours, hosts), (Ok(ours), Ok(hosts)) if ours.as_encoded_bytes() != hosts.trim_ascii())
}

/// `major:minor` of the file system at `path`, as mountinfo writes it.
fn device_of(path: &Path) -> Option<String> {
    let device = nix::sys::stat::stat(path).ok()?.st_dev;
    Some(format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device)))
}

/// The device, and which folder of it, that a mountinfo has at `point`. Btrfs gives files other device numbers than its mounts,
/// so mounts are compared with mounts.
///
/// `36 35 98:0 /folder /mount/point rw,noatime master:1 - ext3 /dev/root rw`
fn device_and_root<'a>(mountinfo: &'a [u8], point: &Path) -> Option<(&'a [u8], &'a [u8])> {
    let found = |line: &'a [u8]| {
        let mut fields = text::fields(line).skip(2);
        let (device, root, at) = (fields.next()?, fields.next()?, fields.next()?);
        (at == point.as_os_str().as_encoded_bytes()).then_some((device, root))
    };
    // Of several mounts at one place the last one is seen.
    text::lines(mountinfo).filter_map(found).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"1 1 0:2 / / rw - rootfs rootfs rw\n\
        27 1 254:0 /@ / rw,relatime shared:1 - btrfs /dev/vda rw\n\
        23 27 0:22 / /sys rw,relatime - sysfs sysfs rw\n\
        a bad line\n";

    #[test]
    fn the_mount_that_is_seen_counts() {
        assert_eq!(device_and_root(MOUNTS, Path::new("/")), Some((&b"254:0"[..], &b"/@"[..])));
        assert_eq!(device_and_root(MOUNTS, Path::new("/sys")), Some((&b"0:22"[..], &b"/"[..])));
        assert_eq!(device_and_root(MOUNTS, Path::new("/host")), None);
    }

    #[test]
    fn trees_of_a_test_are_no_finding() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots {
            proc: dir.path().into(),
            sys: dir.path().into(),
            root: dir.path().into(),
            udev: dir.path().into(),
            ..Roots::default()
        };
        assert_eq!(foreign(&roots), Vec::<&Foreign>::new());
    }

    proptest::proptest! {
        #[test]
        fn any_mountinfo_is_survived(bytes: Vec<u8>) {
            device_and_root(&bytes, Path::new("/"));
        }
    }
}
