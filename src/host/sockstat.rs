//! Reads `/proc/net/sockstat` and `/proc/net/sockstat6`: sockets in use and the memory they hold, protocol by protocol.
//! Emits `node_sockstat_<Protocol>_<field>`.

use crate::exposition::{Kind, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

const HELP: &str = "Field of this name in /proc/net/sockstat or /proc/net/sockstat6.";
const HELP_BYTES: &str = "Field mem of /proc/net/sockstat, which counts pages, in bytes.";

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "sockstat",
    enabled: Flag::switch("collector.sockstat", true, "Sockets in use."),
    flags: &[],
    new: |_| Ok(Box::new(SockStat { page: page_size(), name: String::new() })),
};

struct SockStat {
    /// Bytes in a page.
    page: u64,
    /// The name of the sample being written.
    name: String,
}

fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| size.try_into().ok()).unwrap_or(4096)
}

impl Collector for SockStat {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for file in ["sockstat", "sockstat6"] {
            match system.net(file) {
                Ok(text) => parse(text, |protocol, field, value| self.emit(protocol, field, value, out)),
                // That IP version is switched off.
                Err(fault) if fault.is_absence() => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

impl SockStat {
    fn emit(&mut self, protocol: &str, field: &str, value: u64, out: &mut Samples) {
        self.name.clear();
        for part in ["node_sockstat_", protocol, "_", field] {
            self.name.push_str(part);
        }
        out.named(&self.name, HELP, Kind::Gauge).add([], value);
        if field == "mem" {
            self.name.push_str("_bytes");
            out.named(&self.name, HELP_BYTES, Kind::Gauge).add([], value.saturating_mul(self.page));
        }
    }
}

/// `sockets: used 290`, `TCP: inuse 4 orphan 0 tw 4 alloc 17 mem 1`. Fields of other names, and without a number, are skipped.
fn parse<'a>(text: &'a [u8], mut each: impl FnMut(&'a str, &'a str, u64)) {
    for line in text::lines(text) {
        let Some((protocol, rest)) = text::pair(line, b':') else { continue };
        let Some(protocol) = std::str::from_utf8(protocol).ok().filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric()))
        else {
            continue;
        };
        let mut fields = text::fields(rest);
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            let known = match field {
                b"used" => protocol == "sockets",
                b"inuse" | b"orphan" | b"tw" | b"alloc" | b"mem" | b"memory" => true,
                _ => false,
            };
            if let (true, Ok(field), Some(value)) = (known, std::str::from_utf8(field), text::number(value)) {
                each(protocol, field, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_pairs() {
        let mut read = Vec::new();
        parse(b"sockets: used 9\nTCP: inuse 4 new 1 mem x alloc 17\nFRAG: inuse 0 memory 1\n", |p, f, v| read.push((p, f, v)));
        let expected =
            [("sockets", "used", 9), ("TCP", "inuse", 4), ("TCP", "alloc", 17), ("FRAG", "inuse", 0), ("FRAG", "memory", 1)];
        assert_eq!(read, expected);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            parse(&text, |_, _, _| {});
        }
    }
}
