//! One look at all cgroups' processes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::super::sets::{Set, Sets};
use super::history::History;
use super::process::{Open, most_files, open, referenced, schedule};
use super::sockets::{counters, tcp, udp};
use super::{Found, Subject};

/// What the thread keeps from look to look.
pub(super) struct Round {
    proc: PathBuf,
    sets: Sets,
    history: History,
    text: Vec<u8>,
}

impl Round {
    pub(super) fn new(proc: PathBuf, sets: Sets) -> Self {
        Round { proc, sets, history: History::default(), text: Vec::new() }
    }

    /// Looks at each of `subjects`.
    pub(super) fn look(&mut self, subjects: &[Subject]) -> HashMap<String, Found> {
        self.history.begin();
        let mut all: HashMap<String, Found> = subjects.iter().map(|subject| (subject.id.clone(), self.one(subject))).collect();
        if self.sets.has(Set::Sched) {
            for (id, schedule) in self.history.end() {
                // A kernel without scheduler statistics has nothing but zeros.
                if let Some(found) = all.get_mut(&id).filter(|_| schedule.iter().any(|value| *value != 0)) {
                    found.schedule = Some(schedule);
                }
            }
        }
        all
    }

    fn one(&mut self, subject: &Subject) -> Found {
        let mut found = Found::default();
        self.history.meet(&subject.id);
        if let Some(pids) = &subject.processes {
            self.processes(&subject.id, pids, &mut found);
        }
        if let Some(pid) = subject.first.filter(|_| self.sets.has(Set::Process)) {
            let limits = self.proc.join(format!("{pid}/limits"));
            found.most_files = self.read(&limits).and_then(most_files);
        }
        if let Some(pid) = subject.network {
            self.network(&self.proc.join(format!("{pid}/net")), &mut found);
        }
        found
    }

    fn processes(&mut self, id: &str, pids: &[u32], found: &mut Found) {
        let has = |set| self.sets.has(set);
        let (process, sched, memory) = (has(Set::Process), has(Set::Sched), has(Set::ReferencedMemory));
        let (mut files, mut bytes) = (Some(Open::default()), Some(0u64));
        for pid in pids {
            let folder = self.proc.join(pid.to_string());
            if process {
                files = sum_open(files, &folder);
            }
            if let Some(now) = self.read_if(sched, &folder.join("schedstat")).and_then(schedule) {
                self.history.learn(id, *pid, now);
            }
            if memory {
                bytes = bytes.and_then(|sum| Some(sum.saturating_add(self.referenced(&folder)?)));
            }
        }
        if process {
            (found.processes, found.open) = (u64::try_from(pids.len()).ok(), files);
        }
        found.referenced = bytes.filter(|_| memory);
    }

    /// Referenced bytes of a process, 0 of one that ended; `None` where it may not be asked.
    fn referenced(&mut self, folder: &Path) -> Option<u64> {
        // Before Linux 4.14 there is no sum.
        if let Some(text) = self.read(&folder.join("smaps_rollup")) {
            return Some(referenced(text));
        }
        match File::open(folder.join("smaps")) {
            Ok(_) => Some(self.read(&folder.join("smaps")).map_or(0, referenced)),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
            Err(_) => Some(0),
        }
    }

    fn network(&mut self, net: &Path, found: &mut Found) {
        let table = |name: &str| File::open(net.join(name)).map(|file| BufReader::with_capacity(32 * 1024, file)).ok();
        if self.sets.has(Set::Tcp) {
            found.tcp = ["tcp", "tcp6"].map(|name| table(name).and_then(|table| tcp(table).ok()));
        }
        if self.sets.has(Set::Udp) {
            found.udp = ["udp", "udp6"].map(|name| table(name).and_then(|table| udp(table).ok()));
        }
        if self.sets.has(Set::AdvTcp) {
            let files: [(&str, &[u8]); 2] = [("snmp", b"Tcp"), ("netstat", b"TcpExt")];
            for (file, protocol) in files {
                if let Some(text) = self.read(&net.join(file)) {
                    counters(text, protocol, |name, value| found.counters.push((name, value)));
                }
            }
        }
    }

    fn read_if(&mut self, wanted: bool, path: &Path) -> Option<&[u8]> {
        if wanted { self.read(path) } else { None }
    }

    /// The text of a file; `None` where there is none (any more).
    fn read(&mut self, path: &Path) -> Option<&[u8]> {
        self.text.clear();
        File::open(path).and_then(|mut file| file.read_to_end(&mut self.text)).ok()?;
        Some(&self.text)
    }
}

/// What is open in all processes so far; `None` once there was one that may not be asked: half a sum would be wrong.
fn sum_open(sum: Option<Open>, folder: &Path) -> Option<Open> {
    let sum = sum?;
    match open(folder) {
        Ok(more) => Some(Open { files: sum.files + more.files, sockets: sum.sockets + more.sockets }),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        // It ended meanwhile.
        Err(_) => Some(sum),
    }
}
