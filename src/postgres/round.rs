//! The statements of one scrape: which go into which message, and what has come in of each collector.
//!
//! All statements go out as one message and come back in one round trip. One that fails ends the message; the statements behind it
//! go out again without it, and from then on it stands at the end, where it holds nobody up; what is [refused](Refused) for good is left out,
//! as is what a [gate](super::gates) says to have no rows. A gate that turns out to have opened costs a second message, once.
//!
//! Sizes cost the server more than all the rest (4 of 8 ms with 5 small databases), and settings are most of the rows, so these are kept for
//! a while, each kind on a [schedule](super::schedule) of its own, and how old they are is told. A new session asks at once, as does the scrape
//! after a [stamp](Statement::stamp) has changed. Each of them is a message of its own, and all that one scrape sends may take
//! `--postgres.slow-budget`: what is left then waits for the next scrape, and shows what it had.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use tokio::time::Instant;

use super::asked::{self, Asked};
use super::collector::{Entry, Server, Statement};
use super::databases;
use super::gates::Gates;
use super::refused::{self, Refused};
use super::session::{Session, Trouble};
use super::table::Table;
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Job, panicked};
use crate::system::Fault;

/// All that is asked of one session's server.
pub(super) struct Plan {
    list: Vec<Planned>,
    gates: Gates,
    /// What became of asking.
    asked: Asked,
}

/// One statement, as the session's server needs it.
struct Planned {
    collector: &'static Entry,
    statement: &'static Statement,
    sql: Cow<'static, str>,
    /// The error it got when it was last run.
    refused: Option<Refused>,
    /// The rows of a statement that is not asked each time or is a stamp.
    kept: Option<Kept>,
}

/// Rows that hold for a while.
struct Kept {
    since: Instant,
    table: Table,
    /// Their samples, with or without the labels of the merged page.
    shown: Option<(bool, Samples)>,
}

static AGE: Family = Family::gauge(
    "pg_agent_cache_age_seconds",
    "How old the sizes, settings, bloat or indexes are that the collector shows; each is asked for again after an interval of its own.",
);

/// The statements of `collectors` for `server`: those that read the disk come last. Failures of the plan `before` still count.
pub(super) fn plan(collectors: &[&'static Entry], server: &Server, before: Option<Plan>) -> Plan {
    let statements = collectors
        .iter()
        .flat_map(|collector| server.options.compat.statements(collector).map(move |statement| (*collector, statement)));
    let mut list: Vec<Planned> = statements
        .filter_map(|(collector, statement)| {
            Some(Planned { collector, statement, sql: (statement.sql)(server)?, refused: None, kept: None })
        })
        .collect();
    list.sort_by_key(|planned| (planned.statement.kept.is_some(), planned.statement.slow));
    let asked =
        before.map_or_else(Asked::default, |before| before.asked).renewed(list.iter().map(|planned| planned.collector.name));
    Plan { list, gates: Gates::new(server), asked }
}

impl Plan {
    /// Writes which statements are left alone.
    pub(super) fn emit_refused(&self, out: &mut Samples) {
        refused::emit(self.list.iter().filter_map(|planned| Some((planned.collector.name, planned.refused.as_ref()?))), out);
    }

    /// Writes how long statements took.
    pub(super) fn emit_asked(&self, out: &mut Samples) {
        self.asked.emit(out);
    }

    /// Writes how often statements had no answer.
    pub(super) fn emit_failures(&self, out: &mut Samples) {
        self.asked.emit_failures(out);
    }

    /// The first of what is left in `groups` was not answered; where nothing is left, the question which gates are open.
    fn note_failure(&mut self, groups: &[Vec<usize>], trouble: &Trouble) {
        let query = groups.first().and_then(|group| Some(self.get(*group.first()?)?.collector.name));
        self.asked.failed(query.unwrap_or(asked::GATES), trouble);
    }

    /// Forgets the rows that are kept for `collector`, because they are not true any more.
    pub(super) fn forget(&mut self, collector: &str) {
        let of = |planned: &&mut Planned| planned.collector.name == collector && planned.statement.kept.is_some();
        self.list.iter_mut().filter(of).for_each(|planned| planned.kept = None);
    }

    fn get(&self, at: usize) -> Option<&Planned> {
        self.list.get(at)
    }

    /// Keeps the rows of the statement at `at`, if they are to be kept.
    fn keep(&mut self, at: usize, table: Table) {
        let Some(planned) = self.list.get_mut(at) else { return };
        let (collector, is_stamp) = (planned.collector.name, planned.statement.stamp);
        let before = planned.kept.replace(Kept { since: Instant::now(), table, shown: None });
        let changed = before.zip(planned.kept.as_ref()).is_some_and(|(before, now)| before.table != now.table);
        if is_stamp && changed {
            self.forget(collector);
        }
    }

    /// The places of `queue`, those together whose statements have the same text.
    fn grouped(&self, queue: &[usize]) -> Vec<Vec<usize>> {
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::with_capacity(queue.len());
        for (at, sql) in queue.iter().filter_map(|&at| Some((at, self.get(at)?.sql.as_ref()))) {
            match groups.iter_mut().find(|(text, _)| *text == sql) {
                Some((_, group)) => group.push(at),
                None => groups.push((sql, vec![at])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }
}

/// What has come in of one collector.
struct Progress {
    collector: &'static Entry,
    labels: Labels,
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

/// Where the statements of a scrape stand in the plan.
#[derive(Default)]
struct Queue {
    /// To be asked now, those that failed last at the end.
    now: Vec<usize>,
    /// Not to be asked unless their gate has opened.
    shut: Vec<usize>,
    /// To be asked one by one, as far as the budget goes; the oldest first.
    due: Vec<usize>,
}

impl<'a> Round<'a> {
    /// The collectors that `job` wants; `labels` gives the labels that go on all samples of one.
    pub(super) fn new(job: &'a Job, collectors: &[&'static Entry], labels: impl Fn(&str) -> Labels) -> Self {
        let waiting = collectors.iter().filter(|collector| job.wants(collector.name)).map(|collector| {
            let labels = labels(collector.name);
            let samples = Samples::with_common(labels.clone());
            Progress { collector, labels, samples, took: Duration::ZERO, open: 0, result: Ok(()) }
        });
        Round { job, waiting: waiting.collect(), answered: false, databases: None }
    }

    /// Runs the statements of `plan` that are wanted and not yet answered, handing in each collector as soon as it is done.
    pub(super) async fn ask(&mut self, session: &mut Session, plan: &mut Plan, until: Instant) -> Result<(), Trouble> {
        let Queue { now, shut, due } = self.start(plan, &session.server);
        let limit = until.saturating_duration_since(Instant::now());
        self.send(session, plan, &now, true, (until, limit)).await?;
        let is_open = |at: &usize| plan.get(*at).is_some_and(|planned| plan.gates.is_open(planned.statement.gate));
        let (opened, shut): (Vec<usize>, Vec<usize>) = shut.into_iter().partition(is_open);
        for planned in shut.into_iter().filter_map(|at| plan.get(at)) {
            self.take(planned.collector, Duration::ZERO, |_| Ok(()));
        }
        self.hand_in();
        self.send(session, plan, &opened, false, (until, limit)).await?;
        let end = Instant::now() + session.server.options.slow_budget;
        for at in due {
            let left = end.min(until).saturating_duration_since(Instant::now());
            if left.is_zero() {
                plan.list.get_mut(at).into_iter().for_each(|planned| self.show(planned, &session.server, Ok(())));
            } else {
                self.send(session, plan, &[at], false, (until, left)).await?;
            }
        }
        self.hand_in();
        Ok(())
    }

    /// Sends the statements at the places in `queue`, and with `gates` the question which gates are open, again without those that failed until
    /// all are answered. Of the `limits` the first ends the session, the second one statement.
    async fn send(
        &mut self,
        session: &mut Session,
        plan: &mut Plan,
        queue: &[usize],
        gates: bool,
        limits: (Instant, Duration),
    ) -> Result<(), Trouble> {
        let mut groups = plan.grouped(queue);
        loop {
            let mut texts: Vec<&str> = groups.iter().filter_map(|group| Some(plan.get(*group.first()?)?.sql.as_ref())).collect();
            texts.extend(plan.gates.sql.as_deref().filter(|_| gates));
            if texts.is_empty() {
                return Ok(());
            }
            let (server, mut answered, mut fresh, mut open) = (session.server.clone(), 0, Vec::new(), None);
            let mut times = Vec::with_capacity(plan.list.len());
            let asked = session.ask(&texts, limits, |number, took, table| {
                answered = number + 1;
                let Some(group) = groups.get(number) else {
                    open = Some(table.clone());
                    return;
                };
                for (nth, &at) in group.iter().enumerate() {
                    let Some(planned) = plan.get(at) else { continue };
                    if std::ptr::eq(planned.collector, &databases::ENTRY) {
                        self.databases = Some(table.clone());
                    }
                    if planned.statement.kept.is_some() || planned.statement.stamp {
                        fresh.push((at, table.clone()));
                    }
                    let took = if nth == 0 { took } else { Duration::ZERO };
                    times.push((at, took));
                    self.answer(planned.collector, took, |samples| {
                        if planned.statement.kept.is_some() {
                            aged(planned.collector, Duration::ZERO, samples);
                        }
                        emit(planned.statement, &server, table, samples)
                    });
                }
            });
            let outcome = asked.await;
            times.into_iter().for_each(|(at, took)| plan.asked.answered(at, took));
            fresh.into_iter().for_each(|(at, table)| plan.keep(at, table));
            open.iter().for_each(|table| plan.gates.read(table));
            for at in groups.drain(..answered.min(groups.len())).flatten() {
                plan.list.get_mut(at).into_iter().for_each(|planned| planned.refused = None);
            }
            outcome.as_ref().err().into_iter().for_each(|trouble| plan.note_failure(&groups, trouble));
            match outcome {
                Ok(()) => return Ok(()),
                Err(Trouble::Refused(_)) if groups.is_empty() => plan.gates.give_up(),
                Err(Trouble::Refused(reason)) => {
                    for at in groups.remove(0) {
                        let Some(planned) = plan.list.get_mut(at) else { continue };
                        planned.refused = Some(Refused::now(reason.clone()));
                        self.answered = true;
                        self.show(planned, &session.server, Err(Fault::Remote(reason.clone())));
                    }
                    self.hand_in();
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Counts what is open for each collector, from its beginning, answers what is kept or refused for good, and sorts what is left.
    fn start(&mut self, plan: &mut Plan, server: &Server) -> Queue {
        for progress in &mut self.waiting {
            progress.samples.clear();
            progress.open = plan.list.iter().filter(|planned| std::ptr::eq(planned.collector, progress.collector)).count();
        }
        let mut queue = Queue::default();
        for (at, planned) in plan.list.iter_mut().enumerate() {
            if !self.waiting.iter().any(|progress| std::ptr::eq(progress.collector, planned.collector)) {
                continue;
            }
            let interval = planned.statement.kept.map(|schedule| schedule.interval(&server.options));
            let failed = planned.refused.as_ref().filter(|refused| refused.rests(interval)).map(|refused| refused.reason.clone());
            if let Some(reason) = failed {
                self.show(planned, server, Err(Fault::Remote(reason)));
                continue;
            }
            match interval {
                Some(interval) if planned.kept.as_ref().is_some_and(|kept| kept.since.elapsed() < interval) => {
                    self.show(planned, server, Ok(()));
                }
                Some(_) => queue.due.push(at),
                None if plan.gates.is_open(planned.statement.gate) => queue.now.push(at),
                None => queue.shut.push(at),
            }
        }
        queue.now.sort_by_key(|&at| plan.get(at).is_some_and(|planned| planned.refused.is_some()));
        queue.due.sort_by_key(|&at| plan.get(at).and_then(|planned| Some(planned.kept.as_ref()?.since)));
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

    /// Takes in what is kept of a statement, written once as long as it holds, and what became of asking for it again.
    fn show(&mut self, planned: &mut Planned, server: &Server, asked: Result<(), Fault>) {
        let (statement, collector, plain) = (planned.statement, planned.collector, self.job.is_plain());
        let labels = self.waiting.iter().find(|progress| std::ptr::eq(progress.collector, collector));
        let Some(labels) = labels.map(|progress| progress.labels.clone()) else { return };
        self.take(collector, Duration::ZERO, |samples| {
            let Some(kept) = planned.kept.as_mut().filter(|_| statement.kept.is_some()) else { return asked };
            aged(collector, kept.since.elapsed(), samples);
            if kept.shown.as_ref().is_none_or(|(of, _)| *of != plain) {
                let mut own = Samples::with_common(labels);
                emit(statement, server, &kept.table, &mut own)?;
                kept.shown = Some((plain, own));
            }
            kept.shown.iter().for_each(|(_, own)| samples.extend(own));
            asked
        });
    }

    /// Hands in every collector that has nothing open.
    fn hand_in(&mut self) {
        while let Some(at) = self.waiting.iter().position(|progress| progress.open == 0) {
            let mut progress = self.waiting.swap_remove(at);
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

/// Writes how old the rows are that are shown.
fn aged(collector: &Entry, age: Duration, samples: &mut Samples) {
    samples.family(&AGE).add([("collector", collector.name)], age.as_secs_f64());
}

/// Writes one answer's samples; a panic costs its own collector only.
fn emit(statement: &Statement, server: &Server, table: &Table, samples: &mut Samples) -> Result<(), Fault> {
    std::panic::catch_unwind(AssertUnwindSafe(|| (statement.emit)(server, table, samples)))
        .unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::server;

    #[test]
    fn what_reads_the_disk_comes_last_and_locks_first() {
        for major in 10..=18 {
            let plan = plan(&crate::postgres::entries().collect::<Vec<_>>(), &server(major), None);
            assert_eq!(plan.list[0].collector.name, "locks");
            let first = plan.list.iter().position(|planned| planned.statement.slow).unwrap();
            assert!(plan.list[first..].iter().all(|planned| planned.statement.slow || planned.statement.kept.is_some()));
            assert!(plan.list.iter().all(|planned| !planned.sql.contains(';')), "one statement each");
        }
    }
}
