//! All keys of a database, counted by what a pattern captures of their names.

use hashbrown::HashMap;

use super::super::connection::Failure;
use super::super::reply::integer;
use super::super::resp::Cmd;
use super::findings::Findings;
use super::link::Link;
use super::pass::{self, Scan, Tally, shown};
use super::wanted::{Key, Wanted};
use crate::exposition::{Family, from_i64};

static COUNT: Family = Family::gauge("redis_key_group_count", "Keys of the group.");
static MEMORY: Family = Family::gauge("redis_key_group_memory_usage_bytes", "Memory of the group's keys (MEMORY USAGE).");
static GROUPS: Family = Family::gauge("redis_number_of_distinct_key_groups", "Groups of keys in the database.");

/// The most groups that are told apart while counting; what comes later goes into the overflow at once.
const TOLD_APART: usize = 100_000;

/// Keys whose memory is asked in one round trip.
const AT_ONCE: usize = 200;

/// Keys and their memory.
#[derive(Clone, Copy, Default)]
struct Sum {
    keys: i64,
    bytes: i64,
}

impl Sum {
    fn add(&mut self, keys: i64, bytes: i64) {
        self.keys = self.keys.saturating_add(keys);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Counts the keys of `database` into `out`.
pub(super) async fn read(
    link: &mut Link,
    database: u32,
    wanted: &Wanted,
    tally: &mut Tally,
    out: &mut Findings,
) -> Result<(), Failure> {
    let (mut groups, mut overflow) = (HashMap::<Vec<u8>, Sum>::new(), Sum::default());
    let mut scan = Scan::new(database, None, wanted.batch);
    while let Some(names) = scan.next(link, tally).await? {
        for names in names.chunks(AT_ONCE) {
            let asks = names.iter().map(|name| Cmd::of(&[b"MEMORY", b"USAGE", name]));
            let replies = link.ask(database, 0, asks.collect()).await?;
            for (name, reply) in names.iter().zip(&replies) {
                let group = wanted.groups.iter().find_map(|pattern| pattern.captured(name));
                let group = group.unwrap_or_else(|| b"unclassified".to_vec());
                let room = groups.len() < TOLD_APART || groups.contains_key(&group);
                let sum = if room { groups.entry(group).or_default() } else { &mut overflow };
                sum.add(1, integer(reply).unwrap_or(0));
            }
        }
    }
    let distinct = groups.len();
    let mut groups: Vec<_> = groups.into_iter().collect();
    if distinct > wanted.most_groups || overflow.keys > 0 {
        // The largest are shown.
        groups.sort_by(|(a, one), (b, other)| other.bytes.cmp(&one.bytes).then(one.keys.cmp(&other.keys)).then(a.cmp(b)));
        for (_, sum) in groups.drain(wanted.most_groups.min(distinct)..) {
            overflow.add(sum.keys, sum.bytes);
        }
        groups.push((b"overflow".to_vec(), overflow));
    }
    let database = Key::database(database);
    for (group, sum) in &groups {
        let labels = [("db", &*database), ("key_group", &*shown(group))];
        out.add(&COUNT, &labels, from_i64(sum.keys));
        out.add(&MEMORY, &labels, from_i64(sum.bytes));
    }
    out.add(&GROUPS, &[("db", &database)], pass::count(distinct));
    Ok(())
}
