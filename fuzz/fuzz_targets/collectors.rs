//! Any host collector on any files: it ends, without a panic, and what it writes is a page that can be read back.
//!
//! An input is a tree in one text: the collector's name and flags on the first line, then each file as a line `>>> path` and its
//! bytes, or each folder as `>>> path/`. The seeds are such trees; so is whatever this target finds.
#![no_main]

#[path = "../parts.rs"]
mod parts;

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use libfuzzer_sys::{Corpus, fuzz_target};
use stack_exporter::exposition::{Page, Samples, parse};
use stack_exporter::scrape::Entry;
use stack_exporter::settings::Settings;
use stack_exporter::system::{Roots, System};
use stack_exporter::{cli, host};

/// More than one page of text for each series would be a collector that repeats itself.
const MOST: usize = 4 << 20;

thread_local! {
    /// A folder emptied before each run; tests/fuzz has it in memory.
    static FOLDER: RefCell<PathBuf> = RefCell::new({
        let folder = std::env::temp_dir().join(format!("stack-exporter-fuzz-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    });
}

fuzz_target!(|input: &[u8]| -> Corpus { run(input).map_or(Corpus::Reject, |()| Corpus::Keep) });

fn run(input: &[u8]) -> Option<()> {
    let mut parts = parts::split(input);
    let first = std::str::from_utf8(parts.next()?).ok()?;
    let mut words = first.split_whitespace();
    let entry = entry(words.next()?)?;
    let mut settings = Settings::default();
    let flags: Vec<_> = std::iter::once(&entry.enabled).chain(entry.flags).collect();
    cli::read(&flags, &[], std::iter::once("stack-exporter").chain(words).map(OsString::from), &mut settings).ok()?;
    let mut collector = (entry.new)(&settings).ok()?;
    FOLDER.with_borrow(|folder| {
        let _ = std::fs::remove_dir_all(folder);
        for part in parts {
            write(folder, part);
        }
        let roots = ["proc", "sys", "root", "udev"].map(|tree| folder.join(tree));
        let [proc, sys, root, udev] = roots;
        let mut system = System::new(Roots { proc, sys, root, udev, ..Roots::default() });
        // Twice: what is remembered from one scrape must not trip the next.
        for _ in 0..2 {
            let mut out = Samples::new();
            let _ = collector.collect(&mut system, &mut out);
            let page = Page::new(vec![out]).to_vec();
            assert!(page.len() <= MOST, "{} bytes of {}", page.len(), entry.name);
            if let Err(error) = parse(&page) {
                panic!("{}: {error}\n{}", entry.name, String::from_utf8_lossy(&page));
            }
        }
    });
    Some(())
}

fn entry(name: &str) -> Option<&'static Entry> {
    // Those that ask other programs read no tree.
    host::KERNEL.iter().chain(host::MOUNTS).find(|entry| entry.name == name).copied()
}

/// Writes one file or folder, unless its path leads out of `folder`.
fn write(folder: &Path, part: &[u8]) -> Option<()> {
    let (name, content) = match part.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&part[..at], &part[at + 1..]),
        None => (part, &[][..]),
    };
    let name = std::str::from_utf8(name).ok()?;
    let (name, target) = name.split_once(" -> ").map_or((name, None), |(name, target)| (name, Some(target)));
    let inside = |path: &str| {
        !path.contains('\0') && path.len() < 300 && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
    };
    if !inside(name) || name.is_empty() {
        return None;
    }
    let path = folder.join(name);
    if name.ends_with('/') {
        return std::fs::create_dir_all(path).ok();
    }
    std::fs::create_dir_all(path.parent()?).ok()?;
    match target {
        // A link within the tree, told from its top.
        Some(target) if inside(target) => std::os::unix::fs::symlink(folder.join(target), path).ok(),
        Some(_) => None,
        None => std::fs::write(path, content).ok(),
    }
}
