//! Reads `/sys/class/scsi_tape/st*/stats/*`: what tape drives did. Emits `node_tape_*`.

use super::filter::Filter;
use crate::exposition::{Family, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

const NANOSECONDS: f64 = 1e9;

/// The files, what their numbers are divided by, and their families.
static FILES: [(&str, f64, Family); 10] = [
    ("in_flight", 1.0, Family::gauge("node_tape_io_now", "Requests under way: in_flight.")),
    ("io_ns", NANOSECONDS, Family::counter("node_tape_io_time_seconds_total", "Seconds of all requests: io_ns.")),
    ("other_cnt", 1.0, Family::counter("node_tape_io_others_total", "Requests that are no reads or writes: other_cnt.")),
    ("read_byte_cnt", 1.0, Family::counter("node_tape_read_bytes_total", "Bytes read: read_byte_cnt.")),
    ("read_cnt", 1.0, Family::counter("node_tape_reads_completed_total", "Reads: read_cnt.")),
    ("read_ns", NANOSECONDS, Family::counter("node_tape_read_time_seconds_total", "Seconds of reads: read_ns.")),
    ("resid_cnt", 1.0, Family::counter("node_tape_residual_total", "Reads of less than a whole block: resid_cnt.")),
    ("write_byte_cnt", 1.0, Family::counter("node_tape_written_bytes_total", "Bytes written: write_byte_cnt.")),
    ("write_cnt", 1.0, Family::counter("node_tape_writes_completed_total", "Writes: write_cnt.")),
    ("write_ns", NANOSECONDS, Family::counter("node_tape_write_time_seconds_total", "Seconds of writes: write_ns.")),
];

const IGNORED: Flag = Flag::text("collector.tapestats.ignored-devices", "^$", "No tape drive that matches this pattern.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "tapestats",
    enabled: Flag::switch("collector.tapestats", true, "What tape drives did."),
    flags: &[IGNORED],
    new: |settings| Ok(Box::new(TapeStats { filter: Filter::new(None, settings.pattern(&IGNORED)?) })),
};

const CLASS: &str = "class/scsi_tape";

struct TapeStats {
    filter: Filter,
}

impl Collector for TapeStats {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for device in system.entries(CLASS)?.iter().filter(|name| is_drive(name)) {
            // A drive switched off meanwhile has no folder any more.
            let folder = system.folder(format!("{CLASS}/{device}/stats")).ok().filter(|_| self.filter.passes(device));
            let Some(folder) = folder else { continue };
            for (file, divisor, family) in &FILES {
                if let Some(count) = folder.read(file, text::number::<u64>) {
                    out.family(family).add([("device", device)], from_u64(count) / divisor);
                }
            }
        }
        Ok(())
    }
}

/// `st0`; the same drive has other names for other modes (`st0a`) and for use without rewinding (`nst0`).
fn is_drive(name: &str) -> bool {
    name.strip_prefix("st").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Tree, built};
    use super::*;

    #[test]
    fn ignored_drives_and_other_names_are_left_out() {
        let mut tree = Tree::of(&[("sys/class/scsi_tape/st1/stats/write_ns", "odd\n")]);
        for device in ["st0", "st0a", "nst0", "st1", "st"] {
            tree.write(&format!("sys/class/scsi_tape/{device}/stats/read_ns"), "1500000000\n");
        }
        let (lines, result) = tree.show(&mut *built(&ENTRY, &[("ignored-devices", &["^st0$"])]).unwrap());
        result.unwrap();
        assert_eq!(lines, [r#"node_tape_read_time_seconds_total{device="st1"} 1.5"#]);
    }

    #[test]
    fn without_any_drive_there_is_nothing() {
        let (lines, result) = Tree::of(&[]).show(&mut *built(&ENTRY, &[]).unwrap());
        assert!(lines.is_empty() && result.unwrap_err().is_absence());
    }
}
