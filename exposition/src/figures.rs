//! Reads samples back that a source has just written: for whoever judges figures instead of showing them.

use std::borrow::Cow;

use super::parse::unescaped;
use super::samples::Samples;

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure<'a> {
    /// The text between the braces, as it was written.
    pub labels: &'a str,
    /// The number.
    pub value: f64,
}

impl<'a> Figure<'a> {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut text = self.labels;
        while let Some((key, rest)) = text.split_once("=\"") {
            let (value, after) = rest.split_at_checked(closing(rest)?)?;
            if key == name {
                return unescaped(value, true).ok();
            }
            text = after.strip_prefix('"')?.trim_start_matches(',');
        }
        None
    }
}

/// Where a label's value ends: at the first quote that no backslash stands before.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// The samples of one family, read one by one.
#[derive(Clone, Debug)]
pub struct Figures<'a> {
    name: &'a str,
    lines: &'a [u8],
}

impl<'a> Iterator for Figures<'a> {
    type Item = Figure<'a>;

    fn next(&mut self) -> Option<Figure<'a>> {
        while let Some(end) = memchr::memchr(b'\n', self.lines) {
            let (line, rest) = self.lines.split_at_checked(end)?;
            self.lines = rest.get(1..).unwrap_or_default();
            if let Some(figure) = str::from_utf8(line).ok().and_then(|line| figure(self.name, line)) {
                return Some(figure);
            }
        }
        None
    }
}

/// The families that were written, with their names. Neither this nor [`Figures`] is a chain of closures, which would be compiled where it is used.
#[derive(Clone, Debug)]
pub struct Families<'a> {
    samples: &'a Samples,
    stretch: usize,
}

impl<'a> Iterator for Families<'a> {
    type Item = (&'a str, Figures<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let stretch = self.stretch;
        self.stretch += 1;
        (stretch < self.samples.stretches()).then(|| {
            let name = self.samples.name(stretch);
            (name, Figures { name, lines: self.samples.lines(stretch) })
        })
    }
}

impl Samples {
    /// The families that were written, in their order, and the samples of each, which are read when they are asked for. A family may come
    /// more than once.
    pub fn families(&self) -> Families<'_> {
        Families { samples: self, stretch: 0 }
    }
}

/// `node_load1 0.5`, `node_filesystem_files{device="/dev/vda"} 12`; not `name_bucket{le="1"} 2`, which has a suffix.
fn figure<'a>(name: &str, line: &'a str) -> Option<Figure<'a>> {
    let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
    let labels = if labels.is_empty() { labels } else { labels.strip_prefix('{')?.strip_suffix('}')? };
    Some(Figure { labels, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Kind, Labels};

    static PLAIN: Family = Family::gauge("plain", "Has a help text.");

    #[test]
    fn what_was_written_is_read() {
        let mut samples = Samples::with_common(Labels::of(&[("target", "a\"},b=\"c\\\n")]));
        samples.family(&PLAIN).add([], 0.5).add([("x", "}\" 7"), ("xx", "")], f64::NAN);
        samples.named("other", "Has one too.", Kind::Histogram).line("_bucket", &Labels::new(), &[("le", "1")], 1.0);
        let read: Vec<_> = samples.families().map(|(name, figures)| (name, figures.collect::<Vec<_>>())).collect();
        let [("plain", plain), ("other", other)] = &read[..] else { panic!("{read:?}") };
        assert!(other.is_empty(), "{other:?}");
        assert_eq!(plain[0].value, 0.5);
        assert_eq!(plain[0].label("target").as_deref(), Some("a\"},b=\"c\\\n"));
        assert_eq!((plain[0].label("b"), plain[0].label("x")), (None, None));
        assert!(plain[1].value.is_nan());
        assert_eq!((plain[1].label("x").as_deref(), plain[1].label("xx").as_deref()), (Some("}\" 7"), Some("")));
    }
}
