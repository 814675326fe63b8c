//! Reads `/proc/softirqs`: how many soft interrupts of each kind each CPU has run. Emits `node_softirqs_functions_total`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static FUNCTIONS: Family = Family::counter(
    "node_softirqs_functions_total",
    "Soft interrupts that the CPU ran: /proc/softirqs. cpu counts its columns, one for each possible CPU.",
);

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "softirqs",
    enabled: Flag::switch("collector.softirqs", false, "Soft interrupts by kind and CPU."),
    flags: &[],
    new: |_| Ok(Box::new(SoftIrqs)),
};

struct SoftIrqs;

impl Collector for SoftIrqs {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let (mut bad, mut cpu) = (None, itoa::Buffer::new());
        for line in text::lines(system.proc("softirqs")?).skip(1) {
            match parse(line) {
                Some((kind, counts)) => {
                    for (column, count) in counts.into_iter().enumerate() {
                        out.family(&FUNCTIONS).add([("cpu", cpu.format(column)), ("type", kind)], count);
                    }
                }
                None => bad = Some(Fault::parse("softirqs", line)),
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `      NET_TX:       2301       2430`: the kind, and one number for each CPU.
fn parse(line: &[u8]) -> Option<(&str, Vec<u64>)> {
    let (kind, counts) = text::pair(line, b':')?;
    let kind = std::str::from_utf8(kind).ok()?;
    Some((kind, text::fields(counts).map(text::number).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    #[test]
    fn a_bad_line_costs_one_kind() {
        let text = "                    CPU0       CPU1\n          HI:          7          1\n       TIMER:     x 1\n         RCU:     155929     146631\n";
        let (lines, result) = Tree::of(&[("proc/softirqs", text)]).show(&mut *built(&ENTRY, &[]).unwrap());
        assert!(result.unwrap_err().to_string().contains("TIMER"));
        let expected = [
            r#"node_softirqs_functions_total{cpu="0",type="HI"} 7"#,
            r#"node_softirqs_functions_total{cpu="1",type="HI"} 1"#,
            r#"node_softirqs_functions_total{cpu="0",type="RCU"} 155929"#,
            r#"node_softirqs_functions_total{cpu="1",type="RCU"} 146631"#,
        ];
        assert_eq!(lines, expected);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            parse(&line);
        }
    }
}
