//! Many sources' samples as one exposition.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::family::Kind;
use super::samples::{Owner, Samples, Span};

/// How much text [`Page::chunk`] hands out at a time: large enough for gzip to find its matches, small enough to hold.
const CHUNK: usize = 64 * 1024;

/// A scrape's samples, grouped by family, ready to be written.
#[derive(Debug, Default)]
pub struct Page {
    sources: Vec<Samples>,
    groups: Vec<Group>,
    pieces: Vec<Piece>,
    series: usize,
    duplicates: usize,
}

/// One family on the page: whose span gives the header, and which pieces of text follow it.
#[derive(Debug)]
struct Group {
    source: usize,
    span: usize,
    pieces: Range<usize>,
}

#[derive(Debug)]
struct Piece {
    source: usize,
    lines: Range<usize>,
}

/// Where a reader of a [`Page`] stands.
#[derive(Debug, Default)]
pub struct Cursor {
    group: usize,
    piece: usize,
    offset: usize,
}

impl Page {
    /// Groups the samples of `sources` by family. The first span of a family gives HELP and TYPE; spans of another type
    /// under the same name, and series that stand there already, are left out and counted.
    pub fn new(sources: Vec<Samples>) -> Self {
        let mut order: Vec<(&[u8], usize, usize)> = Vec::new();
        for (source, samples) in sources.iter().enumerate() {
            for (index, span) in samples.spans.iter().enumerate().filter(|(_, span)| !span.lines.is_empty()) {
                order.push((name(samples, span), source, index));
            }
        }
        order.sort_unstable();

        let mut page = Page { series: sources.iter().map(Samples::series).sum(), ..Page::default() };
        let mut seen = Seen::default();
        for family in order.chunk_by(|a, b| a.0 == b.0) {
            let spans = family.iter().filter_map(|&(_, source, span)| {
                let samples = sources.get(source)?;
                Some((source, span, samples, samples.spans.get(span)?))
            });
            page.group(spans, &mut seen);
        }
        drop(seen);
        page.series -= page.duplicates;
        page.sources = sources;
        page
    }

    fn group<'a>(&mut self, spans: impl Iterator<Item = (usize, usize, &'a Samples, &'a Span)>, seen: &mut Seen<'a>) {
        let start = self.pieces.len();
        let mut header: Option<(usize, usize, Kind)> = None;
        seen.table.clear();
        for (source, index, samples, span) in spans {
            let text = samples.text.get(span.lines.clone()).unwrap_or_default();
            let (.., kind) = *header.get_or_insert((source, index, kind(span)));
            if kind != self::kind(span) {
                self.duplicates += memchr::memchr_iter(b'\n', text).count();
                continue;
            }
            let (mut from, base) = (span.lines.start, span.lines.start);
            let mut at = 0;
            for end in memchr::memchr_iter(b'\n', text) {
                let line = text.get(at..end).unwrap_or_default();
                if !seen.first(line) {
                    self.duplicates += 1;
                    self.piece(source, from..base + at);
                    from = base + end + 1;
                }
                at = end + 1;
            }
            self.piece(source, from..span.lines.end);
        }
        if let Some((source, span, _)) = header {
            self.groups.push(Group { source, span, pieces: start..self.pieces.len() });
        }
    }

    fn piece(&mut self, source: usize, lines: Range<usize>) {
        if !lines.is_empty() {
            self.pieces.push(Piece { source, lines });
        }
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
        self.sources.iter().map(|samples| samples.text.len() + samples.names.len()).sum()
    }

    /// Appends the next 64 KiB or so of the page to `out`; false when there was nothing left.
    pub fn chunk(&self, cursor: &mut Cursor, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        while let Some(group) = self.groups.get(cursor.group) {
            if out.len() - start >= CHUNK {
                return true;
            }
            if cursor.piece < group.pieces.start {
                cursor.piece = group.pieces.start;
            }
            if cursor.piece == group.pieces.start && cursor.offset == 0 {
                self.header(group, out);
            }
            let Some(piece) = self.pieces.get(cursor.piece).filter(|_| cursor.piece < group.pieces.end) else {
                cursor.group += 1;
                continue;
            };
            let text =
                self.sources.get(piece.source).and_then(|samples| samples.text.get(piece.lines.clone())).unwrap_or_default();
            let rest = text.get(cursor.offset..).unwrap_or_default();
            let take = rest.len().min(CHUNK);
            out.extend_from_slice(rest.get(..take).unwrap_or_default());
            cursor.offset += take;
            if cursor.offset >= text.len() {
                cursor.offset = 0;
                cursor.piece += 1;
                if cursor.piece == group.pieces.end {
                    cursor.group += 1;
                }
            }
        }
        out.len() > start
    }

    /// The whole text at once, for tests and small pages.
    pub fn to_vec(&self) -> Vec<u8> {
        let (mut cursor, mut out) = (Cursor::default(), Vec::with_capacity(self.len_hint() * 5 / 4));
        while self.chunk(&mut cursor, &mut out) {}
        out
    }

    fn header(&self, group: &Group, out: &mut Vec<u8>) {
        let Some(samples) = self.sources.get(group.source) else { return };
        let Some(span) = samples.spans.get(group.span) else { return };
        let name = name(samples, span);
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(name);
        out.push(b' ');
        escape_help(out, help(samples, span));
        out.extend_from_slice(b"\n# TYPE ");
        out.extend_from_slice(name);
        out.push(b' ');
        out.extend_from_slice(kind(span).word().as_bytes());
        out.push(b'\n');
    }
}

fn name<'a>(samples: &'a Samples, span: &'a Span) -> &'a [u8] {
    match &span.owner {
        Owner::Static(family) => family.name.as_bytes(),
        Owner::Named { name, .. } => samples.names.get(name.clone()).unwrap_or_default(),
    }
}

fn help<'a>(samples: &'a Samples, span: &'a Span) -> &'a [u8] {
    match &span.owner {
        Owner::Static(family) => family.help.as_bytes(),
        Owner::Named { help, .. } => samples.names.get(help.clone()).unwrap_or_default(),
    }
}

fn kind(span: &Span) -> Kind {
    match span.owner {
        Owner::Static(family) => family.kind,
        Owner::Named { kind, .. } => kind,
    }
}

fn escape_help(out: &mut Vec<u8>, help: &[u8]) {
    for &byte in help {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
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
        let hash = self.hasher.hash_one(series);
        let entry = self.table.entry(hash, |known| *known == series, |known| self.hasher.hash_one(*known));
        match entry {
            hashbrown::hash_table::Entry::Occupied(_) => false,
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                vacant.insert(series);
                true
            }
        }
    }
}
