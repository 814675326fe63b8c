//! Calls that may never return: statfs of a dead NFS server, a read from a stopped FUSE file system.
//!
//! The kernel leaves no way to give such a call up, so it is made on a helper thread that can be left behind. What is
//! asked is named by a key; a key whose call has not come back is not asked again until it has. So at most one thread
//! ever waits for each key, however many scrapes pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

/// After so long without any answer the calls not yet begun are given to one more helper.
const SLOW: Duration = Duration::from_millis(50);

/// The most threads that may wait for calls that do not return.
const MOST_STUCK: usize = 64;

/// Makes calls, and remembers which ones did not come back.
pub struct Patience<K> {
    name: &'static str,
    stuck: Vec<(Arc<Batch<K>>, usize)>,
}

/// The calls of one scrape. Helpers take them in turn.
struct Batch<K> {
    calls: Vec<Call<K>>,
    next: AtomicUsize,
}

struct Call<K> {
    key: K,
    returned: AtomicBool,
}

impl<K: PartialEq + Send + Sync + 'static> Patience<K> {
    /// Nothing asked yet; helper threads will be called `name`.
    pub const fn new(name: &'static str) -> Self {
        Patience { name, stuck: Vec::new() }
    }

    /// Calls `call` for each of `keys` and returns the answers in their order by `until`: `None` for a call that was not back
    /// by then, or that is still not back from an earlier time.
    pub fn ask<T: Send + 'static>(
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
                calls.push(Call { key, returned: AtomicBool::new(false) });
            }
            answers.push(None);
        }
        let batch = Arc::new(Batch { calls, next: AtomicUsize::new(0) });
        self.run(&batch, until, call, |at, answer| {
            if let Some(place) = places.get(at).and_then(|place| answers.get_mut(*place)) {
                *place = Some(answer);
            }
        });
        answers
    }

    /// How many calls have not come back.
    pub fn stuck(&self) -> usize {
        self.stuck.len()
    }

    fn is_stuck(&self, key: &K) -> bool {
        self.stuck.iter().any(|(batch, at)| batch.calls.get(*at).is_some_and(|call| call.key == *key))
    }

    fn run<T: Send + 'static>(
        &mut self,
        batch: &Arc<Batch<K>>,
        until: Instant,
        call: impl Fn(&K) -> T + Send + Sync + 'static,
        mut took: impl FnMut(usize, T),
    ) {
        let (call, (sender, receiver)) = (Arc::new(call), mpsc::channel());
        let helper = |helpers: &mut usize| {
            let (batch, call, sender) = (batch.clone(), call.clone(), sender.clone());
            let thread = std::thread::Builder::new().name(self.name.to_owned()).stack_size(128 * 1024);
            *helpers += usize::from(thread.spawn(move || batch.work(&*call, &sender)).is_ok());
        };
        let (mut helpers, mut waiting) = (0, batch.calls.len());
        while waiting > 0 {
            let left = until.saturating_duration_since(Instant::now());
            let may_help = helpers + self.stuck.len() < MOST_STUCK && batch.has_more();
            if helpers == 0 && may_help {
                helper(&mut helpers);
            }
            if left.is_zero() || helpers == 0 {
                break;
            }
            match receiver.recv_timeout(if may_help { left.min(SLOW) } else { left }) {
                Ok((at, answer)) => {
                    waiting -= 1;
                    took(at, answer);
                }
                Err(_) if may_help => helper(&mut helpers),
                Err(_) => {}
            }
        }
        let begun = batch.close();
        for (at, answer) in receiver.try_iter() {
            took(at, answer);
        }
        self.stuck.extend((0..begun).filter(|at| batch.is_out(*at)).map(|at| (batch.clone(), at)));
    }
}

impl<K> Batch<K> {
    fn work<T>(&self, call: &impl Fn(&K) -> T, answers: &Sender<(usize, T)>) {
        loop {
            let at = self.next.fetch_add(1, Ordering::AcqRel);
            let Some(mine) = self.calls.get(at) else { return };
            // Also told when `call` panics; and before the answer is, so that no answered call passes for a stuck one.
            let returned = Returned(&mine.returned);
            let answer = call(&mine.key);
            drop(returned);
            // Nobody listens any more when it was late.
            let _ = answers.send((at, answer));
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

struct Returned<'a>(&'a AtomicBool);

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
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
            (answers, patience.stuck())
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
        assert_eq!(threads(), 3);

        *gate.open.lock().unwrap() = true;
        gate.opened.notify_all();
        let end = Instant::now() + Duration::from_secs(10);
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
            assert_eq!(patience.stuck(), MOST_STUCK);
        }
        *gate.open.lock().unwrap() = true;
        gate.opened.notify_all();

        let mut patience = Patience::new("patience-panic");
        let until = Instant::now() + Duration::from_millis(100);
        assert_eq!(patience.ask([1], until, |_| -> u8 { panic!("on purpose") }), [None]);
        let end = Instant::now() + Duration::from_secs(10);
        while patience.stuck() > 0 {
            assert!(Instant::now() < end, "a call that panicked passes for stuck");
            patience.ask([], Instant::now(), |_| 0);
        }
    }
}
