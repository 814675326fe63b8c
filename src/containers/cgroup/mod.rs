//! The cgroups there are, and their numbers. Knows nothing of engines and names.
//!
//! The trees are walked at each scrape (no inotify: nothing to run out of, nothing to miss), and what each version's table
//! lists is read of each cgroup and parsed into one [`Stats`].

mod attribute;
mod files;
mod hugetlb;
mod mounts;
mod numa;
mod parse;
mod place;
mod stats;
mod v1;
mod v2;
mod walk;

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use nix::errno::Errno;

use self::attribute::{Attribute, Controller};
use self::files::Reader;
use self::place::{Place, Tree};
pub(super) use self::stats::{Device, Io, Operations, Pages, Spec, Stats};
use super::sets::{Set, Sets};
use crate::system::text::{fields, lines, number};
use crate::system::{Fault, Roots, System};

/// A cgroup: the directory of one name in one tree or several.
pub(crate) struct Cgroup<T> {
    /// The path below the tree's root, with a slash before it: cAdvisor's `id`.
    pub id: String,
    /// When it was made, in seconds since 1970. The kernel does not tell; this is the oldest mark that was seen of it.
    pub created: i64,
    /// Grows with the order in which cgroups of a tree are made.
    pub order: (usize, u64),
    /// This scrape's numbers.
    pub stats: Stats,
    /// Set by [`Cgroups::choose_pids`].
    pub pid: Option<u32>,
    /// The processes in this very cgroup, set as well where a set asks for them; `None` where they cannot be listed.
    pub processes: Option<Vec<u32>>,
    /// What the owner of the [`Cgroups`] keeps with it.
    pub entity: T,
    places: Vec<Place>,
    /// Whether it was still there after its files were read.
    alive: bool,
}

/// All cgroups of this machine.
pub(crate) struct Cgroups<T> {
    /// The sizes of huge pages, as `2MB`; none where nobody asks for them.
    pub(crate) page_sizes: Vec<String>,
    lists_processes: bool,
    holder: Holder,
    trees: Vec<Tree>,
    live: BTreeMap<Vec<u8>, Cgroup<T>>,
    reader: Reader,
    scrapes: u64,
}

/// The path of the cgroup that the one of this path is but a part of.
type Holder = fn(&str) -> Option<&str>;

/// Where the first process of a machine may be: in what systemd-nspawn puts below it, in systemd's own scope, or in both.
const INNER_PROCESSES: [&str; 3] = ["payload/cgroup.procs", "init.scope/cgroup.procs", "payload/init.scope/cgroup.procs"];

/// Every so many scrapes the attributes that were absent are looked for again: a controller may have been enabled.
const LOOK_AGAIN: u64 = 16;

impl<T> Cgroups<T> {
    /// Finds the trees that have something for `sets`. With none there is no cgroup, and that is a fault. A cgroup that has a `holder` is
    /// none of its own.
    pub(crate) fn find(system: &mut System, sets: Sets, holder: Holder) -> Result<Self, Fault> {
        let path = system.roots.proc("self/mountinfo");
        let sys = system.roots.sys.clone();
        let mounts = mounts::choose(system.read(&path)?, &sys);
        if mounts.is_empty() {
            return Err(Fault::Absent(format!("a cgroup file system in {}", path.display())));
        }
        let page_sizes = if sets.has(Set::Hugetlb) { hugetlb::sizes(&sys) } else { Vec::new() };
        let of_pages = hugetlb::attributes(&page_sizes);
        let all = || v1::ATTRIBUTES.iter().chain(&v2::ATTRIBUTES).chain(&of_pages);
        let mut trees = Vec::new();
        for mount in mounts {
            let is_wanted = |attribute: &&Attribute| {
                mount.controllers.contains(&attribute.controller) && attribute.set.is_none_or(|set| sets.has(set))
            };
            // Each has a bit of `Place::absent`. No kernel has so many sizes of pages.
            let attributes: Vec<_> = all().filter(is_wanted).take(64).cloned().collect();
            if !attributes.is_empty() {
                trees.push(Tree::open(mount, attributes)?);
            }
        }
        let (live, reader, lists_processes) = (BTreeMap::new(), Reader::new(), sets.list_processes());
        Ok(Cgroups { page_sizes, lists_processes, holder, trees, live, reader, scrapes: 0 })
    }

    /// The cgroups that were alive in the last [`refresh`](Self::refresh), by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Cgroup<T>> + Clone {
        self.live.values().filter(|cgroup| cgroup.alive)
    }

    /// As [`iter`](Self::iter).
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Cgroup<T>> {
        self.live.values_mut().filter(|cgroup| cgroup.alive)
    }

    /// Walks the trees and reads the numbers of all cgroups; `entity` makes what goes with a new one.
    ///
    /// A file that cannot be read for another reason than being gone is reported when all else is done.
    pub(crate) fn refresh(&mut self, mut entity: impl FnMut(&str) -> T) -> Result<(), Fault> {
        self.scrapes += 1;
        let mut fault = None;
        for (index, tree) in self.trees.iter().enumerate() {
            let walked = walk::walk(tree.root.as_fd(), |path, inode| {
                if let Some(holder) = std::str::from_utf8(path).ok().and_then(self.holder) {
                    // The walk has met it before.
                    if let Some(cgroup) = self.live.get_mut(holder.as_bytes()) {
                        cgroup.hold(index);
                    }
                    return;
                }
                let cgroup = match self.live.get_mut(path) {
                    Some(cgroup) => cgroup,
                    None => self.live.entry(path.to_vec()).or_insert_with(|| Cgroup::new(path, &mut entity)),
                };
                cgroup.meet(path, (index, tree), inode, self.scrapes, &mut entity);
            });
            fault = fault.or(walked.err().map(|errno| tree.fault(b"", "", errno)));
        }
        for cgroup in self.live.values_mut() {
            cgroup.places.retain(|place| place.seen == self.scrapes);
        }
        self.live.retain(|_, cgroup| !cgroup.places.is_empty());
        self.reader.kept = self.live.values().flat_map(|cgroup| &cgroup.places).map(Place::kept).sum();
        let look_again = self.scrapes.is_multiple_of(LOOK_AGAIN);
        for (path, cgroup) in &mut self.live {
            let read = cgroup.read(path, &self.trees, &mut self.reader, look_again);
            fault = fault.or(read.err());
        }
        fault.map_or(Ok(()), Err)
    }

    /// Chooses a process to stand for each cgroup that is `wanted`: the one that is known to be its first, if it is still
    /// there, else the lowest number.
    pub(crate) fn choose_pids(&mut self, mut wanted: impl FnMut(&T) -> Option<Option<u32>>) {
        for (path, cgroup) in self.live.iter_mut().filter(|(_, cgroup)| cgroup.alive) {
            let known = wanted(&cgroup.entity);
            if known.is_none() && !self.lists_processes {
                continue;
            }
            // Stands where a threaded cgroup refuses to list its processes.
            cgroup.pid = known.flatten();
            let mut processes = cgroup.processes.take().unwrap_or_default();
            for place in &mut cgroup.places {
                let Some(tree) = self.trees.get(place.tree) else { continue };
                if let Ok(text) = place.read_processes(path, tree, &mut self.reader) {
                    cgroup.pid = known.and_then(|known| first_pid(text, known));
                    if self.lists_processes {
                        processes.clear();
                        processes.extend(lines(text).filter_map(number::<u32>));
                        cgroup.processes = Some(processes);
                    }
                    if cgroup.pid.is_none() && known.is_some() {
                        cgroup.pid = inner_pid(path, tree, &mut self.reader);
                    }
                    break;
                }
            }
        }
    }
}

impl<T> Cgroup<T> {
    /// One that is out of sight, with what somebody else told of it.
    pub(crate) fn told(id: String, stats: Stats, entity: T) -> Self {
        let (created, order) = (i64::MAX, (usize::MAX, u64::MAX));
        Cgroup { id, created, order, stats, pid: None, processes: None, entity, places: Vec::new(), alive: true }
    }

    fn new(path: &[u8], entity: &mut impl FnMut(&str) -> T) -> Self {
        let id = format!("/{}", String::from_utf8_lossy(path));
        let entity = entity(&id);
        Cgroup {
            id,
            created: i64::MAX,
            order: (usize::MAX, u64::MAX),
            stats: Stats::default(),
            pid: None,
            processes: None,
            entity,
            places: Vec::new(),
            alive: true,
        }
    }

    /// Notes that the walk met this cgroup in `tree`.
    fn meet(&mut self, path: &[u8], (index, tree): (usize, &Tree), inode: u64, scrape: u64, entity: &mut impl FnMut(&str) -> T) {
        if let Some(place) = self.places.iter_mut().find(|place| place.tree == index) {
            if place.inode == inode {
                place.seen = scrape;
                return;
            }
            // Removed and made again under the same path: nothing of the old one is true any more.
            *self = Cgroup::new(path, entity);
        }
        self.places.push(Place::new((index, tree), inode, scrape));
        self.order = self.order.min((index, inode));
        self.created = self.created.min(tree.oldest_mark(path));
    }

    /// Notes that its processes in that tree are in its part.
    fn hold(&mut self, index: usize) {
        if let Some(place) = self.places.iter_mut().find(|place| place.tree == index) {
            place.hold();
        }
    }

    /// Reads all files of all places. A cgroup that died meanwhile is marked as such.
    fn read(&mut self, path: &[u8], trees: &[Tree], reader: &mut Reader, look_again: bool) -> Result<(), Fault> {
        self.stats.clear();
        self.alive = true;
        let mut fault = None;
        for place in &mut self.places {
            let Some(tree) = trees.get(place.tree) else { continue };
            if look_again {
                place.look_again();
            }
            let result = place.read(path, tree, reader, &mut self.stats);
            match result {
                Err(Errno::ENODEV) => self.alive = false,
                Err(errno) => fault = fault.or_else(|| Some(tree.fault(path, "", errno))),
                Ok(()) => {}
            }
        }
        fault.map_or(Ok(()), Err)
    }
}

/// Whether there are cgroups, and none of their trees has the memory controller: a kernel that was started without it.
pub(super) fn lacks_memory(roots: &Roots) -> bool {
    let mounts = std::fs::read(roots.proc("self/mountinfo")).map(|text| mounts::choose(&text, &roots.sys)).unwrap_or_default();
    let has_memory = |mount: &mounts::Mount| {
        let controllers = || std::fs::read(mount.path.join("cgroup.controllers"));
        let unified = || controllers().map_or(true, |text| fields(&text).any(|word| word == b"memory"));
        mount.controllers.contains(&Controller::Memory) || mount.controllers.contains(&Controller::Unified) && unified()
    };
    !mounts.is_empty() && !mounts.iter().any(has_memory)
}

/// One process number on each line, in no order.
fn first_pid(text: &[u8], known: Option<u32>) -> Option<u32> {
    let pids = || lines(text).filter_map(number::<u32>);
    match known {
        Some(known) if pids().any(|pid| pid == known) => Some(known),
        // A container whose processes all live in cgroups below its own.
        _ => pids().min().or(known),
    }
}

/// The first process of a machine whose own cgroup has none.
fn inner_pid(path: &[u8], tree: &Tree, reader: &mut Reader) -> Option<u32> {
    let mut first = |file| first_pid(reader.read(tree.root.as_fd(), path, file, &mut None).ok()?, None);
    INNER_PROCESSES.into_iter().find_map(&mut first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Roots;

    fn write(path: &std::path::Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(path).unwrap();
        for (name, text) in files {
            std::fs::write(path.join(name), text).unwrap();
        }
    }

    #[test]
    fn follows_what_comes_goes_and_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let (proc, tree) = (dir.path().join("proc"), dir.path().join("sys/fs/cgroup"));
        write(&proc.join("self"), &[("mountinfo", &format!("1 0 0:1 / {} rw - cgroup2 cgroup2 rw\n", tree.display()))]);
        write(&tree.join("docker/a"), &[("pids.current", "3\n"), ("cgroup.procs", "9\n7\n8\n")]);
        let roots = Roots { proc, sys: dir.path().join("sys"), ..Roots::default() };
        let mut cgroups = Cgroups::find(&mut System::new(roots), Sets::default(), |_| None).unwrap();
        let (mut made, mut seen) = (0, Vec::new());
        let mut scrape = |cgroups: &mut Cgroups<usize>| {
            cgroups
                .refresh(|_| {
                    made += 1;
                    made
                })
                .unwrap();
            cgroups.choose_pids(|_| Some(Some(8)));
            seen =
                cgroups.iter().map(|cgroup| (cgroup.id.clone(), cgroup.stats.pids.current, cgroup.pid, cgroup.entity)).collect();
            seen.clone()
        };
        let expected =
            [("/".into(), None, Some(8), 1), ("/docker".into(), None, Some(8), 2), ("/docker/a".into(), Some(3), Some(8), 3)];
        assert_eq!(scrape(&mut cgroups), expected);
        write(&tree.join("docker/a"), &[("pids.current", "5\n"), ("cgroup.procs", "9\n7\n")]);
        assert_eq!(scrape(&mut cgroups)[2], ("/docker/a".into(), Some(5), Some(7), 3));
        // Kept in place while the new one is made, so that it cannot get the same inode.
        std::fs::rename(tree.join("docker/a"), tree.join("b")).unwrap();
        write(&tree.join("docker/a"), &[("pids.current", "1\n")]);
        let seen = scrape(&mut cgroups);
        assert_eq!(seen.iter().map(|entry| entry.0.as_str()).collect::<Vec<_>>(), ["/", "/b", "/docker", "/docker/a"]);
        assert_eq!((seen[3].1, seen[3].2), (Some(1), Some(8)));
        std::fs::remove_dir_all(tree.join("docker")).unwrap();
        assert_eq!(scrape(&mut cgroups).len(), 2);
    }
}
