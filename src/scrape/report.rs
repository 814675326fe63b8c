//! What the last scrapes told, kept for whoever looks: the operator's page and `/api/v1/status`.
//!
//! Looking asks nobody. Each source keeps one line a collector of its own, so what is kept is bounded by what is watched, goes with
//! its source, and costs a scrape no allocation but for the text of a failure.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::advice::advice;
use super::outcome::shortened;
use super::{Finding, Outcome, Part, Scraper};
use crate::discovery::{Engine, Met, Nameless};
use crate::exposition::Page;
use crate::system::Fault;

/// How a collector's last scrape ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It delivered.
    Ok,
    /// There is nothing to collect: no such hardware, no such thing in this kernel or server.
    Absent,
    /// Its target is down, so that it was not tried.
    Skipped,
    /// It failed.
    Failed,
}

impl State {
    /// The state in one word.
    pub const fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Absent => "absent",
            State::Skipped => "skipped",
            State::Failed => "failed",
        }
    }
}

/// A failure.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The reason, without a secret.
    pub text: String,
    /// What to do about it.
    pub advice: &'static str,
    /// When it was seen last.
    pub at: Instant,
}

/// A collector's last scrape.
#[derive(Clone, Debug)]
pub struct Last {
    /// Its end.
    pub at: Instant,
    /// How long it took.
    pub duration: Duration,
    /// How many series it added.
    pub series: usize,
    /// How it ended.
    pub state: State,
    /// The last failure, also where it works again.
    pub trouble: Option<Trouble>,
}

/// The last outcomes of one source, in the order of its collectors.
#[derive(Default)]
pub(super) struct Kept(Mutex<Vec<Option<Last>>>);

impl Kept {
    /// Takes in what became of a scrape of `collectors`, the source's own.
    pub(super) fn note(&self, part: Part, collectors: &[&'static str], outcomes: &[Outcome]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.resize(collectors.len(), None);
        for outcome in outcomes {
            let place = collectors.iter().position(|name| *name == outcome.collector).and_then(|at| kept.get_mut(at));
            let Some(place) = place else { continue };
            let now = Instant::now();
            let (state, trouble) = match &outcome.result {
                Ok(()) => (State::Ok, None),
                Err(Fault::Absent(_)) => (State::Absent, None),
                Err(Fault::Down) => (State::Skipped, None),
                Err(fault) => {
                    let (text, advice) = (shortened(fault), advice(part, fault));
                    (State::Failed, Some(Trouble { text, advice, at: now }))
                }
            };
            let trouble = trouble.or_else(|| place.take().and_then(|last| last.trouble));
            *place = Some(Last { at: now, duration: outcome.duration, series: outcome.series, state, trouble });
        }
    }

    fn read(&self, collectors: &[&'static str]) -> Vec<(&'static str, Option<Last>)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        collectors.iter().enumerate().map(|(at, name)| (*name, kept.get(at).cloned().flatten())).collect()
    }
}

/// What a check is for, in words.
#[derive(Debug)]
pub struct Advice {
    /// The check's name.
    pub check: &'static str,
    /// What is wrong where it finds something.
    pub what: &'static str,
    /// What to do then.
    pub remedy: &'static str,
}

/// What the checks of one target found last, worst first or not: severity and words. Shared by its worker and its source.
#[derive(Clone, Debug, Default)]
pub struct Advised(Arc<Mutex<Vec<(&'static str, &'static Advice)>>>);

impl Advised {
    /// Takes the place of what was found before. Allocates only where more is found than ever before.
    pub fn set(&self, found: impl Iterator<Item = (&'static str, &'static Advice)>) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.clear();
        list.extend(found);
    }

    /// What was found.
    pub fn get(&self) -> Vec<(&'static str, &'static Advice)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A page that was made.
#[derive(Clone, Copy, Debug)]
pub struct LastPage {
    /// When it was done.
    pub at: Instant,
    /// How long it took to make.
    pub duration: Duration,
    /// How many series it has.
    pub series: usize,
    /// Roughly how many bytes it has.
    pub bytes: usize,
    /// How many series were left out of it.
    pub duplicates: usize,
}

impl LastPage {
    pub(super) fn of(page: &Page, started: Instant) -> Self {
        let (at, duration) = (Instant::now(), started.elapsed());
        LastPage { at, duration, series: page.series(), bytes: page.len_hint(), duplicates: page.duplicates() }
    }
}

/// A source and what is known of it.
#[derive(Debug)]
pub struct Watched {
    /// Whose source it is.
    pub part: Part,
    /// Thread or target name.
    pub name: String,
    /// Where a target is asked, without a secret; empty for a source of this machine's own.
    pub address: String,
    /// Who named a target: `settings`, another server (`topology`), or discovery, in its words.
    pub how: &'static str,
    /// Its collectors, `None` before their first scrape.
    pub collectors: Vec<(&'static str, Option<Last>)>,
}

/// Figures that are not what they seem.
#[derive(Clone, Debug)]
pub struct Warned {
    /// The part whose figures they are.
    pub part: Part,
    /// What is missing, in one word.
    pub missing: &'static str,
    /// Which figures suffer, and what to do.
    pub advice: String,
}

/// All that is known without asking anybody.
#[derive(Debug)]
pub struct Report {
    /// The sources, part by part.
    pub sources: Vec<Watched>,
    /// Databases that were found, watched or not.
    pub met: Vec<Met>,
    /// How the container engines do that are asked.
    pub engines: Vec<Engine>,
    /// Containers that the kernel shows and no engine names.
    pub nameless: Nameless,
    /// What the parts warn of.
    pub warnings: Vec<Warned>,
    /// What the audit found.
    pub audited: Vec<Finding>,
    /// The last page.
    pub page: Option<LastPage>,
}

impl Scraper {
    /// What is known of all sources, without asking any.
    pub fn report(&self) -> Report {
        let (sources, discovery) = (self.sources(), self.sources().discovery());
        let met = discovery.met();
        let mut watched: Vec<Watched> = sources
            .all()
            .iter()
            .map(|source| {
                let found = met.iter().find(|met| met.part == source.part.name() && met.name == source.name);
                Watched {
                    part: source.part,
                    name: source.name.clone(),
                    address: source.address.clone(),
                    how: found.map_or(source.named_by, |met| met.how),
                    collectors: source.kept.read(&source.collectors),
                }
            })
            .collect();
        watched.sort_by(|a, b| (a.part, &a.name).cmp(&(b.part, &b.name)));
        let page = *self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let (engines, nameless) = (discovery.engines(), discovery.nameless());
        Report { sources: watched, met, engines, nameless, warnings: sources.warnings(), audited: sources.findings(), page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["a", "b"];

    fn outcome(collector: &'static str, result: Result<(), Fault>) -> Outcome {
        Outcome { collector, duration: Duration::from_millis(1), series: 2, result }
    }

    #[test]
    fn an_outcome_takes_the_place_of_the_one_before_and_a_failure_outlives_it() {
        let kept = Kept::default();
        assert!(kept.read(&NAMES).iter().all(|(_, last)| last.is_none()));
        kept.note(Part::Host, &NAMES, &[outcome("b", Err(Fault::Late)), outcome("unknown", Ok(()))]);
        let [(_, None), ("b", Some(failed))] = &kept.read(&NAMES)[..] else { panic!("{kept:?}", kept = kept.read(&NAMES)) };
        assert_eq!((failed.state, failed.series), (State::Failed, 2));
        kept.note(Part::Host, &NAMES, &[outcome("a", Err(Fault::Absent("x".to_owned()))), outcome("b", Ok(()))]);
        let [("a", Some(absent)), ("b", Some(fine))] = &kept.read(&NAMES)[..] else { panic!("one is missing") };
        assert_eq!((absent.state, fine.state), (State::Absent, State::Ok));
        assert_eq!(fine.trouble.as_ref().unwrap().text, "not done within the scrape's time");
        assert!(absent.trouble.is_none());
    }

    #[test]
    fn what_goes_well_allocates_nothing() {
        let (kept, outcomes) = (Kept::default(), [outcome("a", Ok(())), outcome("b", Ok(()))]);
        kept.note(Part::Host, &NAMES, &outcomes);
        let info = allocation_counter::measure(|| kept.note(Part::Host, &NAMES, &outcomes));
        assert_eq!(info.count_total, 0);
    }
}
