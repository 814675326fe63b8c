//! One search through the keys of a server, within the budget of its connection.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::super::resp::{Cmd, Value};
use hashbrown::HashSet;

use super::super::connection::Failure;
use super::super::reply::{list, refusal, text};
use super::findings::Findings;
use super::link::Link;
use super::survey::Survey;
use super::wanted::{Key, Wanted};
use super::{Facts, groups, scripts, search, sizes, streams};
use crate::exposition::{Family, from_u64};

static COUNT: Family = Family::gauge("redis_keys_count", "Keys that match the pattern.");

/// The most keys and the most streams that are shown for patterns: each is several series.
const SHOWN: usize = 10_000;

/// Keys whose size is asked in one round trip. Their values are at most 12 KiB each, so the replies stay small.
const AT_ONCE: usize = 100;

/// What became of a pass.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) duration: Duration,
    /// Time of it spent on round trips.
    pub(super) waited: Duration,
    /// Time of it spent on counting keys by group.
    pub(super) groups: Duration,
    pub(super) looked_at: u64,
    pub(super) left_off: u64,
    /// Whether it went to its end.
    pub(super) complete: bool,
    pub(super) failure: Option<&'static str>,
}

/// What is counted on the way.
#[derive(Default)]
pub(super) struct Tally {
    looked_at: u64,
    left_off: u64,
}

/// A number of things as a value.
pub(super) fn count(things: usize) -> f64 {
    from_u64(u64::try_from(things).unwrap_or(u64::MAX))
}

/// A key's name as the value of a label.
pub(super) fn shown(name: &[u8]) -> Cow<'_, str> {
    crate::system::text::utf8(name)
}

/// Reads what is named one by one; why some of it was not read.
pub(super) async fn singles(link: &mut Link, wanted: &Wanted, out: &mut Findings) -> Result<Option<&'static str>, Failure> {
    let mut failed = None;
    named(link, wanted, &wanted.single_keys, out, &mut failed).await?;
    for key in &wanted.single_streams {
        heed(streams::read(link, key, wanted, out).await, &mut failed)?;
    }
    Ok(failed)
}

/// Reads keys that the operator named: one that is not there is shown as empty.
async fn named(
    link: &mut Link,
    wanted: &Wanted,
    keys: &[Key],
    out: &mut Findings,
    failed: &mut Option<&'static str>,
) -> Result<(), Failure> {
    for (database, names) in by_database(keys) {
        for names in names.chunks(AT_ONCE) {
            heed(sizes::read(link, database, names, wanted.values, true, out).await, failed)?;
        }
    }
    Ok(())
}

/// A server that refuses one thing may allow the next, and one stream may be too large where the next is not: remembered, and
/// gone on. After any other failure it is no use.
fn heed(result: Result<(), Failure>, failed: &mut Option<&'static str>) -> Result<(), Failure> {
    match result {
        Err(failure @ (Failure::Refused(_) | Failure::TooLarge(_))) => {
            *failed = Some(failure.reason());
            Ok(())
        }
        other => other,
    }
}

/// Names by database, in the order of the list.
fn by_database(keys: &[Key]) -> Vec<(u32, Vec<&[u8]>)> {
    let mut databases: Vec<(u32, Vec<&[u8]>)> = Vec::new();
    for key in keys {
        match databases.iter_mut().find(|(database, _)| *database == key.database) {
            Some((_, names)) => names.push(&key.name),
            None => databases.push((key.database, vec![&key.name])),
        }
    }
    databases
}

/// Searches for all that is wanted; `spared`: but not for keys and streams.
pub(super) async fn run(link: &mut Link, wanted: &Wanted, survey: &mut Survey, facts: Facts, spared: bool) -> (Report, Findings) {
    let (start, mut out, mut tally, mut failed) = (Instant::now(), Findings::default(), Tally::default(), None);
    let mut duration = Duration::ZERO;
    let result = async {
        if !spared {
            keys(link, wanted, &mut tally, &mut out, &mut failed).await?;
            if wanted.needs_survey() {
                heed(survey.run(link, wanted, &mut tally, &mut out).await, &mut failed)?;
            }
        }
        if !wanted.groups.is_empty() {
            let start = Instant::now();
            for database in 0..facts.databases {
                heed(groups::read(link, database, wanted, &mut tally, &mut out).await, &mut failed)?;
            }
            duration = start.elapsed();
        }
        if let Some(which) = &wanted.indexes {
            heed(search::read(link, which, &mut out).await, &mut failed)?;
        }
        for script in &wanted.scripts {
            if let Some(words) = scripts::run(link, script, wanted.read_only, &mut out).await? {
                tracing::debug!(file = script.file, reason = %words, "a script failed");
                failed = Some("script");
            }
        }
        Ok(())
    };
    let result: Result<(), Failure> = result.await;
    let complete = result.is_ok();
    if let Err(failure) = result {
        tracing::debug!(reason = %failure, "the search through the keys came to no end");
        failed = Some(failure.reason());
    }
    let report = Report {
        duration: start.elapsed(),
        waited: link.waited,
        groups: duration,
        looked_at: tally.looked_at,
        left_off: tally.left_off,
        complete,
        failure: failed,
    };
    (report, out)
}

/// Keys, streams and counts.
async fn keys(
    link: &mut Link,
    wanted: &Wanted,
    tally: &mut Tally,
    out: &mut Findings,
    failed: &mut Option<&'static str>,
) -> Result<(), Failure> {
    named(link, wanted, &wanted.more_keys, out, failed).await?;
    // What is read elsewhere, or was found by another pattern, is not shown twice.
    let mut met: HashSet<Key> = wanted.single_keys.iter().chain(&wanted.more_keys).cloned().collect();
    let limit = met.len() + SHOWN;
    for pattern in &wanted.keys {
        let mut scan = Scan::new(pattern.database, Some(&pattern.name), wanted.batch);
        while let Some(names) = next(&mut scan, link, tally, failed).await? {
            let fresh = fresh(names, pattern.database, limit, &mut met, tally);
            for names in fresh.chunks(AT_ONCE) {
                let names: Vec<&[u8]> = names.iter().map(|key| &*key.name).collect();
                heed(sizes::read(link, pattern.database, &names, wanted.values, false, out).await, failed)?;
            }
        }
    }
    let mut met: HashSet<Key> = wanted.single_streams.iter().chain(&wanted.more_streams).cloned().collect();
    let limit = met.len() + SHOWN;
    for key in &wanted.more_streams {
        heed(streams::read(link, key, wanted, out).await, failed)?;
    }
    for pattern in &wanted.streams {
        let mut scan = Scan::new(pattern.database, Some(&pattern.name), wanted.batch);
        while let Some(names) = next(&mut scan, link, tally, failed).await? {
            for key in fresh(names, pattern.database, limit, &mut met, tally) {
                heed(streams::read(link, &key, wanted, out).await, failed)?;
            }
        }
    }
    for pattern in &wanted.counts {
        let mut scan = Scan::new(pattern.database, Some(&pattern.name), wanted.batch);
        let (mut found, before) = (0, failed.take());
        while let Some(names) = next(&mut scan, link, tally, failed).await? {
            found += names.len();
        }
        if failed.is_none() {
            let labels = [("db", &*Key::database(pattern.database)), ("key", &*shown(&pattern.name))];
            out.add(&COUNT, &labels, count(found));
        }
        *failed = failed.or(before);
    }
    Ok(())
}

/// The next names of a scan; the end where the server refuses it.
async fn next(
    scan: &mut Scan<'_>,
    link: &mut Link,
    tally: &mut Tally,
    failed: &mut Option<&'static str>,
) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    let mut names = None;
    let result = scan.next(link, tally).await.map(|found| names = found);
    heed(result, failed).map(|()| names)
}

/// Those of `names` that were not met before, as far as there is room for them.
fn fresh(names: Vec<Vec<u8>>, database: u32, limit: usize, met: &mut HashSet<Key>, tally: &mut Tally) -> Vec<Key> {
    let mut fresh = Vec::new();
    for key in names.into_iter().map(|name| Key { database, name }) {
        if met.contains(&key) {
            continue;
        }
        if met.len() < limit {
            met.insert(key.clone());
            fresh.push(key);
        } else {
            tally.left_off += 1;
        }
    }
    fresh
}

/// A SCAN on its way.
pub(super) struct Scan<'a> {
    database: u32,
    pattern: Option<&'a [u8]>,
    batch: u64,
    /// `None` at the end.
    cursor: Option<Vec<u8>>,
}

impl<'a> Scan<'a> {
    /// Of all keys of `database`, or those that match.
    pub(super) fn new(database: u32, pattern: Option<&'a [u8]>, batch: u64) -> Self {
        Scan { database, pattern, batch, cursor: Some(b"0".to_vec()) }
    }

    /// The same from a place where another one stopped, if there is one.
    pub(super) fn at(self, place: Option<Vec<u8>>) -> Self {
        Scan { cursor: place.or(self.cursor), ..self }
    }

    /// Where it stands; `None` at the start and at the end.
    pub(super) fn place(self) -> Option<Vec<u8>> {
        self.cursor.filter(|cursor| cursor != b"0")
    }

    /// The next names, possibly none; `None` at the end.
    pub(super) async fn next(&mut self, link: &mut Link, tally: &mut Tally) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        let Some(cursor) = self.cursor.take() else { return Ok(None) };
        let mut scan = Cmd::of(&[b"SCAN", &cursor]);
        if let Some(pattern) = self.pattern {
            scan.arg("MATCH").arg(pattern);
        }
        scan.arg("COUNT").arg(self.batch.to_string());
        let keys = usize::try_from(self.batch).unwrap_or(usize::MAX);
        let replies = link.ask(self.database, keys, vec![scan]).await?;
        let reply = replies.into_iter().next().unwrap_or(Value::Nil);
        if let Some(words) = refusal(&reply) {
            return Err(Failure::Refused(words));
        }
        tally.looked_at = tally.looked_at.saturating_add(self.batch);
        let [cursor, names] = list(&reply) else { return Ok(None) };
        // A cursor is a number, and 0 is the end.
        self.cursor =
            text(cursor).filter(|text| text.parse::<u64>().is_ok_and(|cursor| cursor != 0)).map(|text| text.as_bytes().to_vec());
        let names = list(names).iter().filter_map(|name| match name {
            Value::Bulk(bytes) => Some(bytes.to_vec()),
            _ => None,
        });
        Ok(Some(names.collect()))
    }
}
