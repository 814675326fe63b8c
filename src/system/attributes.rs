//! sysfs as most collectors need it: folders of entities, and files of one number or one text each.

use std::path::Path;
use std::str::FromStr;

use super::{Fault, System, text};

impl System {
    /// The names in the folder `/sys/<path>`, sorted. A name that is not UTF-8 is none of the kernel's.
    pub fn entries(&self, path: impl AsRef<Path>) -> Result<Vec<String>, Fault> {
        let path = self.roots.sys(path);
        let entries = std::fs::read_dir(&path).map_err(|error| Fault::read(&path, error))?;
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
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
        assert_eq!((system.number("b"), system.number::<u64>("a"), system.label("c")), (Some(7), None, None));
    }
}
