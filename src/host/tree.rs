//! For tests: files of a test's own making in place of /proc and /sys, and what a collector shows of them.

use crate::exposition::{Page, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Origin, Settings};
use crate::system::{Fault, Roots, System};

/// A root directory with `proc` and `sys` below it.
pub(super) struct Tree {
    root: tempfile::TempDir,
    pub(super) system: System,
}

impl Tree {
    /// A tree of these files, such as `proc/swaps`.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let roots = Roots { proc: path("proc"), sys: path("sys"), root: path(""), udev: path("udev"), ..Roots::default() };
        let tree = Tree { system: System::new(roots), root };
        files.iter().for_each(|(path, text)| tree.write(path, text));
        tree
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Makes `path` a symbolic link.
    pub(super) fn link(&self, path: &str, target: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    /// The sample lines of one scrape, and what the collector said in the end.
    pub(super) fn show(&mut self, collector: &mut dyn Collector) -> (Vec<String>, Result<(), Fault>) {
        let mut out = Samples::new();
        let result = collector.collect(&mut self.system, &mut out);
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        (page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect(), result)
    }

    /// As [`show`](Self::show), for a collector that must succeed under its defaults.
    pub(super) fn lines(&mut self, entry: &Entry) -> Vec<String> {
        let (lines, result) = self.show(&mut *built(entry, &[]).unwrap());
        result.unwrap();
        lines
    }
}

/// A collector whose flags (without `collector.<name>.`) are given these texts.
pub(super) fn built(entry: &Entry, given: &[(&str, &[&str])]) -> Result<Box<dyn Collector>, Error> {
    let mut settings = Settings::default();
    for (name, texts) in given {
        let name = format!("collector.{}.{name}", entry.name);
        let flag = entry.flags.iter().find(|flag| flag.name == name).unwrap();
        settings.set(flag, Origin::CommandLine, flag.read(texts.iter().map(|text| (*text).to_owned()).collect())?);
    }
    (entry.new)(&settings)
}
