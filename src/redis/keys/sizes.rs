//! Type, size, memory and value of keys. Asked in steps, so that no command goes to a key of the wrong type: each such try would
//! count as an error in the server's own statistics.

use super::super::resp::{Cmd, Value};

use super::super::connection::Failure;
use super::super::reply::{integer, refusal, text};
use super::findings::Findings;
use super::link::Link;
use super::pass::shown;
use super::wanted::Key;
use crate::exposition::{Family, from_i64};

static SIZE: Family = Family::gauge(
    "redis_key_size",
    "Elements of the key, bytes of a string; 0 for a key named by the operator that is not there.",
);
static MEMORY: Family = Family::gauge("redis_key_memory_usage_bytes", "Memory of the key (MEMORY USAGE).");
static VALUE: Family = Family::gauge("redis_key_value", "Value of the key, where it is a number (GET).");
static TEXT: Family = Family::gauge("redis_key_value_as_string", "1, with the value of the key as the label val (GET).");

/// The longest string that is read: no longer one is a number or makes a label.
const LONGEST: i64 = 4096;

/// The longest string that may be a HyperLogLog: a header and 16,384 registers of 6 bits.
const HYPERLOGLOG: i64 = 12_304;

/// What a HyperLogLog begins with.
const MAGIC: &[u8] = b"HYLL";

/// The command that tells the size, by type.
const SIZES: [(&str, &str); 7] = [
    ("string", "STRLEN"),
    ("list", "LLEN"),
    ("set", "SCARD"),
    ("zset", "ZCARD"),
    ("hash", "HLEN"),
    ("stream", "XLEN"),
    ("array", "ARCOUNT"),
];

/// What is known of one key.
struct Known<'a> {
    name: &'a [u8],
    kind: String,
    memory: Option<i64>,
    size: Option<i64>,
    value: Option<Vec<u8>>,
}

/// Reads `names`, few enough for one round trip, into `out`; one that is not there has the size 0 if `missing`.
pub(super) async fn read(
    link: &mut Link,
    database: u32,
    names: &[&[u8]],
    values: bool,
    missing: bool,
    out: &mut Findings,
) -> Result<(), Failure> {
    let commands = names.iter().flat_map(|name| [Cmd::of(&[b"TYPE", name]), Cmd::of(&[b"MEMORY", b"USAGE", name])]);
    let replies = link.ask(database, names.len(), commands.collect()).await?;
    let refused = replies.iter().step_by(2).find_map(denial);
    let mut keys: Vec<_> = names.iter().zip(replies.chunks(2)).filter_map(|(name, replies)| known(name, replies)).collect();

    let size = |key: &Known<'_>| {
        let (_, word) = SIZES.iter().find(|(kind, _)| *kind == key.kind)?;
        Some(Cmd::of(&[word.as_bytes(), key.name]))
    };
    step(link, database, &mut keys, size, |key, reply| key.size = integer(reply)).await?;

    // To tell a HyperLogLog from other strings takes its first bytes.
    let start = |key: &Known<'_>| {
        let size = key.size.filter(|size| key.kind == "string" && (1..=HYPERLOGLOG).contains(size))?;
        let whole = values && size <= LONGEST;
        Some(if whole { Cmd::of(&[b"GET", key.name]) } else { Cmd::of(&[b"GETRANGE", key.name, b"0", b"3"]) })
    };
    let keep = |key: &mut Known<'_>, reply: &Value| {
        if let Value::Bulk(bytes) = reply {
            key.value = Some(bytes.to_vec());
        }
    };
    step(link, database, &mut keys, start, keep).await?;

    let is_hyperloglog = |key: &Known<'_>| key.value.as_ref().is_some_and(|value| value.starts_with(MAGIC));
    let count = |key: &Known<'_>| is_hyperloglog(key).then(|| Cmd::of(&[b"PFCOUNT", key.name]));
    let counted = |key: &mut Known<'_>, reply: &Value| {
        if let Some(count) = integer(reply) {
            (key.size, key.value) = (Some(count), None);
        }
    };
    step(link, database, &mut keys, count, counted).await?;

    for key in &keys {
        emit(key, &Key::database(database), values, missing, out);
    }
    refused.map_or(Ok(()), |words| Err(Failure::Refused(words)))
}

/// What the server said when it refused to tell of a key; nothing where the key lives on another node of the cluster.
pub(super) fn denial(reply: &Value) -> Option<String> {
    refusal(reply).filter(|words| !["MOVED ", "ASK ", "CLUSTERDOWN "].iter().any(|code| words.starts_with(code)))
}

/// The answers to TYPE and MEMORY USAGE; `None` where the key cannot be read (it lives on another node of the cluster).
fn known<'a>(name: &'a [u8], replies: &[Value]) -> Option<Known<'a>> {
    let [kind, memory] = replies else { return None };
    Some(Known { name, kind: text(kind)?.into_owned(), memory: integer(memory), size: None, value: None })
}

/// One round trip with those commands that `which` wants for a key; none if it wants none.
async fn step<'a>(
    link: &mut Link,
    database: u32,
    keys: &mut [Known<'a>],
    which: impl Fn(&Known<'a>) -> Option<Cmd>,
    learn: impl Fn(&mut Known<'a>, &Value),
) -> Result<(), Failure> {
    let (mut asked, mut commands) = (Vec::new(), Vec::new());
    for (place, key) in keys.iter().enumerate() {
        if let Some(command) = which(key) {
            asked.push(place);
            commands.push(command);
        }
    }
    if commands.is_empty() {
        return Ok(());
    }
    let replies = link.ask(database, 0, commands).await?;
    for (place, reply) in asked.into_iter().zip(&replies) {
        if let Some(key) = keys.get_mut(place) {
            learn(key, reply);
        }
    }
    Ok(())
}

fn emit(key: &Known<'_>, database: &str, values: bool, missing: bool, out: &mut Findings) {
    let name = shown(key.name);
    let labels = [("db", database), ("key", &*name)];
    if key.kind == "none" {
        if missing {
            out.add(&SIZE, &labels, 0.0);
        }
        return;
    }
    if let Some(size) = key.size {
        out.add(&SIZE, &labels, from_i64(size));
    }
    if let Some(memory) = key.memory {
        out.add(&MEMORY, &labels, from_i64(memory));
    }
    // Its first bytes are not its value, and nor is a HyperLogLog that we may not count.
    let value =
        key.value.as_deref().filter(|value| values && i64::try_from(value.len()).ok() == key.size && !value.starts_with(MAGIC));
    match value.and_then(|value| std::str::from_utf8(value).ok()).filter(|value| !value.is_empty()) {
        None => {}
        Some(value) => match number(value) {
            Some(number) => out.add(&VALUE, &labels, number),
            None => out.add(&TEXT, &[("db", database), ("key", &name), ("val", value)], 1.0),
        },
    }
}

/// A number as redis_exporter takes it: also inf and nan, but none that is too large to be one.
fn number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (!number.is_infinite() || text.to_ascii_lowercase().contains("inf")).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_values_are_numbers() {
        for (text, is_number) in [
            ("43", true),
            ("-0.75", true),
            ("1e3", true),
            ("+Inf", true),
            ("NaN", true),
            ("1e999", false),
            (" 1", false),
            ("v1", false),
        ] {
            assert_eq!(number(text).is_some(), is_number, "{text:?}");
        }
    }
}
