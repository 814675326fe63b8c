//! The host of a local server: its memory, the limits of the server's process, and kernel settings that Redis is sensitive to.

use std::path::PathBuf;

use super::super::info::Info;
use super::super::target::Side;
use crate::exposition::from_u64;
use crate::system::{Roots, host_memory, memory_limit, small};

/// Names of server processes, by which a process id of INFO is known to mean the same process here: a server in a container
/// tells the id that it has in there.
const PROCESSES: [&str; 4] = ["redis", "valkey", "keydb", "dragonfly"];

/// What the host's files say; `None` where they do not.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Memory of the host in bytes.
    pub(super) memory: Option<f64>,
    /// The smallest memory limit of the server's cgroup and those above it, in bytes.
    pub(super) cgroup: Option<f64>,
    /// Open files that the server's process may have.
    pub(super) files: Option<f64>,
    /// Whether transparent huge pages are always on.
    pub(super) huge_pages: Option<bool>,
    /// vm.overcommit_memory
    pub(super) overcommit: Option<f64>,
    /// net.core.somaxconn
    pub(super) somaxconn: Option<f64>,
}

impl Host {
    /// Of a server in a container less is known: its processes have other numbers in there than here, and its network has a somaxconn of its own.
    pub(super) fn read(roots: &Roots, side: Side, info: &Info<'_>) -> Self {
        let number = |path: PathBuf| small(&path)?.trim().parse().ok();
        let kernel = Host {
            memory: host_memory(roots),
            huge_pages: small(&roots.sys("kernel/mm/transparent_hugepage/enabled")).map(|text| text.contains("[always]")),
            overcommit: number(roots.proc("sys/vm/overcommit_memory")),
            ..Host::default()
        };
        if let Side::Container(limit) = side {
            return Host { cgroup: limit.map(from_u64), ..kernel };
        }
        let process = info.get("process_id").and_then(|id| id.parse::<u32>().ok()).map(|id| roots.proc(id.to_string()));
        let is_server = |process: &PathBuf| {
            small(&process.join("comm")).is_some_and(|comm| PROCESSES.iter().any(|name| comm.starts_with(name)))
        };
        let process = process.filter(is_server);
        Host {
            cgroup: process.as_ref().and_then(|process| memory_limit(roots, process)),
            files: process.as_ref().and_then(|process| open_files(&small(&process.join("limits"))?)),
            somaxconn: number(roots.proc("sys/net/core/somaxconn")),
            ..kernel
        }
    }
}

/// `Max open files            10032                10032                files`: the first number counts.
fn open_files(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_the_servers_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal:       1024 kB\nMemFree: 1 kB\n");
        write("proc/7/comm", "redis-server\n");
        write("proc/7/cgroup", "0::/system.slice/redis.service\n");
        write("proc/7/limits", "Max open files            10032                10033                files     \n");
        write("sys/fs/cgroup/system.slice/memory.max", "4096\n");
        write("sys/fs/cgroup/system.slice/redis.service/memory.max", "max\n");
        write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        write("proc/sys/vm/overcommit_memory", "0\n");
        write("proc/8/comm", "systemd\n");
        write("proc/8/cgroup", "0::/system.slice\n");
        let roots = Roots { proc: dir.path().join("proc"), sys: dir.path().join("sys"), ..Roots::default() };
        let host = Host::read(&roots, Side::Host, &Info::parse("process_id:7\n"));
        assert_eq!((host.memory, host.cgroup, host.files), (Some(1_048_576.0), Some(4096.0), Some(10_032.0)));
        assert_eq!((host.huge_pages, host.overcommit, host.somaxconn), (Some(false), Some(0.0), None));
        let contained = Host::read(&roots, Side::Container(Some(2048)), &Info::parse("process_id:7\n"));
        assert_eq!((contained.cgroup, contained.files, contained.overcommit), (Some(2048.0), None, Some(0.0)));
        let other = Host::read(&roots, Side::Host, &Info::parse("process_id:8\n"));
        assert_eq!((other.cgroup, other.memory), (None, Some(1_048_576.0)), "not the server's process");
    }
}
