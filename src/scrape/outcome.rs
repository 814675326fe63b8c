//! What became of each collector, as metrics and as log lines.

use std::collections::HashMap;
use std::time::Duration;

use super::{Part, Source};
use crate::exposition::{Family, Labels, Samples};
use crate::system::Fault;

static DURATION: Family = Family::gauge("stack_exporter_collector_duration_seconds", "Time the collector took in this scrape.");
static SUCCESS: Family =
    Family::gauge("stack_exporter_collector_success", "1 if the collector delivered all it stands for in this scrape.");
static ERROR: Family = Family::gauge(
    "stack_exporter_collector_last_error_info",
    "Why the collector failed in this scrape, as the label error; gone when it works.",
);
static NODE_DURATION: Family =
    Family::gauge("node_scrape_collector_duration_seconds", "Time the host collector took in this scrape.");
static NODE_SUCCESS: Family =
    Family::gauge("node_scrape_collector_success", "1 if the host collector found what it reads, 0 on failure or absence.");
static PG_DURATION: Family =
    Family::gauge("pg_scrape_collector_duration_seconds", "Time the PostgreSQL collector took in this scrape.");
static PG_SUCCESS: Family =
    Family::gauge("pg_scrape_collector_success", "1 if the PostgreSQL collector's statements were answered.");

/// What became of one collector in one scrape.
#[derive(Debug)]
pub struct Outcome {
    /// The collector.
    pub collector: &'static str,
    /// How long it took.
    pub duration: Duration,
    /// How many series it added.
    pub series: usize,
    /// Why it failed.
    pub result: Result<(), Fault>,
}

/// The longest error text that becomes a label or a log line.
const LONGEST: usize = 300;

/// Writes the outcome metrics of a source of `part`, with its labels.
pub(super) fn emit(part: Part, entity: &Labels, outcomes: &[Outcome], out: &mut Samples) {
    let exporters_own = match part {
        Part::Host => Some((&NODE_DURATION, &NODE_SUCCESS)),
        Part::Postgres => Some((&PG_DURATION, &PG_SUCCESS)),
        // cAdvisor and redis_exporter have no such families; their parts write what they do have.
        Part::Containers | Part::Redis => None,
    };
    // Family by family: a page that has each of them in one piece is put together sooner.
    let labels = |outcome: &Outcome| [("part", part.name()), ("collector", outcome.collector)];
    // Absence is no failure of ours, but node_exporter says success 0 for both and alerts know it so.
    let fine = |outcome: &Outcome| outcome.result.as_ref().err().is_none_or(Fault::is_absence);
    let mut rows = out.family(&DURATION);
    for outcome in outcomes {
        rows.add_to(entity, labels(outcome), outcome.duration.as_secs_f64());
    }
    let mut rows = out.family(&SUCCESS);
    for outcome in outcomes {
        rows.add_to(entity, labels(outcome), fine(outcome));
    }
    // As with postgres_exporter: no outcome of a collector that could not even be tried.
    let tried = || outcomes.iter().filter(|outcome| !matches!(outcome.result, Err(Fault::Down)));
    let mut rows = out.family(&ERROR);
    for outcome in tried().filter(|outcome| !fine(outcome)) {
        if let ([part, collector], Err(fault)) = (labels(outcome), &outcome.result) {
            rows.add_to(entity, [part, collector, ("error", &shortened(fault))], 1u8);
        }
    }
    if let Some((duration_of, success_of)) = exporters_own {
        let mut rows = out.family(duration_of);
        for outcome in tried() {
            rows.add_to(entity, [("collector", outcome.collector)], outcome.duration.as_secs_f64());
        }
        let mut rows = out.family(success_of);
        for outcome in tried() {
            rows.add_to(entity, [("collector", outcome.collector)], outcome.result.is_ok());
        }
    }
}

/// The text of a failure, no longer than a label should be.
pub(super) fn shortened(fault: &Fault) -> String {
    let mut text = fault.to_string();
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Says each failure once, until it changes or ends.
#[derive(Default)]
pub(super) struct Journal {
    last: HashMap<(Part, String, &'static str), String>,
}

impl Journal {
    pub(super) fn note(&mut self, source: &Source, outcomes: &[Outcome]) {
        for outcome in outcomes {
            if outcome.result.is_ok() && self.last.is_empty() {
                continue;
            }
            let key = (source.part, source.name.clone(), outcome.collector);
            match &outcome.result {
                Err(Fault::Down) => {}
                Err(fault) => {
                    let text = shortened(fault);
                    if self.last.get(&key) == Some(&text) {
                        continue;
                    }
                    let (part, name, collector) = (source.part.name(), source.name.as_str(), outcome.collector);
                    if fault.is_absence() {
                        tracing::debug!(part, source = name, collector, reason = %text, "nothing to collect");
                    } else {
                        tracing::warn!(part, source = name, collector, error = %text, "collector failed");
                    }
                    self.last.insert(key, text);
                }
                Ok(()) => {
                    if self.last.remove(&key).is_some() {
                        tracing::info!(part = source.part.name(), source = %source.name, collector = outcome.collector, "collector works again");
                    }
                }
            }
        }
    }
}
