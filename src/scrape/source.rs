//! A source of samples: an actor with a mailbox of one.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use super::report::{Advised, Kept};
use super::{Advice, Outcome, Part, Selection};
use crate::exposition::{Labels, Samples};
use crate::system::Fault;

/// What is handed in for one scrape, until it is closed at the deadline.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) samples: Samples,
    pub(super) outcomes: Vec<Outcome>,
    closed: bool,
}

/// One scrape's order to one source.
pub struct Job {
    part: Part,
    selection: Selection,
    deadline: Instant,
    plain: bool,
    slot: Arc<Mutex<Slot>>,
    /// Dropped with the job, in this order: free for the next job first, then the scraper hears that all is done.
    _working: Working,
    _done: oneshot::Sender<()>,
}

/// Marks a source as at work while its job lives.
struct Working(Arc<AtomicBool>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Job {
    /// Whether this scrape asks for `collector`.
    pub fn wants(&self, collector: &str) -> bool {
        self.selection.wants(self.part, collector)
    }

    /// Whether the page shows this source alone, so that the samples carry no label `target`.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// When the page leaves, done or not.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Time left; zero past the deadline.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Runs one collector of a thread's if it is asked for and there is time left: timed, its panic caught, its samples
    /// (first into `scratch`) handed in at once.
    pub fn run(&self, collector: &'static str, scratch: &mut Samples, collect: impl FnOnce(&mut Samples) -> Result<(), Fault>) {
        if !self.wants(collector) {
            return;
        }
        let start = Instant::now();
        let result = if start >= self.deadline {
            Err(Fault::Late)
        } else {
            std::panic::catch_unwind(AssertUnwindSafe(|| collect(scratch))).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
        };
        self.hand_in(collector, start.elapsed(), result, scratch);
    }

    /// Hands in what `collector` found (moved out of `samples`) and what became of it. Past the deadline both are dropped.
    pub fn hand_in(&self, collector: &'static str, duration: Duration, result: Result<(), Fault>, samples: &mut Samples) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.closed {
            samples.clear();
            return;
        }
        slot.outcomes.push(Outcome { collector, duration, series: samples.series(), result });
        slot.samples.append(samples);
    }
}

/// What a panic said.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Fault {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    Fault::Panic(text.unwrap_or_else(|| "no message".to_owned()))
}

/// What waits instead of blocking: a database, an engine. One worker is one target.
pub trait Worker: Send + 'static {
    /// Collects what the job wants and hands it in. Whatever it awaits, it gives up at the job's deadline by itself;
    /// if it does not, the page leaves without it all the same.
    fn collect(&mut self, job: &Job) -> impl Future<Output = ()> + Send;

    /// Called after a panic in [`collect`](Self::collect): drop whatever may be half done (a connection).
    fn reset(&mut self);
}

enum Mailbox {
    Thread(SyncSender<Job>),
    Task(mpsc::Sender<Job>),
}

/// A source of samples.
pub struct Source {
    /// Whose samples these are.
    pub part: Part,
    /// Thread or target name, unique within the part.
    pub name: String,
    /// `target="…"`, or empty: goes on every series that tells of this source.
    pub labels: Labels,
    /// The collectors it answers for.
    pub collectors: Vec<&'static str>,
    /// Where a target is asked, without a secret; empty for what is no target.
    pub(super) address: String,
    /// Who named a target: `settings`, or another server (`topology`).
    pub(super) named_by: &'static str,
    /// What the checks of its worker found.
    pub(super) advised: Advised,
    /// What became of its last scrapes.
    pub(super) kept: Kept,
    mailbox: Mailbox,
    working: Arc<AtomicBool>,
    /// Held by the scrape that is waiting for the answer.
    turn: tokio::sync::Mutex<()>,
}

impl Source {
    fn new(part: Part, name: String, collectors: Vec<&'static str>, mailbox: Mailbox) -> Self {
        let (working, turn) = (Arc::new(AtomicBool::new(false)), tokio::sync::Mutex::new(()));
        let (labels, address, advised, kept) = Default::default();
        Source { part, name, labels, collectors, address, named_by: "settings", advised, kept, mailbox, working, turn }
    }

    /// A source that blocks: `work` runs on a thread of its own, once for each scrape.
    pub fn thread(
        part: Part,
        name: &str,
        collectors: Vec<&'static str>,
        mut work: impl FnMut(&Job) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Job>(1);
        std::thread::Builder::new().name(name.to_owned()).stack_size(512 * 1024).spawn(move || {
            for job in receiver {
                // A panic outside of Job::run costs this scrape of this source; the scraper tells what is missing.
                let _ = std::panic::catch_unwind(AssertUnwindSafe(|| work(&job)));
            }
        })?;
        Ok(Source::new(part, name.to_owned(), collectors, Mailbox::Thread(sender)))
    }

    /// A source that waits: `worker` lives in a task of the runtime this is called in.
    pub fn task(part: Part, name: &str, collectors: Vec<&'static str>, mut worker: impl Worker) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Job>(1);
        tokio::spawn(async move {
            while let Some(job) = receiver.recv().await {
                if let Err(panic) = AssertUnwindSafe(worker.collect(&job)).catch_unwind().await {
                    tracing::error!(source = "task", error = %panicked(panic.as_ref()), "a worker panicked");
                    worker.reset();
                }
            }
        });
        Source::new(part, name.to_owned(), collectors, Mailbox::Task(sender))
    }

    /// Puts `labels` on the outcome metrics of this source. The worker puts them on its samples itself.
    pub fn with_labels(self, labels: Labels) -> Self {
        Source { labels, ..self }
    }

    /// Shows what the worker's checks find.
    pub fn with_advice(self, advised: Advised) -> Self {
        Source { advised, ..self }
    }

    /// What the worker's checks found last, with their severity.
    pub fn advice(&self) -> Vec<(&'static str, &'static Advice)> {
        self.advised.get()
    }

    /// Says where a target is asked, without a secret, and who named it.
    pub fn at(self, address: String, named_by: &'static str) -> Self {
        Source { address, named_by, ..self }
    }

    /// Asks for one scrape. Returns by the deadline with whatever was handed in, and an outcome for each collector asked for.
    /// `plain`: see [`Job::is_plain`].
    pub(super) async fn ask(&self, selection: &Selection, deadline: Instant, plain: bool) -> (Samples, Vec<Outcome>) {
        let wanted = || self.collectors.iter().copied().filter(|name| selection.wants(self.part, name));
        if wanted().next().is_none() {
            return (Samples::new(), Vec::new());
        }
        let start = Instant::now();
        let slot = Arc::new(Mutex::new(Slot::default()));
        let waited = tokio::time::timeout_at(deadline.into(), async {
            let turn = self.turn.lock().await;
            let done = self.post(selection, deadline, plain, &slot);
            let sent = done.is_some();
            if let Some(done) = done {
                let _ = done.await;
            }
            drop(turn);
            sent
        })
        .await;
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.closed = true;
        let (samples, mut outcomes) = (std::mem::take(&mut slot.samples), std::mem::take(&mut slot.outcomes));
        for collector in wanted() {
            if !outcomes.iter().any(|outcome| outcome.collector == collector) {
                let fault = match waited {
                    Err(_) => Fault::Late,
                    Ok(false) => Fault::Busy,
                    Ok(true) => Fault::Panic("gave no answer".to_owned()),
                };
                outcomes.push(Outcome { collector, duration: start.elapsed(), series: 0, result: Err(fault) });
            }
        }
        (samples, outcomes)
    }

    fn post(
        &self,
        selection: &Selection,
        deadline: Instant,
        plain: bool,
        slot: &Arc<Mutex<Slot>>,
    ) -> Option<oneshot::Receiver<()>> {
        if self.working.swap(true, Ordering::AcqRel) {
            return None;
        }
        let (done, answer) = oneshot::channel();
        let job = Job {
            part: self.part,
            selection: selection.clone(),
            deadline,
            plain,
            slot: slot.clone(),
            _done: done,
            _working: Working(self.working.clone()),
        };
        let sent = match &self.mailbox {
            Mailbox::Thread(sender) => sender.try_send(job).is_ok(),
            Mailbox::Task(sender) => sender.try_send(job).is_ok(),
        };
        sent.then_some(answer)
    }
}
