//! The processes of a server on this machine, and what each group of them has taken.
//!
//! All are children of the postmaster. The server calls them by the numbers of its own namespace, the last in `NSpid`; /proc calls them by
//! those of the host.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::exposition::from_u64;
use crate::system::text::{fields, lines, number, pair};
use crate::system::{Fault, Roots, System};

/// /proc counts CPU time in ticks of 1/100 s, whatever the kernel's own tick is.
const USER_HZ: f64 = 100.0;

/// How long a group is told of which no process is left.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// How many processes of a container are looked at to find the postmaster among them.
const MOST_LOOKED_AT: usize = 64;

/// The kind of a process and its database, by its number in the server's namespace.
pub(super) type Kinds<'a> = HashMap<u32, (&'a str, &'a str)>;

/// What is known of one server's processes.
#[derive(Debug, Default)]
pub(super) struct Processes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    system: System,
    history: History,
}

/// What processes of one kind and database took.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) kind: String,
    pub(super) database: String,
    ticks: u64,
    /// Memory of those there are now, in bytes.
    pub(super) resident: u64,
    alive: usize,
    seen: Instant,
}

impl Group {
    pub(super) fn cpu_seconds(&self) -> f64 {
        from_u64(self.ticks) / USER_HZ
    }

    /// Whether any process of it is there.
    pub(super) fn is_alive(&self) -> bool {
        self.alive > 0
    }
}

impl Processes {
    pub(super) fn new(roots: &Roots) -> Self {
        Processes(Mutex::new(State { system: System::new(roots.clone()), history: History::default() }))
    }

    /// Looks at the children of `postmaster` that are in `kinds`, and shows all groups.
    pub(super) fn look(&self, postmaster: u32, kinds: &Kinds<'_>, show: impl FnOnce(&[Group])) -> Result<(), Fault> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { system, history } = &mut *state;
        let postmaster = find(system, postmaster)?;
        history.begin();
        for pid in children(system, postmaster)? {
            // One that has ended meanwhile is told no more.
            let Some(status) = read(system, pid, "status").and_then(status) else { continue };
            let Some((kind, database)) = kinds.get(&status.inner) else { continue };
            let Some(stat) = read(system, pid, "stat").and_then(stat) else { continue };
            history.learn(pid, stat, status.resident, kind, database);
        }
        history.end();
        show(&history.groups);
        Ok(())
    }
}

/// The process `first`, or the first below it, that is a postmaster: in a container it may be the child of an init.
fn find(system: &mut System, first: u32) -> Result<u32, Fault> {
    let mut queue = vec![first];
    let mut at = 0;
    while let Some(pid) = queue.get(at).copied().filter(|_| at < MOST_LOOKED_AT) {
        if read(system, pid, "comm")
            .is_some_and(|comm| ["postgres", "postmaster"].iter().any(|name| comm.starts_with(name.as_bytes())))
        {
            return Ok(pid);
        }
        queue.extend(children(system, pid).unwrap_or_default());
        at += 1;
    }
    Err(Fault::Absent(format!("the server's processes: {first} is none in the process table that we see")))
}

fn children(system: &mut System, pid: u32) -> Result<Vec<u32>, Fault> {
    // A kernel built without CONFIG_PROC_CHILDREN has no such file.
    let path = system.roots.proc(format!("{pid}/task/{pid}/children"));
    Ok(fields(system.read(&path)?).filter_map(number).collect())
}

fn read<'a>(system: &'a mut System, pid: u32, file: &str) -> Option<&'a [u8]> {
    let path: PathBuf = system.roots.proc(format!("{pid}/{file}"));
    system.read(&path).ok()
}

#[derive(Debug, PartialEq)]
struct Status {
    /// Its number in the innermost namespace.
    inner: u32,
    /// RssAnon in bytes.
    resident: u64,
}

/// `NSpid:  4711    57` and `RssAnon:      3120 kB` (Linux 4.5 and later) of /proc/<pid>/status
fn status(text: &[u8]) -> Option<Status> {
    let value =
        |key: &[u8]| lines(text).filter_map(|line| pair(line, b':')).find(|(name, _)| *name == key).map(|(_, value)| value);
    let inner = fields(value(b"NSpid")?).last().and_then(number)?;
    let kilobytes: u64 = number(value(b"RssAnon")?.strip_suffix(b"kB")?)?;
    Some(Status { inner, resident: kilobytes.saturating_mul(1024) })
}

/// What tells a process from a later one of the same number, and the ticks that it ran.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    start: u64,
    ticks: u64,
}

/// `4711 (postgres) S 1 … utime stime … starttime …`: fields 14, 15 and 22 of proc(5), where the name may hold anything
fn stat(text: &[u8]) -> Option<Stat> {
    let mut rest = fields(text.get(memchr::memrchr(b')', text)? + 1..)?).skip(11);
    let [user, system] = [rest.next()?, rest.next()?].map(number::<u64>);
    Some(Stat { start: number(rest.nth(6)?)?, ticks: user?.saturating_add(system?) })
}

/// The processes that there were in the last look, and the sums of groups.
#[derive(Debug, Default)]
struct History {
    processes: HashMap<u32, (Stat, u64)>,
    groups: Vec<Group>,
    round: u64,
}

impl History {
    fn begin(&mut self) {
        self.round += 1;
        self.groups.iter_mut().for_each(|group| (group.resident, group.alive) = (0, 0));
    }

    /// Adds what a process ran since the last look, or ever if it is a new one.
    fn learn(&mut self, pid: u32, stat: Stat, resident: u64, kind: &str, database: &str) {
        let before = self.processes.insert(pid, (stat, self.round)).map(|(before, _)| before);
        let counted = before.filter(|before| before.start == stat.start).map_or(0, |before| before.ticks);
        let is_of = |group: &Group| group.kind == kind && group.database == database;
        let at = self.groups.iter().position(is_of).unwrap_or_else(|| {
            let (kind, database) = (kind.to_owned(), database.to_owned());
            self.groups.push(Group { kind, database, ticks: 0, resident: 0, alive: 0, seen: Instant::now() });
            self.groups.len() - 1
        });
        let Some(group) = self.groups.get_mut(at) else { return };
        group.ticks = group.ticks.saturating_add(stat.ticks.saturating_sub(counted));
        group.resident = group.resident.saturating_add(resident);
        group.alive += 1;
        group.seen = Instant::now();
    }

    fn end(&mut self) {
        let round = self.round;
        self.processes.retain(|_, (_, seen)| *seen == round);
        self.groups.retain(|group| group.is_alive() || group.seen.elapsed() < REMEMBERED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process of a fake /proc: its number there and in its namespace, start, ticks and kilobytes.
    fn put(proc: &std::path::Path, pid: u32, inner: u32, [start, ticks, kilobytes]: [u64; 3]) {
        let write = |file: &str, text: String| {
            let path = proc.join(pid.to_string()).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("comm", "postgres\n".to_owned());
        write(
            "status",
            format!("Name:\tpostgres\nNSpid:\t{pid}\t{inner}\nVmRSS:\t 9999 kB\nRssAnon:\t {kilobytes} kB\nRssShmem:\t 7 kB\n"),
        );
        write("stat", format!("{pid} (post) gres) S 1 2 3 0 -1 4194304 1 2 3 4 {ticks} 5 0 0 20 0 1 0 {start} 1 2\n"));
    }

    #[test]
    fn groups_are_sums_that_never_fall() {
        let dir = tempfile::tempdir().unwrap();
        let proc = dir.path();
        let children = |pids: &str| {
            std::fs::create_dir_all(proc.join("100/task/100")).unwrap();
            std::fs::write(proc.join("100/task/100/children"), pids).unwrap();
        };
        let processes = Processes::new(&Roots { proc: proc.to_path_buf(), ..Roots::default() });
        let kinds = Kinds::from([(7, ("client backend", "shop")), (8, ("client backend", "shop")), (9, ("walwriter", ""))]);
        let look = || {
            let mut seen = Vec::new();
            let of = |group: &Group| (group.kind.clone(), group.ticks, group.resident / 1024, group.alive);
            processes.look(100, &kinds, |groups| seen = groups.iter().map(of).collect()).unwrap();
            seen
        };
        assert!(processes.look(100, &kinds, |_| {}).unwrap_err().is_absence());
        put(proc, 100, 1, [1, 1, 1]);
        put(proc, 101, 7, [10, 95, 50]);
        put(proc, 102, 8, [11, 15, 20]);
        put(proc, 103, 9, [12, 0, 3]);
        put(proc, 104, 55, [13, 1000, 1000]);
        children("101 102 103 104 105 ");
        let client = |ticks, resident, alive| ("client backend".to_owned(), ticks, resident, alive);
        assert_eq!(look(), [client(120, 70, 2), ("walwriter".to_owned(), 5, 3, 1)]);
        // One ran on; of the other's number there is a new one, which ran less.
        put(proc, 101, 7, [10, 145, 60]);
        put(proc, 102, 8, [20, 0, 1]);
        assert_eq!(look()[0], client(175, 61, 2));
        children("103");
        assert_eq!(look()[0], client(175, 0, 0));
        // It is back: what ran before is counted again only because nobody can know better.
        children("101 103");
        assert_eq!(look()[0], client(175 + 150, 60, 1));
    }

    #[test]
    fn a_postmaster_is_found_below_an_init() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), 50, 1, [1, 1, 1]);
        std::fs::write(dir.path().join("50/comm"), "tini\n").unwrap();
        std::fs::create_dir_all(dir.path().join("50/task/50")).unwrap();
        std::fs::write(dir.path().join("50/task/50/children"), "51\n").unwrap();
        put(dir.path(), 51, 7, [1, 1, 1]);
        let mut system = System::new(Roots { proc: dir.path().to_path_buf(), ..Roots::default() });
        assert_eq!((find(&mut system, 50).unwrap(), find(&mut system, 51).unwrap()), (51, 51));
        assert!(find(&mut system, 52).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, near in "(NSpid:|RssAnon:|[0-9]{1,21}| |\t|\n|kB|\\)){0,40}") {
            for text in [&text[..], near.as_bytes()] {
                status(text);
                stat(text);
            }
        }
    }
}
