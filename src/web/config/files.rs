//! Files as they were when they were read.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Two changes may carry the same time if they are closer than the kernel's clock ticks: what is younger is looked at again.
const YOUNG: Duration = Duration::from_millis(50);

/// Which files were read, and their state just before.
#[derive(Default)]
pub(super) struct Files {
    read: Vec<(PathBuf, Option<Stamp>)>,
    /// Whether a file was changed so lately that another change might not show.
    young: bool,
}

/// What changes when a file is written or replaced.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    /// The content of `path`. The stamp is older than the content, so a change in between is seen the next time.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let stamp = stamp(path);
        let age = stamp.as_ref().and_then(|stamp| {
            let changed = Duration::new(stamp.changed.0.try_into().ok()?, stamp.changed.1.try_into().ok()?);
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed).ok()
        });
        self.young |= age.is_some_and(|age| age < YOUNG);
        self.read.push((path.to_owned(), stamp));
        std::fs::read(path)
    }

    /// Whether reading them again would give the same.
    pub(super) fn unchanged(&self) -> bool {
        !self.young && self.read.iter().all(|(path, then)| stamp(path) == *then)
    }
}

/// `None` where there is no such file.
fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: file.dev(),
        inode: file.ino(),
        size: file.size(),
        written: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        let read = || {
            let mut files = Files::default();
            let _ = files.read(&path);
            files
        };
        let missing = read();
        assert!(missing.unchanged());
        std::fs::write(&path, "1").unwrap();
        assert!(!missing.unchanged(), "it appeared");
        assert!(!read().unchanged(), "too young to tell");
        std::thread::sleep(2 * YOUNG);
        let settled = read();
        assert!(settled.unchanged());
        std::fs::write(&path, "2").unwrap();
        assert!(!settled.unchanged(), "the same size, another time");
        std::thread::sleep(2 * YOUNG);
        let settled = read();
        std::fs::write(&other, "2").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(!settled.unchanged(), "another file");
        std::thread::sleep(2 * YOUNG);
        let settled = read();
        std::fs::remove_file(&path).unwrap();
        assert!(!settled.unchanged(), "it went away");
    }
}
