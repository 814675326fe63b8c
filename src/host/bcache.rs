//! Reads `/sys/fs/bcache/<uuid>`: sets of a cache and the devices behind it. Emits `node_bcache_*`.

use crate::exposition::{Family, Labels, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, Folder, System, text};

type Files = [(&'static str, Family)];

/// Of a set.
static SET: &Files = &[
    ("average_key_size", Family::gauge("node_bcache_average_key_size_sectors", "Average data of a key: average_key_size.")),
    ("btree_cache_size", Family::gauge("node_bcache_btree_cache_size_bytes", "Memory for nodes of the tree: btree_cache_size.")),
    (
        "cache_available_percent",
        Family::gauge("node_bcache_cache_available_percent", "Free or clean space of the cache: cache_available_percent."),
    ),
    ("congested", Family::gauge("node_bcache_congested", "How congested the cache is: congested.")),
    ("root_usage_percent", Family::gauge("node_bcache_root_usage_percent", "Use of the tree's root: root_usage_percent.")),
    ("tree_depth", Family::gauge("node_bcache_tree_depth", "Depth of the tree: tree_depth.")),
    (
        "internal/active_journal_entries",
        Family::gauge("node_bcache_active_journal_entries", "Journal entries newer than the index: active_journal_entries."),
    ),
    ("internal/btree_nodes", Family::gauge("node_bcache_btree_nodes", "Nodes of the tree: btree_nodes.")),
    (
        "internal/cache_read_races",
        Family::counter("node_bcache_cache_read_races_total", "Buckets reused while being read: cache_read_races."),
    ),
];

const READ_TIME: &str = "internal/btree_read_average_duration_us";
static READ_SECONDS: Family = Family::gauge(
    "node_bcache_btree_read_average_duration_seconds",
    "Average time to read a node, as node_exporter has it: btree_read_average_duration_us divided by 10^9.",
);

/// Of a device behind the cache.
static BACKING: &Files = &[
    ("dirty_data", Family::gauge("node_bcache_dirty_data_bytes", "Data in the cache only: dirty_data.")),
    ("stats_total/bypassed", Family::counter("node_bcache_bypassed_bytes_total", "Data that went past the cache: bypassed.")),
    (
        "stats_total/cache_bypass_hits",
        Family::counter("node_bcache_cache_bypass_hits_total", "Hits of what was to bypass the cache: cache_bypass_hits."),
    ),
    (
        "stats_total/cache_bypass_misses",
        Family::counter("node_bcache_cache_bypass_misses_total", "Misses of what was to bypass it: cache_bypass_misses."),
    ),
    ("stats_total/cache_hits", Family::counter("node_bcache_cache_hits_total", "Hits: cache_hits.")),
    (
        "stats_total/cache_miss_collisions",
        Family::counter("node_bcache_cache_miss_collisions_total", "Misses overtaken by a write: cache_miss_collisions."),
    ),
    ("stats_total/cache_misses", Family::counter("node_bcache_cache_misses_total", "Misses: cache_misses.")),
];

/// Only shown when it is not 0.
static READAHEADS: Family =
    Family::counter("node_bcache_cache_readaheads_total", "Times data were read ahead: cache_readaheads.");

/// Lines of a backing device's writeback_rate_debug.
static WRITEBACK: &Files = &[
    ("rate", Family::gauge("node_bcache_writeback_rate", "Bytes a second written back: writeback_rate_debug, rate.")),
    ("target", Family::gauge("node_bcache_dirty_target_bytes", "Dirty data to come down to: writeback_rate_debug, target.")),
    (
        "proportional",
        Family::gauge("node_bcache_writeback_rate_proportional_term", "The controller's: writeback_rate_debug, proportional."),
    ),
    ("integral", Family::gauge("node_bcache_writeback_rate_integral_term", "The controller's: writeback_rate_debug, integral.")),
    ("change", Family::gauge("node_bcache_writeback_change", "Latest change of the rate: writeback_rate_debug, change.")),
];

/// Of a cache device.
static CACHE: &Files = &[
    ("io_errors", Family::gauge("node_bcache_io_errors", "Errors, halved as time passes: io_errors.")),
    ("metadata_written", Family::counter("node_bcache_metadata_written_bytes_total", "What is no data: metadata_written.")),
    ("written", Family::counter("node_bcache_written_bytes_total", "Data written to the cache: written.")),
];

/// Lines of a cache device's priority_stats.
static PRIORITY: &Files = &[
    ("Unused", Family::gauge("node_bcache_priority_stats_unused_percent", "Share without any data: priority_stats, Unused.")),
    ("Metadata", Family::gauge("node_bcache_priority_stats_metadata_percent", "Share of metadata: priority_stats, Metadata.")),
];

const PRIORITY_STATS: Flag = Flag::switch("collector.bcache.priorityStats", false, "Show priority_stats, which is slow to read.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "bcache",
    enabled: Flag::switch("collector.bcache", true, "Block devices with a cache before them (bcache)."),
    flags: &[PRIORITY_STATS],
    new: |settings| Ok(Box::new(Bcache { priority_stats: settings.switch(&PRIORITY_STATS) })),
};

const ROOT: &str = "fs/bcache";

struct Bcache {
    priority_stats: bool,
}

impl Collector for Bcache {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        // Without any set there is nothing to show, which node_exporter counts as a success. Beside the sets stand files such as
        // `register`.
        for uuid in system.entries(ROOT).unwrap_or_default().iter().filter(|name| name.contains('-')) {
            let path = format!("{ROOT}/{uuid}");
            let (Ok(set), Ok(entries)) = (system.folder(&path), system.entries(&path)) else { continue };
            let labels = Labels::of(&[("uuid", uuid)]);
            emit(&set, SET, &labels, out);
            if let Some(time) = set.read(READ_TIME, number) {
                out.family(&READ_SECONDS).add_to(&labels, [], time / 1e9);
            }
            for entry in entries {
                let Ok(device) = system.folder(format!("{path}/{entry}")) else { continue };
                if is_numbered(&entry, "bdev") {
                    backing(&device, &Labels::of(&[("backing_device", &entry), ("uuid", uuid)]), out);
                } else if is_numbered(&entry, "cache") {
                    self.cache(&device, &Labels::of(&[("cache_device", &entry), ("uuid", uuid)]), out);
                }
            }
        }
        Ok(())
    }
}

impl Bcache {
    fn cache(&self, device: &Folder, labels: &Labels, out: &mut Samples) {
        emit(device, CACHE, labels, out);
        if self.priority_stats {
            emit_lines(device, "priority_stats", PRIORITY, labels, out);
        }
    }
}

fn backing(device: &Folder, labels: &Labels, out: &mut Samples) {
    emit(device, BACKING, labels, out);
    if let Some(count) = device.read("stats_total/cache_readaheads", number).filter(|count| *count > 0.0) {
        out.family(&READAHEADS).add_to(labels, [], count);
    }
    emit_lines(device, "writeback_rate_debug", WRITEBACK, labels, out);
}

/// A file for each family.
fn emit(folder: &Folder, files: &'static Files, labels: &Labels, out: &mut Samples) {
    for (file, family) in files {
        if let Some(value) = folder.read(file, number) {
            out.family(family).add_to(labels, [], value);
        }
    }
}

/// A line `name: value` of one file for each family.
fn emit_lines(folder: &Folder, file: &str, lines: &'static Files, labels: &Labels, out: &mut Samples) {
    let text = folder.label(file).unwrap_or_default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let family = lines.iter().find(|(shown, _)| *shown == name).map(|(_, family)| family);
        if let Some((family, value)) = family.zip(number(value.as_bytes())) {
            out.family(family).add_to(labels, [], value);
        }
    }
}

/// `bdev0`, `cache12`, but not `cache_available_percent`.
fn is_numbered(name: &str, kind: &str) -> bool {
    name.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// `13`, or with a unit, a power of 1024: `427.5k`, `1.1M/sec`, `-3.2k/sec`; `99%`.
///
/// What stands behind the point are hundreds of the next smaller unit: so the kernel wrote it until it came to tenths, and so
/// node_exporter reads it still.
fn number(field: &[u8]) -> Option<f64> {
    let field = field.trim_ascii();
    let field = field.strip_suffix(b"/sec").or_else(|| field.strip_suffix(b"%")).unwrap_or(field);
    let (sign, field) = field.strip_prefix(b"-").map_or((1.0, field), |rest| (-1.0, rest));
    let unit = field.last().and_then(|last| b"kMGTPEZY".iter().position(|known| known == last));
    let digits = if unit.is_some() { field.get(..field.len() - 1)? } else { field };
    let (whole, hundreds) = match (unit, text::pair(digits, b'.')) {
        (Some(_), Some((whole, part))) => (text::number::<u32>(whole)?, text::number::<u32>(part)?),
        _ => return Some(sign * scaled(from_u64(text::number(digits)?), unit)),
    };
    let part = f64::from(hundreds) * 100.0 / 1024.0;
    Some(sign * scaled(f64::from(whole) + part, unit))
}

fn scaled(value: f64, unit: Option<usize>) -> f64 {
    (0..unit.map_or(0, |unit| unit + 1)).fold(value, |value, _| value * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_and_without_a_unit() {
        for (text, expected) in [
            ("0", 0.0),
            ("512\n", 512.0),
            ("99%", 99.0),
            ("427.5k", 437_748.0),
            ("1.1M/sec", 1_150_976.0),
            ("-1.1M/sec", -1_150_976.0),
            ("20.4G", 21_894_266_880.0),
            ("1.10k", 2024.0),
            ("3k", 3072.0),
        ] {
            assert_eq!(number(text.as_bytes()), Some(expected), "{text}");
        }
        for wrong in ["", "-", "k", "1.5", "1.k", ".5k", "1x", "17ms", "inf", "1e3"] {
            assert_eq!(number(wrong.as_bytes()), None, "{wrong}");
        }
        assert!(is_numbered("cache0", "cache") && !is_numbered("cache_available_percent", "cache"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, words in "-?[0-9]{0,12}\\.?[0-9]{0,12}[kMGTPEZYx]?(/sec|%)?") {
            number(&bytes);
            number(words.as_bytes());
        }
    }
}
