//! What a Sentinel says of the masters it watches: INFO section Sentinel and the SENTINEL commands.

use super::resp::Value;

use super::info::{Info, item, number};
use super::reply::{integer, list, pairs, refusal, short, text};
use crate::exposition::{Family, Kind, Labels, Samples, from_i64};

static STATUS: Family =
    Family::gauge("redis_sentinel_master_status", "1 if this Sentinel takes the master for healthy (INFO masterN, status).");
static SLAVES: Family = Family::gauge("redis_sentinel_master_slaves", "Replicas of the master (INFO masterN, slaves).");
static SENTINELS: Family = Family::gauge(
    "redis_sentinel_master_sentinels",
    "Sentinels that watch the master, this one included (INFO masterN, sentinels).",
);
static PING: Family = Family::gauge(
    "redis_sentinel_master_last_ok_ping_reply_seconds",
    "Seconds since the master last answered well (SENTINEL MASTERS, last-ok-ping-reply).",
);
static QUORUM: Family =
    Family::gauge("redis_sentinel_master_ckquorum_status", "1 if a failover could be agreed on now (SENTINEL CKQUORUM).");
static OK_SENTINELS: Family =
    Family::gauge("redis_sentinel_master_ok_sentinels", "Sentinels of the master that are up (SENTINEL SENTINELS, flags).");
static PEER: Family =
    Family::gauge("redis_sentinel_peer_info", "1, with who the other Sentinel of the master is (SENTINEL SENTINELS).");
static OK_SLAVES: Family =
    Family::gauge("redis_sentinel_master_ok_slaves", "Replicas of the master that are up (SENTINEL SLAVES, flags).");

/// Fields of SENTINEL MASTERS that are one number each.
static SETTINGS: [(&str, Family); 5] = [
    (
        "config-epoch",
        gauge("redis_sentinel_master_config_epoch", "Epoch of the master's configuration (SENTINEL MASTERS, config-epoch)."),
    ),
    ("quorum", gauge("redis_sentinel_master_setting_ckquorum", "Sentinels that must agree (SENTINEL MASTERS, quorum).")),
    (
        "down-after-milliseconds",
        gauge(
            "redis_sentinel_master_setting_down_after_milliseconds",
            "Silence after which the master counts as down (SENTINEL MASTERS, down-after-milliseconds).",
        ),
    ),
    (
        "failover-timeout",
        gauge(
            "redis_sentinel_master_setting_failover_timeout",
            "Milliseconds after which a failover is given up (SENTINEL MASTERS, failover-timeout).",
        ),
    ),
    (
        "parallel-syncs",
        gauge(
            "redis_sentinel_master_setting_parallel_syncs",
            "Replicas that synchronise at once after a failover (SENTINEL MASTERS, parallel-syncs).",
        ),
    ),
];

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Gauge }
}

/// The names of the masters that INFO lists.
pub(super) fn names<'a>(info: &Info<'a>) -> Vec<&'a str> {
    info.numbered("master").filter_map(|(_, list)| item(list, "name")).collect()
}

/// `master0:name=cache-down,status=sdown,address=127.0.0.1:27007,slaves=0,sentinels=1`
pub(super) fn emit(info: &Info<'_>, out: &mut Samples) {
    for (_, list) in info.numbered("master") {
        let (Some(name), Some(address)) = (item(list, "name"), item(list, "address")) else { continue };
        let master = Labels::of(&[("master_name", name), ("master_address", address)]);
        if let Some(status) = item(list, "status") {
            out.family(&STATUS).add_to(&master, [("master_status", status)], status == "ok");
        }
        for (family, count) in [(&SLAVES, "slaves"), (&SENTINELS, "sentinels")] {
            if let Some(count) = item(list, count).and_then(number) {
                out.family(family).add_to(&master, [], count);
            }
        }
    }
}

/// The answer to SENTINEL MASTERS: a list of masters, each a list `[name, mymaster, ip, 127.0.0.1, …]`.
///
/// `peers` gives for a master's name the answers to SENTINEL SENTINELS and SENTINEL SLAVES.
/// With `info` each of the other Sentinels is shown.
pub(super) fn masters<'v>(
    reply: &Value,
    peers: impl Fn(&str) -> (Option<&'v Value>, Option<&'v Value>),
    info: bool,
    out: &mut Samples,
) {
    for fields in list(reply) {
        let get = |of: &str| pairs(fields).find(|(name, _)| name == of).map(|(_, value)| value);
        let (Some(name), Some(ip), Some(port)) =
            (get("name").and_then(text), get("ip").and_then(text), get("port").and_then(text))
        else {
            continue;
        };
        let master = Labels::of(&[("master_name", &name), ("master_address", &format!("{ip}:{port}"))]);
        for (field, family) in &SETTINGS {
            if let Some(value) = get(field).and_then(integer) {
                out.family(family).add_to(&master, [], value);
            }
        }
        if let Some(milliseconds) = get("last-ok-ping-reply").and_then(integer) {
            out.family(&PING).add_to(&master, [], from_i64(milliseconds) / 1000.0);
        }
        let (sentinels, slaves) = peers(&name);
        if let Some(sentinels) = sentinels {
            // The reply lists the others only.
            out.family(&OK_SENTINELS).add_to(&master, [], up(sentinels) + 1);
            for peer in list(sentinels).iter().filter(|_| info) {
                let find =
                    |of: &str| pairs(peer).find(|(name, _)| name == of).and_then(|(_, value)| text(value)).unwrap_or_default();
                let fields = ["name", "ip", "port", "runid", "flags"].map(|field| (field, find(field)));
                out.family(&PEER).add_to(&master, fields.each_ref().map(|(field, value)| (*field, &**value)), 1u8);
            }
        }
        if let Some(slaves) = slaves {
            out.family(&OK_SLAVES).add_to(&master, [], up(slaves));
        }
    }
}

/// The answer to SENTINEL CKQUORUM, or the error that says why there is no quorum. Any other error says nothing of the quorum: the
/// master may be watched no more, or we may not ask.
pub(super) fn quorum(master: &str, reply: &Value, out: &mut Samples) {
    let message = match refusal(reply) {
        Some(words) => Some(words).filter(|words| words.starts_with("NOQUORUM ")),
        None => text(reply).map(|text| text.into_owned()),
    };
    if let Some(message) = message {
        let ok = !matches!(reply, Value::Error(_));
        out.family(&QUORUM).add([("master_name", master), ("message", short(&message))], ok);
    }
}

/// How many of a list of Sentinels or replicas are neither subjectively nor objectively down.
fn up(reply: &Value) -> usize {
    list(reply).iter().filter(|peer| is_up(peer)).count()
}

/// What a Sentinel says when it does not watch the master that it was asked about: true only for as long as it does not.
pub(super) fn is_gone(words: &str) -> bool {
    words.starts_with("ERR No such master")
}

fn is_up(peer: &Value) -> bool {
    let flags = pairs(peer).find(|(name, _)| name == "flags").and_then(|(_, value)| text(value));
    flags.is_some_and(|flags| !flags.split(',').any(|flag| flag == "s_down" || flag == "o_down"))
}
