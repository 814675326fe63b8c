//! The one thread that looks at disks: at idle I/O priority, with a small share of a CPU, and left behind where a file system hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::system::syscalls::idle_io_priority;

/// How much longer than it works the thread takes: 2 % of a CPU.
const SLOWNESS: u32 = 50;
/// Sleeps shorter than this are saved up.
const SHORTEST: Duration = Duration::from_millis(2);
/// Entries between two looks at the CPU time that was used.
const PIECE: u64 = 64;
/// A call that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most threads that are left behind. With so many nothing is looked at until one comes back.
const MOST_STUCK: usize = 8;

/// Tells the outside that the thread lives.
#[derive(Debug, Default)]
struct Pulse {
    beats: AtomicU64,
    rests: AtomicBool,
}

/// Keeps a thread within its share of a CPU.
#[derive(Debug)]
pub(super) struct Pace {
    pulse: Arc<Pulse>,
    entries: u64,
    since: Instant,
    used: Duration,
}

impl Pace {
    fn new(pulse: Arc<Pulse>) -> Self {
        Pace { pulse, entries: 0, since: Instant::now(), used: used() }
    }

    /// A pace of a test's own thread.
    #[cfg(test)]
    pub(super) fn of_test() -> Self {
        Pace::new(Arc::default())
    }

    /// One more entry was looked at.
    pub(super) fn step(&mut self) {
        self.pulse.beats.fetch_add(1, Ordering::Relaxed);
        self.entries += 1;
        if self.entries.is_multiple_of(PIECE) {
            self.rest();
        }
    }

    /// Sleeps for as long as what was used since the last time is too much. Idle time before is not saved up.
    fn rest(&mut self) {
        let used = used();
        let due = used.saturating_sub(self.used).saturating_mul(SLOWNESS).saturating_sub(self.since.elapsed());
        if due < SHORTEST {
            return;
        }
        self.pulse.rests.store(true, Ordering::Relaxed);
        std::thread::sleep(due);
        self.pulse.beats.fetch_add(1, Ordering::Relaxed);
        self.pulse.rests.store(false, Ordering::Relaxed);
        self.used = used;
        self.begin();
    }

    fn begin(&mut self) {
        self.since = Instant::now();
    }
}

/// CPU time of this thread, to the nanosecond: getrusage(2) tells of the last few milliseconds only later.
fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

type Order = Box<dyn FnOnce(&mut Pace) + Send>;

/// A thread at work, and its signs of life.
#[derive(Debug)]
struct Worker {
    orders: SyncSender<Order>,
    pulse: Arc<Pulse>,
}

impl Worker {
    fn start() -> std::io::Result<Self> {
        let (orders, ordered) = sync_channel::<Order>(1);
        let pulse = Arc::new(Pulse::default());
        let beating = pulse.clone();
        std::thread::Builder::new().name("disk".to_owned()).stack_size(256 * 1024).spawn(move || {
            let mut pace = Pace::new(beating);
            // Without it the walk still keeps its share of a CPU.
            let _refused_is_harmless = idle_io_priority();
            for order in ordered {
                pace.begin();
                order(&mut pace);
                pace.rest();
            }
        })?;
        Ok(Worker { orders, pulse })
    }

    /// Signs of life so far; `None` while the thread sleeps by itself.
    fn beats(&self) -> Option<u64> {
        (!self.pulse.rests.load(Ordering::Relaxed)).then(|| self.pulse.beats.load(Ordering::Relaxed))
    }
}

/// Has work done, one piece after the other.
#[derive(Debug, Default)]
pub(super) struct Thread {
    worker: Option<Worker>,
    /// What hangs, and whether it has come back.
    stuck: Vec<(String, Arc<AtomicBool>)>,
}

impl Thread {
    /// Does `work`, named by `key`, and waits for it; `None` where it hangs, now or from an earlier time.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        key: &str,
        work: impl FnOnce(&mut Pace) -> T + Send + 'static,
    ) -> Option<T> {
        self.run_within(key, PATIENCE, work).await
    }

    async fn run_within<T: Send + 'static>(
        &mut self,
        key: &str,
        patience: Duration,
        work: impl FnOnce(&mut Pace) -> T + Send + 'static,
    ) -> Option<T> {
        self.stuck.retain(|(_, returned)| !returned.load(Ordering::Acquire));
        if self.stuck.len() >= MOST_STUCK || self.stuck.iter().any(|(stuck, _)| stuck == key) {
            return None;
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start().inspect_err(|error| tracing::warn!(%error, "no thread to look at disks with")).ok()?,
        };
        let (answer, mut answered) = oneshot::channel();
        let returned = Arc::new(AtomicBool::new(false));
        let back = Returned(returned.clone());
        let order = move |pace: &mut Pace| {
            let _back = back;
            // Nobody listens any more when it was late.
            let _ = answer.send(work(pace));
        };
        worker.orders.try_send(Box::new(order)).ok()?;
        let mut before = worker.beats();
        loop {
            if let Ok(answer) = timeout(patience, &mut answered).await {
                // A thread that panicked is made anew.
                self.worker = answer.is_ok().then_some(worker);
                return answer.ok();
            }
            let now = worker.beats();
            if now.is_some() && now == before {
                tracing::warn!(what = key, "a file system hangs: its figures stay as they were");
                self.stuck.push((key.to_owned(), returned));
                return None;
            }
            before = now;
        }
    }

    /// How many pieces of work hang.
    pub(super) fn stuck(&self) -> usize {
        self.stuck.iter().filter(|(_, returned)| !returned.load(Ordering::Acquire)).count()
    }
}

/// Tells that the work is over, also when it panicked.
struct Returned(Arc<AtomicBool>);

impl Drop for Returned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    #[test]
    fn a_busy_thread_keeps_its_share_of_a_cpu() {
        let mut pace = Pace::of_test();
        let (start, before) = (Instant::now(), used());
        let mut sum = 0_u64;
        while start.elapsed() < Duration::from_secs(2) {
            (0..5_000).for_each(|number| sum = std::hint::black_box(sum ^ number));
            pace.step();
        }
        pace.rest();
        let share = (used() - before).as_secs_f64() / start.elapsed().as_secs_f64();
        assert!((0.001..0.0225).contains(&share), "{share}");
    }

    fn threads() -> usize {
        let name = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        std::fs::read_dir("/proc/self/task").unwrap().flatten().map(name).filter(|name| name == "disk\n").count()
    }

    #[tokio::test]
    async fn what_hangs_costs_itself_only() {
        const SHORT: Duration = Duration::from_millis(400);
        let mut thread = Thread::default();
        let priority = thread.run("first", |_| std::fs::read_to_string("/proc/thread-self/comm").unwrap()).await;
        assert_eq!(priority.as_deref(), Some("disk\n"));
        let (open, gate) = channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let hang = move |gate: Arc<Mutex<Receiver<()>>>| move |_: &mut Pace| _ = gate.lock().unwrap().recv();
        assert_eq!(thread.run_within("dead", SHORT, hang(gate.clone())).await, None);
        assert_eq!((thread.stuck(), threads()), (1, 1), "left behind, and not yet replaced");
        assert_eq!(thread.run("alive", |_| 7).await, Some(7));
        // Asked again it does not pile up.
        for _ in 0..3 {
            assert_eq!(thread.run_within("dead", SHORT, hang(gate.clone())).await, None);
        }
        assert_eq!((thread.stuck(), threads()), (1, 2));
        // Slow is not dead.
        let slow = |pace: &mut Pace| {
            for _ in 0..12 {
                std::thread::sleep(Duration::from_millis(50));
                pace.step();
            }
            8
        };
        assert_eq!(thread.run_within("slow", SHORT, slow).await, Some(8));
        drop(open);
        while thread.stuck() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(thread.run("dead", |_| 9).await, Some(9), "it came back");
    }
}
