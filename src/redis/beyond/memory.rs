//! What limits the server's memory.

use super::super::info::{Info, number};
use super::host::Host;
use crate::exposition::{Family, Samples};

static LIMIT: Family = Family::gauge(
    "redis_memory_limit_bytes",
    "Limits of the server's memory: its own where it is set, that of its cgroup, and the host's memory. The last two for local servers only.",
);

pub(super) fn emit(info: &Info<'_>, host: Option<&Host>, out: &mut Samples) {
    let own = info.get("maxmemory").and_then(number).filter(|limit| *limit > 0.0);
    let limits = [("maxmemory", own), ("cgroup", host.and_then(|host| host.cgroup)), ("host", host.and_then(|host| host.memory))];
    for (source, limit) in limits {
        if let Some(limit) = limit {
            out.family(&LIMIT).add([("source", source)], limit);
        }
    }
}
