//! Reads `/proc/cgroups`: the cgroup controllers that the kernel knows. Emits `node_cgroups_cgroups` and `node_cgroups_enabled`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static CGROUPS: Family = Family::gauge("node_cgroups_cgroups", "Cgroups that the controller has: num_cgroups of /proc/cgroups.");
static ENABLED: Family = Family::gauge("node_cgroups_enabled", "1 if the controller is switched on: enabled of /proc/cgroups.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "cgroups",
    enabled: Flag::switch("collector.cgroups", false, "Cgroup controllers and how many cgroups each has."),
    flags: &[],
    new: |_| Ok(Box::new(Cgroups)),
};

struct Cgroups;

impl Collector for Cgroups {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for line in text::lines(system.proc("cgroups")?).filter(|line| !line.starts_with(b"#")) {
            match parse(line) {
                Some((controller, cgroups, enabled)) => {
                    out.family(&CGROUPS).add([("subsys_name", controller)], cgroups);
                    out.family(&ENABLED).add([("subsys_name", controller)], enabled);
                }
                None => bad = Some(Fault::parse("cgroups", line)),
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `memory 7 234 1`: controller, hierarchy, cgroups, whether it is enabled.
fn parse(line: &[u8]) -> Option<(&str, u64, u64)> {
    let mut fields = text::fields(line);
    let controller = std::str::from_utf8(fields.next()?).ok()?;
    let mut number = || fields.next().and_then(text::number::<u64>);
    let (_hierarchy, cgroups, enabled) = (number()?, number()?, number()?);
    Some((controller, cgroups, enabled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(parse(b"memory\t7\t234\t1"), Some(("memory", 234, 1)));
        for wrong in ["", "memory", "memory\t7\t234", "memory\t7\tx\t1"] {
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
