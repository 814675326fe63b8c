//! Who the server is, and since when: from INFO sections Server, Memory, Replication and CPU.

use std::time::{SystemTime, UNIX_EPOCH};

use super::info::{Info, number};
use crate::exposition::{Family, Samples, from_u64};

static INSTANCE: Family = Family::gauge("redis_instance_info", "1, with the server's role, version and identity (INFO server).");
static START: Family = Family::gauge(
    "redis_start_time_seconds",
    "Unix time of the server's start: our clock less its uptime (INFO uptime_in_seconds).",
);
static IO_THREAD: Family = Family::counter(
    "redis_active_time_io_thread_seconds_total",
    "Seconds in which the I/O thread was not idle (INFO used_active_time_io_thread_N).",
);

/// The labels of `redis_instance_info`. A field that the server does not send gives an empty label: a Sentinel has no role. Valkey
/// says `server_mode` in place of `redis_mode`, which redis_exporter (`compat`) does not know.
const IDENTITY: [&str; 10] = [
    "role",
    "redis_version",
    "redis_build_id",
    "redis_mode",
    "os",
    "maxmemory_policy",
    "tcp_port",
    "run_id",
    "process_id",
    "master_replid",
];

/// Labels only where the server sends the field.
const VALKEY: [&str; 2] = ["valkey_version", "valkey_release_stage"];

pub(super) fn emit(info: &Info<'_>, now: SystemTime, compat: bool, out: &mut Samples) {
    let get = |name: &str| match info.get(name) {
        None if name == "redis_mode" && !compat => info.get("server_mode"),
        value => value,
    };
    let mut labels: Vec<_> = IDENTITY.iter().map(|name| (*name, get(name).unwrap_or_default())).collect();
    labels.extend(VALKEY.iter().filter_map(|name| Some((*name, info.get(name)?))));
    out.family(&INSTANCE).line("", &crate::exposition::Labels::new(), &labels, 1u8);
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if let Some(uptime) = info.get("uptime_in_seconds").and_then(number) {
        out.family(&START).add([], from_u64(now) - uptime);
    }
    for (thread, value) in info.numbered("used_active_time_io_thread_").collect::<Vec<_>>() {
        if let Some(seconds) = number(value) {
            out.family(&IO_THREAD).add([("thread", &thread.to_string())], seconds);
        }
    }
}
