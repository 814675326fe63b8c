//! Keys by database, from INFO section Keyspace.

use super::info::{Info, item, items, number};
use crate::exposition::{Family, Samples};

static KEYS: Family = Family::gauge("redis_db_keys", "Keys in the database (INFO keyspace, keys).");
static EXPIRING: Family = Family::gauge("redis_db_keys_expiring", "Keys in the database that expire (INFO keyspace, expires).");
static TTL: Family =
    Family::gauge("redis_db_avg_ttl_seconds", "Average time to live of the keys that expire (INFO keyspace, avg_ttl).");
static CACHED: Family =
    Family::gauge("redis_db_keys_cached", "Keys of the database that are held in memory, KeyDB (INFO keyspace, cached_keys).");
static LASTING: Family = Family::gauge(
    "redis_keys_without_ttl_ratio",
    "Share of the database's keys that never expire (INFO keyspace, 1 - expires / keys).",
);

/// The most databases that are shown as empty: far above any honest setting, since the number comes from the server.
const MOST: u32 = 16_384;

/// `db0:keys=610,expires=100,avg_ttl=3599695,subexpiry=0`
///
/// The server leaves out empty databases; with `databases` (how many there are) they are shown with 0 keys, so that a series
/// does not vanish when the last key goes.
///
/// redis_exporter (`compat`) takes the third item for the time to live and the fourth for cached keys, whatever their names.
pub(super) fn emit(info: &Info<'_>, databases: Option<u32>, compat: bool, out: &mut Samples) {
    let find = |list, name, place| if compat { items(list).nth(place).map(|(_, value)| value) } else { item(list, name) };
    let mut lines: Vec<(u32, &str)> = info.numbered("db").collect();
    lines.sort_unstable_by_key(|(database, _)| *database);
    lines.dedup_by_key(|(database, _)| *database);
    let empty = |database: &u32| lines.binary_search_by_key(database, |(database, _)| *database).is_err();
    let empty: Vec<u32> = (0..databases.unwrap_or(0).min(MOST)).filter(empty).collect();
    for (family, name) in [(&KEYS, "keys"), (&EXPIRING, "expires")] {
        for (database, list) in &lines {
            if let Some(count) = item(list, name).and_then(number) {
                out.family(family).add([("db", &label(*database))], count);
            }
        }
        for database in &empty {
            out.family(family).add([("db", &label(*database))], 0u8);
        }
    }
    for (database, list) in &lines {
        if let Some(milliseconds) = find(list, "avg_ttl", 2).and_then(number) {
            out.family(&TTL).add([("db", &label(*database))], milliseconds / 1000.0);
        }
    }
    for (database, list) in &lines {
        if let Some(count) = find(list, "cached_keys", 3).and_then(number) {
            out.family(&CACHED).add([("db", &label(*database))], count);
        }
    }
}

/// Writes which share of the keys never expires, of databases that have keys.
pub(super) fn lasting(info: &Info<'_>, out: &mut Samples) {
    for (database, list) in info.numbered("db") {
        let count = |name| item(list, name).and_then(number);
        if let (Some(keys @ 1.0..), Some(expiring)) = (count("keys"), count("expires")) {
            out.family(&LASTING).add([("db", &label(database))], (1.0 - expiring / keys).max(0.0));
        }
    }
}

fn label(database: u32) -> String {
    format!("db{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, databases: Option<u32>, compat: bool) -> Vec<String> {
        let mut out = Samples::new();
        emit(&Info::parse(text), databases, compat, &mut out);
        let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn items_go_by_name_and_by_place_only_if_asked() {
        let dragonfly = "db0:keys=3,expires=0,hits=4000,misses=7,hit_ratio=0.5,avg_ttl=-1\n";
        let rest = |ttl: &str, cached: Option<&str>| {
            let mut lines =
                vec![format!(r#"redis_db_avg_ttl_seconds{{db="db0"}} {ttl}"#), r#"redis_db_keys{db="db0"} 3"#.to_owned()];
            lines.extend(cached.map(|cached| format!(r#"redis_db_keys_cached{{db="db0"}} {cached}"#)));
            lines.push(r#"redis_db_keys_expiring{db="db0"} 0"#.to_owned());
            lines
        };
        assert_eq!(lines(dragonfly, None, false), rest("-0.001", None));
        assert_eq!(lines(dragonfly, None, true), rest("4", Some("7")));
        let redis = "db0:keys=3,expires=0,avg_ttl=0,subexpiry=2\n";
        assert_eq!((lines(redis, None, false), lines(redis, None, true)), (rest("0", None), rest("0", Some("2"))));
    }

    #[test]
    fn empty_databases_are_filled_in() {
        let text = "db1:keys=5,expires=2,avg_ttl=1500\ndb9:keys=1,cached_keys=1,avg_ttl=-1,expires=0\n";
        assert_eq!(
            lines(text, Some(3), false),
            [
                r#"redis_db_avg_ttl_seconds{db="db1"} 1.5"#,
                r#"redis_db_avg_ttl_seconds{db="db9"} -0.001"#,
                r#"redis_db_keys{db="db1"} 5"#,
                r#"redis_db_keys{db="db9"} 1"#,
                r#"redis_db_keys{db="db0"} 0"#,
                r#"redis_db_keys{db="db2"} 0"#,
                r#"redis_db_keys_cached{db="db9"} 1"#,
                r#"redis_db_keys_expiring{db="db1"} 2"#,
                r#"redis_db_keys_expiring{db="db9"} 0"#,
                r#"redis_db_keys_expiring{db="db0"} 0"#,
                r#"redis_db_keys_expiring{db="db2"} 0"#,
            ]
        );
    }
}
