//! Reads `/proc/buddyinfo`: how many free blocks of 2^n pages each memory zone has. Emits `node_buddyinfo_blocks`.

use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static BLOCKS: Family =
    Family::gauge("node_buddyinfo_blocks", "Free blocks of 2^size pages in the memory zone: /proc/buddyinfo.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "buddyinfo",
    enabled: Flag::switch("collector.buddyinfo", false, "Free blocks of memory by size."),
    flags: &[],
    new: |_| Ok(Box::new(BuddyInfo)),
};

struct BuddyInfo;

impl Collector for BuddyInfo {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for line in text::lines(system.proc("buddyinfo")?) {
            let Some((node, zone, counts)) = parse(line) else {
                bad = Some(Fault::parse("buddyinfo", line));
                continue;
            };
            let (zone, mut size) = (Labels::of(&[("node", node), ("zone", zone)]), itoa::Buffer::new());
            for (order, count) in counts.into_iter().enumerate() {
                out.family(&BLOCKS).add_to(&zone, [("size", size.format(order))], count);
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `Node 0, zone    DMA32    759    572    791`: node, zone, and the free blocks of each order.
fn parse(line: &[u8]) -> Option<(&str, &str, Vec<u64>)> {
    let line = std::str::from_utf8(line).ok()?;
    let (node, rest) = line.strip_prefix("Node ")?.split_once(", zone")?;
    let mut fields = rest.split_ascii_whitespace();
    let zone = fields.next()?;
    Some((node, zone, fields.map(|field| field.parse().ok()).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    #[test]
    fn a_bad_line_costs_one_zone() {
        let mut tree = Tree::of(&[(
            "proc/buddyinfo",
            "Node 0, zone  DMA  1 0\nNode 0, zone  DMA32  3 x\nnonsense\nNode 1, zone Normal 7\n",
        )]);
        let (lines, result) = tree.show(&mut *built(&ENTRY, &[]).unwrap());
        assert!(result.unwrap_err().to_string().contains("nonsense"));
        let expected = [
            r#"node_buddyinfo_blocks{node="0",zone="DMA",size="0"} 1"#,
            r#"node_buddyinfo_blocks{node="0",zone="DMA",size="1"} 0"#,
            r#"node_buddyinfo_blocks{node="1",zone="Normal",size="0"} 7"#,
        ];
        assert_eq!(lines, expected);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>, fields in "[0-9 a-z,]{0,40}") {
            parse(&line);
            parse(format!("Node {fields}, zone {fields}").as_bytes());
        }
    }
}
