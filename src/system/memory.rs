//! How much memory there is for a process: the host's, and the limits of cgroups.

use std::path::{Component, Path};

use super::Roots;

/// The longest file that [`small`] reads: those that it is for have a few kilobytes.
const LONGEST: u64 = 64 * 1024;

/// The text of a small file; `None` where it cannot be read.
pub fn small(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The memory of the host in bytes: `MemTotal:       24684092 kB`
pub fn host_memory(roots: &Roots) -> Option<f64> {
    let text = small(&roots.proc("meminfo"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim_end().parse::<f64>().ok()? * 1024.0)
}

/// The smallest memory limit in bytes of the cgroup of the process in the folder `process` and of those above it.
///
/// `0::/system.slice/redis.service`, or with cgroup v1 `4:memory:/redis`. A path that leaves the tree (a cgroup namespace gives `/../other`)
/// is not followed.
pub fn memory_limit(roots: &Roots, process: &Path) -> Option<f64> {
    let text = small(&process.join("cgroup"))?;
    let find = |controller: &str| {
        text.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers.split(',').any(|own| own == controller).then_some(path)
        })
    };
    let (top, path, file) = match find("memory") {
        Some(path) => (roots.sys("fs/cgroup/memory"), path, "memory.limit_in_bytes"),
        None => (roots.sys("fs/cgroup"), find("")?, "memory.max"),
    };
    let path = Path::new(path.trim_start_matches('/'));
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let limits = path.ancestors().filter_map(|path| small(&top.join(path).join(file))?.trim().parse::<f64>().ok());
    // No limit is `max`, and with v1 a number near 2^63.
    limits.filter(|limit| *limit < 1e18).reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_on_the_way_up() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal:       1024 kB\nMemFree: 1 kB\n");
        write("proc/7/cgroup", "0::/system.slice/redis.service\n");
        write("proc/8/cgroup", "0::/../system.slice\n");
        write("proc/9/cgroup", "5:cpu,memory:/deep\n0::/\n");
        write("sys/fs/cgroup/system.slice/memory.max", "4096\n");
        write("sys/fs/cgroup/system.slice/redis.service/memory.max", "max\n");
        write("sys/fs/cgroup/memory/deep/memory.limit_in_bytes", "8192\n");
        write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        let roots = Roots { proc: dir.path().join("proc"), sys: dir.path().join("sys"), ..Roots::default() };
        let limits = [7, 8, 9, 10].map(|pid: u32| memory_limit(&roots, &roots.proc(pid.to_string())));
        assert_eq!(limits, [Some(4096.0), None, Some(8192.0), None]);
        assert_eq!(host_memory(&roots), Some(1_048_576.0));
    }
}
