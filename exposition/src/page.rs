//! Many sources' samples as one exposition.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::samples::Samples;

/// How much text [`Page::chunk`] hands out at a time: large enough for gzip to find its matches, small enough to hold.
const CHUNK: usize = 64 * 1024;

/// How many families are made room for at once.
const USUAL_FAMILIES: usize = 1024;

/// A scrape's samples, grouped by family, ready to be written.
#[derive(Debug, Default)]
pub struct Page {
    sources: Vec<Samples>,
    /// In the order of the page: by the names of their families, and within one by source.
    pieces: Vec<Piece>,
    /// What there is to show of the pieces of which not all is shown.
    kept: HashMap<usize, Vec<Range<usize>>>,
    series: usize,
    duplicates: usize,
}

/// A stretch of a source's lines. Small, since a page of 500 servers has 150,000 of them.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// The place of its family on the page.
    family: u32,
    source: u32,
    stretch: u32,
}

/// Where a reader of a [`Page`] stands.
#[derive(Debug, Default)]
pub struct Cursor {
    piece: usize,
    offset: usize,
}

impl Page {
    /// Groups the samples of `sources` by family. The first stretch of a family gives HELP and TYPE; stretches of another type
    /// under the same name, and series that stand there already, are left out and counted.
    pub fn new(sources: Vec<Samples>) -> Self {
        let pieces = Piece::all(&sources);
        let series = sources.iter().map(Samples::series).sum();
        let page = Page { sources, pieces, series, ..Page::default() };
        let (mut kept, mut duplicates) = (HashMap::new(), 0);
        let (mut seen, mut at) = (Seen::default(), 0);
        for family in page.pieces.chunk_by(|a, b| a.family == b.family) {
            duplicates += page.leave_out(family, at, &mut seen, &mut kept);
            at += family.len();
        }
        drop(seen);
        Page { kept, duplicates, series: series - duplicates, ..page }
    }

    /// Finds what is not shown of a family whose first piece is that `at`; how many lines that are.
    fn leave_out<'a>(
        &'a self,
        family: &[Piece],
        at: usize,
        seen: &mut Seen<'a>,
        kept: &mut HashMap<usize, Vec<Range<usize>>>,
    ) -> usize {
        let Some(kind) = family.first().map(|first| self.source(first).kind(first.stretch())) else { return 0 };
        let mut duplicates = 0;
        seen.table.clear();
        for (at, piece) in (at..).zip(family) {
            let text = self.text(piece);
            if self.source(piece).kind(piece.stretch()) != kind {
                duplicates += memchr::memchr_iter(b'\n', text).count();
                kept.insert(at, Vec::new());
                continue;
            }
            // Most families are one line, which stands nowhere else.
            if family.len() == 1 && memchr::memchr(b'\n', text) == Some(text.len() - 1) {
                continue;
            }
            let (mut from, mut start, mut ranges) = (0, 0, Vec::new());
            for end in memchr::memchr_iter(b'\n', text) {
                if !seen.first(text.get(start..end).unwrap_or_default()) {
                    duplicates += 1;
                    ranges.push(from..start);
                    from = end + 1;
                }
                start = end + 1;
            }
            if from > 0 || !ranges.is_empty() {
                ranges.push(from..text.len());
                kept.insert(at, ranges);
            }
        }
        duplicates
    }

    fn source(&self, piece: &Piece) -> &Samples {
        static NONE: Samples = Samples::none();
        usize::try_from(piece.source).ok().and_then(|source| self.sources.get(source)).unwrap_or(&NONE)
    }

    fn text(&self, piece: &Piece) -> &[u8] {
        self.source(piece).lines(piece.stretch())
    }

    /// How many series the page has.
    pub fn series(&self) -> usize {
        self.series
    }

    /// How many series were left out because they stood there already, or under another type.
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// Roughly how many bytes the whole text has: what decides whether compressing pays.
    pub fn len_hint(&self) -> usize {
        self.sources.iter().map(Samples::bytes).sum()
    }

    /// Appends the next 64 KiB or so of the page to `out`; false when there was nothing left.
    pub fn chunk(&self, cursor: &mut Cursor, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        out.reserve((self.len_hint() * 5 / 4).min(CHUNK + CHUNK / 16));
        while let Some(piece) = self.pieces.get(cursor.piece) {
            if out.len() - start >= CHUNK {
                return true;
            }
            let before = cursor.piece.checked_sub(1).and_then(|before| self.pieces.get(before));
            if cursor.offset == 0 && before.is_none_or(|before| before.family != piece.family) {
                self.source(piece).header(piece.stretch(), out);
            }
            match self.rest(cursor, piece) {
                Some((offset, rest)) => {
                    let text = rest.get(..CHUNK).unwrap_or(rest);
                    out.extend_from_slice(text);
                    cursor.offset = offset + text.len();
                }
                None => *cursor = Cursor { piece: cursor.piece + 1, offset: 0 },
            }
        }
        out.len() > start
    }

    /// What follows in the piece where `cursor` stands, up to the next line that is left out, and where that begins.
    fn rest(&self, cursor: &Cursor, piece: &Piece) -> Option<(usize, &[u8])> {
        let text = self.text(piece);
        let range = match self.kept.get(&cursor.piece) {
            None => cursor.offset..text.len(),
            Some(kept) => {
                let next = kept.iter().find(|range| range.end > cursor.offset)?;
                next.start.max(cursor.offset)..next.end
            }
        };
        let start = range.start;
        text.get(range).filter(|rest| !rest.is_empty()).map(|rest| (start, rest))
    }

    /// The whole text at once, for tests and small pages.
    pub fn to_vec(&self) -> Vec<u8> {
        let (mut cursor, mut out) = (Cursor::default(), Vec::with_capacity(self.len_hint() * 5 / 4));
        while self.chunk(&mut cursor, &mut out) {}
        out
    }
}

impl Piece {
    /// All stretches that are not empty, in the order of the page.
    fn all(sources: &[Samples]) -> Vec<Piece> {
        let stretches = sources.iter().map(Samples::stretches).sum();
        let mut pieces = Vec::with_capacity(stretches);
        // Many servers have the families of one.
        let families = stretches.min(USUAL_FAMILIES);
        let (mut names, hasher) = (Vec::<&str>::with_capacity(families), DefaultHashBuilder::default());
        let mut table = HashTable::<(&str, u32)>::with_capacity(families);
        for (source, samples) in (0u32..).zip(sources) {
            for (stretch, at) in (0u32..).zip(0..samples.stretches()) {
                if samples.lines(at).is_empty() {
                    continue;
                }
                let name = samples.name(at);
                let hash = hash(&hasher, name.as_bytes());
                let known = table.find(hash, |(known, _)| *known == name).map(|(_, family)| *family);
                let family = known.unwrap_or_else(|| {
                    let family = u32::try_from(names.len()).unwrap_or(u32::MAX);
                    table.insert_unique(hash, (name, family), |(other, _)| self::hash(&hasher, other.as_bytes()));
                    names.push(name);
                    family
                });
                pieces.push(Piece { family, source, stretch });
            }
        }
        // From the order in which the families came to that of their names.
        let mut order: Vec<(&str, usize)> = names.into_iter().zip(0..).collect();
        // Stable, since that takes the stretches that are sorted already as they are: those of one collector often come so.
        order.sort();
        let mut places = vec![0; order.len()];
        for ((_, family), place) in order.into_iter().zip(0u32..) {
            if let Some(known) = places.get_mut(family) {
                *known = place;
            }
        }
        for piece in &mut pieces {
            let place = usize::try_from(piece.family).ok().and_then(|family| places.get(family));
            piece.family = place.copied().unwrap_or(u32::MAX);
        }
        pieces.sort_by_key(|piece| piece.family);
        pieces
    }

    fn stretch(&self) -> usize {
        usize::try_from(self.stretch).unwrap_or(usize::MAX)
    }
}

/// The series of one family met so far, compared by their text: name and labels, all before the last blank of a line.
#[derive(Default)]
struct Seen<'a> {
    table: HashTable<&'a [u8]>,
    hasher: DefaultHashBuilder,
}

impl<'a> Seen<'a> {
    fn first(&mut self, line: &'a [u8]) -> bool {
        let series = memchr::memrchr(b' ', line).and_then(|end| line.get(..end)).unwrap_or(line);
        let entry = self.table.entry(hash(&self.hasher, series), |known| *known == series, |known| hash(&self.hasher, known));
        match entry {
            hashbrown::hash_table::Entry::Occupied(_) => false,
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                vacant.insert(series);
                true
            }
        }
    }
}

/// The hash of a name or a series. Without the length that a slice's own hash begins with: it is the end of what is hashed.
fn hash(hasher: &DefaultHashBuilder, text: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(text);
    hasher.finish()
}
