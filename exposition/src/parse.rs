//! Reads the Prometheus text format 0.0.4, for text files that others write.
//!
//! As strict as Prometheus' own parser where it matters: one bad line and nothing of the text is believed, since it may
//! have been written half.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Kind;

/// A family of a text, its samples in their order.
#[derive(Debug, PartialEq)]
pub struct ParsedFamily<'a> {
    /// Metric name.
    pub name: &'a str,
    /// HELP, if there is one that says anything.
    pub help: Option<Cow<'a, str>>,
    /// TYPE, or untyped.
    pub kind: Kind,
    /// Its samples; may be empty.
    pub samples: Vec<ParsedSample<'a>>,
}

/// A sample of a [`ParsedFamily`].
#[derive(Debug, PartialEq)]
pub struct ParsedSample<'a> {
    /// `_bucket`, `_sum`, `_count` or nothing.
    pub suffix: &'a str,
    /// Names and values, sorted by name.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// The number.
    pub value: f64,
    /// Milliseconds of Unix time, if the writer claimed a time.
    pub timestamp: Option<i64>,
}

/// Why a text is not in the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadText {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads a whole text.
pub fn parse(text: &[u8]) -> Result<Vec<ParsedFamily<'_>>, BadText> {
    let mut families = Families::default();
    let mut lines = text.split(|&byte| byte == b'\n');
    // What stands behind the last newline must be nothing: a line without its end was written half.
    let end = lines.next_back().unwrap_or_default();
    let mut number = 0;
    for line in lines {
        number += 1;
        let read = std::str::from_utf8(line).map_err(|_| "not UTF-8");
        read.and_then(|line| families.line(line)).map_err(|what| BadText { line: number, what })?;
    }
    if end.is_empty() { Ok(families.list()) } else { Err(BadText { line: number + 1, what: "the last line does not end" }) }
}

/// The families so far, by name.
#[derive(Default)]
struct Families<'a>(HashMap<&'a str, Begun<'a>>);

/// A family that more may be said of.
struct Begun<'a> {
    order: usize,
    has_help: bool,
    has_type: bool,
    family: ParsedFamily<'a>,
}

impl<'a> Families<'a> {
    /// The families in the order in which they were begun.
    fn list(self) -> Vec<ParsedFamily<'a>> {
        let mut all: Vec<Begun<'a>> = self.0.into_values().collect();
        all.sort_unstable_by_key(|begun| begun.order);
        all.into_iter().map(|begun| begun.family).collect()
    }

    /// The family `name`, begun if need be.
    fn family(&mut self, name: &'a str) -> &mut Begun<'a> {
        let order = self.0.len();
        self.0.entry(name).or_insert_with(|| Begun {
            order,
            has_help: false,
            has_type: false,
            family: ParsedFamily { name, help: None, kind: Kind::Untyped, samples: Vec::new() },
        })
    }

    fn line(&mut self, line: &'a str) -> Result<(), &'static str> {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() {
            return Ok(());
        }
        let Some(comment) = line.strip_prefix('#') else { return self.sample(line) };
        let (keyword, rest) = word(comment.trim_start_matches([' ', '\t']));
        match keyword {
            "HELP" => self.help(rest),
            "TYPE" => self.kind(rest),
            _ => Ok(()),
        }
    }

    fn help(&mut self, rest: &'a str) -> Result<(), &'static str> {
        let (name, help) = word(rest);
        if !is_metric_name(name) {
            return Err("HELP without a metric name");
        }
        let help = unescaped(help, false)?;
        let begun = self.family(name);
        if std::mem::replace(&mut begun.has_help, true) {
            return Err("a second HELP for the same name");
        }
        begun.family.help = Some(help).filter(|help| !help.is_empty());
        Ok(())
    }

    fn kind(&mut self, rest: &'a str) -> Result<(), &'static str> {
        let (name, kind) = word(rest);
        if !is_metric_name(name) {
            return Err("TYPE without a metric name");
        }
        let kinds = [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary, Kind::Untyped];
        let kind = kinds.into_iter().find(|known| known.word().eq_ignore_ascii_case(kind)).ok_or("an unknown TYPE")?;
        let begun = self.family(name);
        if std::mem::replace(&mut begun.has_type, true) || !begun.family.samples.is_empty() {
            return Err("a second TYPE for the same name, or one after its samples");
        }
        begun.family.kind = kind;
        Ok(())
    }

    /// `name{label="value",…} value [timestamp]`
    fn sample(&mut self, line: &'a str) -> Result<(), &'static str> {
        let end = line.find(['{', ' ', '\t']).ok_or("a name without a value")?;
        let (name, rest) = line.split_at(end);
        if !is_metric_name(name) {
            return Err("not a metric name");
        }
        let rest = rest.trim_start_matches([' ', '\t']);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(inside) => labels(inside)?,
            None => (Vec::new(), rest),
        };
        let mut words = rest.split_ascii_whitespace();
        let value = words.next().ok_or("no value")?.parse().map_err(|_| "a value that is not a number")?;
        let timestamp = words.next().map(str::parse).transpose().map_err(|_| "a timestamp that is not a whole number")?;
        if words.next().is_some() {
            return Err("more behind the timestamp");
        }
        let (family, suffix) = self.parent(name);
        self.family(family).family.samples.push(ParsedSample { suffix, labels, value, timestamp });
        Ok(())
    }

    /// The family that a sample belongs to, and what its name has more.
    fn parent(&self, name: &'a str) -> (&'a str, &'a str) {
        let kind_of = |family: &str| self.0.get(family).map(|begun| begun.family.kind);
        for suffix in ["_bucket", "_sum", "_count"] {
            let Some(family) = name.strip_suffix(suffix) else { continue };
            match kind_of(family) {
                Some(Kind::Histogram) => {}
                Some(Kind::Summary) if suffix != "_bucket" => {}
                _ => continue,
            }
            let (family, suffix) = name.split_at(family.len());
            return (family, suffix);
        }
        (name, "")
    }
}

/// The first word, and what follows it without the blanks between.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start_matches([' ', '\t']))
}

type Parsed<'a> = (Vec<(&'a str, Cow<'a, str>)>, &'a str);

/// The labels behind `{`, sorted by name, and what follows `}`.
fn labels(mut rest: &str) -> Result<Parsed<'_>, &'static str> {
    let mut labels: Vec<(&str, Cow<'_, str>)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(behind) = rest.strip_prefix('}') {
            labels.sort_unstable_by_key(|(name, _)| *name);
            let is_double = labels.iter().zip(labels.iter().skip(1)).any(|(a, b)| a.0 == b.0);
            return if is_double { Err("a label that stands twice") } else { Ok((labels, behind)) };
        }
        let (name, value) = rest.split_once('=').ok_or("labels without an end")?;
        let name = name.trim_end_matches([' ', '\t']);
        if !is_label_name(name) {
            return Err("not a label name");
        }
        let value = value.trim_start_matches([' ', '\t']).strip_prefix('"').ok_or("a label value without quotes")?;
        let end = closing_quote(value).ok_or("a label value without an end")?;
        labels.push((name, unescaped(value.get(..end).unwrap_or_default(), true)?));
        rest = value.get(end + 1..).unwrap_or_default().trim_start_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None if rest.starts_with('}') => {}
            None => return Err("neither comma nor brace behind a label"),
        }
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    })
}

/// `\\`, `\n` and in label values `\"`; anything else behind a backslash is an error in a label value and stays in HELP.
pub(super) fn unescaped(text: &str, is_label: bool) -> Result<Cow<'_, str>, &'static str> {
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let (mut plain, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(char) = chars.next() {
        match (char, chars.as_str().chars().next()) {
            ('\\', Some('\\')) => plain.push('\\'),
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('"')) if is_label => plain.push('"'),
            ('\\', _) if is_label => return Err("an unknown escape in a label value"),
            (char, _) => {
                plain.push(char);
                continue;
            }
        }
        chars.next();
    }
    Ok(Cow::Owned(plain))
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
pub fn is_metric_name(name: &str) -> bool {
    is_name(name, |byte| byte == b':')
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, and not the name that stands for the metric's own.
pub fn is_label_name(name: &str) -> bool {
    is_name(name, |_| false) && name != "__name__"
}

fn is_name(name: &str, also: impl Fn(u8) -> bool) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || also(byte);
    name.bytes().all(fits) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Page, Samples};

    fn error(text: &str) -> BadText {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn families_with_all_that_the_format_allows() {
        let text = "# a comment\n\n# HELP h  A help\\nof \\\\ two lines.\n#TYPE h Histogram\nh_bucket{le=\"+Inf\",a=\"q\\\"\\\\\\n\",} 3 123\n\
            h_sum 1.5e3\n  h_count\t3 \n# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_count 1\ns_bucket -Inf\n# HELP only_help \n";
        let families = parse(text.as_bytes()).unwrap();
        let names: Vec<_> = families.iter().map(|family| (family.name, family.kind, family.samples.len())).collect();
        let kinds =
            [("h", Kind::Histogram, 3), ("s", Kind::Summary, 2), ("s_bucket", Kind::Untyped, 1), ("only_help", Kind::Untyped, 0)];
        assert_eq!(names, kinds);
        assert_eq!((families[0].help.as_deref(), families[3].help.as_deref()), (Some("A help\nof \\ two lines."), None));
        let bucket = &families[0].samples[0];
        assert_eq!((bucket.suffix, bucket.value, bucket.timestamp), ("_bucket", 3.0, Some(123)));
        assert_eq!(bucket.labels, [("a", "q\"\\\n".into()), ("le", "+Inf".into())]);
        assert_eq!((families[0].samples[1].suffix, families[0].samples[1].value), ("_sum", 1500.0));
        assert!(families[1].samples[0].value.is_nan());
    }

    #[test]
    fn one_bad_line_is_named() {
        let cases = [
            ("a 1\nb", 2, "the last line does not end"),
            ("a\n", 1, "a name without a value"),
            ("1a 1\n", 1, "not a metric name"),
            ("a{b=\"c\" 1\n", 1, "neither comma nor brace behind a label"),
            ("a{b=\"c\"\n", 1, "neither comma nor brace behind a label"),
            ("a{b=\"c} 1\n", 1, "a label value without an end"),
            ("a{b=c} 1\n", 1, "a label value without quotes"),
            ("a{b} 1\n", 1, "labels without an end"),
            ("a{b=\"1\",b=\"2\"} 1\n", 1, "a label that stands twice"),
            ("a{__name__=\"1\"} 1\n", 1, "not a label name"),
            ("a{b=\"\\x\"} 1\n", 1, "an unknown escape in a label value"),
            ("a one\n", 1, "a value that is not a number"),
            ("a 1 now\n", 1, "a timestamp that is not a whole number"),
            ("a 1 2 3\n", 1, "more behind the timestamp"),
            ("# HELP a b\n# HELP a b\n", 2, "a second HELP for the same name"),
            ("a 1\n# TYPE a counter\n", 2, "a second TYPE for the same name, or one after its samples"),
            ("# TYPE a info\n", 1, "an unknown TYPE"),
        ];
        for (text, line, what) in cases {
            assert_eq!(error(text), BadText { line, what }, "{text}");
        }
        assert_eq!(parse(b"a{b=\"\xff\"} 1\n").unwrap_err().what, "not UTF-8");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>, line in "[a{}=\",\\\\ #\n1]*") {
            let _ = parse(&text);
            let _ = parse((line + "\n").as_bytes());
        }

        #[test]
        fn what_is_written_is_read_back(help: String, value: f64, label: String) {
            let mut samples = Samples::new();
            samples.named("name:x", &help, Kind::Gauge).add([("b", &label), ("c", "")], value);
            let page = Page::new(vec![samples]).to_vec();
            let families = parse(&page).unwrap();
            let sample = &families[0].samples[0];
            proptest::prop_assert_eq!(families[0].kind, Kind::Gauge);
            // A parser drops blanks around a help.
            proptest::prop_assert_eq!(families[0].help.as_deref().unwrap_or_default().trim(), help.trim());
            proptest::prop_assert_eq!(&sample.labels, &[("b", Cow::Borrowed(label.as_str())), ("c", "".into())]);
            proptest::prop_assert!(sample.value == value || sample.value.is_nan() && value.is_nan());
        }
    }
}
