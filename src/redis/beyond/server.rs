//! Which server this is, how old its last save is, and until when its certificates hold.

use super::super::info::{Info, number};
use crate::exposition::{Family, Samples};

static IDENTITY: Family = Family::gauge(
    "redis_server_info",
    "1, with the kind of server, its own version and its mode, whatever fields it tells them in.",
);
static SAVE_AGE: Family = Family::gauge(
    "redis_rdb_last_save_age_seconds",
    "Seconds since the last snapshot that went well, by the server's own clock (INFO server_time_usec, rdb_last_save_time).",
);
static CERTIFICATE: Family = Family::gauge(
    "redis_tls_cert_expires_seconds",
    "Seconds until the certificate expires (INFO tls_server_cert_expires_in_seconds and its like).",
);

pub(super) fn emit(info: &Info<'_>, out: &mut Samples) {
    let (server, version) = identity(info);
    let mode = info.get("redis_mode").or_else(|| info.get("server_mode")).unwrap_or_default();
    out.family(&IDENTITY).add([("server", server), ("version", version), ("mode", mode)], 1u8);
    let (now, saved) = (info.get("server_time_usec").and_then(number), info.get("rdb_last_save_time").and_then(number));
    if let (Some(now), Some(saved @ 1.0..)) = (now, saved) {
        out.family(&SAVE_AGE).add([], (now / 1e6 - saved).max(0.0));
    }
    for role in ["server", "client", "ca"] {
        // `tls_ca_cert_serial:none` where there is no such certificate.
        let some = info.get(&format!("tls_{role}_cert_serial")).is_some_and(|serial| serial != "none");
        let left = info.get(&format!("tls_{role}_cert_expires_in_seconds")).and_then(number);
        if let Some(left) = left.filter(|_| some) {
            out.family(&CERTIFICATE).add([("role", role)], left);
        }
    }
}

/// Kind and version: compatible servers tell a `redis_version` for the sake of clients, and their own beside it.
pub(super) fn identity<'a>(info: &Info<'a>) -> (&'static str, &'a str) {
    let get = |name| info.get(name);
    if let Some(version) = get("valkey_version") {
        ("valkey", version)
    } else if let Some(version) = get("dragonfly_version") {
        // `df-v1.40.0`
        ("dragonfly", version.trim_start_matches("df-v"))
    } else if get("mvcc_depth").is_some() || get("long_lock_waits").is_some() {
        ("keydb", get("redis_version").unwrap_or_default())
    } else {
        ("redis", get("redis_version").unwrap_or_default())
    }
}
