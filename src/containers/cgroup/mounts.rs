//! /proc/self/mountinfo: which cgroup trees there are, and where.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::attribute::Controller;
use crate::system::text::{fields, lines};

/// One mounted cgroup tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) path: PathBuf,
    pub(super) controllers: Vec<Controller>,
}

/// The trees to read: each controller of ours once, v1 trees before the v2 one.
///
/// A tree may be mounted more than once (an agent in a container sees its own and the host's): the mount below `sys`, where
/// the host's sysfs is, wins, then the first. Named trees (`name=systemd`) have no numbers and are left out.
pub(super) fn choose(mountinfo: &[u8], sys: &Path) -> Vec<Mount> {
    let mut all: Vec<Mount> = lines(mountinfo).filter_map(mount).collect();
    all.sort_by_key(|mount| !mount.path.starts_with(sys));
    let mut chosen: Vec<Mount> = Vec::new();
    for mut mount in all {
        mount.controllers.retain(|controller| !chosen.iter().any(|earlier| earlier.controllers.contains(controller)));
        if !mount.controllers.is_empty() {
            chosen.push(mount);
        }
    }
    chosen.sort_by_key(|mount| mount.controllers.contains(&Controller::Unified));
    chosen
}

/// `35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory`
fn mount(line: &[u8]) -> Option<Mount> {
    let path = fields(line).nth(4)?;
    let mut tail = fields(line).skip(6).skip_while(|field| *field != b"-").skip(1);
    let (kind, _source, options) = (tail.next()?, tail.next()?, tail.next()?);
    let controllers = match kind {
        b"cgroup2" => vec![Controller::Unified],
        b"cgroup" => options.split(|&byte| byte == b',').filter_map(Controller::of_v1).collect(),
        _ => return None,
    };
    Some(Mount { path: unescape(path), controllers })
}

/// Blanks, tabs, newlines and backslashes of a mount point stand as `\040` and the like.
fn unescape(path: &[u8]) -> PathBuf {
    if !path.contains(&b'\\') {
        return PathBuf::from(OsStr::from_bytes(path));
    }
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_with_controllers_together_and_named() {
        let text = b"31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw,nsdelegate\n\
            33 31 0:30 / /sys/fs/cgroup/systemd rw shared:2 - cgroup cgroup rw,xattr,name=systemd\n\
            34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:3 master:1 - cgroup cgroup rw,cpu,cpuacct\n\
            35 31 0:32 / /sys/fs/cgroup/with\\040blank rw - cgroup cgroup rw,memory\n\
            36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n";
        let mounts = choose(text, Path::new("/sys"));
        let expected = [
            ("/sys/fs/cgroup/cpu,cpuacct", vec![Controller::Cpu, Controller::Cpuacct]),
            ("/sys/fs/cgroup/with blank", vec![Controller::Memory]),
            ("/sys/fs/cgroup/unified", vec![Controller::Unified]),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(path, controllers)| Mount { path: path.into(), controllers }).collect();
        assert_eq!(mounts, expected);
    }

    #[test]
    fn the_hosts_tree_wins_over_the_containers_own() {
        let text = b"700 600 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n\
            900 600 0:26 /../.. /host/sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(choose(text, Path::new("/host/sys"))[0].path, Path::new("/host/sys/fs/cgroup"));
        assert_eq!(choose(text, Path::new("/sys"))[0].path, Path::new("/sys/fs/cgroup"));
        assert_eq!(choose(text, Path::new("/sys")).len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, words in "(cgroup2?| - |/[a-z]{0,5}|\\\\0?4?0?| |\n|rw,memory,cpu){0,40}") {
            choose(&text, Path::new("/sys"));
            choose(words.as_bytes(), Path::new("/sys"));
        }
    }
}
