//! A parser of the text format 0.0.4, written apart from the program's own code and stricter than Prometheus': it also refuses a family whose
//! lines do not stand together, a second HELP or TYPE, and a series that stands twice.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A parsed page.
#[derive(Debug, Default)]
pub struct Exposition {
    /// TYPE by family.
    pub types: HashMap<String, String>,
    /// HELP by family, unescaped.
    pub help: HashMap<String, String>,
    pub series: Vec<Series>,
}

/// One sample line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Exposition {
    /// The value of the one series with this name and (at least) these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.all(name).filter(|series| series.has(labels));
        let first = found.next()?;
        assert!(found.next().is_none(), "more than one {name} with {labels:?}");
        Some(first.value)
    }

    /// All series of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |series| series.name == name)
    }

    /// The family a sample belongs to: its own name, or that of a histogram or summary without the suffix.
    pub fn family<'a>(&self, name: &'a str) -> &'a str {
        if self.types.contains_key(name) {
            return name;
        }
        let parent = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        parent.filter(|parent| self.types.contains_key(*parent)).unwrap_or(name)
    }
}

impl Series {
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).map(String::as_str) == Some(*value))
    }
}

/// Reads a page; the error names the line.
pub fn parse(text: &str) -> Result<Exposition, String> {
    let mut page = Exposition::default();
    let (mut seen, mut closed, mut current) = (HashSet::new(), HashSet::new(), String::new());
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    for (number, line) in text.lines().enumerate() {
        let fail = |what: &str| format!("line {}: {what}: {line}", number + 1);
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| fail("no help"))?;
            if page.help.insert(name.to_owned(), unescape(help, false).ok_or_else(|| fail("bad escape"))?).is_some() {
                return Err(fail("second HELP"));
            }
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| fail("no type"))?;
            if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
                return Err(fail("unknown type"));
            }
            if page.types.insert(name.to_owned(), kind.to_owned()).is_some() {
                return Err(fail("second TYPE"));
            }
        } else if line.starts_with('#') || line.is_empty() {
            return Err(fail("neither HELP nor TYPE nor a sample"));
        } else {
            let series = sample(line).ok_or_else(|| fail("no sample"))?;
            let family = page.family(&series.name).to_owned();
            if family != current {
                closed.insert(std::mem::replace(&mut current, family.clone()));
                if closed.contains(&family) {
                    return Err(fail("the family's lines do not stand together"));
                }
            }
            if !page.types.contains_key(&family) || !page.help.contains_key(&family) {
                return Err(fail("no HELP or TYPE"));
            }
            if !seen.insert((series.name.clone(), series.labels.clone())) {
                return Err(fail("second sample of this series"));
            }
            page.series.push(series);
        }
    }
    Ok(page)
}

fn sample(line: &str) -> Option<Series> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name, true) {
        return None;
    }
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, tail) = rest.split_once("=\"")?;
            let close = closing_quote(tail)?;
            if !is_name(label, false) || labels.insert(label.to_owned(), unescape(&tail[..close], true)?).is_some() {
                return None;
            }
            rest = &tail[close + 1..];
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = rest.strip_prefix('}')?;
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ')?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number if number.starts_with(|c: char| c.is_ascii_digit() || c == '-') => number.parse().ok()?,
        _ => return None,
    };
    Some(Series { name: name.to_owned(), labels, value })
}

fn is_name(name: &str, colons: bool) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':'))
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn unescape(text: &str, quotes: bool) -> Option<String> {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'n' => out.push('\n'),
            '\\' => out.push('\\'),
            '"' if quotes => out.push('"'),
            _ => return None,
        }
    }
    Some(out)
}
