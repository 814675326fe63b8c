//! What one source writes into: finished lines, and which stretch of them belongs to which family.

use std::ops::Range;

use super::family::{Family, Kind};
use super::labels::{Labels, push_label};
use super::number::Value;

/// The family that a stretch of lines belongs to.
#[derive(Clone, Debug)]
pub(super) enum Owner {
    Static(&'static Family),
    /// Name and help are ranges of [`Samples::names`].
    Named {
        name: Range<usize>,
        help: Range<usize>,
        kind: Kind,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) owner: Owner,
    pub(super) lines: Range<usize>,
}

/// The samples of one source: one text buffer for the lines, one for names that come from the input.
///
/// Nothing is allocated for a series; the buffers grow and are dropped with the page.
#[derive(Debug, Default)]
pub struct Samples {
    pub(super) text: Vec<u8>,
    pub(super) names: Vec<u8>,
    pub(super) spans: Vec<Span>,
    common: Labels,
    series: usize,
}

impl Samples {
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
        Rows {
            name: family.name.as_bytes(),
            text: &mut self.text,
            spans: &mut self.spans,
            common: &self.common,
            series: &mut self.series,
        }
    }

    /// Opens a family whose name comes from the input. The caller answers for the name's characters
    /// (`[a-zA-Z_:][a-zA-Z0-9_:]*`); where two callers differ in type, the first one on the page wins.
    pub fn named(&mut self, name: &str, help: &str, kind: Kind) -> Rows<'_> {
        let same = match self.spans.last() {
            Some(Span { owner: Owner::Named { name: last, .. }, .. }) => self.names.get(last.clone()) == Some(name.as_bytes()),
            _ => false,
        };
        if !same {
            let start = self.names.len();
            self.names.extend_from_slice(name.as_bytes());
            let middle = self.names.len();
            self.names.extend_from_slice(help.as_bytes());
            self.open(Owner::Named { name: start..middle, help: middle..self.names.len(), kind });
        }
        let name = match self.spans.last() {
            Some(Span { owner: Owner::Named { name, .. }, .. }) => self.names.get(name.clone()).unwrap_or_default(),
            _ => Default::default(),
        };
        Rows { name, text: &mut self.text, spans: &mut self.spans, common: &self.common, series: &mut self.series }
    }

    fn open(&mut self, owner: Owner) {
        let at = self.text.len();
        self.spans.push(Span { owner, lines: at..at });
    }

    /// Takes over all samples of `other`, which is empty afterwards and keeps its memory.
    pub fn append(&mut self, other: &mut Samples) {
        let (text, names) = (self.text.len(), self.names.len());
        self.text.append(&mut other.text);
        self.names.append(&mut other.names);
        self.spans.extend(other.spans.drain(..).map(|span| Span {
            owner: match span.owner {
                Owner::Named { name, help, kind } => {
                    Owner::Named { name: name.start + names..name.end + names, help: help.start + names..help.end + names, kind }
                }
                owner @ Owner::Static(_) => owner,
            },
            lines: span.lines.start + text..span.lines.end + text,
        }));
        self.series += std::mem::take(&mut other.series);
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

    /// Forgets all samples and keeps the memory and the common labels.
    pub fn clear(&mut self) {
        self.text.clear();
        self.names.clear();
        self.spans.clear();
        self.series = 0;
    }
}

/// One family, open for samples.
pub struct Rows<'a> {
    name: &'a [u8],
    text: &'a mut Vec<u8>,
    spans: &'a mut Vec<Span>,
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
        self.text.extend_from_slice(self.name);
        self.text.extend_from_slice(suffix.as_bytes());
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
        value.write(self.text);
        self.text.push(b'\n');
        *self.series += 1;
        if let Some(span) = self.spans.last_mut() {
            span.lines.end = self.text.len();
        }
        self
    }
}
