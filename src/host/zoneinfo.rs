//! Reads `/proc/zoneinfo`: the pages of each memory zone, and, with a node's first zone, those of the node. Emits `node_zoneinfo_*`.

use crate::exposition::{Family, Kind, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "zoneinfo",
    enabled: Flag::switch("collector.zoneinfo", false, "Pages by memory zone."),
    flags: &[],
    new: |_| Ok(Box::new(ZoneInfo)),
};

/// The families and the first words of their lines, the only ones that are shown.
#[rustfmt::skip]
static FIELDS: [(Family, &str); 34] = [
    (Family::gauge("node_zoneinfo_high_pages", "Above so many free pages the zone is left in peace: high of /proc/zoneinfo."), "high"),
    (Family::gauge("node_zoneinfo_low_pages", "Below so many free pages the zone is reclaimed from: low of /proc/zoneinfo."), "low"),
    (Family::gauge("node_zoneinfo_managed_pages", "Pages that the allocator gives out: managed of /proc/zoneinfo."), "managed"),
    (Family::gauge("node_zoneinfo_min_pages", "Free pages kept for emergencies: min of /proc/zoneinfo."), "min"),
    (Family::gauge("node_zoneinfo_nr_active_anon_pages", "Field nr_active_anon of /proc/zoneinfo, for the node."), "nr_active_anon"),
    (Family::gauge("node_zoneinfo_nr_active_file_pages", "Field nr_active_file of /proc/zoneinfo, for the node."), "nr_active_file"),
    (Family::gauge("node_zoneinfo_nr_anon_pages", "Field nr_anon_pages of /proc/zoneinfo, for the node."), "nr_anon_pages"),
    (Family::gauge("node_zoneinfo_nr_anon_transparent_hugepages", "Field nr_anon_transparent_hugepages of /proc/zoneinfo, for the node."), "nr_anon_transparent_hugepages"),
    (Family::counter("node_zoneinfo_nr_dirtied_total", "Pages made dirty: nr_dirtied of /proc/zoneinfo, for the node."), "nr_dirtied"),
    (Family::gauge("node_zoneinfo_nr_dirty_pages", "Field nr_dirty of /proc/zoneinfo, for the node."), "nr_dirty"),
    (Family::gauge("node_zoneinfo_nr_file_pages", "Field nr_file_pages of /proc/zoneinfo, for the node."), "nr_file_pages"),
    (Family::gauge("node_zoneinfo_nr_free_pages", "Field nr_free_pages of /proc/zoneinfo."), "nr_free_pages"),
    (Family::gauge("node_zoneinfo_nr_inactive_anon_pages", "Field nr_inactive_anon of /proc/zoneinfo, for the node."), "nr_inactive_anon"),
    (Family::gauge("node_zoneinfo_nr_inactive_file_pages", "Field nr_inactive_file of /proc/zoneinfo, for the node."), "nr_inactive_file"),
    (Family::gauge("node_zoneinfo_nr_isolated_anon_pages", "Field nr_isolated_anon of /proc/zoneinfo, for the node."), "nr_isolated_anon"),
    (Family::gauge("node_zoneinfo_nr_isolated_file_pages", "Field nr_isolated_file of /proc/zoneinfo, for the node."), "nr_isolated_file"),
    (Family::gauge("node_zoneinfo_nr_kernel_stacks", "Field nr_kernel_stack of /proc/zoneinfo, which counts KiB, on older kernels stacks."), "nr_kernel_stack"),
    (Family::gauge("node_zoneinfo_nr_mapped_pages", "Field nr_mapped of /proc/zoneinfo, for the node."), "nr_mapped"),
    // On older kernels only.
    (Family::gauge("node_zoneinfo_nr_mlock_stack_pages", "Field nr_mlock_stack of /proc/zoneinfo."), "nr_mlock_stack"),
    (Family::gauge("node_zoneinfo_nr_shmem_pages", "Field nr_shmem of /proc/zoneinfo, for the node."), "nr_shmem"),
    (Family::gauge("node_zoneinfo_nr_slab_reclaimable_pages", "Field nr_slab_reclaimable of /proc/zoneinfo, for the node."), "nr_slab_reclaimable"),
    (Family::gauge("node_zoneinfo_nr_slab_unreclaimable_pages", "Field nr_slab_unreclaimable of /proc/zoneinfo, for the node."), "nr_slab_unreclaimable"),
    (Family::gauge("node_zoneinfo_nr_unevictable_pages", "Field nr_unevictable of /proc/zoneinfo, for the node."), "nr_unevictable"),
    (Family::gauge("node_zoneinfo_nr_writeback_pages", "Field nr_writeback of /proc/zoneinfo, for the node."), "nr_writeback"),
    (Family::counter("node_zoneinfo_nr_written_total", "Pages written out: nr_written of /proc/zoneinfo, for the node."), "nr_written"),
    (Family::counter("node_zoneinfo_numa_foreign_total", "Pages wanted here and given elsewhere: numa_foreign of /proc/zoneinfo."), "numa_foreign"),
    (Family::counter("node_zoneinfo_numa_hit_total", "Pages wanted here and given here: numa_hit of /proc/zoneinfo."), "numa_hit"),
    (Family::counter("node_zoneinfo_numa_interleave_total", "Pages given here by turns, as wanted: numa_interleave of /proc/zoneinfo."), "numa_interleave"),
    (Family::counter("node_zoneinfo_numa_local_total", "Pages given to this node's own CPUs: numa_local of /proc/zoneinfo."), "numa_local"),
    (Family::counter("node_zoneinfo_numa_miss_total", "Pages wanted elsewhere and given here: numa_miss of /proc/zoneinfo."), "numa_miss"),
    (Family::counter("node_zoneinfo_numa_other_total", "Pages given to other nodes' CPUs: numa_other of /proc/zoneinfo."), "numa_other"),
    (Family::gauge("node_zoneinfo_present_pages", "Pages that exist: present of /proc/zoneinfo."), "present"),
    // On older kernels only.
    (Family::gauge("node_zoneinfo_scanned_pages", "Pages looked at since one was last reclaimed: scanned of /proc/zoneinfo."), "scanned"),
    (Family::gauge("node_zoneinfo_spanned_pages", "Pages that exist and holes between them: spanned of /proc/zoneinfo."), "spanned"),
];

const PROTECTION: &str =
    "Pages kept from allocations that could be served by the zone of this number: protection of /proc/zoneinfo.";

struct ZoneInfo;

impl Collector for ZoneInfo {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let (mut zone, mut bad) = (None, None);
        for line in text::lines(system.proc("zoneinfo")?) {
            if line.starts_with(b"Node ") {
                zone = head(line).map(|(node, zone)| Labels::of(&[("node", node), ("zone", zone)]));
                if zone.is_none() {
                    bad = Some(Fault::parse("zoneinfo", line));
                }
            } else if let Some(zone) = &zone
                && emit(line, zone, out).is_none()
            {
                bad = Some(Fault::parse("zoneinfo", line));
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `Node 0, zone    DMA32`
fn head(line: &[u8]) -> Option<(&str, &str)> {
    let (node, zone) = std::str::from_utf8(line).ok()?.strip_prefix("Node ")?.split_once(", zone")?;
    Some((node, zone.trim_ascii()))
}

/// `        min      1078`, `        protection: (0, 0, 29893, 29893, 29893)`, `      nr_free_pages 528427`, and lines that are not shown.
fn emit(line: &[u8], zone: &Labels, out: &mut Samples) -> Option<()> {
    let mut fields = text::fields(line);
    let first = fields.next()?;
    if first == b"protection:" {
        let list = text::pair(line, b':')?.1.strip_prefix(b"(")?.strip_suffix(b")")?;
        for (number, pages) in list.split(|&byte| byte == b',').enumerate() {
            let name = format!("node_zoneinfo_protection_{number}");
            out.named(&name, PROTECTION, Kind::Gauge).add_to(zone, [], text::number::<u64>(pages)?);
        }
    } else if let Some((family, _)) = FIELDS.iter().find(|(_, field)| field.as_bytes() == first) {
        out.family(family).add_to(zone, [], text::number::<i64>(fields.next()?)?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    #[test]
    fn a_bad_line_costs_itself_and_a_bad_head_its_zone() {
        let text = "Node 0, zone      DMA\n  per-node stats\n      nr_dirtied   9\n  pages free     2949\n        min      8\n        low      x\n        \
                    protection: (0, 2039)\n  pagesets\n    cpu: 0\n              high:  7\nNode 0 zone\n        min      1\nNode 1, zone   Normal\n        high     3\n";
        let (lines, result) = Tree::of(&[("proc/zoneinfo", text)]).show(&mut *built(&ENTRY, &[]).unwrap());
        assert!(result.unwrap_err().to_string().contains("Node 0 zone"));
        let expected = [
            r#"node_zoneinfo_high_pages{node="1",zone="Normal"} 3"#,
            r#"node_zoneinfo_min_pages{node="0",zone="DMA"} 8"#,
            r#"node_zoneinfo_nr_dirtied_total{node="0",zone="DMA"} 9"#,
            r#"node_zoneinfo_protection_0{node="0",zone="DMA"} 0"#,
            r#"node_zoneinfo_protection_1{node="0",zone="DMA"} 2039"#,
        ];
        assert_eq!(lines, expected);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>, list in "[0-9, ()x]{0,30}") {
            let mut out = Samples::new();
            head(&line);
            emit(&line, &Labels::new(), &mut out);
            emit(format!("  protection: ({list})").as_bytes(), &Labels::new(), &mut out);
        }
    }
}
