//! Reads `/proc/<pid>/stat` of every process and `/proc/<pid>/task/<tid>/stat` of every thread: how many there are, and in which state.
//! Emits `node_processes_*`.
//!
//! The cost grows with processes and threads, so each costs three system calls and no more: open, one read, close. A process of one
//! thread is in that thread's state, and its folder of threads is not even opened.

use std::time::Instant;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static PIDS: Family = Family::gauge("node_processes_pids", "Processes: folders of /proc with a number for a name.");
static STATES: Family = Family::gauge("node_processes_state", "Processes by state: field 3 of /proc/<pid>/stat.");
static THREADS: Family = Family::gauge("node_processes_threads", "Threads of all processes: field 20 of /proc/<pid>/stat.");
static THREAD_STATES: Family =
    Family::gauge("node_processes_threads_state", "Threads by state: field 3 of /proc/<pid>/task/<tid>/stat.");
static MOST_PIDS: Family =
    Family::gauge("node_processes_max_processes", "The number that process ids end below: /proc/sys/kernel/pid_max.");
static MOST_THREADS: Family =
    Family::gauge("node_processes_max_threads", "The most threads there may be: /proc/sys/kernel/threads-max.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "processes",
    enabled: Flag::switch("collector.processes", false, "Processes and threads by state."),
    flags: &[],
    new: |_| Ok(Box::new(Processes::default())),
};

/// The end of what is read of a stat file: behind the field looked for, however long the numbers before it.
const ENOUGH: usize = 512;

#[derive(Default)]
struct Processes {
    /// The folder /proc, kept open.
    proc: Option<Dir>,
    /// Kept for their memory.
    pids: Vec<u32>,
    tids: Vec<u32>,
}

/// How many are in each state, a state being one letter.
type States = [u64; 128];

struct Counts {
    pids: u64,
    threads: u64,
    states: States,
    thread_states: States,
    fault: Option<Fault>,
}

impl Collector for Processes {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut counts = self.count(system)?;
        out.family(&PIDS).add([], counts.pids);
        out.family(&THREADS).add([], counts.threads);
        for (family, label, states) in
            [(&STATES, "state", &counts.states), (&THREAD_STATES, "thread_state", &counts.thread_states)]
        {
            for (letter, count) in ('\0'..).zip(states).filter(|(_, count)| **count > 0) {
                out.family(family).add([(label, letter.encode_utf8(&mut [0; 4]))], *count);
            }
        }
        for (family, file) in [(&MOST_PIDS, "sys/kernel/pid_max"), (&MOST_THREADS, "sys/kernel/threads-max")] {
            match system.proc(file).and_then(|text| text::number::<u64>(text).ok_or_else(|| Fault::parse(file, text))) {
                Ok(most) => {
                    out.family(family).add([], most);
                }
                Err(fault) => counts.fault = Some(fault),
            }
        }
        counts.fault.map_or(Ok(()), Err)
    }
}

impl Processes {
    fn count(&mut self, system: &System) -> Result<Counts, Fault> {
        let fault = |error: Errno| Fault::read(&system.roots.proc, error.into());
        let mut proc = match self.proc.take() {
            Some(proc) => proc,
            None => Dir::open(&system.roots.proc, FOLDER, Mode::empty()).map_err(fault)?,
        };
        numbers(&mut proc, &mut self.pids).map_err(fault)?;
        let mut counts = Counts { pids: 0, threads: 0, states: [0; 128], thread_states: [0; 128], fault: None };
        for &pid in &self.pids {
            // With many thousands of processes this takes a while, which the next scrape would wait for.
            if system.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Fault::Late);
            }
            match counts.add(pid, &proc, &mut self.tids) {
                // One that is not ours to read (hidepid) costs itself, one that is gone meanwhile nothing.
                Err(fault) if !fault.is_absence() => counts.fault = Some(fault),
                _ => {}
            }
        }
        self.proc = Some(proc);
        Ok(counts)
    }
}

impl Counts {
    /// Counts a process and its threads.
    fn add(&mut self, pid: u32, proc: &Dir, tids: &mut Vec<u32>) -> Result<(), Fault> {
        let process = stat(proc, &format!("{pid}/stat"))?;
        self.pids += 1;
        self.threads = self.threads.saturating_add(process.threads);
        count(&mut self.states, process.state);
        if process.threads == 1 {
            count(&mut self.thread_states, process.state);
            return Ok(());
        }
        let folder = format!("{pid}/task");
        let fault = |error: Errno| Fault::read(&folder, error.into());
        let mut tasks = Dir::openat(proc, &*folder, FOLDER, Mode::empty()).map_err(fault)?;
        numbers(&mut tasks, tids).map_err(fault)?;
        for &tid in &*tids {
            // The first thread is the process itself.
            let thread = if tid == pid { Ok(process) } else { stat(&tasks, &format!("{tid}/stat")) };
            match thread {
                Ok(thread) => count(&mut self.thread_states, thread.state),
                Err(fault) if fault.is_absence() => {}
                Err(fault) => self.fault = Some(fault),
            }
        }
        Ok(())
    }
}

fn count(states: &mut States, state: u8) {
    if let Some(count) = states.get_mut(usize::from(state)) {
        *count += 1;
    }
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// The entries of `folder` that are numbers.
fn numbers(folder: &mut Dir, numbers: &mut Vec<u32>) -> Result<(), Errno> {
    numbers.clear();
    for entry in folder.iter() {
        numbers.extend(text::number::<u32>(entry?.file_name().to_bytes()));
    }
    Ok(())
}

fn stat(folder: &Dir, name: &str) -> Result<Stat, Fault> {
    let mut buffer = [0; ENOUGH];
    let read = openat(folder, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .and_then(|file| nix::unistd::read(&file, &mut buffer))
        .map_err(|error| Fault::read(name, error.into()))?;
    let text = buffer.get(..read).unwrap_or_default();
    parse(text).ok_or_else(|| Fault::parse(name, text))
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    state: u8,
    threads: u64,
}

/// `11 (rcu_preempt) I 2 0 0 0 -1 2129984 0 0 0 0 0 346 0 0 -2 0 1 0 32 …`. The name may hold anything, but no bracket closes behind it.
fn parse(stat: &[u8]) -> Option<Stat> {
    let end = memchr::memrchr(b')', stat)?;
    let mut fields = text::fields(stat.get(end + 1..)?);
    let &[state] = fields.next()? else { return None };
    // Field 20; the state is field 3.
    Some(Stat { state, threads: text::number(fields.nth(16)?)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    /// As proc_pid_stat(5) has it.
    fn stat(pid: u32, name: &str, state: char, threads: u32) -> String {
        format!(
            "{pid} ({name}) {state} 1 1 1 0 -1 4194560 9061 9416027 94 2620 36 98 54406 13885 20 0 {threads} 0 29 109604864\n"
        )
    }

    fn tree() -> Tree {
        let tree =
            Tree::of(&[("proc/sys/kernel/pid_max", "123\n"), ("proc/sys/kernel/threads-max", "7801\n"), ("proc/self/stat", "")]);
        tree.write("proc/1/stat", &stat(1, "systemd", 'S', 1));
        tree.write("proc/7/stat", &stat(7, "odd) R 2 (name", 'D', 3));
        for (tid, state) in [(7, 'Z'), (8, 'R'), (9, 'S')] {
            tree.write(&format!("proc/7/task/{tid}/stat"), &stat(tid, "thread", state, 3));
        }
        tree
    }

    #[test]
    fn processes_and_threads_are_counted_by_state() {
        let (mut tree, mut collector) = (tree(), built(&ENTRY, &[]).unwrap());
        // Gone between the listing and the reading.
        tree.write("proc/11/cmdline", "");
        tree.write("proc/7/task/10/comm", "");
        let expected = [
            "node_processes_max_processes 123",
            "node_processes_max_threads 7801",
            "node_processes_pids 2",
            r#"node_processes_state{state="D"} 1"#,
            r#"node_processes_state{state="S"} 1"#,
            "node_processes_threads 4",
            r#"node_processes_threads_state{thread_state="D"} 1"#,
            r#"node_processes_threads_state{thread_state="R"} 1"#,
            r#"node_processes_threads_state{thread_state="S"} 2"#,
        ];
        let (lines, result) = tree.show(&mut *collector);
        result.unwrap();
        assert_eq!(lines, expected);
        tree.write("proc/12/stat", &stat(12, "new", 'S', 1));
        assert!(tree.show(&mut *collector).0.contains(&"node_processes_pids 3".to_owned()), "the folder kept open is read anew");
    }

    #[test]
    fn it_gives_up_when_the_page_has_left() {
        let (mut tree, mut collector) = (tree(), built(&ENTRY, &[]).unwrap());
        tree.system.deadline = Some(Instant::now());
        assert!(matches!(tree.show(&mut *collector), (lines, Err(Fault::Late)) if lines.is_empty()));
        tree.system.deadline = None;
        tree.show(&mut *collector).1.unwrap();
    }

    #[test]
    fn a_bad_file_costs_its_process() {
        let mut tree = tree();
        tree.write("proc/12/stat", "12 (odd");
        let (lines, result) = tree.show(&mut *built(&ENTRY, &[]).unwrap());
        assert_eq!(result.unwrap_err().to_string(), "cannot parse 12/stat: \"12 (odd\"");
        assert!(lines.contains(&"node_processes_pids 2".to_owned()), "{lines:?}");
    }

    #[test]
    fn the_longest_line_is_read_as_far_as_needed() {
        let numbers = format!(" {}", i64::MIN).repeat(16);
        let line = format!("{} ({}) R{numbers} 77 ", u32::MAX, "k".repeat(64));
        assert!(line.len() <= ENOUGH);
        assert_eq!(parse(line.as_bytes()), Some(Stat { state: b'R', threads: 77 }));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(stat: Vec<u8>) {
            parse(&stat);
            parse(&[b"1 (a) ", &stat[..]].concat());
            count(&mut [0; 128], stat.first().copied().unwrap_or_default());
        }
    }
}
