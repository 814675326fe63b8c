//! Reads the files of `/proc/net/stat`: what the kernel's network caches (`arp_cache`, `rt_cache`, `nf_conntrack`, …) count on each CPU.
//! Emits `node_lnstat_<column>_total`.
//!
//! A file is a line of column names, then for each CPU a line of hexadecimal numbers:
//!
//! ```text
//! entries  allocs   destroys
//! 00000014 00000001 00000002
//! ```

use crate::exposition::{Kind, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

const HELP: &str = "Column of this name in the files of /proc/net/stat.";

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "lnstat",
    enabled: Flag::switch("collector.lnstat", false, "What the kernel's network caches count, by CPU."),
    flags: &[],
    new: |_| Ok(Box::new(LnStat)),
};

struct LnStat;

impl Collector for LnStat {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let folder = system.roots.net("stat");
        let entries = std::fs::read_dir(&folder).map_err(|error| Fault::read(&folder, error))?;
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        let mut bad = None;
        for subsystem in names {
            match system.read(&folder.join(&subsystem)) {
                Ok(text) => bad = file(&subsystem, text, out).err().or(bad),
                // Its module went meanwhile.
                Err(fault) if fault.is_absence() => {}
                Err(fault) => bad = Some(fault),
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// Adds the samples of one file. A line that cannot be read costs its CPU.
fn file(subsystem: &str, text: &[u8], out: &mut Samples) -> Result<(), Fault> {
    let mut bad = None;
    for (cpu, line) in text::lines(text).skip(1).enumerate() {
        let numbers: Option<Vec<u64>> = text::fields(line).map(text::hex).collect();
        let Some(numbers) = numbers else {
            bad = Some(Fault::parse(format!("net/stat/{subsystem}"), line));
            continue;
        };
        let labels = Labels::of(&[("cpu", &cpu.to_string()), ("subsystem", subsystem)]);
        for (column, number) in columns(text).zip(numbers) {
            if let Some(column) = column {
                out.named(&format!("node_lnstat_{column}_total"), HELP, Kind::Counter).add_to(&labels, [], number);
            }
        }
    }
    bad.map_or(Ok(()), Err)
}

/// The titles of the columns; `None` for one that cannot stand in a metric's name.
fn columns(text: &[u8]) -> impl Iterator<Item = Option<&str>> {
    let fits = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text::fields(text::lines(text).next().unwrap_or_default()).map(move |title| std::str::from_utf8(title).ok().filter(fits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;

    #[test]
    fn a_bad_line_costs_its_cpu_and_a_bad_title_its_column() {
        let mut out = Samples::new();
        let text = b"entries  al-locs hits\n00000014 00000001 0000000a\n00000014 x 1\n00000014 00000002 ffffffff\n";
        assert!(file("arp_cache", text, &mut out).unwrap_err().to_string().contains("arp_cache"));
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "node_lnstat_entries_total{cpu=\"0\",subsystem=\"arp_cache\"} 20",
            "node_lnstat_entries_total{cpu=\"2\",subsystem=\"arp_cache\"} 20",
            "node_lnstat_hits_total{cpu=\"0\",subsystem=\"arp_cache\"} 10",
            "node_lnstat_hits_total{cpu=\"2\",subsystem=\"arp_cache\"} 4294967295",
        ];
        assert_eq!(samples, expected);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            let _ = file("any", &text, &mut Samples::new());
            let _ = file("any", &[b"a b\n", &text[..]].concat(), &mut Samples::new());
        }
    }
}
