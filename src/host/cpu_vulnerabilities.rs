//! Reads `/sys/devices/system/cpu/vulnerabilities/*`: what the kernel says of each known flaw of CPUs, one line a file. Emits
//! `node_cpu_vulnerabilities_info`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static INFO: Family = Family::gauge("node_cpu_vulnerabilities_info", "What is done about the flaw: the file of its name; 1.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "cpu_vulnerabilities",
    enabled: Flag::switch("collector.cpu_vulnerabilities", false, "Known flaws of the CPUs and what is done about them."),
    flags: &[],
    new: |_| Ok(Box::new(CpuVulnerabilities)),
};

const FOLDER: &str = "devices/system/cpu/vulnerabilities";

struct CpuVulnerabilities;

impl Collector for CpuVulnerabilities {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let names = match system.entries(FOLDER) {
            // A kernel that tells of none is complete, as node_exporter sees it.
            Err(fault) if fault.is_absence() => return Ok(()),
            names => names?,
        };
        for name in names {
            if let Some(text) = system.label(format!("{FOLDER}/{name}")) {
                let (state, mitigation) = parse(&text);
                out.family(&INFO).add([("codename", &name), ("mitigation", mitigation), ("state", state)], 1u8);
            }
        }
        Ok(())
    }
}

/// `Not affected`, `Vulnerable`, `Vulnerable: no microcode`, `Vulnerable; STIBP: disabled`, `Mitigation: PTI`, some of them behind `KVM: `. What begins with none of
/// these is shown whole: at such a line (`Unknown: No mitigations`) node_exporter shows nothing at all.
fn parse(text: &str) -> (&'static str, &str) {
    const STATES: [(&str, &str); 3] =
        [("Not affected", "not affected"), ("Vulnerable", "vulnerable"), ("Mitigation", "mitigation")];
    let verdict = text.strip_prefix("KVM: ").unwrap_or(text);
    let known = STATES.iter().find_map(|(word, state)| Some((*state, verdict.strip_prefix(word)?)));
    known.map_or(("unknown", text), |(state, rest)| (state, rest.trim_start_matches([':', ';', ' '])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::Tree;

    #[test]
    fn states_and_mitigations() {
        assert_eq!(parse("Not affected"), ("not affected", ""));
        assert_eq!(parse("Vulnerable"), ("vulnerable", ""));
        assert_eq!(parse("Vulnerable: Safe RET, no microcode"), ("vulnerable", "Safe RET, no microcode"));
        assert_eq!(parse("Vulnerable; STIBP: disabled; BHI: Not affected"), ("vulnerable", "STIBP: disabled; BHI: Not affected"));
        assert_eq!(parse("Mitigation: Retpolines; IBPB: conditional"), ("mitigation", "Retpolines; IBPB: conditional"));
        assert_eq!(parse("KVM: Mitigation: VMX disabled"), ("mitigation", "VMX disabled"));
        assert_eq!(parse("Unknown: No mitigations"), ("unknown", "Unknown: No mitigations"));
        assert_eq!(parse(""), ("unknown", ""));
    }

    #[test]
    fn a_kernel_that_tells_of_none_is_complete() {
        assert_eq!(Tree::of(&[]).lines(&ENTRY), Vec::<String>::new());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text: String) {
            parse(&text);
            parse(&format!("KVM: Mitigation{text}"));
        }
    }
}
