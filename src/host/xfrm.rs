//! Reads `/proc/net/xfrm_stat`: packets that IPsec dropped, by reason. Emits `node_xfrm_*_packets_total`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

macro_rules! counters {
    ($($line:literal $name:literal $help:literal;)*) => {
        [$(($line, Family::counter($name, $help))),*]
    };
}

/// Names of lines and their families, as Documentation/networking/xfrm_proc.rst has them. Later kernels' lines have none.
static COUNTERS: [(&str, Family); 28] = counters! {
    "XfrmInError" "node_xfrm_in_error_packets_total" "Errors that are none of the others: XfrmInError.";
    "XfrmInBufferError" "node_xfrm_in_buffer_error_packets_total" "No buffer was left: XfrmInBufferError.";
    "XfrmInHdrError" "node_xfrm_in_hdr_error_packets_total" "The header was wrong: XfrmInHdrError.";
    "XfrmInNoStates" "node_xfrm_in_no_states_packets_total" "No state for that SPI, address and protocol: XfrmInNoStates.";
    "XfrmInStateProtoError" "node_xfrm_in_state_proto_error_packets_total" "The transformation's protocol failed, for a wrong key perhaps: XfrmInStateProtoError.";
    "XfrmInStateModeError" "node_xfrm_in_state_mode_error_packets_total" "The transformation's mode failed: XfrmInStateModeError.";
    "XfrmInStateSeqError" "node_xfrm_in_state_seq_error_packets_total" "The sequence number was outside of the window: XfrmInStateSeqError.";
    "XfrmInStateExpired" "node_xfrm_in_state_expired_packets_total" "The state had expired: XfrmInStateExpired.";
    "XfrmInStateMismatch" "node_xfrm_in_state_mismatch_packets_total" "An option of the state did not fit: XfrmInStateMismatch.";
    "XfrmInStateInvalid" "node_xfrm_in_state_invalid_packets_total" "The state was not valid: XfrmInStateInvalid.";
    "XfrmInTmplMismatch" "node_xfrm_in_tmpl_mismatch_packets_total" "No template fitted the states: XfrmInTmplMismatch.";
    "XfrmInNoPols" "node_xfrm_in_no_pols_packets_total" "No policy for the states: XfrmInNoPols.";
    "XfrmInPolBlock" "node_xfrm_in_pol_block_packets_total" "A policy said to discard: XfrmInPolBlock.";
    "XfrmInPolError" "node_xfrm_in_pol_error_packets_total" "The policy was wrong: XfrmInPolError.";
    "XfrmOutError" "node_xfrm_out_error_packets_total" "Errors on the way out that are none of the others: XfrmOutError.";
    "XfrmOutBundleGenError" "node_xfrm_out_bundle_gen_error_packets_total" "A bundle could not be made: XfrmOutBundleGenError.";
    "XfrmOutBundleCheckError" "node_xfrm_out_bundle_check_error_packets_total" "A bundle did not pass its check: XfrmOutBundleCheckError.";
    "XfrmOutNoStates" "node_xfrm_out_no_states_packets_total" "No state to send by: XfrmOutNoStates.";
    "XfrmOutStateProtoError" "node_xfrm_out_state_proto_error_packets_total" "The transformation's protocol failed on the way out: XfrmOutStateProtoError.";
    "XfrmOutStateModeError" "node_xfrm_out_state_mode_error_packets_total" "The transformation's mode failed on the way out: XfrmOutStateModeError.";
    "XfrmOutStateSeqError" "node_xfrm_out_state_seq_error_packets_total" "The sequence number ran over: XfrmOutStateSeqError.";
    "XfrmOutStateExpired" "node_xfrm_out_state_expired_packets_total" "The state to send by had expired: XfrmOutStateExpired.";
    "XfrmOutPolBlock" "node_xfrm_out_pol_block_packets_total" "A policy said to discard what was to be sent: XfrmOutPolBlock.";
    "XfrmOutPolDead" "node_xfrm_out_pol_dead_packets_total" "The policy to send by was dead: XfrmOutPolDead.";
    "XfrmOutPolError" "node_xfrm_out_pol_error_packets_total" "The policy to send by was wrong: XfrmOutPolError.";
    "XfrmFwdHdrError" "node_xfrm_fwd_hdr_error_packets_total" "A packet may not be forwarded: XfrmFwdHdrError.";
    "XfrmOutStateInvalid" "node_xfrm_out_state_invalid_packets_total" "The state to send by was not valid: XfrmOutStateInvalid.";
    "XfrmAcquireError" "node_xfrm_acquire_error_packets_total" "The state was not yet complete when used: XfrmAcquireError.";
};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "xfrm",
    enabled: Flag::switch("collector.xfrm", false, "Packets that IPsec dropped."),
    flags: &[],
    new: |_| Ok(Box::new(Xfrm)),
};

struct Xfrm;

impl Collector for Xfrm {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for line in text::lines(system.net("xfrm_stat")?) {
            match parse(line) {
                Some((name, count)) => {
                    if let Some((_, family)) = COUNTERS.iter().find(|(known, _)| known.as_bytes() == name) {
                        out.family(family).add([], count);
                    }
                }
                None => bad = Some(Fault::parse("net/xfrm_stat", line)),
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// `XfrmInStateSeqError             6000`
fn parse(line: &[u8]) -> Option<(&[u8], u64)> {
    let mut fields = text::fields(line);
    Some((fields.next()?, text::number(fields.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn a_bad_line_costs_itself_and_an_unknown_one_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("net")).unwrap();
        let text = "XfrmInError 7\nXfrmInHdrError x\nXfrmOfTomorrow 1\nXfrmAcquireError 9\n";
        std::fs::write(dir.path().join("net/xfrm_stat"), text).unwrap();
        let mut system = System::new(Roots { proc: dir.path().into(), ..Roots::default() });
        let mut out = Samples::new();
        assert!(Xfrm.collect(&mut system, &mut out).unwrap_err().to_string().contains("XfrmInHdrError"));
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples, ["node_xfrm_acquire_error_packets_total 9", "node_xfrm_in_error_packets_total 7"]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            parse(&line);
        }
    }
}
