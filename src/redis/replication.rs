//! Masters and replicas, from INFO section Replication.

use super::info::{Info, item, number};
use crate::exposition::{Family, Labels, Samples};

static OFFSET: Family = Family::gauge(
    "redis_connected_slave_offset_bytes",
    "Replication offset that the replica acknowledged (INFO slaveN, offset).",
);
static LAG: Family =
    Family::gauge("redis_connected_slave_lag_seconds", "Seconds since the replica was last heard of (INFO slaveN, lag).");
static SLAVE: Family = Family::gauge("redis_slave_info", "1 on a replica, with its master (INFO master_host, slave_read_only).");
static SLAVE_OFFSET: Family =
    Family::gauge("redis_slave_repl_offset", "Replication offset that this replica has processed (INFO slave_repl_offset).");
static LINK: Family = Family::gauge("redis_master_link_up", "1 if the link to the master is up (INFO master_link_status).");
static LAST_IO: Family = Family::gauge(
    "redis_master_last_io_seconds_ago",
    "Seconds since the master was last heard of, -1 while the link is down (INFO master_last_io_seconds_ago).",
);
static SYNC: Family = Family::gauge(
    "redis_master_sync_in_progress",
    "1 while this replica synchronises with its master (INFO master_sync_in_progress).",
);

/// Writes what INFO says about both directions.
pub(super) fn emit(info: &Info<'_>, out: &mut Samples) {
    replicas(info, out);
    let role = info.get("role");
    for suffix in masters(info) {
        let get = |name: &str| info.get(&format!("master_{suffix}{name}"));
        let (Some(host), Some(port)) = (get("host"), get("port")) else { continue };
        let master = Labels::of(&[("master_host", host), ("master_port", port)]);
        if let Some(status) = get("link_status") {
            out.family(&LINK).add_to(&master, [], status == "up");
        }
        for (family, name) in [(&LAST_IO, "last_io_seconds_ago"), (&SYNC, "sync_in_progress")] {
            if let Some(value) = get(name).and_then(number) {
                out.family(family).add_to(&master, [], value);
            }
        }
        if !suffix.is_empty() {
            continue;
        }
        if let Some(offset) = info.get("slave_repl_offset").and_then(number) {
            out.family(&SLAVE_OFFSET).add_to(&master, [], offset);
        }
        if role == Some("slave") {
            out.family(&SLAVE).add_to(&master, [("read_only", info.get("slave_read_only").unwrap_or_default())], 1u8);
        }
    }
}

/// `slave0:ip=127.0.0.1,port=27001,state=online,offset=39337,lag=1`
///
/// Servers before 3.0 send no lag, Valkey adds the type.
fn replicas(info: &Info<'_>, out: &mut Samples) {
    for (family, name) in [(&OFFSET, "offset"), (&LAG, "lag")] {
        for (_, list) in info.numbered("slave") {
            let (ip, port, state) = (item(list, "ip"), item(list, "port"), item(list, "state"));
            if let (Some(ip), Some(port), Some(state), Some(value)) = (ip, port, state, item(list, name).and_then(number)) {
                out.family(family).add([("slave_ip", ip), ("slave_port", port), ("slave_state", state)], value);
            }
        }
    }
}

/// What stands between `master_` and `host` in the names of each master's fields: nothing, and on KeyDB, which can have several,
/// `1_`, `2_` and so on.
pub(super) fn masters<'a>(info: &Info<'a>) -> Vec<&'a str> {
    let names = info.with_prefix("master_").filter_map(|(name, _)| name.strip_suffix("host"));
    names.filter(|middle| middle.strip_suffix('_').unwrap_or(middle).bytes().all(|byte| byte.is_ascii_digit())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut out = Samples::new();
        emit(&Info::parse(text), &mut out);
        let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn a_replica_whose_line_is_odd_is_skipped() {
        let text =
            "role:master\nslave0:ip=::1,port=1,state=online,offset=7,lag=0,type=replica\nslave1:port=2,state=online,offset=7\n";
        assert_eq!(
            lines(text),
            [
                r#"redis_connected_slave_lag_seconds{slave_ip="::1",slave_port="1",slave_state="online"} 0"#,
                r#"redis_connected_slave_offset_bytes{slave_ip="::1",slave_port="1",slave_state="online"} 7"#,
            ]
        );
    }

    #[test]
    fn keydb_may_have_several_masters() {
        let text = "role:active-replica\nmaster_host:a\nmaster_port:1\nmaster_link_status:up\n\
            master_1_host:b\nmaster_1_port:2\nmaster_1_link_status:down\nmaster_repl_offset:5\n";
        assert_eq!(
            lines(text),
            [
                r#"redis_master_link_up{master_host="a",master_port="1"} 1"#,
                r#"redis_master_link_up{master_host="b",master_port="2"} 0"#,
            ]
        );
    }
}
