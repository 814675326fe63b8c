//! Streams, their groups and their consumers. From XINFO.

use super::super::resp::{Cmd, Value};

use super::super::connection::Failure;
use super::super::reply::{integer, list, pairs, refusal, text};
use super::findings::Findings;
use super::link::Link;
use super::pass::shown;
use super::sizes::denial;
use super::wanted::{Key, Wanted};
use crate::exposition::{Family, from_i64};

/// `"field" => "family" "help";`
macro_rules! fields {
    ($($field:literal => $make:ident $family:literal $help:literal;)*) => {
        [$(($field, Family::$make($family, concat!($help, " (XINFO, ", $field, ").")))),*]
    };
}

/// Numbers of a stream.
static COUNTS: [(&str, Family); 5] = fields! {
    "length" => gauge "redis_stream_length" "Entries of the stream";
    "radix-tree-keys" => gauge "redis_stream_radix_tree_keys" "Keys of the radix tree of the stream";
    "radix-tree-nodes" => gauge "redis_stream_radix_tree_nodes" "Nodes of the radix tree of the stream";
    "groups" => gauge "redis_stream_groups" "Consumer groups of the stream";
    "entries-added" => counter "redis_stream_entries_added_total" "Entries ever added to the stream";
};

/// Ids of a stream.
static IDS: [(&str, Family); 4] = fields! {
    "last-generated-id" => gauge "redis_stream_last_generated_id" "Milliseconds part of the newest id of the stream";
    "max-deleted-entry-id" => gauge "redis_stream_max_deleted_entry_id" "Milliseconds part of the largest id deleted";
    "first-entry" => gauge "redis_stream_first_entry_id" "Milliseconds part of the first entry's id, 0 if there is none";
    "last-entry" => gauge "redis_stream_last_entry_id" "Milliseconds part of the last entry's id, 0 if there is none";
};

/// Numbers of a group. The last two are nil where the server does not know them.
static GROUP: [(&str, Family); 4] = fields! {
    "consumers" => gauge "redis_stream_group_consumers" "Consumers of the group";
    "pending" => gauge "redis_stream_group_messages_pending" "Entries delivered to the group and not acknowledged";
    "entries-read" => gauge "redis_stream_group_entries_read" "Entries that the group has read";
    "lag" => gauge "redis_stream_group_lag" "Entries that the group has yet to read";
};
static DELIVERED: Family = Family::gauge(
    "redis_stream_group_last_delivered_id",
    "Milliseconds part of the last id delivered to the group (XINFO, last-delivered-id).",
);
static PENDING: Family = Family::gauge(
    "redis_stream_group_consumer_messages_pending",
    "Entries delivered to the consumer and not acknowledged (XINFO, pending).",
);
static IDLE: Family =
    Family::gauge("redis_stream_group_consumer_idle_seconds", "Time since the consumer last tried anything (XINFO, idle).");

/// The most groups of one stream whose consumers are asked for.
const GROUPS: usize = 1000;

/// Reads one stream into `out`; nothing if it is not there or no stream.
pub(super) async fn read(link: &mut Link, key: &Key, wanted: &Wanted, out: &mut Findings) -> Result<(), Failure> {
    let asks = [&b"STREAM"[..], b"GROUPS"].map(|what| Cmd::of(&[b"XINFO", what, &key.name]));
    let replies = link.ask(key.database, 1, asks.into()).await?;
    let [stream, groups] = &replies[..] else { return Ok(()) };
    if let Some(words) = denial(stream) {
        // Not there, or not a stream, is an answer.
        let is_answer = words.starts_with("ERR no such key") || words.starts_with("WRONGTYPE ");
        return if is_answer { Ok(()) } else { Err(Failure::Refused(words)) };
    }
    if refusal(stream).is_some() {
        return Ok(());
    }
    let (database, name) = (Key::database(key.database), shown(&key.name));
    let labels = [("db", &*database), ("stream", &*name)];
    for (field, family) in &COUNTS {
        out.add(family, &labels, from_i64(find(stream, field).and_then(integer).unwrap_or(0)));
    }
    for (field, family) in &IDS {
        out.add(family, &labels, find(stream, field).and_then(milliseconds).unwrap_or(0.0));
    }

    let names: Vec<Vec<u8>> = list(groups).iter().filter_map(|group| bytes(find(group, "name")?)).take(GROUPS).collect();
    for (group, of) in list(groups).iter().filter_map(|group| Some((group, text(find(group, "name")?)?))) {
        let labels = [("db", &*database), ("stream", &*name), ("group", &*of)];
        for (field, family) in &GROUP {
            // What the server does not know is nil; redis_exporter shows 0.
            if let Some(value) = find(group, field).and_then(integer).or(wanted.compat.then_some(0)) {
                out.add(family, &labels, from_i64(value));
            }
        }
        out.add(&DELIVERED, &labels, find(group, "last-delivered-id").and_then(milliseconds).unwrap_or(0.0));
    }
    if !wanted.consumers || names.is_empty() {
        return Ok(());
    }
    let asks = names.iter().map(|group| Cmd::of(&[b"XINFO", b"CONSUMERS", &key.name, group]));
    let replies = link.ask(key.database, 0, asks.collect()).await?;
    for (group, consumers) in names.iter().zip(&replies) {
        let group = shown(group);
        for (consumer, of) in list(consumers).iter().filter_map(|consumer| Some((consumer, text(find(consumer, "name")?)?))) {
            let labels = [("db", &*database), ("stream", &*name), ("group", &*group), ("consumer", &*of)];
            if let Some(pending) = find(consumer, "pending").and_then(integer) {
                out.add(&PENDING, &labels, from_i64(pending));
            }
            if let Some(idle) = find(consumer, "idle").and_then(integer) {
                out.add(&IDLE, &labels, from_i64(idle) / 1e3);
            }
        }
    }
    Ok(())
}

/// A field of a flat list of names and values.
fn find<'a>(reply: &'a Value, field: &str) -> Option<&'a Value> {
    pairs(reply).find(|(name, _)| name == field).map(|(_, value)| value)
}

fn bytes(reply: &Value) -> Option<Vec<u8>> {
    match reply {
        Value::Bulk(bytes) => Some(bytes.to_vec()),
        other => text(other).map(|text| text.into_owned().into_bytes()),
    }
}

/// `1795408025583-9`, or an entry, which begins with such an id.
fn milliseconds(id: &Value) -> Option<f64> {
    let id = list(id).first().unwrap_or(id);
    text(id)?.split('-').next()?.parse::<u64>().ok().map(crate::exposition::from_u64)
}
