//! Reads `/sys/fs/xfs/<device>/stats/stats`: what each mounted XFS counts, on lines such as `extent_alloc 1 872 0 0`.
//! Emits `node_xfs_*_total`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

/// The lines that are shown, with a family for each of their leading columns.
static LINES: [(&[u8], &[Family]); 8] = [
    (
        b"extent_alloc",
        &[
            Family::counter("node_xfs_extent_allocation_extents_allocated_total", "Extents taken: extent_alloc, column 1."),
            Family::counter("node_xfs_extent_allocation_blocks_allocated_total", "Blocks taken: extent_alloc, column 2."),
            Family::counter("node_xfs_extent_allocation_extents_freed_total", "Extents given back: extent_alloc, column 3."),
            Family::counter("node_xfs_extent_allocation_blocks_freed_total", "Blocks given back: extent_alloc, column 4."),
        ],
    ),
    (
        b"abt",
        &[
            Family::counter("node_xfs_allocation_btree_lookups_total", "Look-ups in trees of free space: abt, column 1."),
            Family::counter("node_xfs_allocation_btree_compares_total", "Comparisons in trees of free space: abt, column 2."),
            Family::counter("node_xfs_allocation_btree_records_inserted_total", "Records put in there: abt, column 3."),
            Family::counter("node_xfs_allocation_btree_records_deleted_total", "Records taken out there: abt, column 4."),
        ],
    ),
    (
        b"blk_map",
        &[
            Family::counter("node_xfs_block_mapping_reads_total", "Block maps read: blk_map, column 1."),
            Family::counter("node_xfs_block_mapping_writes_total", "Block maps written: blk_map, column 2."),
            Family::counter("node_xfs_block_mapping_unmaps_total", "Blocks taken off a map: blk_map, column 3."),
            Family::counter("node_xfs_block_mapping_extent_list_insertions_total", "Extents put in a list: blk_map, column 4."),
            Family::counter("node_xfs_block_mapping_extent_list_deletions_total", "Extents taken out: blk_map, column 5."),
            Family::counter("node_xfs_block_mapping_extent_list_lookups_total", "Extents looked up: blk_map, column 6."),
            Family::counter("node_xfs_block_mapping_extent_list_compares_total", "Extents compared: blk_map, column 7."),
        ],
    ),
    (
        b"bmbt",
        &[
            Family::counter("node_xfs_block_map_btree_lookups_total", "Look-ups in trees of block maps: bmbt, column 1."),
            Family::counter("node_xfs_block_map_btree_compares_total", "Comparisons in trees of block maps: bmbt, column 2."),
            Family::counter("node_xfs_block_map_btree_records_inserted_total", "Records put in there: bmbt, column 3."),
            Family::counter("node_xfs_block_map_btree_records_deleted_total", "Records taken out there: bmbt, column 4."),
        ],
    ),
    (
        b"dir",
        &[
            Family::counter("node_xfs_directory_operation_lookup_total", "Names looked up: dir, column 1."),
            Family::counter("node_xfs_directory_operation_create_total", "Directory entries made: dir, column 2."),
            Family::counter("node_xfs_directory_operation_remove_total", "Directory entries removed: dir, column 3."),
            Family::counter("node_xfs_directory_operation_getdents_total", "Listings of a directory: dir, column 4."),
        ],
    ),
    (
        b"ig",
        &[
            Family::counter("node_xfs_inode_operation_attempts_total", "Inodes asked of the cache: ig, column 1."),
            Family::counter("node_xfs_inode_operation_found_total", "Inodes that were there: ig, column 2."),
            Family::counter("node_xfs_inode_operation_recycled_total", "Inodes taken up while going away: ig, column 3."),
            Family::counter("node_xfs_inode_operation_missed_total", "Inodes that were not there: ig, column 4."),
            Family::counter("node_xfs_inode_operation_duplicates_total", "Inodes that came in meanwhile: ig, column 5."),
            Family::counter("node_xfs_inode_operation_reclaims_total", "Inodes thrown out: ig, column 6."),
            Family::counter("node_xfs_inode_operation_attribute_changes_total", "Changes of attributes: ig, column 7."),
        ],
    ),
    (
        b"rw",
        &[
            Family::counter("node_xfs_write_calls_total", "Calls of write(2): rw, column 1."),
            Family::counter("node_xfs_read_calls_total", "Calls of read(2): rw, column 2."),
        ],
    ),
    (
        b"vnodes",
        &[
            Family::counter("node_xfs_vnode_active_total", "Inodes in use: vnodes, column 1."),
            Family::counter("node_xfs_vnode_allocate_total", "Inodes set up: vnodes, column 2."),
            Family::counter("node_xfs_vnode_get_total", "Inodes taken up: vnodes, column 3."),
            Family::counter("node_xfs_vnode_hold_total", "Inodes held: vnodes, column 4."),
            Family::counter("node_xfs_vnode_release_total", "Inodes let go: vnodes, column 5."),
            Family::counter("node_xfs_vnode_reclaim_total", "Inodes reclaimed: vnodes, column 6."),
            Family::counter("node_xfs_vnode_remove_total", "Inodes removed: vnodes, column 7."),
        ],
    ),
];

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "xfs",
    enabled: Flag::switch("collector.xfs", true, "What mounted XFS file systems count."),
    flags: &[],
    new: |_| Ok(Box::new(Xfs)),
};

struct Xfs;

impl Collector for Xfs {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        // Without any XFS there is nothing to show, which node_exporter counts as a success.
        for device in system.entries("fs/xfs").unwrap_or_default() {
            // Beside the devices stands `stats`, their sum.
            let Ok(text) = system.sys(format!("fs/xfs/{device}/stats/stats")) else { continue };
            for line in text::lines(text) {
                if emit(line, &device, out).is_none() {
                    bad.get_or_insert_with(|| Fault::parse(format!("fs/xfs/{device}/stats/stats"), line));
                }
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `None` for a line that is shown but lacks a number; the numbers before it are good.
fn emit(line: &[u8], device: &str, out: &mut Samples) -> Option<()> {
    let mut fields = text::fields(line);
    let name = fields.next();
    let shown = LINES.iter().find(|(shown, _)| Some(*shown) == name);
    for family in shown.map_or(&[][..], |(_, families)| families) {
        let count: u64 = text::number(fields.next()?)?;
        out.family(family).add([("device", device)], count);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn a_bad_line_costs_itself() {
        assert!(Tree::of(&[]).lines(&ENTRY).is_empty());
        let mut tree = Tree::of(&[
            ("sys/fs/xfs/stats/stats", "rw 99 99\n"),
            ("sys/fs/xfs/sda1/stats/stats", "dir 3 2\nrw 28 7\nbmbt x 0 0 0\ndebug x\nrwx y\n"),
            ("sys/fs/xfs/sdb1/stats/stats", "rw 1 2\n"),
        ]);
        let (lines, result) = tree.show(&mut Xfs);
        assert!(result.unwrap_err().to_string().contains("sda1"));
        let expected = [
            r#"node_xfs_directory_operation_create_total{device="sda1"} 2"#,
            r#"node_xfs_directory_operation_lookup_total{device="sda1"} 3"#,
            r#"node_xfs_read_calls_total{device="sda1"} 7"#,
            r#"node_xfs_read_calls_total{device="sdb1"} 2"#,
            r#"node_xfs_write_calls_total{device="sda1"} 28"#,
            r#"node_xfs_write_calls_total{device="sdb1"} 1"#,
        ];
        assert_eq!(lines, expected);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>, rest: String) {
            emit(&line, "sda1", &mut Samples::new());
            emit(format!("extent_alloc {rest}").as_bytes(), "sda1", &mut Samples::new());
        }
    }
}
