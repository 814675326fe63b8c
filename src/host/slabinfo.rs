//! Reads `/proc/slabinfo`, which only root may: the kernel's caches of objects. Emits `node_slabinfo_*`.

use super::filter::{Filter, Pair};
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

const SLABS: Pair = Pair::new(
    Flag::text("collector.slabinfo.slabs-include", ".*", "Only caches whose name matches this pattern."),
    Flag::text("collector.slabinfo.slabs-exclude", "", "No cache whose name matches this pattern."),
);

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "slabinfo",
    enabled: Flag::switch("collector.slabinfo", false, "The kernel's caches of objects."),
    flags: &[SLABS.include, SLABS.exclude],
    new: |settings| Ok(Box::new(SlabInfo { filter: SLABS.both(settings)? })),
};

/// The families of the first five numbers of a line.
static FIELDS: [Family; 5] = [
    Family::gauge("node_slabinfo_active_objects", "Objects in use: active_objs of /proc/slabinfo."),
    Family::gauge("node_slabinfo_objects", "Objects there is room for: num_objs of /proc/slabinfo."),
    Family::gauge("node_slabinfo_object_size_bytes", "Size of an object: objsize of /proc/slabinfo."),
    Family::gauge("node_slabinfo_objects_per_slab", "Objects in one slab: objperslab of /proc/slabinfo."),
    Family::gauge("node_slabinfo_pages_per_slab", "Pages of one slab: pagesperslab of /proc/slabinfo."),
];

struct SlabInfo {
    filter: Filter,
}

impl Collector for SlabInfo {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for line in text::lines(system.proc("slabinfo")?).filter(|line| !is_head(line)) {
            let Some((name, values)) = parse(line) else {
                bad = Some(Fault::parse("slabinfo", line));
                continue;
            };
            if self.filter.passes(name) {
                let slab = Labels::of(&[("slab", name)]);
                for (family, value) in FIELDS.iter().zip(values) {
                    out.family(family).add_to(&slab, [], value);
                }
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `slabinfo - version: 2.1` and `# name            <active_objs> …`
fn is_head(line: &[u8]) -> bool {
    line.starts_with(b"slabinfo - ") || line.starts_with(b"#")
}

/// `kmalloc-8192         132    148   8192    4    8 : tunables    0    0    0 : slabdata     37     37      0`
fn parse(line: &[u8]) -> Option<(&str, [u64; FIELDS.len()])> {
    let mut fields = text::fields(line);
    let (name, mut values) = (std::str::from_utf8(fields.next()?).ok()?, [0; FIELDS.len()]);
    for value in &mut values {
        *value = text::number(fields.next()?)?;
    }
    Some((name, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    const TEXT: &str = "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize>\ntw_sock_TCP 704 864 256 32 2 : tunables\nbad 1 2\n\
                        kmalloc-8k 132 148 8192 4 8 : tunables 0 0 0 : slabdata 37 37 0\n";

    #[test]
    fn a_bad_line_costs_one_cache() {
        let (lines, result) = Tree::of(&[("proc/slabinfo", TEXT)]).show(&mut *built(&ENTRY, &[]).unwrap());
        assert!(result.unwrap_err().to_string().contains("bad 1 2"));
        assert_eq!(lines.len(), 10);
        assert!(lines.contains(&r#"node_slabinfo_object_size_bytes{slab="kmalloc-8k"} 8192"#.to_owned()), "{lines:?}");
    }

    #[test]
    fn caches_are_chosen_by_both_patterns() {
        let mut tree = Tree::of(&[("proc/slabinfo", TEXT)]);
        let mut count = |given: &[(&str, &[&str])]| tree.show(&mut *built(&ENTRY, given).unwrap()).0.len();
        assert_eq!((count(&[("slabs-include", &["^kmalloc"])]), count(&[("slabs-exclude", &["TCP$"])])), (5, 5));
        assert_eq!(count(&[("slabs-include", &["sock|kmalloc"]), ("slabs-exclude", &["."])]), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            parse(&line);
        }
    }
}
