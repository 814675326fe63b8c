//! What the processes of a cgroup have open, wait for and talk to: /proc/<pid>, read by a thread beside the scrape.
//!
//! All of it is off by default, and some of it is dear: `fd` has a link for each open file, `net/tcp` is put together from a table that all
//! namespaces share, for `smaps_rollup` the kernel walks the process' page tables and may have to wait for the process itself. So a scrape
//! gives its cgroups to a thread and waits for it a moment; what is not done by then is shown by the next scrape, and the thread takes at most
//! a twentieth of a CPU. Nothing is written: `clear_refs`, which would have the kernel count references anew, stays as it is.

mod families;
mod history;
mod process;
mod round;
mod sockets;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::history::Schedule;
use self::process::Open;
use self::round::Round;
use self::sockets::{Tcp, Udp};
use super::sets::Sets;
use crate::exposition::{Labels, Samples};

/// How long a scrape waits for its own answer.
const PATIENCE: Duration = Duration::from_millis(50);

/// After a look that took a time the thread rests that time by this.
const REST: u32 = 19;

/// What is older is not shown: whoever was asked does not answer any more.
const OLDEST: Duration = Duration::from_secs(300);

/// A cgroup to look at.
#[derive(Debug)]
pub(super) struct Subject {
    /// Its path.
    pub(super) id: String,
    /// The processes in it; `None` where they cannot be listed.
    pub(super) processes: Option<Vec<u32>>,
    /// The process that stands for it.
    pub(super) first: Option<u32>,
    /// The process whose `net` is that of a namespace which no other subject shows.
    pub(super) network: Option<u32>,
}

/// What was found of one cgroup. `None`: not asked for, or this kernel or this agent's rights do not give it.
#[derive(Debug, Default)]
struct Found {
    processes: Option<u64>,
    open: Option<Open>,
    most_files: Option<i64>,
    referenced: Option<u64>,
    schedule: Option<Schedule>,
    tcp: [Option<Tcp>; 2],
    udp: [Option<Udp>; 2],
    counters: Vec<(String, i64)>,
}

#[derive(Debug, Default)]
struct Desk {
    found: HashMap<String, Found>,
    /// How many looks were asked for, and how many are done.
    asked: u64,
    done: u64,
    /// When the last one was done, and until when to rest.
    at: Option<(Instant, Instant)>,
}

/// The thread, as a scrape sees it.
pub(super) struct Processes {
    orders: SyncSender<Vec<Subject>>,
    desk: Arc<(Mutex<Desk>, Condvar)>,
}

impl Processes {
    /// Starts the thread if any of the sets asks for what it finds.
    pub(super) fn start(proc: PathBuf, sets: Sets) -> std::io::Result<Option<Self>> {
        if !sets.list_processes() && !sets.list_sockets() {
            return Ok(None);
        }
        let (orders, receiver) = sync_channel::<Vec<Subject>>(1);
        let desk: Arc<(Mutex<Desk>, Condvar)> = Arc::default();
        let theirs = desk.clone();
        std::thread::Builder::new().name("processes".to_owned()).stack_size(256 * 1024).spawn(move || {
            let mut round = Round::new(proc, sets);
            for subjects in receiver {
                let start = Instant::now();
                let found = std::panic::catch_unwind(AssertUnwindSafe(|| round.look(&subjects))).unwrap_or_default();
                let (desk, done) = &*theirs;
                let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                desk.found = found;
                desk.done += 1;
                desk.at = Some((now, now + start.elapsed().saturating_mul(REST)));
                done.notify_one();
            }
        })?;
        Ok(Some(Processes { orders, desk }))
    }

    /// Has `subjects` looked at, unless an earlier look is still under way or the thread rests, and writes what was found last of
    /// `cgroups`, which are paths and labels.
    pub(super) fn collect<'a>(
        &self,
        subjects: impl FnOnce() -> Vec<Subject>,
        cgroups: impl Iterator<Item = (&'a str, &'a Labels)> + Clone,
        out: &mut Samples,
    ) {
        let (desk, done) = &*self.desk;
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle = desk.asked == desk.done && desk.at.is_none_or(|(_, rest)| Instant::now() >= rest);
        if is_idle && self.orders.try_send(subjects()).is_ok() {
            desk.asked += 1;
            desk =
                done.wait_timeout_while(desk, PATIENCE, |desk| desk.done < desk.asked).unwrap_or_else(PoisonError::into_inner).0;
        }
        if desk.at.is_some_and(|(at, _)| at.elapsed() < OLDEST) {
            families::emit(&desk.found, cgroups, out);
        }
    }
}
