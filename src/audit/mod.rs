//! `stack_audit_*`: what usually brings a host down, and is there now.
//!
//! The audit looks at what a scrape has just told (figures by their names on the page), at the containers that the engines describe, and at
//! the advice of Redis' part. It asks nobody: of the 2.5 ms of CPU that a scrape of 1,800 lines takes it has 0.15. The sizes of log files are
//! those that the containers' part measures between scrapes. A page of a few collectors (`collect[]`) is no ground to judge on: there the audit is silent.
//!
//! A check is one line of its area's table ([`host`], [`containers`], [`postgres`]): a small function over plain facts that tells
//! the figure it found. Redis' checks are those of `redis_audit_finding`.
//!
//! A source that was late, or still busy with an earlier scrape, keeps the findings that it had; one that is down has none.

mod check;
mod containers;
mod figures;
mod host;
mod postgres;
mod rate;
mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use check::Check;
use figures::Figures;
pub use rules::{Described, checks};
use rules::{FLAGS, Rules};

use crate::exposition::{Family, Samples};
use crate::scrape::{Auditor, Finding, Part, Seen, Selection, Sources};
use crate::settings::{Error, Flag, Settings};
use crate::system::Fault;

static FINDING: Family = Family::gauge(
    "stack_audit_finding",
    "Something that brings hosts down: what was checked, how bad it is, and of what; 1. The agent's page and /api/v1/status tell the remedy.",
);
static CHECKS: Family = Family::counter(
    "stack_audit_checks_total",
    "Checks that were made, by part: each scrape makes all that are on, once for each thing they look at.",
);

/// The most findings of one check that are shown; the rest is one finding of [`REST`].
const MOST: usize = 50;

/// The subject that stands for the findings left out.
const REST: &str = "(more)";

/// The longest subject in characters: container names and mount points are what others make them.
const LONGEST: usize = 200;

/// The label of a container that switches checks off for it.
const DISABLE: &str = "stack-exporter.audit.disable";

/// The flags of the audit.
pub fn flags() -> impl Iterator<Item = &'static Flag> {
    FLAGS.into_iter()
}

/// Has the sources audited from now on, if that is wanted.
pub fn start(settings: &Settings, sources: &Sources) -> Result<(), Error> {
    let rules = Rules::of(settings)?;
    if let Some(rules) = rules {
        sources.audit_with(Arc::new(Audit { rules, state: Mutex::default() }));
    }
    Ok(())
}

struct Audit {
    rules: Rules,
    state: Mutex<State>,
}

/// What is known from scrape to scrape.
#[derive(Default)]
struct State {
    host: host::Memory,
    containers: containers::Memory,
    /// Whether any disk turns.
    spinning: Option<bool>,
    /// What was found, by its source.
    found: BTreeMap<(Part, String), Vec<Finding>>,
    /// Checks made, by part.
    made: BTreeMap<Part, u64>,
}

impl Auditor for Audit {
    fn audit(&self, seen: &[Seen<'_>], selection: &Selection, sources: &Sources, out: &mut Samples) {
        if !selection.is_whole() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |part: Part| seen.iter().filter(move |seen| seen.source.part == part);
        state.found.retain(|(part, name), _| !selection.has(*part) || of(*part).any(|seen| seen.source.name == *name));
        let now = Instant::now();
        // The host comes first: databases are judged by its disks.
        for seen in Part::ALL.into_iter().flat_map(of).filter(|seen| !is_late(seen)) {
            let mut desk = Desk { rules: &self.rules, part: seen.source.part, made: 0, findings: Vec::new() };
            match seen.source.part {
                Part::Host => state.host(seen, now, &mut desk),
                Part::Containers => state.containers(seen, sources, now, &mut desk),
                Part::Postgres => state.postgres(seen, &mut desk),
                Part::Redis => redis(seen, &mut desk),
            }
            *state.made.entry(seen.source.part).or_default() += desk.made;
            state.found.insert((seen.source.part, seen.source.name.clone()), desk.findings);
        }
        let mut rows = out.family(&FINDING);
        for finding in state.list().iter().filter(|finding| selection.has(finding.part)) {
            rows.add([("check", finding.advice.check), ("severity", finding.severity), ("subject", &finding.subject)], 1u8);
        }
        let mut rows = out.family(&CHECKS);
        for (part, made) in state.made.iter().filter(|(part, _)| selection.has(**part)) {
            rows.add([("part", part.name())], *made);
        }
    }

    fn findings(&self) -> Vec<Finding> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).list()
    }
}

/// Whether the source did not come to an end this time, so that what is missing means nothing.
fn is_late(seen: &Seen<'_>) -> bool {
    seen.outcomes.iter().any(|outcome| matches!(outcome.result, Err(Fault::Late | Fault::Busy)))
}

/// Where the checks of one source are made.
struct Desk<'a> {
    rules: &'a Rules,
    part: Part,
    made: u64,
    findings: Vec<Finding>,
}

impl Desk<'_> {
    /// Makes all checks of a table, but for those that are off, here or by `without`.
    fn make<F>(&mut self, checks: &'static [Check<F>], facts: &F, subject: &str, without: &str) {
        for check in checks {
            let name = check.advice.check;
            let Some(threshold) = self.rules.threshold(name, check.threshold) else { continue };
            if without.split(',').any(|off| off.trim() == name) {
                continue;
            }
            self.made += 1;
            if let Some(figure) = (check.finds)(facts, threshold) {
                let finding = Finding {
                    part: self.part,
                    severity: check.severity,
                    advice: &check.advice,
                    source: check.source,
                    subject: subject.chars().take(LONGEST).collect(),
                    figure: figure.to_string(),
                };
                self.findings.push(finding);
            }
        }
    }
}

impl State {
    fn host(&mut self, seen: &Seen<'_>, now: Instant, desk: &mut Desk<'_>) {
        let mut facts = host::Host::default();
        facts.figures.take(&host::WANTED, seen.samples);
        if !facts.figures.is_empty() {
            self.spinning = facts.figures.get("disks").map(|_| facts.figures.get("turning").is_some()).or(self.spinning);
            self.host.complete(&mut facts, now);
            desk.make(&host::CHECKS, &facts, "host", "");
        }
        let mut disks = host::disks(seen.samples);
        if !disks.is_empty() {
            self.host.follow(&mut disks, now, desk.rules.every);
        }
        for disk in &disks {
            desk.make(&host::DISK_CHECKS, disk, &disk.mountpoint, "");
        }
    }

    fn containers(&mut self, seen: &Seen<'_>, sources: &Sources, now: Instant, desk: &mut Desk<'_>) {
        let all = sources.discovery().containers();
        let subjects = self.containers.subjects(all, &containers::kills(seen.samples), sources.discovery().usages(), now);
        for subject in &subjects {
            let container = &subject.container;
            let without = container.settings.get(DISABLE).map(String::as_str).unwrap_or_default();
            desk.make(&containers::CHECKS, subject, &container.name, without);
        }
    }

    fn postgres(&mut self, seen: &Seen<'_>, desk: &mut Desk<'_>) {
        let mut figures = Figures::default();
        figures.take(&postgres::WANTED, seen.samples);
        let mut server = postgres::Server { figures, spinning: None };
        server.spinning = server.memory().and(self.spinning);
        desk.make(&postgres::CHECKS, &server, &seen.source.name, "");
    }

    /// All findings, each once, no more than [`MOST`] of a check.
    fn list(&self) -> Vec<Finding> {
        let (mut told, mut counts) = (BTreeSet::new(), HashMap::<&str, usize>::new());
        let (mut list, mut rest) = (Vec::new(), Vec::<Finding>::new());
        for finding in self.found.values().flatten() {
            // Two engines may have a container of the same name each.
            if !told.insert((finding.advice.check, finding.subject.as_str())) {
                continue;
            }
            let count = counts.entry(finding.advice.check).or_default();
            *count += 1;
            match *count {
                ..=MOST => list.push(finding.clone()),
                _ if *count == MOST + 1 => {
                    rest.push(Finding { subject: REST.to_owned(), figure: String::new(), ..finding.clone() });
                }
                _ => {}
            }
        }
        for finding in &mut rest {
            let left_out = counts.get(finding.advice.check).map_or(0, |count| count.saturating_sub(MOST));
            finding.figure = format!("{left_out} more");
        }
        list.extend(rest);
        list
    }
}

/// What Redis' part found by itself.
fn redis(seen: &Seen<'_>, desk: &mut Desk<'_>) {
    if seen.outcomes.iter().any(|outcome| outcome.result.is_err()) {
        return;
    }
    for (severity, advice) in seen.source.advice() {
        if desk.rules.threshold(advice.check, None).is_some() {
            let (subject, figure) = (seen.source.name.chars().take(LONGEST).collect(), String::new());
            desk.findings.push(Finding { part: Part::Redis, severity, advice, source: rules::REDIS_SOURCE, subject, figure });
        }
    }
    desk.made += desk.rules.redis_on;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Container;

    /// Container names, mount points and names of targets are what others make them, and as many.
    #[test]
    fn subjects_are_bounded_in_length_and_number() {
        let (subjects, odd) = (MOST + 70, "\"\n\\{}é\u{202e}".repeat(100));
        let rules = Rules::of(&Settings::default()).unwrap().unwrap();
        let mut desk = Desk { rules: &rules, part: Part::Containers, made: 0, findings: Vec::new() };
        for number in 0..subjects {
            let mut subject = containers::Subject::default();
            subject.container = running(number);
            desk.make(&containers::CHECKS, &subject, &format!("{number}{odd}"), "");
        }
        let mut state = State::default();
        state.found.insert((Part::Containers, "containers".to_owned()), desk.findings);
        let list = state.list();
        let unlimited: Vec<_> = list.iter().filter(|finding| finding.advice.check == "memory_unlimited").collect();
        assert_eq!(unlimited.len(), MOST + 1);
        assert!(list.iter().all(|finding| finding.subject.chars().count() <= LONGEST));
        let rest = unlimited.iter().find(|finding| finding.subject == REST).unwrap();
        assert_eq!(rest.figure, "70 more");
    }

    fn running(number: usize) -> Arc<Container> {
        let state = Some(crate::discovery::State::Running);
        Arc::new(Container { id: number.to_string(), state, ..Container::default() })
    }
}
