//! Calls that may never return: statfs of a dead NFS server, a read from a stopped FUSE file system.
//!
//! The kernel leaves no way to give such a call up, so it is made on a helper thread that can be left behind. What is
//! asked is named by a key; a key whose call has not come back is not asked again until it has. So at most one thread
//! ever waits for each key, however many scrapes pass.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After so long without any answer the calls not yet begun are given to one more helper.
const SLOW: Duration = Duration::from_millis(50);

/// The most threads that may wait for calls that do not return.
const MOST_STUCK: usize = 64;

/// Makes calls, and remembers which ones did not come back.
pub struct Patience<K, T> {
    name: &'static str,
    stuck: Vec<(Arc<Batch<K, T>>, usize)>,
}

/// The calls of one scrape. Helpers take them in turn, and only the last answer wakes whoever asked.
struct Batch<K, T> {
    calls: Vec<Call<K, T>>,
    next: AtomicUsize,
    waiting: AtomicUsize,
}

struct Call<K, T> {
    key: K,
    answer: Mutex<Option<T>>,
    returned: AtomicBool,
}

impl<K: PartialEq + Send + Sync + 'static, T: Send + 'static> Patience<K, T> {
    /// Nothing asked yet; helper threads will be called `name`.
    pub const fn new(name: &'static str) -> Self {
        Patience { name, stuck: Vec::new() }
    }

    /// Calls `call` for each of `keys` and returns the answers in their order by `until`: `None` for a call that was not back
    /// by then, or that is still not back from an earlier time.
    pub fn ask(
        &mut self,
        keys: impl IntoIterator<Item = K>,
        until: Instant,
        call: impl Fn(&K) -> T + Send + Sync + 'static,
    ) -> Vec<Option<T>> {
        self.stuck.retain(|(batch, at)| batch.is_out(*at));
        let (mut answers, mut places, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        for key in keys {
            if !self.is_stuck(&key) {
                places.push(answers.len());
                calls.push(Call { key, answer: Mutex::new(None), returned: AtomicBool::new(false) });
            }
            answers.push(None);
        }
        let batch = Arc::new(Batch { next: AtomicUsize::new(0), waiting: AtomicUsize::new(calls.len()), calls });
        self.run(&batch, until, call);
        let begun = batch.close();
        for (at, (place, call)) in places.into_iter().zip(&batch.calls).enumerate() {
            let answer = call.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
            if answer.is_none() && at < begun && batch.is_out(at) {
                self.stuck.push((batch.clone(), at));
            }
            if let Some(place) = answers.get_mut(place) {
                *place = answer;
            }
        }
        answers
    }

    /// What helper threads are called.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The keys whose calls have not come back.
    pub fn stuck(&self) -> impl Iterator<Item = &K> {
        self.stuck.iter().filter_map(|(batch, at)| batch.calls.get(*at)).map(|call| &call.key)
    }

    fn is_stuck(&self, key: &K) -> bool {
        self.stuck.iter().any(|(batch, at)| batch.calls.get(*at).is_some_and(|call| call.key == *key))
    }

    /// Returns when all calls are back, or at `until`.
    fn run(&self, batch: &Arc<Batch<K, T>>, until: Instant, call: impl Fn(&K) -> T + Send + Sync + 'static) {
        let (call, (done, all_done)) = (Arc::new(call), channel());
        let mut helpers = 0;
        let mut help = || {
            let (batch, call, done) = (batch.clone(), call.clone(), done.clone());
            let thread = std::thread::Builder::new().name(self.name.to_owned()).stack_size(128 * 1024);
            helpers += usize::from(thread.spawn(move || batch.work(&*call, &done)).is_ok());
            helpers
        };
        let (mut helping, mut before) = (0, usize::MAX);
        loop {
            let waiting = batch.waiting.load(Ordering::Acquire);
            let left = until.saturating_duration_since(Instant::now());
            if waiting == 0 || left.is_zero() {
                return;
            }
            let may_help = batch.has_more() && helping + self.stuck.len() < MOST_STUCK;
            if may_help && (helping == 0 || waiting == before) {
                helping = help();
            }
            if helping == 0 || all_done.recv_timeout(if may_help { left.min(SLOW) } else { left }).is_ok() {
                return;
            }
            before = waiting;
        }
    }
}

impl<K, T> Batch<K, T> {
    fn work(&self, call: &impl Fn(&K) -> T, done: &Sender<()>) {
        loop {
            let at = self.next.fetch_add(1, Ordering::AcqRel);
            let Some(mine) = self.calls.get(at) else { return };
            let _returned = Returned { call: &mine.returned, waiting: &self.waiting, done };
            let answer = call(&mine.key);
            *mine.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        }
    }

    fn has_more(&self) -> bool {
        self.next.load(Ordering::Acquire) < self.calls.len()
    }

    /// Keeps helpers from beginning another call; returns how many were begun.
    fn close(&self) -> usize {
        self.next.swap(self.calls.len(), Ordering::AcqRel).min(self.calls.len())
    }

    /// Whether a call that was begun has not come back.
    fn is_out(&self, at: usize) -> bool {
        self.calls.get(at).is_some_and(|call| !call.returned.load(Ordering::Acquire))
    }
}

/// Tells that a call is back, also when it panicked.
struct Returned<'a> {
    call: &'a AtomicBool,
    waiting: &'a AtomicUsize,
    done: &'a Sender<()>,
}

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        self.call.store(true, Ordering::Release);
        if self.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Nobody listens any more when it was late.
            let _ = self.done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// A call that hangs for odd keys until it is let go.
    #[derive(Default)]
    struct Gate {
        open: Mutex<bool>,
        opened: Condvar,
        calls: AtomicUsize,
    }

    impl Gate {
        fn pass(&self, key: u32) -> u32 {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if key % 2 == 1 {
                let open = self.open.lock().unwrap();
                drop(self.opened.wait_while(open, |open| !*open).unwrap());
            }
            key * 10
        }
    }

    fn threads() -> usize {
        let name = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        std::fs::read_dir("/proc/self/task").unwrap().flatten().map(name).filter(|name| name == "patience-test\n").count()
    }

    #[test]
    fn what_hangs_costs_itself_only_and_one_thread_and_its_recovery_is_noticed() {
        let (gate, mut patience) = (Arc::new(Gate::default()), Patience::new("patience-test"));
        let mut ask = |limit| {
            let gate = gate.clone();
            let answers = patience.ask(0..6, Instant::now() + Duration::from_millis(limit), move |key| gate.pass(*key));
            (answers, patience.stuck().count())
        };
        let even = vec![Some(0), None, Some(20), None, Some(40), None];
        assert_eq!(ask(1000), (even.clone(), 3));
        assert_eq!(gate.calls.load(Ordering::Relaxed), 6);
        for _ in 0..100 {
            let start = Instant::now();
            assert_eq!(ask(10_000), (even.clone(), 3));
            assert!(start.elapsed() < Duration::from_secs(5), "a scrape waited for calls known to hang");
        }
        assert_eq!(gate.calls.load(Ordering::Relaxed), 6 + 300, "only the even keys are asked again");
        let end = Instant::now() + Duration::from_secs(20);
        while threads() != 3 {
            assert!(Instant::now() < end, "{} threads wait for three calls", threads());
        }

        *gate.open.lock().unwrap() = true;
        gate.opened.notify_all();
        while ask(1000).1 > 0 {
            assert!(Instant::now() < end, "recovery is not noticed");
        }
        assert_eq!(ask(1000), (vec![Some(0), Some(10), Some(20), Some(30), Some(40), Some(50)], 0));
        while threads() > 0 {
            assert!(Instant::now() < end, "helpers stay");
        }
    }

    #[test]
    fn threads_are_bounded_and_a_panic_is_not_stuck() {
        let (gate, mut patience) = (Arc::new(Gate::default()), Patience::new("patience-many"));
        let keys = || (0..200).map(|key| key * 2 + 1);
        for _ in 0..2 {
            let gate = gate.clone();
            let until = Instant::now() + Duration::from_secs(4);
            let answers = patience.ask(keys(), until, move |key| gate.pass(*key));
            assert!(answers.iter().all(Option::is_none));
            assert_eq!(patience.stuck().count(), MOST_STUCK);
        }
        *gate.open.lock().unwrap() = true;
        gate.opened.notify_all();

        let mut patience = Patience::new("patience-panic");
        let until = Instant::now() + Duration::from_millis(100);
        assert_eq!(patience.ask([1], until, |_| -> u8 { panic!("on purpose") }), [None]);
        let end = Instant::now() + Duration::from_secs(10);
        while patience.stuck().count() > 0 {
            assert!(Instant::now() < end, "a call that panicked passes for stuck");
            patience.ask([], Instant::now(), |_| 0);
        }
    }
}
