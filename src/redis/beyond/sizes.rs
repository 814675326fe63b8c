//! How large keys are, without SCAN: from INFO section Keysizes of Redis 8.

use super::super::info::{Info, items};
use crate::exposition::{Family, Labels, Samples};

static SIZES: Family = Family::histogram(
    "redis_key_size_distribution",
    "Keys by length in bytes or by number of items (INFO dbN_distrib_TYPE_sizes and _items). The sum is the least it can be.",
);

/// The most lines of the section that are shown: 16 databases of all types.
const MOST: usize = 256;

/// The most buckets of one line: one a power of two.
const BUCKETS: usize = 64;

/// `db0_distrib_strings_sizes:0=2,1=1,64=600,1K=7`: how many keys are at least this large, and smaller than the next power of two.
pub(super) fn emit(info: &Info<'_>, out: &mut Samples) {
    let none = Labels::new();
    let lines = info.with_prefix("db").filter_map(|(name, list)| {
        let (database, rest) = name.split_once("_distrib_")?;
        let (kind, unit) = rest.rsplit_once('_')?;
        let digits = !database.is_empty() && database.len() < 6 && database.bytes().all(|byte| byte.is_ascii_digit());
        let unit = match unit {
            "sizes" => "bytes",
            "items" => "items",
            _ => return None,
        };
        digits.then_some((format!("db{database}"), kind, unit, list))
    });
    for (database, kind, unit, list) in lines.take(MOST) {
        let [db, kind, unit] = [("db", database.as_str()), ("type", kind), ("unit", unit)];
        let (mut rows, mut count, mut sum) = (out.family(&SIZES), 0u64, 0.0);
        let mut buckets: Vec<(u64, u64)> =
            items(list).take(BUCKETS).filter_map(|(size, keys)| Some((number(size)?, keys.parse().ok()?))).collect();
        buckets.sort_unstable();
        buckets.dedup_by_key(|(size, _)| *size);
        for (size, keys) in buckets {
            count = count.saturating_add(keys);
            sum += crate::exposition::from_u64(size) * crate::exposition::from_u64(keys);
            // Sizes are whole: below twice the size is at most one less.
            let most = size.saturating_mul(2).saturating_sub(1);
            rows.line("_bucket", &none, &[db, kind, unit, ("le", &most.to_string())], count);
        }
        rows.line("_bucket", &none, &[db, kind, unit, ("le", "+Inf")], count);
        rows.line("_sum", &none, &[db, kind, unit], sum).line("_count", &none, &[db, kind, unit], count);
    }
}

/// `512`, `1K`, `4M`
fn number(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let unit = match size.get(digits.len()..)? {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_cumulative() {
        let mut out = Samples::new();
        let text = "db0:keys=1\ndb0_distrib_strings_sizes:0=2,64=600,1K=7,2M=1,x=1\ndb1_distrib_lists_items:32=1\ndb0_distrib_lists_odd:1=1\n";
        emit(&Info::parse(text), &mut out);
        let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        let lines: Vec<_> = page.lines().skip(2).map(|line| line.strip_prefix("redis_key_size_distribution").unwrap()).collect();
        assert_eq!(
            lines,
            [
                r#"_bucket{db="db0",type="strings",unit="bytes",le="0"} 2"#,
                r#"_bucket{db="db0",type="strings",unit="bytes",le="127"} 602"#,
                r#"_bucket{db="db0",type="strings",unit="bytes",le="2047"} 609"#,
                r#"_bucket{db="db0",type="strings",unit="bytes",le="4194303"} 610"#,
                r#"_bucket{db="db0",type="strings",unit="bytes",le="+Inf"} 610"#,
                r#"_sum{db="db0",type="strings",unit="bytes"} 2142720"#,
                r#"_count{db="db0",type="strings",unit="bytes"} 610"#,
                r#"_bucket{db="db1",type="lists",unit="items",le="63"} 1"#,
                r#"_bucket{db="db1",type="lists",unit="items",le="+Inf"} 1"#,
                r#"_sum{db="db1",type="lists",unit="items"} 32"#,
                r#"_count{db="db1",type="lists",unit="items"} 1"#,
            ]
        );
    }
}
