//! What single slots of a cluster node cost, and how many replicas each shard has.

use super::super::reply::{integer, list, pairs, text};
use super::super::resp::Value;
use crate::exposition::{Family, Samples, from_i64};

static CPU: Family = Family::counter(
    "redis_cluster_slot_cpu_seconds_total",
    "CPU seconds spent on the slot, of the slots that took most (CLUSTER SLOT-STATS, cpu-usec).",
);
static NETWORK: Family = Family::counter(
    "redis_cluster_slot_network_bytes_total",
    "Bytes in and out for the slot, of the slots that took most CPU (CLUSTER SLOT-STATS, network-bytes-in and -out).",
);
static REPLICAS: Family =
    Family::gauge("redis_cluster_shard_replicas", "Replicas of the shard that are online, by its first slots (CLUSTER SHARDS).");

/// The most shards that are shown.
const MOST: usize = 1_000;

/// One slot's cost.
#[derive(Debug, PartialEq)]
pub(super) struct Slot {
    slot: i64,
    cpu: Option<i64>,
    network: [Option<i64>; 2],
}

/// `[[slot, [key-count, 3, cpu-usec, 97, network-bytes-in, 120, network-bytes-out, 30]], …]`
pub(super) fn slots(reply: &Value) -> Vec<Slot> {
    let slots = list(reply).iter().filter_map(|slot| match list(slot) {
        [slot, costs] => {
            let cost = |of: &str| pairs(costs).find(|(name, _)| name == of).and_then(|(_, value)| integer(value));
            let network = ["network-bytes-in", "network-bytes-out"].map(cost);
            Some(Slot { slot: integer(slot)?, cpu: cost("cpu-usec"), network })
        }
        _ => None,
    });
    slots.collect()
}

/// `[[slots, [0, 5460], nodes, [[id, …, role, replica, …, health, online], …]], …]`: the first slots of each shard, and its replicas.
pub(super) fn shards(reply: &Value) -> Vec<(String, usize)> {
    let shards = list(reply).iter().take(MOST).filter_map(|shard| {
        let find = |of: &str| pairs(shard).find(|(name, _)| name == of).map(|(_, value)| list(value));
        let [first, last, ..] = find("slots")? else { return None };
        let is = |node: &Value, field: &str, wanted: &str| {
            pairs(node).any(|(name, value)| name == field && text(value).is_some_and(|value| value == wanted))
        };
        let replicas = find("nodes")?.iter().filter(|node| is(node, "role", "replica") && is(node, "health", "online"));
        Some((format!("{}-{}", integer(first)?, integer(last)?), replicas.count()))
    });
    shards.collect()
}

pub(super) fn emit(slots: &[Slot], shards: &[(String, usize)], out: &mut Samples) {
    for Slot { slot, cpu, network } in slots {
        let slot = slot.to_string();
        if let Some(cpu) = cpu {
            out.family(&CPU).add([("slot", &*slot)], from_i64(*cpu) / 1e6);
        }
        for (direction, bytes) in ["in", "out"].iter().zip(network) {
            if let Some(bytes) = bytes {
                out.family(&NETWORK).add([("slot", &*slot), ("direction", direction)], *bytes);
            }
        }
    }
    for (shard, replicas) in shards {
        out.family(&REPLICAS).add([("shard", shard)], *replicas);
    }
}
