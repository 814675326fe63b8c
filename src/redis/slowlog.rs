//! SLOWLOG and, on Valkey 8.1 and later, COMMANDLOG: how long the logs are, and the newest slow command. No arguments are shown.

use super::resp::Value;

use super::reply::{integer, list};
use crate::exposition::{Family, Samples, from_i64};

static LENGTH: Family = Family::gauge("redis_slowlog_length", "Entries in the slow log (SLOWLOG LEN).");
static LAST_ID: Family =
    Family::gauge("redis_slowlog_last_id", "Id of the newest entry of the slow log, 0 if there is none (SLOWLOG GET 1).");
static LAST: Family = Family::gauge(
    "redis_last_slow_execution_duration_seconds",
    "Duration of the newest entry of the slow log, 0 if there is none (SLOWLOG GET 1).",
);
static SLOW: Family = Family::gauge("redis_commandlog_slow_length", "Entries in the log of slow commands (COMMANDLOG LEN slow).");
static LARGE_REQUEST: Family = Family::gauge(
    "redis_commandlog_large_request_length",
    "Entries in the log of large requests (COMMANDLOG LEN large-request).",
);
static LARGE_REPLY: Family =
    Family::gauge("redis_commandlog_large_reply_length", "Entries in the log of large replies (COMMANDLOG LEN large-reply).");

/// The answer to SLOWLOG LEN.
pub(super) fn length(reply: &Value, out: &mut Samples) {
    if let Some(length) = integer(reply) {
        out.family(&LENGTH).add([], length);
    }
}

/// The answer to SLOWLOG GET 1: `[[id, time, microseconds, [argument, …], …]]`
pub(super) fn last(reply: &Value, out: &mut Samples) {
    let Value::Array(entries) = reply else { return };
    let (id, microseconds) = match entries.first().map(list) {
        Some([id, _, microseconds, ..]) => (integer(id).unwrap_or(0), integer(microseconds).unwrap_or(0)),
        _ => (0, 0),
    };
    out.family(&LAST_ID).add([], id);
    out.family(&LAST).add([], from_i64(microseconds) / 1e6);
}

/// The answer to COMMANDLOG LEN of each of [`LOGS`].
pub(super) fn commandlog(log: &str, reply: &Value, out: &mut Samples) {
    let family = match log {
        "slow" => &SLOW,
        "large-request" => &LARGE_REQUEST,
        _ => &LARGE_REPLY,
    };
    if let Some(length) = integer(reply) {
        out.family(family).add([], length);
    }
}

/// The logs of COMMANDLOG.
pub(super) const LOGS: [&str; 3] = ["slow", "large-request", "large-reply"];
