//! One cgroup tree, and a cgroup's directory in it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;

use super::attribute::{Attribute, Controller};
use super::files::Reader;
use super::mounts::Mount;
use super::stats::{Cpu, Stats};
use crate::system::Fault;

/// An open cgroup tree and the files to read in it.
pub(super) struct Tree {
    path: PathBuf,
    pub(super) root: File,
    attributes: Vec<Attribute>,
    unified: bool,
}

impl Tree {
    pub(super) fn open(mount: Mount, attributes: Vec<Attribute>) -> Result<Self, Fault> {
        let root = File::open(&mount.path).map_err(|error| Fault::read(&mount.path, error))?;
        Ok(Tree { path: mount.path, root, attributes, unified: mount.controllers.contains(&Controller::Unified) })
    }

    /// A file of the cgroup `path` that cannot be read.
    pub(super) fn fault(&self, path: &[u8], file: &str, errno: Errno) -> Fault {
        Fault::read(self.path.join(&*String::from_utf8_lossy(path)).join(file), errno.into())
    }

    /// The earlier of the times of a cgroup's directory and of a file in it that nobody writes, in seconds since 1970.
    pub(super) fn oldest_mark(&self, path: &[u8]) -> i64 {
        let marker: &[u8] = if self.unified { b"/cgroup.events" } else { b"/cgroup.clone_children" };
        let directory: &[u8] = if path.is_empty() { b"." } else { path };
        let time = |path: &[u8]| fstatat(&self.root, path, AtFlags::empty()).map_or(i64::MAX, |stat| stat.st_mtime);
        time(directory).min(time(&[directory, marker].concat()))
    }
}

const OWN_PROCESSES: &str = "cgroup.procs";
const PART_PROCESSES: &str = "container/cgroup.procs";
/// A part's quota, and how it went with it.
const PART_QUOTA: [&str; 2] = ["container/cpu.max", "container/cpu.stat"];

/// A cgroup's directory in one tree.
pub(super) struct Place {
    /// Which of the trees.
    pub(super) tree: usize,
    pub(super) inode: u64,
    /// The number of the last scrape whose walk met it.
    pub(super) seen: u64,
    /// The tree's attributes, as far as they are kept open, and `cgroup.procs`.
    files: Box<[Option<File>]>,
    procs: Option<File>,
    /// The files of [`PART_QUOTA`].
    quota: [Option<File>; 2],
    /// Where its processes are: in the cgroup itself, or in one below that is but a part of it.
    processes: &'static str,
    /// Attributes that the cgroup has not, one bit each, so that they are not asked for again at each scrape.
    absent: u64,
}

impl Place {
    pub(super) fn new((index, tree): (usize, &Tree), inode: u64, scrape: u64) -> Self {
        let files = std::iter::repeat_with(|| None).take(tree.attributes.len()).collect();
        Place { tree: index, inode, seen: scrape, files, procs: None, quota: [None, None], processes: OWN_PROCESSES, absent: 0 }
    }

    /// Notes that its processes are in its part.
    pub(super) fn hold(&mut self) {
        if self.processes == OWN_PROCESSES {
            (self.processes, self.procs) = (PART_PROCESSES, None);
        }
    }

    /// Looks anew for the attributes that were absent: a controller may have been enabled.
    pub(super) fn look_again(&mut self) {
        self.absent = 0;
    }

    /// How many files of it are kept open.
    pub(super) fn kept(&self) -> usize {
        self.files.iter().chain(&self.quota).chain([&self.procs]).filter(|file| file.is_some()).count()
    }

    /// The list of its processes.
    pub(super) fn read_processes<'a>(&mut self, path: &[u8], tree: &Tree, reader: &'a mut Reader) -> Result<&'a [u8], Errno> {
        reader.read(tree.root.as_fd(), path, self.processes, &mut self.procs)
    }

    /// Reads the attributes of this place. ENODEV: the directory is gone.
    pub(super) fn read(&mut self, path: &[u8], tree: &Tree, reader: &mut Reader, stats: &mut Stats) -> Result<(), Errno> {
        let (mut fault, mut missed) = (Ok(()), false);
        for (bit, (attribute, slot)) in tree.attributes.iter().zip(&mut self.files).enumerate() {
            if self.absent & 1 << bit != 0 {
                continue;
            }
            match reader.read(tree.root.as_fd(), path, &attribute.file, slot) {
                Ok(text) => attribute.parse(text, stats),
                Err(Errno::ENODEV) => return Err(Errno::ENODEV),
                // EOPNOTSUPP: a kernel with pressure stall information switched off, or memory.peak before its time.
                Err(Errno::ENOENT | Errno::EOPNOTSUPP) => {
                    self.absent |= 1 << bit;
                    missed = true;
                }
                Err(errno) => fault = Err(errno),
            }
        }
        if missed && !path.is_empty() && is_gone(tree.root.as_fd(), path) {
            return Err(Errno::ENODEV);
        }
        if self.processes == PART_PROCESSES && stats.spec.cpu_quota.is_none() {
            self.read_part(path, tree, reader, stats);
        }
        fault
    }

    /// Reads the quota that stands on the part alone, and how often the part was held back by it.
    fn read_part(&mut self, path: &[u8], tree: &Tree, reader: &mut Reader, stats: &mut Stats) {
        let mut part = Stats::default();
        for (file, slot) in PART_QUOTA.iter().zip(&mut self.quota) {
            let Some(attribute) = tree.attributes.iter().find(|attribute| file.ends_with(&*attribute.file)) else { continue };
            if let Ok(text) = reader.read(tree.root.as_fd(), path, file, slot) {
                attribute.parse(text, &mut part);
            }
            if part.spec.cpu_quota.is_none() {
                return;
            }
        }
        (stats.spec.cpu_quota, stats.spec.cpu_period) = (part.spec.cpu_quota, part.spec.cpu_period);
        let Cpu { usage, user, system, .. } = stats.cpu;
        stats.cpu = Cpu { usage, user, system, by_cpu: std::mem::take(&mut stats.cpu.by_cpu), ..part.cpu };
    }
}

fn is_gone(root: BorrowedFd<'_>, path: &[u8]) -> bool {
    fstatat(root, path, AtFlags::AT_SYMLINK_NOFOLLOW) == Err(Errno::ENOENT)
}
