//! The file: queries by name, and what their columns are.
//!
//! ```text
//! pg_replication:
//!   query: "SELECT ... AS lag"
//!   metrics:
//!     - lag: {usage: GAUGE, description: "Seconds behind"}
//! ```
//!
//! It is read strictly: a key that nobody knows, or a usage that is none, is a mistake worth telling before the port is open.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::range::Range;
use super::statement;
use crate::exposition::{is_label_name, is_metric_name};

/// How many queries a file may hold, and how many columns each.
const MOST: (usize, usize) = (200, 200);

/// One query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    /// What all its families begin with.
    pub(super) name: String,
    pub(super) sql: String,
    pub(super) columns: Vec<Column>,
    /// For how long an answer is shown before the query is asked again.
    pub(super) cache_seconds: u64,
    pub(super) versions: Range,
}

/// One column of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) usage: Usage,
    pub(super) help: String,
    pub(super) versions: Range,
}

/// What becomes of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Usage {
    Discard,
    Label,
    Counter,
    Gauge,
    /// An array of bounds, with the columns `<name>_bucket`, `<name>_sum` and `<name>_count` beside it.
    Histogram,
    /// A text that stands for a number.
    Mapped(HashMap<String, f64>),
    /// A duration as Go writes it, shown in milliseconds.
    Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuery {
    query: String,
    #[serde(default)]
    metrics: Vec<Pairs<RawColumn>>,
    /// Accepted: every target is asked once, in the database that it names.
    #[serde(default, rename = "master")]
    _master: bool,
    #[serde(default)]
    cache_seconds: u64,
    #[serde(default)]
    runonserver: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    usage: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    metric_mapping: Option<HashMap<String, f64>>,
    #[serde(default)]
    pg_version: String,
}

/// A mapping in its order, in which no key stands twice.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<T> {
    type Value = Pairs<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
        let mut pairs: Vec<(String, T)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, T>()? {
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format!("{key} stands twice")));
            }
            pairs.push((key, value));
            if pairs.len() > MOST.0 {
                return Err(A::Error::custom(format!("more than {} keys", MOST.0)));
            }
        }
        Ok(Pairs(pairs))
    }
}

/// Reads the file's text. Errors name the query and the column, or the line.
pub(super) fn parse(text: &str) -> Result<Vec<Query>, String> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let raw: Pairs<RawQuery> = yaml_serde::from_str(text).map_err(|error| without_texts(&error.to_string()))?;
    raw.0.into_iter().map(|(name, raw)| query(&name, raw).map_err(|reason| format!("{name}: {reason}"))).collect()
}

/// A parser's message without the texts that it quotes: a query may hold a password.
fn without_texts(message: &str) -> String {
    let mut parts = message.split('"');
    let mut short = parts.next().unwrap_or_default().to_owned();
    if let Some(last) = parts.next_back() {
        short.push_str("\"...\"");
        short.push_str(last);
    }
    short
}

fn query(name: &str, raw: RawQuery) -> Result<Query, String> {
    if !is_metric_name(name) {
        return Err("cannot be the beginning of a metric's name".to_owned());
    }
    let sql = statement::one(&raw.query)?.to_owned();
    let mut columns: Vec<Column> = Vec::new();
    for (column_name, raw) in raw.metrics.into_iter().flat_map(|pairs| pairs.0) {
        let column = column(&column_name, raw).map_err(|reason| format!("{column_name}: {reason}"))?;
        if columns.iter().any(|known| known.name == column.name) {
            return Err(format!("{column_name} stands twice"));
        }
        columns.push(column);
    }
    if columns.len() > MOST.1 {
        return Err(format!("more than {} columns", MOST.1));
    }
    let versions = Range::parse(&raw.runonserver).map_err(|reason| format!("runonserver: {reason}"))?;
    Ok(Query { name: name.to_owned(), sql, columns, cache_seconds: raw.cache_seconds, versions })
}

fn column(name: &str, raw: RawColumn) -> Result<Column, String> {
    let mapping = raw.metric_mapping.filter(|mapping| !mapping.is_empty());
    let usage = match (raw.usage.as_str(), mapping) {
        ("MAPPEDMETRIC", Some(mapping)) => Usage::Mapped(mapping),
        ("MAPPEDMETRIC", None) => return Err("MAPPEDMETRIC needs a metric_mapping".to_owned()),
        (_, Some(_)) => return Err("metric_mapping belongs to MAPPEDMETRIC alone".to_owned()),
        ("DISCARD", _) => Usage::Discard,
        ("LABEL", _) => Usage::Label,
        ("COUNTER", _) => Usage::Counter,
        ("GAUGE", _) => Usage::Gauge,
        ("HISTOGRAM", _) => Usage::Histogram,
        ("DURATION", _) => Usage::Duration,
        (other, _) => {
            return Err(format!("usage {other:?} is not DISCARD, LABEL, COUNTER, GAUGE, HISTOGRAM, MAPPEDMETRIC or DURATION"));
        }
    };
    let fits = match usage {
        Usage::Discard => true,
        Usage::Label => is_label_name(name),
        // Behind the query's name and an underscore a digit may stand first.
        _ => is_metric_name(&format!("_{name}")),
    };
    if !fits {
        return Err("cannot be part of a metric's name".to_owned());
    }
    let versions = Range::parse(&raw.pg_version).map_err(|reason| format!("pg_version: {reason}"))?;
    Ok(Column { name: name.to_owned(), usage, help: raw.description, versions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_postgres_exporter_is_read() {
        let text = "# mine\npg_a:\n  query: |\n    SELECT 1 AS v, 'x' AS l;\n  master: true\n  cache_seconds: 30\n  runonserver: '>=10.0.0'\n  \
                    metrics:\n    - l:\n        usage: LABEL\n        description: A label\n    - v:\n        usage: GAUGE\n    \
                    - s: {usage: MAPPEDMETRIC, metric_mapping: {on: 1, off: 0}}\nb: {query: SELECT 1}\n";
        let [a, b] = &parse(text).unwrap()[..] else { panic!() };
        assert_eq!((a.name.as_str(), a.sql.as_str(), a.cache_seconds), ("pg_a", "SELECT 1 AS v, 'x' AS l", 30));
        assert_eq!(a.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["l", "v", "s"]);
        assert!(a.versions.holds("15.0.0") && !a.versions.holds("9.6.0"));
        assert_eq!(a.columns[2].usage, Usage::Mapped(HashMap::from([("on".into(), 1.0), ("off".into(), 0.0)])));
        assert!(b.columns.is_empty());
        assert_eq!(parse("# nothing\n\n").unwrap(), []);
    }

    #[test]
    fn mistakes_name_their_place_and_no_text() {
        for (text, told) in [
            ("a: {query: SELECT 1, querry: x}", "querry"),
            ("a: {metrics: []}", "query"),
            ("a: {query: SELECT 1}\na: {query: SELECT 2}", "a stands twice"),
            ("a: {query: SELECT 1, metrics: [{v: {usage: GAUGE}}, {v: {usage: GAUGE}}]}", "a: v stands twice"),
            ("a: {query: SELECT 1, metrics: [{v: {usage: gauge}}]}", "a: v: usage \"gauge\" is not DISCARD"),
            ("a: {query: SELECT 1, metrics: [{v: {usage: MAPPEDMETRIC}}]}", "a: v: MAPPEDMETRIC needs"),
            ("a: {query: SELECT 1, metrics: [{v: {usage: GAUGE, metric_mapping: {a: 1}}}]}", "a: v: metric_mapping belongs"),
            ("a: {query: SELECT 1, metrics: [{v: {usage: GAUGE, labels: 1}}]}", "labels"),
            ("a: {query: SELECT 1, metrics: [{v-w: {usage: GAUGE}}]}", "a: v-w: cannot be"),
            ("a: {query: SELECT 1, metrics: [{__name__: {usage: LABEL}}]}", "a: __name__: cannot be"),
            ("a-b: {query: SELECT 1}", "a-b: cannot be"),
            ("a: {query: 'SELECT 1; COMMIT'}", "a: the query holds more than one statement"),
            ("a: {query: SELECT 1, runonserver: new}", "a: runonserver: "),
            ("a: {query: SELECT 1, metrics: [{v: {usage: GAUGE, pg_version: new}}]}", "a: v: pg_version: "),
            ("a: {query: SELECT 1, cache_seconds: -1}", "line 1"),
            ("a: [", "line"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        let error = parse("a: \"SELECT dblink('password=hunter2')\"").unwrap_err();
        assert!(!error.contains("hunter2") && error.contains("line 1"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_will_do(text: String) {
            let _ = parse(&text);
        }
    }
}
