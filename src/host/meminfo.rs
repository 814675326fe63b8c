//! Reads `/proc/meminfo`: what memory is used for. Emits `node_memory_<field>[_bytes]`, one family for every line.

use crate::exposition::{Kind, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "meminfo",
    enabled: Flag::switch("collector.meminfo", true, "Memory use."),
    flags: &[],
    new: |_| Ok(Box::new(MemInfo::default())),
};

/// Both texts are kept only for their memory.
#[derive(Default)]
struct MemInfo {
    name: String,
    help: String,
}

impl Collector for MemInfo {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let text = system.proc("meminfo")?;
        let mut bad = None;
        for line in text::lines(text) {
            let Some(Row { field, value, in_bytes }) = parse(line) else {
                bad.get_or_insert_with(|| Fault::parse("meminfo", line));
                continue;
            };
            self.name.clear();
            self.name.push_str("node_memory_");
            self.name.extend(field.bytes().filter_map(of_name));
            if in_bytes {
                self.name.push_str("_bytes");
            }
            self.help.clear();
            self.help.extend(["Field ", field, " of /proc/meminfo."]);
            out.named(&self.name, &self.help, Kind::Gauge).add([], value);
        }
        bad.map_or(Ok(()), Err)
    }
}

/// One line.
#[derive(Debug, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) field: &'a str,
    pub(super) value: u64,
    in_bytes: bool,
}

/// `Active(anon):    2020004 kB`, `HugePages_Total:       0`
pub(super) fn parse(line: &[u8]) -> Option<Row<'_>> {
    let (field, rest) = text::pair(line, b':')?;
    let field = std::str::from_utf8(field).ok().filter(|field| !field.is_empty())?;
    let mut rest = text::fields(rest);
    let value: u64 = text::number(rest.next()?)?;
    match rest.next() {
        Some(b"kB") => Some(Row { field, value: value.checked_mul(1024)?, in_bytes: true }),
        None => Some(Row { field, value, in_bytes: false }),
        Some(_) => None,
    }
}

/// `Active(anon)` -> `Active_anon`; any other character that no metric name may have becomes `_`.
pub(super) fn of_name(byte: u8) -> Option<char> {
    match byte {
        b')' => None,
        b if b.is_ascii_alphanumeric() => Some(char::from(b)),
        _ => Some('_'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_become_bytes_and_counts_stay() {
        assert_eq!(
            parse(b"Active(anon):    2020004 kB"),
            Some(Row { field: "Active(anon)", value: 2_068_484_096, in_bytes: true })
        );
        assert_eq!(parse(b"HugePages_Total:       3"), Some(Row { field: "HugePages_Total", value: 3, in_bytes: false }));
        assert_eq!("Active(anon)x-y".bytes().filter_map(of_name).collect::<String>(), "Active_anonx_y");
        for wrong in ["", ":1", "A: x kB", "A: 1 MB", "A: 18446744073709551615 kB"] {
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
