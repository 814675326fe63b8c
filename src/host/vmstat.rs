//! Reads `/proc/vmstat`: events of the memory management. Emits `node_vmstat_<field>` for the fields chosen by a pattern.

use crate::exposition::{Kind, Samples};
use crate::host::filter::Filter;
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, System, text};

const FIELDS: Flag =
    Flag::text("collector.vmstat.fields", "^(oom_kill|pgpg|pswp|pg.*fault).*", "Pattern of the /proc/vmstat fields to show.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "vmstat",
    enabled: Flag::switch("collector.vmstat", true, "Events of the memory management."),
    flags: &[FIELDS],
    new: |settings| Ok(Box::new(VmStat::new(settings)?)),
};

struct VmStat {
    fields: Filter,
    /// Both texts are kept only for their memory.
    name: String,
    help: String,
}

impl VmStat {
    fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(VmStat { fields: Filter::new(settings.pattern(&FIELDS)?, None), name: String::new(), help: String::new() })
    }
}

impl Collector for VmStat {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let text = system.proc("vmstat")?;
        let mut bad = None;
        for line in text::lines(text) {
            let Some((field, value)) = parse(line) else {
                bad.get_or_insert_with(|| Fault::parse("vmstat", line));
                continue;
            };
            if self.fields.passes(field) {
                self.name.clear();
                self.name.extend(["node_vmstat_", field]);
                self.help.clear();
                self.help.extend(["Field ", field, " of /proc/vmstat."]);
                out.named(&self.name, &self.help, Kind::Untyped).add([], value);
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `pgfault 2320168809`
fn parse(line: &[u8]) -> Option<(&str, u64)> {
    let mut fields = text::fields(line);
    let field = fields.next()?;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let value = text::number(fields.next()?)?;
    if field.iter().all(fits) { Some((std::str::from_utf8(field).ok()?, value)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_number() {
        assert_eq!(parse(b"pgfault 2320168809"), Some(("pgfault", 2_320_168_809)));
        for wrong in ["", "pgfault", "pgfault x", "pg{fault 1"] {
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
