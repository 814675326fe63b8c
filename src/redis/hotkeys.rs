//! HOTKEYS: which keys take the server's time and network, while a session that somebody started runs. We start none.

use super::reply::{integer, list, pairs};
use super::resp::Value;
use crate::exposition::{Family, Samples, from_i64};

static SHARE: Family = Family::gauge(
    "redis_hotkey_share",
    "Share of the commands' CPU time, or of their bytes, that the key took since the session began (HOTKEYS GET); of all databases.",
);

/// What is measured: the list of keys, and what they are a share of: of the selected slots, if only some are looked at.
const RESOURCES: [(&str, &str, [&str; 2]); 2] = [
    ("cpu", "by-cpu-time-us", ["all-commands-selected-slots-us", "all-commands-all-slots-us"]),
    ("network", "by-net-bytes", ["net-bytes-all-commands-selected-slots", "net-bytes-all-commands-all-slots"]),
];

/// `[[tracking-active, 1, sample-ratio, 1, …, all-commands-all-slots-us, 220, …, by-cpu-time-us, [x, 104, y, 98], …]]`; the first release
/// candidates of 8.6 leave out the outer list. Nil where there was no session.
///
/// The totals are of all commands, what a key took is of every so-many-th only. The server does not tell a key's database.
pub(super) fn emit(reply: &Value, most: usize, out: &mut Samples) {
    let reply = match list(reply) {
        [inner @ Value::Array(_)] => inner,
        _ => reply,
    };
    let find = |wanted: &str| pairs(reply).find(|(name, _)| name == wanted).map(|(_, value)| value);
    if find("tracking-active").and_then(integer) != Some(1) {
        return;
    }
    let ratio = find("sample-ratio").and_then(integer).map_or(1.0, from_i64).max(1.0);
    for (resource, keys, totals) in RESOURCES {
        let total = totals.into_iter().find_map(|name| find(name).and_then(integer)).filter(|total| *total > 0);
        let (Some(total), Some(keys)) = (total, find(keys)) else { continue };
        for (key, taken) in pairs(keys).take(most) {
            if let Some(taken) = integer(taken) {
                let share = (from_i64(taken) * ratio / from_i64(total)).clamp(0.0, 1.0);
                out.family(&SHARE).add([("key", &*key), ("resource", resource)], share);
            }
        }
    }
}
