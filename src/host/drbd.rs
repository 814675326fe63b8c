//! Reads `/proc/drbd`: block devices replicated by DRBD 8. Emits `node_drbd_*`. DRBD 9 has only its version there.

use crate::exposition::{Family, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

const KIB: f64 = 1024.0;

/// The numbers, by their keys, and what each is multiplied by. `nr` counts KiB as `ns` does, but node_exporter has it as bytes.
static NUMBERS: [(&str, f64, Family); 12] = [
    ("ns", KIB, Family::counter("node_drbd_network_sent_bytes_total", "Bytes sent to the peer: ns.")),
    ("nr", 1.0, Family::counter("node_drbd_network_received_bytes_total", "KiB, in spite of the name, from the peer: nr.")),
    ("dw", KIB, Family::counter("node_drbd_disk_written_bytes_total", "Bytes written to the local disk: dw.")),
    ("dr", KIB, Family::counter("node_drbd_disk_read_bytes_total", "Bytes read from the local disk: dr.")),
    ("al", 1.0, Family::counter("node_drbd_activitylog_writes_total", "Updates of the activity log: al.")),
    ("bm", 1.0, Family::counter("node_drbd_bitmap_writes_total", "Updates of the bitmap: bm.")),
    ("lo", 1.0, Family::gauge("node_drbd_local_pending", "Requests open at the local disk: lo.")),
    ("pe", 1.0, Family::gauge("node_drbd_remote_pending", "Requests that the peer has not answered: pe.")),
    ("ua", 1.0, Family::gauge("node_drbd_remote_unacknowledged", "Requests of the peer not answered yet: ua.")),
    ("ap", 1.0, Family::gauge("node_drbd_application_pending", "Requests from above not answered yet: ap.")),
    ("ep", 1.0, Family::gauge("node_drbd_epochs", "Epochs under way: ep.")),
    ("oos", KIB, Family::gauge("node_drbd_out_of_sync_bytes", "Bytes that the peer lacks: oos.")),
];

static CONNECTED: Family = Family::gauge("node_drbd_connected", "1 if the peer is connected: cs is Connected.");

/// What is told of both nodes, by its key, and the word for which 1 is shown.
static BOTH: [(&str, &str, Family); 2] = [
    ("ro", "Primary", Family::gauge("node_drbd_node_role_is_primary", "1 if the node is the primary one: ro.")),
    ("ds", "UpToDate", Family::gauge("node_drbd_disk_state_is_up_to_date", "1 if the node's disk is up to date: ds.")),
];

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "drbd",
    enabled: Flag::switch("collector.drbd", false, "Block devices replicated by DRBD 8."),
    flags: &[],
    new: |_| Ok(Box::new(Drbd)),
};

struct Drbd;

impl Collector for Drbd {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        emit(system.proc("drbd")?, out)
    }
}

/// ```text
///  1: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----
///     ns:17324442 nr:10961011 dw:28263521 … oos:12349
/// ```
fn emit(text: &[u8], out: &mut Samples) -> Result<(), Fault> {
    let (mut device, mut bad) = (None, None);
    for word in text::fields(text) {
        let Some((key, value)) = text::pair(word, b':') else { continue };
        if value.is_empty() {
            device = text::number::<u32>(key).map(|number| format!("drbd{number}"));
            continue;
        }
        let Some(device) = &device else { continue };
        if sample(key, value, device, out).is_none() {
            bad = Some(Fault::parse("drbd", word));
        }
    }
    bad.map_or(Ok(()), Err)
}

fn sample(key: &[u8], value: &[u8], device: &str, out: &mut Samples) -> Option<()> {
    if key == b"cs" {
        out.family(&CONNECTED).add([("device", device)], value == b"Connected");
    }
    for (_, factor, family) in NUMBERS.iter().filter(|(known, ..)| known.as_bytes() == key) {
        out.family(family).add([("device", device)], from_u64(text::number(value)?) * factor);
    }
    for (_, word, family) in BOTH.iter().filter(|(known, ..)| known.as_bytes() == key) {
        let mut nodes = value.split(|&byte| byte == b'/');
        for (node, state) in [("local", nodes.next()?), ("remote", nodes.next()?)] {
            out.family(family).add([("device", device), ("node", node)], state == word.as_bytes());
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn each_device_has_its_numbers_and_a_bad_one_costs_itself() {
        let text = "version: 8.4.3 (api:1/proto:86-101)\nsrcversion: 1A9F\n\n 0: cs:Unconfigured\n 12: cs:Connected \
            ro:Secondary/Primary ds:UpToDate/DUnknown C r-----\n    ns:2 nr:3 dw:x al:4 wo:d oos:1\n";
        let (lines, result) = Tree::of(&[("proc/drbd", text)]).show(&mut Drbd);
        assert!(result.unwrap_err().to_string().contains("dw:x"));
        let expected = [
            r#"node_drbd_activitylog_writes_total{device="drbd12"} 4"#,
            r#"node_drbd_connected{device="drbd0"} 0"#,
            r#"node_drbd_connected{device="drbd12"} 1"#,
            r#"node_drbd_disk_state_is_up_to_date{device="drbd12",node="local"} 1"#,
            r#"node_drbd_disk_state_is_up_to_date{device="drbd12",node="remote"} 0"#,
            r#"node_drbd_network_received_bytes_total{device="drbd12"} 3"#,
            r#"node_drbd_network_sent_bytes_total{device="drbd12"} 2048"#,
            r#"node_drbd_node_role_is_primary{device="drbd12",node="local"} 0"#,
            r#"node_drbd_node_role_is_primary{device="drbd12",node="remote"} 1"#,
            r#"node_drbd_out_of_sync_bytes{device="drbd12"} 1024"#,
        ];
        assert_eq!(lines, expected);
        assert!(Tree::of(&[]).show(&mut Drbd).1.unwrap_err().is_absence());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>, words in "([0-9]{1,12}: |(cs|ro|ds|ns|oos):[A-Za-z0-9/:]{0,20} |\n){0,20}") {
            let _ = (emit(&text, &mut Samples::new()), emit(words.as_bytes(), &mut Samples::new()));
        }
    }
}
