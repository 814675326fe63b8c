//! The largest keys, and how keys and bytes are spread over the beginnings of names: from a sample of each database.
//!
//! SCAN goes through a hash table, so any stretch of it is a fair sample of the keys, whatever they are called. A pass looks at one
//! stretch of each database, and the next pass goes on behind it: what is counted by prefix is projected from the stretch to the
//! database, and each key has its turn to be among the largest. A database that fits into one stretch is counted as it is.

use hashbrown::HashMap;

use super::super::connection::Failure;
use super::super::info::{Info, item};
use super::super::reply::{integer, refusal, text};
use super::super::resp::{Cmd, Value};
use super::findings::Findings;
use super::link::Link;
use super::pass::{Scan, Tally, shown};
use super::prefixes::Prefixes;
use super::sizes::denial;
use super::wanted::{Key, Wanted};
use crate::exposition::{Family, from_i64, from_u64};

static LARGEST: Family = Family::gauge("redis_bigkey_bytes", "Memory of the server's largest keys met so far (MEMORY USAGE).");
static SHARE: Family = Family::gauge(
    "redis_keys_sample_ratio",
    "Share of the database's keys that the last pass sampled; below 1, what is shown by prefix is projected from those.",
);

/// Keys whose memory is asked in one round trip.
const AT_ONCE: usize = 200;

/// The most databases that are surveyed.
const DATABASES: usize = 1_024;

/// What is remembered of a server from pass to pass.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Where the next stretch of a database begins; none at its start.
    places: HashMap<u32, Vec<u8>>,
    /// The largest first.
    largest: Vec<Large>,
}

/// A key that was among the largest when it was last looked at.
#[derive(Clone, Debug)]
struct Large {
    bytes: i64,
    key: Key,
}

/// One stretch of a database.
struct Stretch {
    looked_at: u64,
    /// How many keys the database has for each that was looked at.
    projection: f64,
}

impl Survey {
    /// Looks at the next stretch of each database that has keys.
    pub(super) async fn run(
        &mut self,
        link: &mut Link,
        wanted: &Wanted,
        tally: &mut Tally,
        out: &mut Findings,
    ) -> Result<(), Failure> {
        let before = self.largest.clone();
        let result = self.look(link, wanted, tally, out).await;
        if result.is_err() {
            self.largest = before;
        }
        result
    }

    async fn look(&mut self, link: &mut Link, wanted: &Wanted, tally: &mut Tally, out: &mut Findings) -> Result<(), Failure> {
        let mut known = std::mem::take(&mut self.largest);
        known.sort_unstable_by_key(|large| large.key.database);
        for large in known.chunk_by(|a, b| a.key.database == b.key.database).flat_map(|same| same.chunks(AT_ONCE)) {
            let Some(database) = large.first().map(|large| large.key.database) else { continue };
            let names = large.iter().map(|large| large.key.name.clone()).collect();
            self.measure(link, database, names, wanted, |_, _| {}).await?;
        }
        let sizes = sizes(link).await?;
        self.places.retain(|database, _| sizes.iter().any(|(known, _)| known == database));
        for (database, keys) in sizes {
            let mut prefixes = Prefixes::new(&wanted.separator);
            let stretch = self.stretch(link, database, keys, wanted, tally, &mut prefixes).await?;
            let share = from_u64(stretch.looked_at) / from_u64(keys.max(1));
            out.add(&SHARE, &[("db", &Key::database(database))], share.min(1.0));
            if wanted.prefixes > 0 {
                prefixes.emit(database, wanted.prefixes, stretch.projection, out);
            }
        }
        self.emit(link, out).await
    }

    /// Goes on in one database of so many keys.
    async fn stretch(
        &mut self,
        link: &mut Link,
        database: u32,
        keys: u64,
        wanted: &Wanted,
        tally: &mut Tally,
        prefixes: &mut Prefixes<'_>,
    ) -> Result<Stretch, Failure> {
        // What fits is always counted from its start: a stretch over its end would count some keys twice.
        let place = self.places.remove(&database).filter(|_| keys > wanted.sample);
        let (mut over_the_end, mut looked_at) = (place.is_none(), 0);
        let from_start = over_the_end;
        let mut scan = Scan::new(database, None, wanted.batch).at(place);
        let mut whole = false;
        while looked_at < wanted.sample {
            let Some(names) = scan.next(link, tally).await? else {
                whole = from_start;
                if over_the_end {
                    break;
                }
                (scan, over_the_end) = (Scan::new(database, None, wanted.batch), true);
                continue;
            };
            looked_at += u64::try_from(names.len()).unwrap_or(u64::MAX);
            let mut names = names.into_iter();
            loop {
                let some: Vec<Vec<u8>> = names.by_ref().take(AT_ONCE).collect();
                if some.is_empty() {
                    break;
                }
                self.measure(link, database, some, wanted, |name, bytes| prefixes.add(name, bytes)).await?;
            }
        }
        self.places.extend(scan.place().map(|place| (database, place)));
        let projection = if whole { 1.0 } else { (from_u64(keys) / from_u64(looked_at.max(1))).max(1.0) };
        Ok(Stretch { looked_at, projection })
    }

    /// Asks for the memory of some keys; one that is gone has none.
    async fn measure(
        &mut self,
        link: &mut Link,
        database: u32,
        names: Vec<Vec<u8>>,
        wanted: &Wanted,
        mut each: impl FnMut(&[u8], i64),
    ) -> Result<(), Failure> {
        let asks = names.iter().map(|name| Cmd::of(&[b"MEMORY", b"USAGE", name]));
        let replies = link.ask(database, 0, asks.collect()).await?;
        if let Some(words) = replies.iter().find_map(denial) {
            return Err(Failure::Refused(words));
        }
        for (name, reply) in names.into_iter().zip(&replies) {
            if let Some(bytes) = integer(reply) {
                each(&name, bytes);
                self.keep(Large { bytes, key: Key { database, name } }, wanted.largest);
            }
        }
        Ok(())
    }

    /// Keeps a key if it is among the `most` largest: those stand in their order, the largest first.
    fn keep(&mut self, large: Large, most: usize) {
        let place = self.largest.partition_point(|known| known.bytes >= large.bytes);
        if place >= most || self.largest.iter().any(|known| known.key == large.key) {
            return;
        }
        self.largest.insert(place, large);
        self.largest.truncate(most);
    }

    /// Writes the largest keys, with their types.
    async fn emit(&self, link: &mut Link, out: &mut Findings) -> Result<(), Failure> {
        for Large { bytes, key } in &self.largest {
            let replies = link.ask(key.database, 1, vec![Cmd::of(&[b"TYPE", &key.name])]).await?;
            let kind = replies.first().and_then(text).filter(|kind| kind != "none");
            if let Some(kind) = kind {
                let labels = [("db", &*Key::database(key.database)), ("key", &*shown(&key.name)), ("type", &*kind)];
                out.add(&LARGEST, &labels, from_i64(*bytes));
            }
        }
        Ok(())
    }
}

/// The databases that have keys, and how many.
///
/// `db0:keys=610,expires=100,avg_ttl=3599695`
async fn sizes(link: &mut Link) -> Result<Vec<(u32, u64)>, Failure> {
    let replies = link.ask(0, 0, vec![Cmd::of(&[b"INFO", b"keyspace"])]).await?;
    let reply = replies.into_iter().next().unwrap_or(Value::Nil);
    if let Some(words) = refusal(&reply) {
        return Err(Failure::Refused(words));
    }
    let answer = text(&reply).unwrap_or_default();
    let info = Info::parse(&answer);
    let sizes = info.numbered("db").filter_map(|(database, list)| Some((database, item(list, "keys")?.parse().ok()?)));
    Ok(sizes.filter(|(_, keys)| *keys > 0).take(DATABASES).collect())
}
