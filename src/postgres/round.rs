//! The statements of one scrape: which go into which message, and what has come in of each collector.
//!
//! All statements go out as one message and come back in one round trip. One that fails ends the message; the statements behind it
//! go out again without it, and from then on it stands at the end, where it holds nobody up; what is [refused](Refused) for good is left out.
//!
//! Sizes cost the server more than all the rest (4 of 8 ms with 5 small databases), and settings are most of the rows, so these are kept for
//! a while, and how old they are is told. A new session asks at once, as does the scrape after a [stamp](Statement::stamp) has changed.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use tokio::time::Instant;

use super::collector::{Entry, Server, Statement};
use super::databases;
use super::refused::{self, Refused};
use super::session::{Session, Trouble};
use super::table::Table;
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Job, panicked};
use crate::system::Fault;

/// One statement, as the session's server needs it.
pub(super) struct Planned {
    collector: &'static Entry,
    statement: &'static Statement,
    sql: Cow<'static, str>,
    /// The error it got when it was last run.
    refused: Option<Refused>,
    /// The rows of a statement that is not asked each time or is a stamp, and when they came.
    kept: Option<(Instant, Table)>,
}

static AGE: Family = Family::gauge(
    "pg_agent_cache_age_seconds",
    "How old the sizes or settings are that the collector shows; they are asked for again after --postgres.size-interval.",
);

/// The statements of `collectors` for `server`: those that read the disk come last.
pub(super) fn plan(collectors: &[&'static Entry], server: &Server) -> Vec<Planned> {
    let statements = collectors
        .iter()
        .flat_map(|collector| server.options.compat.statements(collector).map(move |statement| (*collector, statement)));
    let mut plan: Vec<Planned> = statements
        .filter_map(|(collector, statement)| {
            Some(Planned { collector, statement, sql: (statement.sql)(server)?, refused: None, kept: None })
        })
        .collect();
    plan.sort_by_key(|planned| planned.statement.slow);
    plan
}

/// Writes which statements of `plan` are left alone.
pub(super) fn emit_refused(plan: &[Planned], out: &mut Samples) {
    refused::emit(plan.iter().filter_map(|planned| Some((planned.collector.name, planned.refused.as_ref()?))), out);
}

/// Forgets the rows that are kept for `collector`, because they are not true any more.
pub(super) fn forget(plan: &mut [Planned], collector: &str) {
    let of = |planned: &&mut Planned| planned.collector.name == collector && planned.statement.kept;
    plan.iter_mut().filter(of).for_each(|planned| planned.kept = None);
}

/// What has come in of one collector.
struct Progress {
    collector: &'static Entry,
    samples: Samples,
    took: Duration,
    /// Statements not yet answered.
    open: usize,
    result: Result<(), Fault>,
}

/// One scrape of one target.
pub(super) struct Round<'a> {
    job: &'a Job,
    /// The collectors not yet handed in.
    waiting: Vec<Progress>,
    /// Whether any statement was answered.
    pub(super) answered: bool,
    /// The other databases of the server, if they were asked for.
    pub(super) databases: Option<Table>,
}

impl<'a> Round<'a> {
    /// The collectors that `job` wants; `labels` gives the labels that go on all samples of one.
    pub(super) fn new(job: &'a Job, collectors: &[&'static Entry], labels: impl Fn(&str) -> Labels) -> Self {
        let waiting = collectors.iter().filter(|collector| job.wants(collector.name)).map(|collector| Progress {
            collector,
            samples: Samples::with_common(labels(collector.name)),
            took: Duration::ZERO,
            open: 0,
            result: Ok(()),
        });
        Round { job, waiting: waiting.collect(), answered: false, databases: None }
    }

    /// Runs the statements of `plan` that are wanted and not yet answered, handing in each collector as soon as it is done.
    pub(super) async fn ask(&mut self, session: &mut Session, plan: &mut [Planned], until: Instant) -> Result<(), Trouble> {
        let mut queue = self.start(plan, &session.server);
        while !queue.is_empty() {
            let statements: Vec<&Planned> = queue.iter().filter_map(|&at| plan.get(at)).collect();
            let texts: Vec<&str> = statements.iter().map(|planned| planned.sql.as_ref()).collect();
            let (server, mut answered, mut fresh) = (session.server.clone(), 0, Vec::new());
            let asked = session.ask(&texts, until, |number, took, table| {
                answered = number + 1;
                if let Some(planned) = statements.get(number) {
                    if std::ptr::eq(planned.collector, &databases::ENTRY) {
                        self.databases = Some(table.clone());
                    }
                    if planned.statement.kept || planned.statement.stamp {
                        fresh.push((number, (Instant::now(), table.clone())));
                    }
                    self.answer(planned.collector, took, |samples| emit(planned, &server, table, Duration::ZERO, samples));
                }
            });
            let outcome = asked.await;
            for (number, rows) in fresh {
                let Some(planned) = queue.get(number).and_then(|&at| plan.get_mut(at)) else { continue };
                let (collector, is_stamp) = (planned.collector.name, planned.statement.stamp);
                let before = planned.kept.replace(rows);
                let changed = is_stamp && before.zip(planned.kept.as_ref()).is_some_and(|((_, before), (_, now))| before != *now);
                if changed {
                    forget(plan, collector);
                }
            }
            for at in queue.drain(..answered.min(queue.len())) {
                plan.get_mut(at).into_iter().for_each(|planned| planned.refused = None);
            }
            match (outcome, queue.first().and_then(|&at| plan.get_mut(at))) {
                (Ok(()), _) => break,
                (Err(Trouble::Refused(reason)), Some(planned)) => {
                    (planned.refused, planned.kept) = (Some(Refused::now(reason.clone())), None);
                    self.answer(planned.collector, Duration::ZERO, |_| Err(Fault::Remote(reason)));
                    queue.remove(0);
                }
                (Err(trouble), _) => return Err(trouble),
            }
        }
        self.hand_in();
        Ok(())
    }

    /// Counts what is open for each collector, from its beginning, and answers what is kept or refused for good. Gives the places in `plan`
    /// of the statements that are left, those that failed last.
    fn start(&mut self, plan: &[Planned], server: &Server) -> Vec<usize> {
        let of = |collector: &Entry, planned: &Planned| std::ptr::eq(planned.collector, collector);
        let mut queue: Vec<usize> = (0..plan.len()).collect();
        let is_waiting = |planned: &Planned| self.waiting.iter().any(|progress| of(progress.collector, planned));
        queue.retain(|&at| plan.get(at).is_some_and(is_waiting));
        queue.sort_by_key(|&at| plan.get(at).is_some_and(|planned| planned.refused.is_some()));
        for progress in &mut self.waiting {
            progress.samples.clear();
            progress.open = plan.iter().filter(|planned| of(progress.collector, planned)).count();
        }
        queue.retain(|&at| {
            let planned = plan.get(at);
            let refused = planned.and_then(|planned| Some((planned.collector, planned.refused.as_ref()?)));
            if let Some((collector, refused)) = refused.filter(|(_, refused)| refused.rests()) {
                self.take(collector, Duration::ZERO, |_| Err(Fault::Remote(refused.reason.clone())));
                return false;
            }
            let kept =
                planned.filter(|planned| planned.statement.kept).and_then(|planned| Some((planned, planned.kept.as_ref()?)));
            let Some((planned, (since, rows))) = kept.filter(|(_, (since, _))| since.elapsed() < server.options.size_interval)
            else {
                return true;
            };
            self.take(planned.collector, Duration::ZERO, |samples| emit(planned, server, rows, since.elapsed(), samples));
            false
        });
        queue
    }

    /// Takes in one statement's answer, and hands in what is complete by it.
    fn answer(&mut self, collector: &Entry, took: Duration, emit: impl FnOnce(&mut Samples) -> Result<(), Fault>) {
        self.answered = true;
        self.take(collector, took, emit);
        self.hand_in();
    }

    /// Takes in one statement's rows. What they complete is handed in with the server's first answer: without one it is down.
    fn take(&mut self, collector: &Entry, took: Duration, emit: impl FnOnce(&mut Samples) -> Result<(), Fault>) {
        let Some(progress) = self.waiting.iter_mut().find(|progress| std::ptr::eq(progress.collector, collector)) else { return };
        let start = Instant::now();
        let result = emit(&mut progress.samples);
        progress.took += took + start.elapsed();
        progress.open = progress.open.saturating_sub(1);
        if result.is_err() {
            progress.result = result;
        }
    }

    /// Hands in every collector that has nothing open.
    fn hand_in(&mut self) {
        for mut progress in self.waiting.extract_if(.., |progress| progress.open == 0) {
            self.job.hand_in(progress.collector.name, progress.took, progress.result, &mut progress.samples);
        }
    }

    /// Hands in what is left, with `fault` for its reason.
    pub(super) fn give_up(&mut self, fault: impl Fn() -> Fault) {
        for mut progress in self.waiting.drain(..) {
            self.job.hand_in(progress.collector.name, progress.took, Err(fault()), &mut progress.samples);
        }
    }
}

/// Writes one answer's samples, from rows that came `age` ago; a panic costs its own collector only.
fn emit(planned: &Planned, server: &Server, table: &Table, age: Duration, samples: &mut Samples) -> Result<(), Fault> {
    let written = std::panic::catch_unwind(AssertUnwindSafe(|| (planned.statement.emit)(server, table, samples)))
        .unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
    if planned.statement.kept {
        samples.family(&AGE).add([("collector", planned.collector.name)], age.as_secs_f64());
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::server;

    #[test]
    fn what_reads_the_disk_comes_last_and_locks_first() {
        for major in 10..=18 {
            let plan = plan(&crate::postgres::entries().collect::<Vec<_>>(), &server(major));
            assert_eq!(plan[0].collector.name, "locks");
            let first = plan.iter().position(|planned| planned.statement.slow).unwrap();
            assert!(plan[first..].iter().all(|planned| planned.statement.slow));
            assert!(plan.iter().all(|planned| !planned.sql.contains(';')), "one statement each");
        }
    }
}
