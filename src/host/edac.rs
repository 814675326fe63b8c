//! Reads `/sys/devices/system/edac/mc/*`: memory errors that were corrected and that were not. Emits `node_edac_*`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static CORRECTED: Family = Family::counter("node_edac_correctable_errors_total", "Errors corrected by the controller: ce_count.");
static UNCORRECTED: Family = Family::counter("node_edac_uncorrectable_errors_total", "Errors beyond correction: ue_count.");
static ROW_CORRECTED: Family = Family::counter(
    "node_edac_csrow_correctable_errors_total",
    "Errors corrected by row: csrow*/ce_count, and ce_noinfo_count as row unknown.",
);
static ROW_UNCORRECTED: Family = Family::counter(
    "node_edac_csrow_uncorrectable_errors_total",
    "Errors beyond correction by row: csrow*/ue_count, and ue_noinfo_count as row unknown.",
);
static CHANNEL_CORRECTED: Family =
    Family::counter("node_edac_channel_correctable_errors_total", "Errors corrected by channel: csrow*/ch*_ce_count.");
static CHANNEL_UNCORRECTED: Family =
    Family::counter("node_edac_channel_uncorrectable_errors_total", "Errors beyond correction by channel: csrow*/ch*_ue_count.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "edac",
    enabled: Flag::switch("collector.edac", true, "Memory errors."),
    flags: &[],
    new: |_| Ok(Box::new(Edac)),
};

const CONTROLLERS: &str = "devices/system/edac/mc";

struct Edac;

impl Collector for Edac {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let names = match system.entries(CONTROLLERS) {
            // Memory without error correction is complete, as node_exporter sees it.
            Err(fault) if fault.is_absence() => return Ok(()),
            names => names?,
        };
        for name in names {
            let Some(controller) = numbered(&name, "mc") else { continue };
            let folder = format!("{CONTROLLERS}/{name}");
            let unknown = [("controller", controller), ("csrow", "unknown")];
            emit(&CORRECTED, &format!("{folder}/ce_count"), [("controller", controller)], system, out);
            emit(&UNCORRECTED, &format!("{folder}/ue_count"), [("controller", controller)], system, out);
            emit(&ROW_CORRECTED, &format!("{folder}/ce_noinfo_count"), unknown, system, out);
            emit(&ROW_UNCORRECTED, &format!("{folder}/ue_noinfo_count"), unknown, system, out);
            for entry in system.entries(&folder).unwrap_or_default() {
                if let Some(row) = numbered(&entry, "csrow") {
                    emit_row(&format!("{folder}/{entry}"), [("controller", controller), ("csrow", row)], system, out);
                }
            }
        }
        Ok(())
    }
}

fn emit_row(folder: &str, labels: [(&str, &str); 2], system: &mut System, out: &mut Samples) {
    emit(&ROW_CORRECTED, &format!("{folder}/ce_count"), labels, system, out);
    emit(&ROW_UNCORRECTED, &format!("{folder}/ue_count"), labels, system, out);
    for entry in system.entries(folder).unwrap_or_default() {
        let Some(channel) = entry.strip_suffix("_ce_count").and_then(|name| numbered(name, "ch")) else { continue };
        let dimm =
            system.label(format!("{folder}/ch{channel}_dimm_label")).map_or_else(|| "unknown".to_owned(), |label| slot(&label));
        let [controller, row] = labels;
        let labels = [("channel", channel), controller, row, ("dimm_label", &*dimm)];
        emit(&CHANNEL_CORRECTED, &format!("{folder}/{entry}"), labels, system, out);
        emit(&CHANNEL_UNCORRECTED, &format!("{folder}/ch{channel}_ue_count"), labels, system, out);
    }
}

fn emit<const N: usize>(family: &'static Family, path: &str, labels: [(&str, &str); N], system: &mut System, out: &mut Samples) {
    if let Some(count) = system.number::<u64>(path) {
        out.family(family).add(labels, count);
    }
}

/// The number behind `prefix`, where that is all there is.
fn numbered<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix).filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `mc#0csrow#1channel#0` as `mc0_csrow1_channel0`, node_exporter's form of it.
fn slot(label: &str) -> String {
    label.replace('#', "").replace("csrow", "_csrow").replace("channel", "_channel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_slots() {
        assert_eq!(numbered("mc12", "mc"), Some("12"));
        assert_eq!(numbered("mc", "mc"), None);
        assert_eq!(numbered("mc1x", "mc"), None);
        assert_eq!(slot("mc#0csrow#1channel#0"), "mc0_csrow1_channel0");
    }
}
