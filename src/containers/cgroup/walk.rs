//! The directories of a cgroup tree.

use std::os::fd::BorrowedFd;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstatat};

/// Deeper cgroups are not looked for. The kernel's own default is no limit at all, real trees have about ten levels.
const DEEPEST: usize = 64;

/// Calls `found` with path (relative, the root's is empty) and inode of each cgroup below `root`, and of the root.
///
/// A cgroup's directory holds about fifty files, and listing them is most of the cost; its link count tells how many
/// directories there are (2 for a leaf), so that leaves are not listed at all. `*.mount` units are left out, as cAdvisor does.
/// What vanishes meanwhile is not reported.
pub(super) fn walk(root: BorrowedFd<'_>, mut found: impl FnMut(&[u8], u64)) -> Result<(), Errno> {
    let stat = nix::sys::stat::fstat(root)?;
    found(b"", stat.st_ino);
    let mut path = Vec::new();
    let mut pending = vec![(Vec::new(), 0)];
    while let Some((parent, depth)) = pending.pop() {
        let listed = list(root, &parent, &mut path, |path, inode| {
            found(path, inode);
            if depth < DEEPEST && !is_leaf(root, path) {
                pending.push((path.to_vec(), depth + 1));
            }
        });
        if let (Err(error), true) = (listed, parent.is_empty()) {
            return Err(error);
        }
    }
    Ok(())
}

/// Calls `child` with path and inode of each directory in `parent`; `path` is where the paths are put together.
fn list(root: BorrowedFd<'_>, parent: &[u8], path: &mut Vec<u8>, mut child: impl FnMut(&[u8], u64)) -> Result<(), Errno> {
    let name = if parent.is_empty() { b"." } else { parent };
    let mut directory = Dir::openat(root, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    for entry in directory.iter() {
        let Ok(entry) = entry else { break };
        let name = entry.file_name().to_bytes();
        if !matches!(entry.file_type(), Some(Type::Directory) | None) || matches!(name, b"." | b"..") || name.ends_with(b".mount")
        {
            continue;
        }
        path.clear();
        path.extend_from_slice(parent);
        if !parent.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        // cgroup file systems always tell the type; only a test's tree may not.
        if entry.file_type().is_some() || is_directory(root, path) {
            child(path, entry.ino());
        }
    }
    Ok(())
}

fn is_directory(root: BorrowedFd<'_>, path: &[u8]) -> bool {
    fstatat(root, path, AtFlags::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
}

fn is_leaf(root: BorrowedFd<'_>, path: &[u8]) -> bool {
    fstatat(root, path, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_nlink == 2)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn finds_all_directories_but_mounts() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["docker/abc", "system.slice/a.service/inner", "system.slice/var-lib.mount", "empty"] {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        std::fs::write(dir.path().join("docker/tasks"), "").unwrap();
        std::os::unix::fs::symlink("docker", dir.path().join("link")).unwrap();
        let root = std::fs::File::open(dir.path()).unwrap();
        let mut found = Vec::new();
        walk(root.as_fd(), |path, inode| {
            assert_ne!(inode, 0);
            found.push(String::from_utf8(path.to_vec()).unwrap());
        })
        .unwrap();
        found.sort();
        let expected =
            ["", "docker", "docker/abc", "empty", "system.slice", "system.slice/a.service", "system.slice/a.service/inner"];
        assert_eq!(found, expected);
    }
}
