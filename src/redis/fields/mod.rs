//! Which field of INFO becomes which family: one table a section, one line a field, one grep finds any of them.
//!
//! Types and units are redis_exporter's, odd ones included: gauges that only go up, counters without `_total`. A field that a
//! server does not send gives no series, whatever the server's version.

mod beyond;
mod memory;
mod modules;
mod persistence;
mod server;
mod stats;
mod tile38;

use std::sync::LazyLock;

use hashbrown::HashMap;

use super::info::{Info, item, number};
use super::reply::{pairs, text};
use super::resp::Value;
use crate::exposition::{Family, Kind, Samples};

static MODULE: Family = Family::gauge("redis_module_info", "1, with a module's name and version (INFO module).");
static SYSTEM: Family =
    Family::gauge("redis_total_system_memory_bytes", "Memory of the server's host (INFO total_system_memory).");

/// A field that is one number, and the family it becomes.
struct Field {
    name: &'static str,
    family: Family,
    scale: f64,
}

/// `kind "field" => "family" "help";` with `/ 1e6` behind the field where the family has another unit.
macro_rules! fields {
    ($($kind:ident $field:literal $(/ $scale:literal)? => $family:literal $help:literal;)*) => {
        pub(super) static FIELDS: &[super::Field] = &[$(super::Field {
            name: $field,
            family: crate::exposition::Family::$kind($family, concat!($help, " (INFO ", $field, ").")),
            scale: 1.0 $(* $scale)?,
        }),*];
    };
}
use fields;

/// All tables by field.
static INDEX: LazyLock<HashMap<&'static str, &'static Field>> = LazyLock::new(|| {
    let tables = [server::FIELDS, memory::FIELDS, persistence::FIELDS, stats::FIELDS, beyond::FIELDS];
    tables.into_iter().flatten().map(|field| (field.name, field)).collect()
});

/// Writes every field that a table knows, and every `cluster_` field, as redis_exporter does.
pub(super) fn emit(info: &Info<'_>, out: &mut Samples) {
    for (name, value) in info.fields() {
        if let Some(field) = INDEX.get(name) {
            if let Some(value) = number(value) {
                out.family(&field.family).add([], value / field.scale);
            }
        } else {
            cluster(name, value, out);
        }
    }
}

/// Writes the fields of modules that a table knows, and what modules there are.
///
/// `module:name=vectorset,ver=1,api=1,filters=0,usedby=[],using=[],options=[handle-io-errors|handle-repl-async-load]`
pub(super) fn modules(info: &Info<'_>, out: &mut Samples) {
    for (name, value) in info.fields() {
        one(modules::FIELDS, name, value, out);
        if name == "module" {
            // Lists have commas in brackets: `usedby=[search|json]` has none, but who knows.
            let labels = ["name", "ver", "api", "filters", "usedby", "using"].map(|label| (label, item(value, label)));
            out.family(&MODULE).add(labels.map(|(label, value)| (label, value.unwrap_or_default())), 1u8);
        }
    }
}

/// Writes what Tile38 answers to SERVER EXT.
pub(super) fn tile38(reply: &Value, out: &mut Samples) {
    for (name, value) in pairs(reply) {
        if let Some(value) = text(value) {
            one(tile38::FIELDS, name.strip_prefix("tile38_").unwrap_or(&name), &value, out);
        }
    }
}

/// Writes the memory of the server's host.
pub(super) fn system(info: &Info<'_>, out: &mut Samples) {
    if let Some(bytes) = info.get("total_system_memory").and_then(number) {
        out.family(&SYSTEM).add([], bytes);
    }
}

fn one(table: &'static [Field], name: &str, value: &str, out: &mut Samples) {
    if let Some((field, value)) = table.iter().find(|field| field.name == name).zip(number(value)) {
        out.family(&field.family).add([], value / field.scale);
    }
}

/// A `cluster_` line of CLUSTER INFO (Valkey 9 has the same lines in INFO): `cluster_stats_messages_auth-req_sent:1`.
///
/// Every message type has its own field, so the name comes from the reply. All are gauges in redis_exporter, those that only
/// go up as well, and the sums over all message types have names of their own.
pub(super) fn cluster(name: &str, value: &str, out: &mut Samples) {
    let Some(value) = number(value).filter(|_| name.starts_with("cluster_")) else { return };
    let family = match name {
        "cluster_stats_messages_sent" => "redis_cluster_messages_sent_total".to_owned(),
        "cluster_stats_messages_received" => "redis_cluster_messages_received_total".to_owned(),
        _ => format!("redis_{}", name.replace('-', "_")),
    };
    if family.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        out.named(&family, &format!("Field {name} of CLUSTER INFO."), Kind::Gauge).add([], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_and_no_family_stands_twice() {
        let tables = [server::FIELDS, memory::FIELDS, persistence::FIELDS, stats::FIELDS, beyond::FIELDS];
        let all: Vec<_> = tables.into_iter().flatten().collect();
        assert_eq!(INDEX.len(), all.len(), "a field stands twice");
        let families: std::collections::HashSet<_> = all.iter().map(|field| field.family.name).collect();
        assert_eq!(families.len(), all.len(), "a family stands twice");
    }

    #[test]
    fn units_and_states() {
        let mut out = Samples::new();
        let text = "used_memory:2087616\nlatest_fork_usec:2856\nrdb_last_bgsave_status:err\naof_last_write_status:ok\nloading:x\n\
            cluster_state:ok\ncluster_stats_messages_auth-req_sent:3\ncluster_stats_messages_sent:18\ncluster_{bad}:1\n";
        emit(&Info::parse(text), &mut out);
        let page = crate::exposition::Page::new(vec![out]).to_vec();
        let page: Vec<_> = std::str::from_utf8(&page).unwrap().lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            page,
            [
                "redis_aof_last_write_status 1",
                "redis_cluster_messages_sent_total 18",
                "redis_cluster_state 1",
                "redis_cluster_stats_messages_auth_req_sent 3",
                "redis_latest_fork_seconds 0.002856",
                "redis_memory_used_bytes 2087616",
                "redis_rdb_last_bgsave_status 0",
            ]
        );
    }
}
