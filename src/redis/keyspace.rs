//! Keys by database, from INFO section Keyspace.

use super::info::{Info, item, number};
use crate::exposition::{Family, Samples};

static KEYS: Family = Family::gauge("redis_db_keys", "Keys in the database (INFO keyspace, keys).");
static EXPIRING: Family = Family::gauge("redis_db_keys_expiring", "Keys in the database that expire (INFO keyspace, expires).");
static TTL: Family =
    Family::gauge("redis_db_avg_ttl_seconds", "Average time to live of the keys that expire (INFO keyspace, avg_ttl).");
static CACHED: Family = Family::gauge(
    "redis_db_keys_cached",
    "Fourth count of the database's line: cached_keys on KeyDB, subexpiry or keys_with_volatile_items elsewhere (INFO keyspace).",
);

/// What the fourth item of a line is called. redis_exporter takes it by its place and shows all of them as cached keys.
const FOURTH: [&str; 3] = ["cached_keys", "subexpiry", "keys_with_volatile_items"];

/// The most databases that are shown as empty: far above any honest setting, since the number comes from the server.
const MOST: u32 = 16_384;

/// `db0:keys=610,expires=100,avg_ttl=3599695,subexpiry=0`
///
/// The server leaves out empty databases; with `databases` (how many there are) they are shown with 0 keys, so that a series
/// does not vanish when the last key goes.
pub(super) fn emit(info: &Info<'_>, databases: Option<u32>, out: &mut Samples) {
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
        if let Some(milliseconds) = item(list, "avg_ttl").and_then(number) {
            out.family(&TTL).add([("db", &label(*database))], milliseconds / 1000.0);
        }
    }
    for (database, list) in &lines {
        if let Some(count) = FOURTH.iter().find_map(|name| item(list, name)).and_then(number) {
            out.family(&CACHED).add([("db", &label(*database))], count);
        }
    }
}

fn label(database: u32) -> String {
    format!("db{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_databases_are_filled_in() {
        let info = Info::parse("db1:keys=5,expires=2,avg_ttl=1500\ndb9:keys=1,cached_keys=1,avg_ttl=-1,expires=0\n");
        let mut out = Samples::new();
        emit(&info, Some(3), &mut out);
        let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        let lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
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
