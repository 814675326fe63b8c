//! Reads `/sys/class/nvme-subsystem/*`: NVMe subsystems, and the controllers that are the paths to each.
//! Emits `node_nvmesubsystem_*`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static INFO: Family = Family::gauge("node_nvmesubsystem_info", "What the subsystem's files say of it; 1.");
static NAMESPACE: Family = Family::gauge("node_nvmesubsystem_namespace_info", "A block device that all paths lead to; 1.");
static PATHS: Family = Family::gauge("node_nvmesubsystem_paths", "Controllers of the subsystem.");
static LIVE: Family = Family::gauge("node_nvmesubsystem_paths_live", "Controllers whose state is live.");
static STATE: Family = Family::gauge("node_nvmesubsystem_path_state", "1 for the state that the controller is in: state.");

/// The states that the kernel knows, and one for all others.
const STATES: [&str; 8] = ["connecting", "dead", "deleting", "deleting (no IO)", "live", "new", "resetting", UNKNOWN];
const UNKNOWN: &str = "unknown";

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "nvmesubsystem",
    enabled: Flag::switch("collector.nvmesubsystem", false, "NVMe subsystems and the paths to them."),
    flags: &[],
    new: |_| Ok(Box::new(NvmeSubsystem)),
};

const CLASS: &str = "class/nvme-subsystem";

struct NvmeSubsystem;

impl Collector for NvmeSubsystem {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for name in system.entries(CLASS)? {
            // Disconnected meanwhile.
            let Ok(entries) = system.entries(format!("{CLASS}/{name}")) else { continue };
            let mut text = |file: &str| system.label(format!("{CLASS}/{name}/{file}")).unwrap_or_default();
            let subsystem = ("subsystem", &*name);
            let labels = [
                ("iopolicy", &*text("iopolicy")),
                ("model", &*text("model")),
                ("nqn", &*text("subsysnqn")),
                ("serial", &*text("serial")),
                subsystem,
            ];
            out.family(&INFO).add(labels, 1u8);
            let (mut paths, mut live) = (0u32, 0u32);
            for entry in &entries {
                match kind(entry) {
                    Some(Kind::Controller) => {
                        let state = controller(entry, &name, system, out);
                        paths += 1;
                        live += u32::from(state == "live");
                    }
                    Some(Kind::Namespace) => _ = out.family(&NAMESPACE).add([("device", entry), subsystem], 1u8),
                    None => {}
                }
            }
            out.family(&PATHS).add([subsystem], paths);
            out.family(&LIVE).add([subsystem], live);
        }
        Ok(())
    }
}

/// Shows a controller; returns its state.
fn controller(name: &str, subsystem: &str, system: &mut System, out: &mut Samples) -> &'static str {
    let mut text = |file: &str| system.label(format!("{CLASS}/{subsystem}/{name}/{file}")).unwrap_or_default();
    let (state, transport) = (text("state"), text("transport"));
    let state = STATES.into_iter().find(|known| *known == state).unwrap_or(UNKNOWN);
    for known in STATES {
        let labels = [("controller", name), ("state", known), ("subsystem", subsystem), ("transport", &*transport)];
        out.family(&STATE).add(labels, known == state);
    }
    state
}

#[derive(Debug, PartialEq)]
enum Kind {
    Controller,
    Namespace,
}

/// `nvme3` is a controller, `nvme0n1` a namespace; `nvme0c3n1`, a namespace seen through one controller, is neither.
fn kind(entry: &str) -> Option<Kind> {
    let rest = entry.strip_prefix("nvme")?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match rest.split_once('n') {
        Some((subsystem, namespace)) => (is_number(subsystem) && is_number(namespace)).then_some(Kind::Namespace),
        None => is_number(rest).then_some(Kind::Controller),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Tree, built};
    use super::*;

    /// Attributes as nvme_subsys_attrs and nvme_dev_attrs of drivers/nvme/host/sysfs.c have them.
    #[test]
    fn a_subsystem_with_a_path_lost() {
        let mut tree = Tree::of(&[
            ("sys/class/nvme-subsystem/nvme-subsys0/iopolicy", "round-robin\n"),
            ("sys/class/nvme-subsystem/nvme-subsys0/model", "Dell PowerStore   \n"),
            ("sys/class/nvme-subsystem/nvme-subsys0/serial", "SN1\n"),
            ("sys/class/nvme-subsystem/nvme-subsys0/subsysnqn", "nqn.2014-08.org:x\n"),
            ("sys/class/nvme-subsystem/nvme-subsys0/nvme0/state", "live\n"),
            ("sys/class/nvme-subsystem/nvme-subsys0/nvme0/transport", "tcp\n"),
            ("sys/class/nvme-subsystem/nvme-subsys0/nvme1/state", "unknown state\n"),
            ("sys/class/nvme-subsystem/nvme-subsys0/nvme0n1/size", "8\n"),
            ("sys/class/nvme-subsystem/nvme-subsys0/power/control", "auto\n"),
        ]);
        let (states, others): (Vec<_>, Vec<_>) = tree.lines(&ENTRY).into_iter().partition(|line| line.contains("path_state"));
        let expected = [
            r#"node_nvmesubsystem_info{iopolicy="round-robin",model="Dell PowerStore",nqn="nqn.2014-08.org:x",serial="SN1",subsystem="nvme-subsys0"} 1"#,
            r#"node_nvmesubsystem_namespace_info{device="nvme0n1",subsystem="nvme-subsys0"} 1"#,
            r#"node_nvmesubsystem_paths{subsystem="nvme-subsys0"} 2"#,
            r#"node_nvmesubsystem_paths_live{subsystem="nvme-subsys0"} 1"#,
        ];
        assert_eq!(others, expected);
        let held: Vec<_> = states.iter().filter(|line| line.ends_with(" 1")).collect();
        let expected = [
            r#"node_nvmesubsystem_path_state{controller="nvme0",state="live",subsystem="nvme-subsys0",transport="tcp"} 1"#,
            r#"node_nvmesubsystem_path_state{controller="nvme1",state="unknown",subsystem="nvme-subsys0",transport=""} 1"#,
        ];
        assert_eq!(held, expected);
        assert_eq!(states.len(), 2 * STATES.len());
    }

    #[test]
    fn without_any_subsystem_there_is_nothing() {
        let (lines, result) = Tree::of(&[]).show(&mut *built(&ENTRY, &[]).unwrap());
        assert!(lines.is_empty() && result.unwrap_err().is_absence());
    }

    #[test]
    fn entries_are_known_by_their_names() {
        assert_eq!((kind("nvme3"), kind("nvme10n2")), (Some(Kind::Controller), Some(Kind::Namespace)));
        for other in ["nvme", "nvme0c3n1", "nvme0n1p1", "nvmen1", "nvme0n", "power", "model", "nvme-subsys0"] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_survived(name: String) {
            kind(&name);
            kind(&format!("nvme{name}"));
        }
    }
}
