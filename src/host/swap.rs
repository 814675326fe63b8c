//! Reads `/proc/swaps`: where memory is swapped to. Emits `node_swap_size_bytes`, `node_swap_used_bytes` and `node_swap_priority`.

use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static SIZE: Family =
    Family::gauge("node_swap_size_bytes", "Size of the swap device or file: Size of /proc/swaps, in KiB there.");
static USED: Family = Family::gauge("node_swap_used_bytes", "What of it is in use: Used of /proc/swaps, in KiB there.");
static PRIORITY: Family = Family::gauge("node_swap_priority", "The highest is filled first: Priority of /proc/swaps.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "swap",
    enabled: Flag::switch("collector.swap", false, "Swap devices and files."),
    flags: &[],
    new: |_| Ok(Box::new(Swap)),
};

struct Swap;

impl Collector for Swap {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for line in text::lines(system.proc("swaps")?).skip(1) {
            match parse(line) {
                Some(area) => {
                    let labels = Labels::of(&[("device", area.device), ("swap_type", area.kind)]);
                    out.family(&SIZE).add_to(&labels, [], area.size);
                    out.family(&USED).add_to(&labels, [], area.used);
                    out.family(&PRIORITY).add_to(&labels, [], area.priority);
                }
                None => bad = Some(Fault::parse("swaps", line)),
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// One line, its sizes in bytes.
#[derive(Debug, PartialEq)]
struct Area<'a> {
    device: &'a str,
    kind: &'a str,
    size: u64,
    used: u64,
    priority: i64,
}

/// `/dev/zram0                              partition 8388604 76 100`. Blanks in a path stand as `\040`, and are left so.
fn parse(line: &[u8]) -> Option<Area<'_>> {
    let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (device, kind) = (fields.next()?, fields.next()?);
    let mut bytes = || fields.next()?.parse::<u64>().ok()?.checked_mul(1024);
    let (size, used) = (bytes()?, bytes()?);
    Some(Area { device, kind, size, used, priority: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    /// As proc(5) and `swap_show` of mm/swapfile.c have it.
    const TEXT: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/zram0                              partition\t8388604\t\t76\t\t100\n\
                        /swap\\040file                            file\t\tx\t\t0\t\t-3\n/swap\\040file2                           file\t\t1024\t\t0\t\t-2\n";

    #[test]
    fn a_bad_line_costs_one_area() {
        let (lines, result) = Tree::of(&[("proc/swaps", TEXT)]).show(&mut *built(&ENTRY, &[]).unwrap());
        assert!(result.unwrap_err().to_string().contains("swap"));
        let expected = [
            r#"node_swap_priority{device="/dev/zram0",swap_type="partition"} 100"#,
            r#"node_swap_priority{device="/swap\\040file2",swap_type="file"} -2"#,
            r#"node_swap_size_bytes{device="/dev/zram0",swap_type="partition"} 8589930496"#,
            r#"node_swap_size_bytes{device="/swap\\040file2",swap_type="file"} 1048576"#,
            r#"node_swap_used_bytes{device="/dev/zram0",swap_type="partition"} 77824"#,
            r#"node_swap_used_bytes{device="/swap\\040file2",swap_type="file"} 0"#,
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn lines_of_another_shape() {
        for wrong in [
            "",
            "/dev/sda1",
            "/dev/sda1 partition 1 2",
            "/dev/sda1 partition 1 2 x",
            "/dev/sda1 partition 18446744073709551615 2 1",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            parse(&line);
        }
    }
}
