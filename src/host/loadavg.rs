//! Reads `/proc/loadavg`: how many tasks ran or waited to run. Emits `node_load1`, `node_load5`, `node_load15`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static LOAD1: Family = Family::gauge("node_load1", "Load average over 1 minute: first field of /proc/loadavg.");
static LOAD5: Family = Family::gauge("node_load5", "Load average over 5 minutes: second field of /proc/loadavg.");
static LOAD15: Family = Family::gauge("node_load15", "Load average over 15 minutes: third field of /proc/loadavg.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "loadavg",
    enabled: Flag::switch("collector.loadavg", true, "Load averages."),
    flags: &[],
    new: |_| Ok(Box::new(LoadAvg)),
};

struct LoadAvg;

impl Collector for LoadAvg {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let text = system.proc("loadavg")?;
        let [one, five, fifteen] = parse(text).ok_or_else(|| Fault::parse("loadavg", text))?;
        out.family(&LOAD1).add([], one);
        out.family(&LOAD5).add([], five);
        out.family(&LOAD15).add([], fifteen);
        Ok(())
    }
}

/// `0.52 0.58 0.59 1/967 12345`
fn parse(text: &[u8]) -> Option<[f64; 3]> {
    let mut loads = text::fields(text).map(text::number);
    Some([loads.next()??, loads.next()??, loads.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_averages() {
        assert_eq!(parse(b"0.52 0.58 12 1/967 12345\n"), Some([0.52, 0.58, 12.0]));
        assert_eq!(parse(b"0.52 0.58\n"), None);
        assert_eq!(parse(b"0.52 x 1\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            parse(&text);
        }
    }
}
