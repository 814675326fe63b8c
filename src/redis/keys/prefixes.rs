//! Keys and bytes by the beginnings of names.

use hashbrown::HashMap;

use super::findings::Findings;
use super::pass::shown;
use super::wanted::Key;
use crate::exposition::{Family, from_i64};

static KEYS: Family = Family::gauge(
    "redis_key_prefix_keys",
    "Keys whose names begin so, up to the first separator; other: those of the smaller prefixes. See redis_keys_sample_ratio.",
);
static BYTES: Family = Family::gauge(
    "redis_key_prefix_bytes",
    "Memory of the keys whose names begin so; other: of the smaller prefixes (MEMORY USAGE). See redis_keys_sample_ratio.",
);

/// The most prefixes that are told apart, and the longest: what comes later or is longer counts as other.
const TOLD_APART: usize = 10_000;
const LONGEST: usize = 256;

/// Keys and their memory.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    keys: i64,
    bytes: i64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.keys = self.keys.saturating_add(other.keys);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// The prefixes of one database.
pub(super) struct Prefixes<'a> {
    separator: &'a [u8],
    sums: HashMap<Vec<u8>, Sum>,
    other: Sum,
}

impl<'a> Prefixes<'a> {
    pub(super) fn new(separator: &'a str) -> Self {
        Prefixes { separator: separator.as_bytes(), sums: HashMap::new(), other: Sum::default() }
    }

    /// The prefix of `session:17:cart` is `session:`; a name without separator has none.
    pub(super) fn add(&mut self, name: &[u8], bytes: i64) {
        let prefix = memchr::memmem::find(name, self.separator).and_then(|end| name.get(..end + self.separator.len()));
        let (prefix, sum) = (prefix.unwrap_or_default(), Sum { keys: 1, bytes });
        let has_room = prefix.len() <= LONGEST && self.sums.len() < TOLD_APART;
        match self.sums.get_mut(prefix) {
            Some(known) => known.add(sum),
            None if has_room => drop(self.sums.insert(prefix.to_vec(), sum)),
            None => self.other.add(sum),
        }
    }

    /// Writes the `most` prefixes that take most memory, and all others as one, each times `projection`.
    pub(super) fn emit(self, database: u32, most: usize, projection: f64, out: &mut Findings) {
        let (mut other, database) = (self.other, Key::database(database));
        let mut sums: Vec<_> = self.sums.into_iter().collect();
        sums.sort_unstable_by(|(a, one), (b, two)| two.bytes.cmp(&one.bytes).then(a.cmp(b)));
        sums.drain(most.min(sums.len())..).for_each(|(_, sum)| other.add(sum));
        sums.extend((other.keys > 0).then(|| (b"other".to_vec(), other)));
        for (prefix, sum) in &sums {
            let labels = [("db", &*database), ("prefix", &*shown(prefix))];
            out.add(&KEYS, &labels, (from_i64(sum.keys) * projection).round());
            out.add(&BYTES, &labels, (from_i64(sum.bytes) * projection).round());
        }
    }
}
