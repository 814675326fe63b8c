//! How far behind replicas are, and how long a replica has been without its master. From INFO section Replication.

use super::super::info::{Info, item, number};
use super::super::replication::masters;
use crate::exposition::{Family, Labels, Samples};

static LAG: Family = Family::gauge(
    "redis_connected_slave_lag_bytes",
    "Bytes of the replication stream that the replica has not acknowledged yet (INFO master_repl_offset, slaveN offset).",
);
static DOWN: Family = Family::gauge(
    "redis_master_link_down_since_seconds",
    "Seconds for which the link to the master has been down, only while it is (INFO master_link_down_since_seconds).",
);
static LEFT: Family = Family::gauge(
    "redis_master_sync_left_bytes",
    "Bytes that the full synchronisation still has to read, only while there is one (INFO master_sync_left_bytes).",
);
static READ: Family = Family::gauge(
    "redis_master_sync_read_bytes",
    "Bytes that the full synchronisation has read, only while there is one (INFO master_sync_read_bytes).",
);
static FAILOVER: Family =
    Family::gauge("redis_master_failover_in_progress", "1 while FAILOVER hands over to a replica (INFO master_failover_state).");

pub(super) fn emit(info: &Info<'_>, out: &mut Samples) {
    if let Some(offset) = info.get("master_repl_offset").and_then(number) {
        // `slave0:ip=127.0.0.1,port=27001,state=online,offset=39337,lag=1`
        for (_, list) in info.numbered("slave") {
            let seen = item(list, "offset").and_then(number);
            if let (Some(ip), Some(port), Some(seen)) = (item(list, "ip"), item(list, "port"), seen) {
                out.family(&LAG).add([("slave_ip", ip), ("slave_port", port)], (offset - seen).max(0.0));
            }
        }
    }
    for suffix in masters(info) {
        let get = |name: &str| info.get(&format!("master_{suffix}{name}"));
        let (Some(host), Some(port)) = (get("host"), get("port")) else { continue };
        let master = Labels::of(&[("master_host", host), ("master_port", port)]);
        for (family, name) in [(&DOWN, "link_down_since_seconds"), (&LEFT, "sync_left_bytes"), (&READ, "sync_read_bytes")] {
            // -1: the link was never up; while a diskless synchronisation runs, nobody knows what is left.
            if let Some(value) = get(name).and_then(number).filter(|value| *value >= 0.0) {
                out.family(family).add_to(&master, [], value);
            }
        }
    }
    if let Some(state) = info.get("master_failover_state") {
        out.family(&FAILOVER).add([], state != "no-failover");
    }
}
