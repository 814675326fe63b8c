//! Reads `/sys/kernel/mm/ksm/*`: what merging equal pages of memory does and saves. Emits `node_ksmd_*`.

use crate::exposition::{Family, Samples, from_i64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "ksmd",
    enabled: Flag::switch("collector.ksmd", false, "Merging of equal pages of memory."),
    flags: &[],
    new: |_| Ok(Box::new(Ksmd)),
};

/// The families, their files, each of which a kernel may lack, and how many make one of the family's unit.
#[rustfmt::skip]
static FIELDS: [(Family, &str, f64); 10] = [
    (Family::counter("node_ksmd_full_scans_total", "Scans of all memory that may be merged: full_scans."), "full_scans", 1.0),
    // May be negative: bookkeeping can cost more than it saves.
    (Family::gauge("node_ksmd_general_profit_bytes", "Bytes saved less those spent on bookkeeping: general_profit."), "general_profit", 1.0),
    (Family::gauge("node_ksmd_merge_across_nodes", "1 if pages of different NUMA nodes are merged: merge_across_nodes."), "merge_across_nodes", 1.0),
    (Family::gauge("node_ksmd_pages_shared", "Merged pages in use: pages_shared."), "pages_shared", 1.0),
    (Family::gauge("node_ksmd_pages_sharing", "Pages saved by merging: pages_sharing."), "pages_sharing", 1.0),
    (Family::gauge("node_ksmd_pages_to_scan", "Pages that one run looks at: pages_to_scan."), "pages_to_scan", 1.0),
    (Family::gauge("node_ksmd_pages_unshared", "Pages looked at that have no equal: pages_unshared."), "pages_unshared", 1.0),
    (Family::gauge("node_ksmd_pages_volatile", "Pages that change too often to be merged: pages_volatile."), "pages_volatile", 1.0),
    (Family::gauge("node_ksmd_run", "0 stopped, 1 at work, 2 stopped with all pages parted again: run."), "run", 1.0),
    (Family::gauge("node_ksmd_sleep_seconds", "Pause between two runs: sleep_millisecs."), "sleep_millisecs", 1000.0),
];

struct Ksmd;

impl Collector for Ksmd {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let folder = match system.folder("kernel/mm/ksm") {
            // A kernel without it is complete, as node_exporter sees it.
            Err(fault) if fault.is_absence() => return Ok(()),
            folder => folder?,
        };
        for (family, file, unit) in &FIELDS {
            if let Some(value) = folder.read(file, text::number) {
                out.family(family).add([], from_i64(value) / unit);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::Tree;

    #[test]
    fn files_that_are_missing_or_odd_cost_themselves() {
        let mut tree = Tree::of(&[]);
        assert_eq!(tree.lines(&ENTRY), Vec::<String>::new());
        for (file, text) in [("general_profit", "-4096\n"), ("run", "x\n"), ("sleep_millisecs", "20\n")] {
            tree.write(&format!("sys/kernel/mm/ksm/{file}"), text);
        }
        assert_eq!(tree.lines(&ENTRY), ["node_ksmd_general_profit_bytes -4096", "node_ksmd_sleep_seconds 0.02"]);
    }
}
