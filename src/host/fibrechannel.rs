//! Reads `/sys/class/fc_host/*`: Fibre Channel ports and what they have counted, in hexadecimal. Emits `node_fibrechannel_*`.

use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "fibrechannel",
    enabled: Flag::switch("collector.fibrechannel", true, "Fibre Channel ports."),
    flags: &[],
    new: |_| Ok(Box::new(FibreChannel)),
};

static INFO: Family = Family::gauge("node_fibrechannel_info", "What the port's files of text say of it; 1.");

/// The families and their files in `statistics`.
#[rustfmt::skip]
static COUNTERS: [(Family, &str); 14] = [
    (Family::counter("node_fibrechannel_dumped_frames_total", "Frames thrown away: dumped_frames."), "dumped_frames"),
    (Family::counter("node_fibrechannel_error_frames_total", "Frames with errors: error_frames."), "error_frames"),
    (Family::counter("node_fibrechannel_fcp_packet_aborts_total", "SCSI commands given up: fcp_packet_aborts."), "fcp_packet_aborts"),
    (Family::counter("node_fibrechannel_invalid_crc_total", "Frames whose checksum was wrong: invalid_crc_count."), "invalid_crc_count"),
    (Family::counter("node_fibrechannel_invalid_tx_words_total", "Words that were none of the code: invalid_tx_word_count."), "invalid_tx_word_count"),
    (Family::counter("node_fibrechannel_link_failure_total", "Failures of the link: link_failure_count."), "link_failure_count"),
    (Family::counter("node_fibrechannel_loss_of_signal_total", "Losses of the signal: loss_of_signal_count."), "loss_of_signal_count"),
    (Family::counter("node_fibrechannel_loss_of_sync_total", "Losses of the word boundary: loss_of_sync_count."), "loss_of_sync_count"),
    (Family::counter("node_fibrechannel_nos_total", "Times the other end said it was not operational: nos_count."), "nos_count"),
    (Family::counter("node_fibrechannel_rx_frames_total", "Frames received: rx_frames."), "rx_frames"),
    (Family::counter("node_fibrechannel_rx_words_total", "Words received: rx_words."), "rx_words"),
    (Family::counter("node_fibrechannel_seconds_since_last_reset_total", "Seconds since the counters began: seconds_since_last_reset."), "seconds_since_last_reset"),
    (Family::counter("node_fibrechannel_tx_frames_total", "Frames sent: tx_frames."), "tx_frames"),
    (Family::counter("node_fibrechannel_tx_words_total", "Words sent: tx_words."), "tx_words"),
];

const CLASS: &str = "class/fc_host";

struct FibreChannel;

impl Collector for FibreChannel {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for host in system.entries(CLASS)? {
            // A port that was pulled meanwhile has no folder any more.
            let Ok(folder) = system.folder(format!("{CLASS}/{host}")) else { continue };
            let text = |file: &str| folder.label(file).unwrap_or_default();
            let hexadecimal = |file: &str| text(file).trim_start_matches("0x").to_owned();
            let labels = [
                ("dev_loss_tmo", &*text("dev_loss_tmo")),
                ("fabric_name", &*hexadecimal("fabric_name")),
                ("fc_host", &*host),
                ("port_id", &*hexadecimal("port_id")),
                ("port_name", &*hexadecimal("port_name")),
                ("port_state", &*text("port_state")),
                ("port_type", &*text("port_type")),
                ("speed", &*text("speed")),
                ("supported_classes", &*text("supported_classes")),
                ("supported_speeds", &*text("supported_speeds")),
                ("symbolic_name", &*text("symbolic_name")),
            ];
            out.family(&INFO).add(labels, 1u8);
            let labels = Labels::of(&[("fc_host", &host)]);
            for (family, file) in &COUNTERS {
                if let Some(count) = folder.read(&format!("statistics/{file}"), counter) {
                    out.family(family).add_to(&labels, [], count);
                }
            }
        }
        Ok(())
    }
}

/// `0x13`; all ones say that the adapter does not count this.
fn counter(text: &[u8]) -> Option<u64> {
    text::hex(text.strip_prefix(b"0x")?).filter(|count| *count != u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    #[test]
    fn counters_are_hexadecimal() {
        assert_eq!((counter(b"0x13"), counter(b"0x0")), (Some(19), Some(0)));
        for none in ["0xffffffffffffffff", "0x10000000000000000", "13", "0x", ""] {
            assert_eq!(counter(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_port_tells_what_it_can() {
        let mut tree = Tree::of(&[]);
        assert!(tree.show(&mut *built(&ENTRY, &[]).unwrap()).1.unwrap_err().is_absence());
        tree.write("sys/class/fc_host/host3/port_name", "0x1000e0071bce95f2\n");
        tree.write("sys/class/fc_host/host3/statistics/tx_words", "0x10\n");
        tree.write("sys/class/fc_host/host3/statistics/rx_words", "nonsense\n");
        let lines = tree.lines(&ENTRY);
        assert!(
            lines[0].contains(r#"fabric_name="",fc_host="host3",port_id="",port_name="1000e0071bce95f2",port_state="""#),
            "{lines:?}"
        );
        assert_eq!(lines[1..], [r#"node_fibrechannel_tx_words_total{fc_host="host3"} 16"#]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            counter(&text);
            counter(&[b"0x", &text[..]].concat());
        }
    }
}
