//! Reads `/sys/devices/system/node/node*/{meminfo,numastat}`: what each NUMA node's memory is used for. Emits
//! `node_memory_numa_<field>`, in bytes though their names do not say so, and `node_memory_numa_<field>_total`.

use super::meminfo;
use crate::exposition::{Kind, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "meminfo_numa",
    enabled: Flag::switch("collector.meminfo_numa", false, "Memory use by NUMA node."),
    flags: &[],
    new: |_| Ok(Box::new(MemInfoNuma)),
};

const NODES: &str = "devices/system/node";

struct MemInfoNuma;

impl Collector for MemInfoNuma {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let names = match system.entries(NODES) {
            // A kernel that knows no nodes is complete, as node_exporter sees it.
            Err(fault) if fault.is_absence() => return Ok(()),
            names => names?,
        };
        let mut bad = None;
        for name in names {
            let Some(node) = name.strip_prefix("node").filter(|node| text::number::<u32>(node.as_bytes()).is_some()) else {
                continue;
            };
            for (file, parse, kind) in [("meminfo", meminfo as Parse, Kind::Gauge), ("numastat", numastat, Kind::Counter)] {
                // A node that is switched off has no files.
                let Ok(text) = system.sys(format!("{NODES}/{name}/{file}")) else { continue };
                for line in text::lines(text) {
                    match parse(line) {
                        Some((field, value)) => {
                            let help = format!("Field of this name in {file} of the NUMA node.");
                            out.named(&field, &help, kind).add([("node", node)], value);
                        }
                        None => bad = Some(Fault::parse(format!("{name}/{file}"), line)),
                    }
                }
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// A line's family and value.
type Parse = fn(&[u8]) -> Option<(String, u64)>;

/// `Node 0 Active(anon):     691324 kB`
fn meminfo(line: &[u8]) -> Option<(String, u64)> {
    let (_number, line) = text::pair(line.strip_prefix(b"Node ")?, b' ')?;
    let row = meminfo::parse(line)?;
    let mut name = "node_memory_numa_".to_owned();
    name.extend(row.field.bytes().filter_map(meminfo::of_name));
    Some((name, row.value))
}

/// `numa_hit 193460335812`
fn numastat(line: &[u8]) -> Option<(String, u64)> {
    let (field, value) = text::pair(line, b' ')?;
    let is_name = !field.is_empty() && field.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_name.then_some(())?;
    Some((format!("node_memory_numa_{}_total", text::utf8(field)), text::number(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    #[test]
    fn kilobytes_become_bytes_and_events_have_a_suffix() {
        assert_eq!(
            meminfo(b"Node 0 Active(anon):     691324 kB"),
            Some(("node_memory_numa_Active_anon".to_owned(), 707_915_776))
        );
        assert_eq!(meminfo(b"Node 12 HugePages_Free:      3"), Some(("node_memory_numa_HugePages_Free".to_owned(), 3)));
        assert_eq!(numastat(b"numa_hit 7"), Some(("node_memory_numa_numa_hit_total".to_owned(), 7)));
        for wrong in ["", "Node", "Node 0", "Node 0 MemFree", "MemFree: 1 kB"] {
            assert_eq!(meminfo(wrong.as_bytes()), None, "{wrong}");
        }
        for wrong in ["", "numa_hit", "numa-hit 1", " 1", "numa_hit x"] {
            assert_eq!(numastat(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_bad_line_or_a_node_without_files_costs_itself() {
        let mut tree = Tree::of(&[]);
        assert_eq!(tree.lines(&ENTRY), Vec::<String>::new());
        tree.write("sys/devices/system/node/node0/cpulist", "0\n");
        tree.write("sys/devices/system/node/node1/meminfo", "Node 1 MemTotal: 1 kB\nnonsense\nNode 1 MemFree: 1 kB\n");
        tree.write("sys/devices/system/node/possible", "0-1\n");
        let (lines, result) = tree.show(&mut *built(&ENTRY, &[]).unwrap());
        assert!(result.unwrap_err().to_string().contains("node1/meminfo"));
        assert_eq!(lines, [r#"node_memory_numa_MemFree{node="1"} 1024"#, r#"node_memory_numa_MemTotal{node="1"} 1024"#]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            meminfo(&line);
            meminfo(&[b"Node 0 ", &line[..]].concat());
            numastat(&line);
        }
    }
}
