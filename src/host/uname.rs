//! Asks uname(2): which kernel runs here, under which name. Emits `node_uname_info`.

use nix::sys::utsname;

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static INFO: Family = Family::gauge("node_uname_info", "What uname(2) answers, as labels; always 1.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "uname",
    enabled: Flag::switch("collector.uname", true, "Name and version of kernel and host."),
    flags: &[],
    new: |_| Ok(Box::new(Uname)),
};

struct Uname;

impl Collector for Uname {
    fn collect(&mut self, _system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let uname = utsname::uname().map_err(|error| Fault::read("uname", error.into()))?;
        let labels = [
            ("domainname", uname.domainname()),
            ("machine", uname.machine()),
            ("nodename", uname.nodename()),
            ("release", uname.release()),
            ("sysname", uname.sysname()),
            ("version", uname.version()),
        ]
        .map(|(name, value)| (name, text::utf8(value.as_encoded_bytes())));
        out.family(&INFO).add(labels.each_ref().map(|(name, value)| (*name, value.as_ref())), 1u8);
        Ok(())
    }
}
