//! Reads `/proc/sys/fs/file-nr`: open file descriptions. Emits `node_filefd_allocated`, `node_filefd_maximum`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static ALLOCATED: Family =
    Family::gauge("node_filefd_allocated", "File descriptions in use on the whole host: first field of /proc/sys/fs/file-nr.");
static MAXIMUM: Family =
    Family::gauge("node_filefd_maximum", "The most file descriptions the kernel gives out: third field of /proc/sys/fs/file-nr.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "filefd",
    enabled: Flag::switch("collector.filefd", true, "Open file descriptions."),
    flags: &[],
    new: |_| Ok(Box::new(FileFd)),
};

struct FileFd;

impl Collector for FileFd {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let text = system.proc("sys/fs/file-nr")?;
        let [allocated, maximum] = parse(text).ok_or_else(|| Fault::parse("sys/fs/file-nr", text))?;
        out.family(&ALLOCATED).add([], allocated);
        out.family(&MAXIMUM).add([], maximum);
        Ok(())
    }
}

/// `1024 0 1631329`: in use, free but allocated (always 0 since Linux 2.6), maximum.
fn parse(text: &[u8]) -> Option<[u64; 2]> {
    let mut fields = text::fields(text).map(text::number);
    let allocated = fields.next()??;
    let maximum = fields.nth(1)??;
    Some([allocated, maximum])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_field_is_skipped() {
        assert_eq!(parse(b"1024\t0\t9223372036854775807\n"), Some([1024, 9_223_372_036_854_775_807]));
        assert_eq!(parse(b"1024\t0\n"), None);
        assert_eq!(parse(b"-1\t0\t5\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            parse(&text);
        }
    }
}
