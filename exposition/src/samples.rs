//! What one source writes into: finished lines, and which stretch of them belongs to which family.

use std::ops::Range;

use super::family::{Family, Kind};
use super::labels::{Labels, push_label};
use super::number::Value;

/// Bytes of text that are taken in one go.
const STEP: usize = 1024;

/// Bytes of text and stretches that a usual collector has, taken at once.
const FIRST: (usize, usize) = (2048, 16);

/// Bytes of text that are kept for the next scrape.
const USUAL: usize = 256 * 1024;

/// What a line with a family's help begins with.
const HELP: &str = "# HELP ";

/// Writes the lines HELP and TYPE of a family by `put`: backslash and newline escaped in the help, as the format asks.
fn header(name: &str, help: &str, kind: Kind, mut put: impl FnMut(&str)) {
    put(HELP);
    put(name);
    put(" ");
    let mut rest = help;
    while let Some((plain, special)) = memchr::memchr2(b'\\', b'\n', rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
        put(plain);
        let behind = special.strip_prefix('\\');
        put(if behind.is_some() { "\\\\" } else { "\\n" });
        rest = behind.or_else(|| special.strip_prefix('\n')).unwrap_or_default();
    }
    put(rest);
    put("\n# TYPE ");
    put(name);
    put(" ");
    put(kind.word());
    put("\n");
}

/// The family that a stretch of lines belongs to.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Static(&'static Family),
    /// One of [`Samples::named`].
    Named(usize),
}

/// A family whose name comes from the input. Its lines HELP and TYPE, which are often shown again, and its name therein are ranges of
/// [`Samples::names`].
#[derive(Clone, Debug)]
struct Named {
    header: Range<usize>,
    name: Range<usize>,
    kind: Kind,
}

impl Named {
    /// The same behind so many bytes of names.
    fn moved(self, names: usize) -> Named {
        let moved = |range: Range<usize>| range.start + names..range.end + names;
        Named { header: moved(self.header), name: moved(self.name), kind: self.kind }
    }
}

/// A stretch of lines: it ends where the next one begins, or with the text. A page of 500 servers has 150,000 of them.
#[derive(Clone, Copy, Debug)]
struct Span {
    owner: Owner,
    start: usize,
}

impl Span {
    /// The same behind so many bytes of lines and so many families with names from the input.
    fn moved(self, text: usize, named: usize) -> Span {
        let owner = match self.owner {
            Owner::Named(place) => Owner::Named(place + named),
            owner @ Owner::Static(_) => owner,
        };
        Span { owner, start: self.start + text }
    }
}

/// The samples of one source: one text buffer for the lines, one for names that come from the input.
///
/// Nothing is allocated for a series; the buffers grow and are dropped with the page.
#[derive(Debug, Default)]
pub struct Samples {
    text: Vec<u8>,
    names: String,
    named: Vec<Named>,
    spans: Vec<Span>,
    common: Labels,
    series: usize,
}

impl Samples {
    /// Empty, for where none is needed.
    pub(super) const fn none() -> Self {
        Samples { text: Vec::new(), names: String::new(), named: Vec::new(), spans: Vec::new(), common: Labels::new(), series: 0 }
    }

    /// Empty.
    pub fn new() -> Self {
        Samples::default()
    }

    /// Empty, with labels that every series written into it gets first (`target="…"` of a database).
    pub fn with_common(common: Labels) -> Self {
        Samples { common, ..Samples::default() }
    }

    /// Opens a family to add samples to. A family may be opened any number of times.
    pub fn family(&mut self, family: &'static Family) -> Rows<'_> {
        let same = matches!(self.spans.last(), Some(Span { owner: Owner::Static(last), .. }) if std::ptr::eq(*last, family));
        if !same {
            self.open(Owner::Static(family));
        }
        Rows { name: family.name.as_bytes(), text: &mut self.text, common: &self.common, series: &mut self.series }
    }

    /// Opens a family whose name comes from the input. The caller answers for the name's characters
    /// (`[a-zA-Z_:][a-zA-Z0-9_:]*`); where two callers differ in type, the first one on the page wins.
    pub fn named(&mut self, name: &str, help: &str, kind: Kind) -> Rows<'_> {
        let last = self.spans.len().checked_sub(1);
        let is_named = matches!(self.spans.last(), Some(Span { owner: Owner::Named(_), .. }));
        if !(is_named && last.is_some_and(|last| self.name(last) == name)) {
            let start = self.names.len();
            header(name, help, kind, |text| self.names.push_str(text));
            self.open(Owner::Named(self.named.len()));
            let behind = start + HELP.len();
            self.named.push(Named { header: start..self.names.len(), name: behind..behind + name.len(), kind });
        }
        let name = self.named.last().and_then(|named| self.names.get(named.name.clone())).unwrap_or_default();
        Rows { name: name.as_bytes(), text: &mut self.text, common: &self.common, series: &mut self.series }
    }

    fn open(&mut self, owner: Owner) {
        if self.spans.capacity() == 0 {
            self.text.reserve(FIRST.0);
            self.spans.reserve(FIRST.1);
        }
        self.spans.push(Span { owner, start: self.text.len() });
    }

    /// How many stretches there are, some of them maybe empty.
    pub(super) fn stretches(&self) -> usize {
        self.spans.len()
    }

    /// The lines of a stretch.
    pub(super) fn lines(&self, stretch: usize) -> &[u8] {
        let Some(span) = self.spans.get(stretch) else { return &[] };
        let end = self.spans.get(stretch + 1).map_or(self.text.len(), |next| next.start);
        self.text.get(span.start..end).unwrap_or_default()
    }

    /// The name of a stretch's family.
    pub(super) fn name(&self, stretch: usize) -> &str {
        match self.spans.get(stretch).map(|span| span.owner) {
            Some(Owner::Static(family)) => family.name,
            Some(Owner::Named(place)) => {
                self.named.get(place).and_then(|named| self.names.get(named.name.clone())).unwrap_or_default()
            }
            None => "",
        }
    }

    /// Appends the lines HELP and TYPE of a stretch's family.
    pub(super) fn header(&self, stretch: usize, out: &mut Vec<u8>) {
        match self.spans.get(stretch).map(|span| span.owner) {
            Some(Owner::Static(family)) => {
                header(family.name, family.help, family.kind, |text| out.extend_from_slice(text.as_bytes()));
            }
            Some(Owner::Named(place)) => {
                let text = self.named.get(place).and_then(|named| self.names.get(named.header.clone())).unwrap_or_default();
                out.extend_from_slice(text.as_bytes());
            }
            None => {}
        }
    }

    /// The type of a stretch's family.
    pub(super) fn kind(&self, stretch: usize) -> Kind {
        match self.spans.get(stretch).map(|span| span.owner) {
            Some(Owner::Static(family)) => family.kind,
            Some(Owner::Named(place)) => self.named.get(place).map_or(Kind::Untyped, |named| named.kind),
            None => Kind::Untyped,
        }
    }

    /// Bytes held: lines, and names from the input.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.names.len()
    }

    /// Takes over all samples of `other`, which is empty afterwards and keeps its memory.
    pub fn append(&mut self, other: &mut Samples) {
        if self.text.is_empty() {
            // In steps, so that the next scrape, a few digits longer, fits where this one was: 500 servers' texts are most of the heap.
            self.text.reserve_exact(other.text.len().next_multiple_of(STEP));
        }
        let (text, names, named) = (self.text.len(), self.names.len(), self.named.len());
        self.text.append(&mut other.text);
        self.names.push_str(&other.names);
        other.names.clear();
        self.named.extend(other.named.drain(..).map(|owner| owner.moved(names)));
        self.spans.extend(other.spans.drain(..).map(|span| span.moved(text, named)));
        self.series += std::mem::take(&mut other.series);
    }

    /// Adds all samples of `other`, common labels included, to be shown again.
    pub fn extend(&mut self, other: &Samples) {
        let (text, names, named) = (self.text.len(), self.names.len(), self.named.len());
        self.text.extend_from_slice(&other.text);
        self.names.push_str(&other.names);
        self.named.extend(other.named.iter().map(|owner| owner.clone().moved(names)));
        self.spans.extend(other.spans.iter().map(|span| span.moved(text, named)));
        self.series += other.series;
    }

    /// How many series were added.
    pub fn series(&self) -> usize {
        self.series
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Bytes of text held.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Empty again, with other common labels: keeps the memory, but for what an unusual scrape took.
    pub fn reuse(&mut self, common: Labels) {
        self.clear();
        self.text.shrink_to(USUAL);
        self.common = common;
    }

    /// Forgets all samples and keeps the memory and the common labels.
    pub fn clear(&mut self) {
        self.text.clear();
        self.names.clear();
        self.named.clear();
        self.spans.clear();
        self.series = 0;
    }
}

/// One family, open for samples.
pub struct Rows<'a> {
    name: &'a [u8],
    text: &'a mut Vec<u8>,
    common: &'a Labels,
    series: &'a mut usize,
}

impl Rows<'_> {
    /// Adds `name{labels} value`.
    pub fn add<const N: usize>(&mut self, labels: [(&str, &str); N], value: impl Value) -> &mut Self {
        self.line("", &Labels::new(), &labels, value)
    }

    /// Adds a sample of an entity whose label text is already rendered, with `labels` of its own behind them.
    pub fn add_to<const N: usize>(&mut self, entity: &Labels, labels: [(&str, &str); N], value: impl Value) -> &mut Self {
        self.line("", entity, &labels, value)
    }

    /// As [`add_to`](Self::add_to) for names with a suffix, such as `_bucket`, and for labels known only at run time.
    pub fn line(&mut self, suffix: &str, entity: &Labels, labels: &[(&str, &str)], value: impl Value) -> &mut Self {
        self.begin(suffix, entity, labels);
        value.write(self.text);
        self.end();
        self
    }

    /// Writes all before the value. Apart from [`line`](Self::line), which is compiled where it is called, and so for size.
    fn begin(&mut self, suffix: &str, entity: &Labels, labels: &[(&str, &str)]) {
        let rendered = self.common.as_bytes().len() + entity.as_bytes().len();
        let own: usize = labels.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        // Room for nearly all of it at once.
        self.text.reserve(self.name.len() + suffix.len() + rendered + own + 32);
        self.text.extend_from_slice(self.name);
        if !suffix.is_empty() {
            self.text.extend_from_slice(suffix.as_bytes());
        }
        if !(labels.is_empty() && entity.is_empty() && self.common.is_empty()) {
            let mut separator = b'{';
            for rendered in [self.common, entity] {
                if !rendered.is_empty() {
                    self.text.push(separator);
                    self.text.extend_from_slice(rendered.as_bytes());
                    separator = b',';
                }
            }
            for (name, value) in labels {
                push_label(self.text, Some(separator), name, value);
                separator = b',';
            }
            self.text.push(b'}');
        }
        self.text.push(b' ');
    }

    fn end(&mut self) {
        self.text.push(b'\n');
        *self.series += 1;
    }
}
