//! Reads `/proc/sys/net/netfilter/nf_conntrack_{count,max}` and `/proc/net/stat/nf_conntrack`: the firewall's table of
//! connections. Emits `node_nf_conntrack_*`. All are gauges in node_exporter, the counters too.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static ENTRIES: Family =
    Family::gauge("node_nf_conntrack_entries", "Connections tracked: /proc/sys/net/netfilter/nf_conntrack_count.");
static LIMIT: Family =
    Family::gauge("node_nf_conntrack_entries_limit", "The most connections tracked: /proc/sys/net/netfilter/nf_conntrack_max.");

/// Columns of /proc/net/stat/nf_conntrack and their families.
static COLUMNS: [(&str, Family); 8] = [
    ("found", Family::gauge("node_nf_conntrack_stat_found", "Look-ups that found an entry: found, over all CPUs.")),
    ("invalid", Family::gauge("node_nf_conntrack_stat_invalid", "Packets that cannot be tracked: invalid, over all CPUs.")),
    ("ignore", Family::gauge("node_nf_conntrack_stat_ignore", "Packets that need no tracking: ignore, over all CPUs.")),
    ("insert", Family::gauge("node_nf_conntrack_stat_insert", "Entries inserted: insert, over all CPUs.")),
    (
        "insert_failed",
        Family::gauge("node_nf_conntrack_stat_insert_failed", "Entries that were there already: insert_failed, over all CPUs."),
    ),
    ("drop", Family::gauge("node_nf_conntrack_stat_drop", "Packets dropped for lack of an entry: drop, over all CPUs.")),
    (
        "early_drop",
        Family::gauge("node_nf_conntrack_stat_early_drop", "Entries given up in a full table: early_drop, over all CPUs."),
    ),
    (
        "search_restart",
        Family::gauge("node_nf_conntrack_stat_search_restart", "Look-ups begun anew: search_restart, over all CPUs."),
    ),
];

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "conntrack",
    enabled: Flag::switch("collector.conntrack", true, "The firewall's table of connections."),
    flags: &[],
    new: |_| Ok(Box::new(Conntrack)),
};

struct Conntrack;

impl Collector for Conntrack {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for (file, family) in [("sys/net/netfilter/nf_conntrack_count", &ENTRIES), ("sys/net/netfilter/nf_conntrack_max", &LIMIT)]
        {
            let text = system.proc(file)?;
            let count: u64 = text::number(text).ok_or_else(|| Fault::parse(file, text))?;
            out.family(family).add([], count);
        }
        let text = system.net("stat/nf_conntrack")?;
        let sums = parse(text).ok_or_else(|| Fault::parse("net/stat/nf_conntrack", text))?;
        for ((_, family), sum) in COLUMNS.iter().zip(sums) {
            if let Some(sum) = sum {
                out.family(family).add([], sum);
            }
        }
        Ok(())
    }
}

/// A line of column names, then for each CPU a line of hexadecimal numbers; the columns differ between kernels.
/// Sums in the order of [`COLUMNS`], `None` for a column that is not there.
fn parse(text: &[u8]) -> Option<[Option<u64>; 8]> {
    let mut lines = text::lines(text);
    let mut sums = [None::<u64>; 8];
    let columns: Vec<Option<usize>> =
        text::fields(lines.next()?).map(|title| COLUMNS.iter().position(|(name, _)| name.as_bytes() == title)).collect();
    for line in lines {
        for (field, column) in text::fields(line).zip(&columns) {
            let count = text::hex(field)?;
            if let Some(sum) = column.and_then(|column| sums.get_mut(column)) {
                *sum = Some(sum.unwrap_or(0).wrapping_add(count));
            }
        }
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed_by_name() {
        let text = b"entries  searched invalid ignore delete_list insert drop\n\
            00000021  00000000 00000003 0000588a 00000001 00000000 00000001\n\
            00000021  00000000 00000002 000056a4 00000001 00000000 0000000f\n";
        let [found, invalid, ignore, insert, insert_failed, drop, ..] = parse(text).unwrap();
        assert_eq!((found, invalid, ignore), (None, Some(5), Some(0x588a + 0x56a4)));
        assert_eq!((insert, insert_failed, drop), (Some(0), None, Some(16)));
        assert_eq!(parse(b"entries found\n1 x\n"), None);
        assert_eq!(parse(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            parse(&text);
            parse(&[b"found drop\n", &text[..]].concat());
        }
    }
}
