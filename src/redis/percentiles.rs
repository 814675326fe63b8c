//! The latency percentiles of INFO, asked for less often than the rest: they are those of all calls since the server's start, hardly
//! move, and take more of its time than all other sections together (186 of 252 us where 60 commands are in use).
//!
//! Between two readings INFO is asked without them, as `INFO default commandstats`. Whether that leaves out anything else is not
//! decided by the version: the sections of both answers are compared.

use std::time::{Duration, Instant};

use super::commands::{self, Command};
use super::info::{Info, sections};
use crate::exposition::{Family, Samples};

static AGE: Family = Family::gauge(
    "redis_latency_percentiles_age_seconds",
    "Age of the latency percentiles: they are read once in --redis.percentiles-interval.",
);

/// What the lines begin with: `latency_percentiles_usec_get:p50=1.003,p99=2.007,p99.9=3.007`
const PREFIX: &str = "latency_percentiles_usec_";

/// The section that they are in.
const SECTION: &str = "Latencystats";

/// The percentiles as they were last read.
#[derive(Debug)]
pub(super) struct Percentiles {
    read: Instant,
    lines: String,
    /// The other sections that the server has.
    sections: Vec<String>,
    /// Whether an answer in short form was found to have them all.
    compared: bool,
    /// How many commands had run.
    commands: usize,
}

impl Percentiles {
    /// From the answer to INFO ALL; `None` where it holds none.
    pub(super) fn read(text: &str, info: &Info<'_>, now: Instant) -> Option<Self> {
        let lines: String = text.lines().filter(|line| line.starts_with(PREFIX)).flat_map(|line| [line, "\n"]).collect();
        let sections = sections(text).filter(|name| *name != SECTION).map(str::to_owned).collect();
        (!lines.is_empty()).then_some(Percentiles { read: now, lines, sections, compared: false, commands: run(info) })
    }

    /// Whether they may still be shown.
    pub(super) fn are_fresh(&self, interval: Duration) -> bool {
        self.read.elapsed() < interval
    }

    /// Whether each command that has run has some: a new one is shown at once.
    pub(super) fn are_of_all(&self, info: &Info<'_>) -> bool {
        run(info) <= self.commands
    }

    /// Whether an answer to INFO in its short form lacks nothing but them: looked at once for each reading.
    pub(super) fn complete(&mut self, text: &str) -> bool {
        if !self.compared {
            let own: Vec<_> = sections(text).collect();
            self.compared = self.sections.iter().all(|wanted| own.contains(&wanted.as_str()));
        }
        self.compared
    }

    pub(super) fn emit(&self, commands: &[Command<'_>], out: &mut Samples) {
        commands::percentiles(Info::parse(&self.lines).with_prefix(PREFIX), commands, out);
        out.family(&AGE).add([], self.read.elapsed().as_secs_f64());
    }
}

/// How many commands have run.
fn run(info: &Info<'_>) -> usize {
    info.with_prefix("cmdstat_").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_else_is_missing_shows() {
        let all = "# Server\r\nredis_version:7\r\n\r\n# Commandstats\r\ncmdstat_get:calls=1\r\n\r\n# Latencystats\r\nlatency_percentiles_usec_get:p50=1\r\n\r\n# Keyspace\r\n";
        let mut percentiles = Percentiles::read(all, &Info::parse(all), Instant::now()).unwrap();
        assert!(!percentiles.complete("# Server\r\n\r\n# Commandstats\r\n"));
        assert!(percentiles.complete("# Server\r\n\r\n# Keyspace\r\n# Commandstats\r\n"));
        assert!(percentiles.are_fresh(Duration::from_secs(60)) && !percentiles.are_fresh(Duration::ZERO));
        assert!(percentiles.are_of_all(&Info::parse("cmdstat_get:calls=2")));
        assert!(!percentiles.are_of_all(&Info::parse("cmdstat_get:calls=2\ncmdstat_set:calls=1")));
        assert!(Percentiles::read("# Server\r\nredis_version:6\r\n", &Info::default(), Instant::now()).is_none());
    }
}
