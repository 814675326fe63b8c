//! sysfs as most collectors need it: folders of entities, and files of one number or one text each.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::str::FromStr;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

use super::{Fault, System, text};

/// An attribute is at most a page long.
const PAGE: usize = 4096;

/// A folder of sysfs whose attributes are read one after the other: its path is walked once.
#[derive(Debug)]
pub struct Folder {
    folder: OwnedFd,
}

impl Folder {
    /// As [`System::label`].
    pub fn label(&self, attribute: &str) -> Option<String> {
        self.read(attribute, |text| Some(text::utf8(text).into_owned()))
    }

    /// The number that this folder has while its entity lives: another one of the same name has another.
    pub fn inode(&self) -> Option<u64> {
        Some(nix::sys::stat::fstat(&self.folder).ok()?.st_ino)
    }

    /// What `parse` makes of the attribute, read by one single `read(2)`.
    pub fn read<T>(&self, attribute: &str, parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let mut buffer = [0; PAGE];
        let file = openat(&self.folder, attribute, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let length = nix::unistd::read(&file, &mut buffer).ok()?;
        parse(buffer.get(..length)?.trim_ascii())
    }
}

impl System {
    /// The names in the folder `/sys/<path>`, sorted. A name that is not UTF-8 is none of the kernel's.
    pub fn entries(&self, path: impl AsRef<Path>) -> Result<Vec<String>, Fault> {
        let path = self.roots.sys(path);
        let entries = std::fs::read_dir(&path).map_err(|error| Fault::read(&path, error))?;
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The folder `/sys/<path>`.
    pub fn folder(&self, path: impl AsRef<Path>) -> Result<Folder, Fault> {
        let path = self.roots.sys(path);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = open(&path, flags, Mode::empty()).map_err(|error| Fault::read(&path, error.into()))?;
        Ok(Folder { folder })
    }

    /// The text of the attribute `/sys/<path>`; `None` where it cannot be read, whatever the reason: an attribute that is missing, that
    /// needs privileges or whose device sleeps must not cost the others.
    pub fn label(&mut self, path: impl AsRef<Path>) -> Option<String> {
        let path = self.roots.sys(path);
        Some(text::utf8(self.attribute(&path).ok()?).into_owned())
    }

    /// As [`label`](Self::label), for an attribute that holds a number.
    pub fn number<T: FromStr>(&mut self, path: impl AsRef<Path>) -> Option<T> {
        let path = self.roots.sys(path);
        text::number(self.attribute(&path).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Roots;

    #[test]
    fn folders_and_their_attributes() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("b", "7\n"), ("a", "text \u{e4}\n")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        assert_eq!(system.entries("").unwrap(), ["a", "b"]);
        assert!(system.entries("none").unwrap_err().is_absence());
        assert_eq!(system.label("a").as_deref(), Some("text \u{e4}"));
        let folder = system.folder("").unwrap();
        assert_eq!((folder.label("a").as_deref(), folder.label("c")), (Some("text \u{e4}"), None));
        assert_eq!(folder.read("b", text::number::<i64>), Some(7));
        assert!(folder.inode().is_some() && folder.inode() == system.folder("").unwrap().inode());
        assert!(system.folder("a").unwrap_err().is_absence() && system.folder("c").unwrap_err().is_absence());
        assert_eq!((system.number("b"), system.number::<u64>("a"), system.label("c")), (Some(7), None, None));
    }
}
