//! What a folder takes on disk, as du(1) counts it: blocks, a file with several names once, no other file system, no link followed.
//!
//! Containers write what they like while it is looked at. A folder that becomes a link meanwhile leads nowhere (`RESOLVE_NO_SYMLINKS`,
//! Linux 5.6), and what vanishes is not counted. Only one folder is open at a time, however deep the tree is.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::thread::Pace;
use crate::discovery::Extent;

/// The most files with several names that are remembered, and folders that are yet to be looked at. What is beyond is counted more than
/// once, or not at all: it would take more memory than the figure is worth.
const MOST: usize = 1 << 17;

/// What `folder` and all below it take.
pub(super) fn walk(folder: &Path, pace: &mut Pace) -> io::Result<Extent> {
    let root = open(folder, FLAGS, Mode::empty())?;
    let top = fstat(&root)?;
    let mut extent = Extent { bytes: blocks(&top), inodes: 1 };
    let (mut linked, mut pending) = (HashSet::new(), vec![CString::default()]);
    while let Some(path) = pending.pop() {
        let Ok(mut directory) = enter(&root, &path).and_then(Dir::from_fd) else { continue };
        // Reading goes on behind the descriptor's back otherwise.
        let Ok(place) = directory.as_fd().try_clone_to_owned() else { continue };
        for entry in directory.iter() {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            pace.step();
            let Ok(found) = fstatat(&place, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
            let is_folder = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFDIR;
            if found.st_dev != top.st_dev {
                continue;
            }
            let known = !is_folder && found.st_nlink > 1 && linked.len() < MOST && !linked.insert(found.st_ino);
            if known {
                continue;
            }
            extent.bytes = extent.bytes.saturating_add(blocks(&found));
            extent.inodes += 1;
            if is_folder && pending.len() < MOST {
                pending.extend(join(&path, name));
            }
        }
    }
    Ok(extent)
}

const FLAGS: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// Opens a folder below `root`. Its time of access is left alone where that is ours to decide.
fn enter(root: &OwnedFd, path: &CStr) -> nix::Result<OwnedFd> {
    let path = if path.is_empty() { c"." } else { path };
    let flags = FLAGS | OFlag::O_NOFOLLOW;
    let how = |flags| {
        let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_BENEATH;
        match openat2(root, path, OpenHow::new().flags(flags).resolve(resolve)) {
            // Before Linux 5.6, and where a container's filter of system calls does not know it.
            Err(Errno::ENOSYS) => openat(root, path, flags, Mode::empty()),
            opened => opened,
        }
    };
    match how(flags | OFlag::O_NOATIME) {
        Err(Errno::EPERM) => how(flags),
        opened => opened,
    }
}

/// `a/b` and `c` are `a/b/c`.
fn join(path: &CStr, name: &CStr) -> Option<CString> {
    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
    CString::new([path.to_bytes(), slash, name.to_bytes()].concat()).ok()
}

/// `st_blocks` is in units of 512 bytes on every file system.
fn blocks(found: &FileStat) -> u64 {
    u64::try_from(found.st_blocks).unwrap_or(0).saturating_mul(512)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    fn du(folder: &Path) -> Extent {
        let run = |args: &[&str]| {
            let output = Command::new("du").args(args).arg("-sx").arg(folder).output().unwrap();
            String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        Extent { bytes: run(&["--block-size=1"]), inodes: run(&["--inodes"]) }
    }

    #[test]
    fn counts_as_du_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("a/b/c")).unwrap();
        std::fs::write(path("a/plain"), vec![1; 10_000]).unwrap();
        std::fs::write(path("a/b/c/deep"), vec![1; 100_000]).unwrap();
        std::fs::hard_link(path("a/plain"), path("a/b/linked")).unwrap();
        std::fs::File::create(path("sparse")).unwrap().set_len(1 << 30).unwrap();
        // Neither is followed: one leads out, the other round in a circle.
        symlink("/usr", path("a/out")).unwrap();
        symlink("..", path("a/b/up")).unwrap();
        let found = walk(folder.path(), &mut Pace::of_test()).unwrap();
        assert_eq!(found, du(folder.path()));
        assert!((110_000..200_000).contains(&found.bytes) && found.inodes == 9, "{found:?}");
        // The folder itself may be reached by a link, as a moved /var/lib/docker is.
        symlink(folder.path(), folder.path().with_extension("link")).unwrap();
        assert_eq!(walk(&folder.path().with_extension("link"), &mut Pace::of_test()).unwrap(), found);
        std::fs::remove_file(folder.path().with_extension("link")).unwrap();
        assert!(walk(&path("absent"), &mut Pace::of_test()).is_err());
    }

    #[test]
    fn a_tree_may_be_deep_and_change_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join(vec!["deep"; 500].join("/"));
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(walk(folder.path(), &mut Pace::of_test()).unwrap().inodes, 501);
        let churn = folder.path().join("churn");
        std::fs::create_dir(&churn).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::fs::create_dir_all(churn.join("x/y")).unwrap();
                    std::fs::remove_dir_all(churn.join("x")).unwrap();
                }
            });
            for _ in 0..20 {
                let inodes = walk(folder.path(), &mut Pace::of_test()).unwrap().inodes;
                assert!((502..=504).contains(&inodes), "{inodes}");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
