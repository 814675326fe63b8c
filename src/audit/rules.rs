//! Which checks are on, and what they compare with.

use std::collections::HashMap;
use std::time::Duration;

use super::check::Check;
use super::{containers, host, postgres};
use crate::scrape::{Advice, Part};
use crate::settings::{Error, Flag, Settings};

static ON: Flag = Flag::switch("audit", true, "Tell what usually brings a host down and is there now: `stack_audit_finding`.");
static DISABLE: Flag = Flag::list("audit.disable", &[], "Check of the audit that is not to be made.");
static THRESHOLD: Flag = Flag::list("audit.threshold", &[], "What a check of the audit compares with: `filesystem_full=0.95`.");
static EVERY: Flag = Flag::time(
    "audit.disk-interval",
    Duration::from_secs(300),
    "How far apart the readings are by which the audit tells when a file system will be full: 6 at least, 36 at most.",
);

pub(super) static FLAGS: [&Flag; 4] = [&ON, &DISABLE, &THRESHOLD, &EVERY];

/// Where the facts of Redis' checks come from.
pub(super) const REDIS_SOURCE: &str = "INFO, CONFIG GET, the host's kernel";

/// A check, as the documentation lists it.
#[derive(Debug)]
pub struct Described {
    /// What it looks at.
    pub part: Part,
    /// Name and words.
    pub advice: &'static Advice,
    /// `critical`, `warning` or `info`.
    pub severity: &'static str,
    /// What it compares with, unless another number is set.
    pub threshold: Option<f64>,
    /// What it looks at, by the names of its source.
    pub source: &'static str,
}

/// Every check there is.
pub fn checks() -> Vec<Described> {
    fn of<F>(part: Part, table: &'static [Check<F>]) -> impl Iterator<Item = Described> {
        table.iter().map(move |check| {
            let Check { advice, severity, source, threshold, .. } = check;
            Described { part, advice, severity, threshold: *threshold, source }
        })
    }
    let host = of(Part::Host, &host::CHECKS).chain(of(Part::Host, &host::DISK_CHECKS));
    let rest = of(Part::Containers, &containers::CHECKS).chain(of(Part::Postgres, &postgres::CHECKS));
    let redis = crate::redis::checks().map(|(severity, advice)| Described {
        part: Part::Redis,
        advice,
        severity,
        threshold: None,
        source: REDIS_SOURCE,
    });
    host.chain(rest).chain(redis).collect()
}

/// What the settings say of the checks.
#[derive(Debug)]
pub(super) struct Rules {
    off: Vec<String>,
    thresholds: HashMap<String, f64>,
    pub(super) every: Duration,
    /// How many of Redis' checks are on.
    pub(super) redis_on: u64,
}

impl Rules {
    /// What is set; `None` where nothing is to be audited. Fails on a check that does not exist and on a number that is none.
    pub(super) fn of(settings: &Settings) -> Result<Option<Self>, Error> {
        let checks = checks();
        let unknown = |flag: &Flag, name: &str| Error::new(format!("{}: there is no check {name:?}", flag.name));
        let off: Vec<String> =
            settings.list(&DISABLE).iter().flat_map(|text| text.split(',')).map(|name| name.trim().to_owned()).collect();
        let known = |name: &str| checks.iter().find(|check| check.advice.check == name);
        if let Some(name) = off.iter().find(|name| known(name).is_none()) {
            return Err(unknown(&DISABLE, name));
        }
        let mut thresholds = HashMap::new();
        for text in settings.list(&THRESHOLD) {
            let wrong = || Error::new(format!("{}: {text:?} is not <check>=<number>", THRESHOLD.name));
            let (name, number) = text.split_once('=').ok_or_else(wrong)?;
            let number = number.trim().parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(wrong)?;
            let check = known(name.trim()).ok_or_else(|| unknown(&THRESHOLD, name))?;
            if check.threshold.is_none() {
                return Err(Error::new(format!("{}: the check {name:?} compares with no number", THRESHOLD.name)));
            }
            thresholds.insert(name.trim().to_owned(), number);
        }
        let is_on = |check: &&Described| check.part == Part::Redis && !off.iter().any(|name| name == check.advice.check);
        let redis_on = from_count(checks.iter().filter(is_on).count());
        let every = settings.time(&EVERY);
        Ok(settings.switch(&ON).then_some(Rules { off, thresholds, every, redis_on }))
    }

    /// What the check of this name compares with (0 for one that compares with nothing), unless it is off.
    pub(super) fn threshold(&self, name: &str, usual: Option<f64>) -> Option<f64> {
        let on = !self.off.iter().any(|off| off == name);
        on.then(|| self.thresholds.get(name).copied().or(usual).unwrap_or(0.0))
    }
}

fn from_count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Flags, labels and the page name a check by its name alone.
    #[test]
    fn every_check_has_a_name_of_its_own_and_says_all() {
        let checks = checks();
        let names: BTreeSet<&str> = checks.iter().map(|check| check.advice.check).collect();
        assert!(checks.len() > 50 && names.len() == checks.len(), "{} names of {} checks", names.len(), checks.len());
        for check in checks {
            let Advice { check: name, what, remedy } = check.advice;
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{name}");
            assert!(["critical", "warning", "info"].contains(&check.severity), "{name}: {}", check.severity);
            assert!(![*what, *remedy, check.source].contains(&""), "{name} leaves something unsaid");
        }
    }
}
