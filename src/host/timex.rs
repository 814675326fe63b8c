//! Asks adjtimex(2): how well the kernel's clock is kept in step. Emits `node_timex_*`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, syscalls};

static OFFSET: Family =
    Family::gauge("node_timex_offset_seconds", "Offset still to be corrected: offset of adjtimex, in seconds.");
static RATIO: Family =
    Family::gauge("node_timex_frequency_adjustment_ratio", "How much faster the clock is made to run: 1 + freq of adjtimex.");
static MAX_ERROR: Family = Family::gauge("node_timex_maxerror_seconds", "The most the clock may be wrong: maxerror of adjtimex.");
static ESTIMATED_ERROR: Family =
    Family::gauge("node_timex_estimated_error_seconds", "How much the clock is thought to be wrong: esterror of adjtimex.");
static STATUS: Family = Family::gauge("node_timex_status", "Bits of the clock's state: status of adjtimex.");
static CONSTANT: Family =
    Family::gauge("node_timex_loop_time_constant", "Time constant of the control loop: constant of adjtimex.");
static TICK: Family = Family::gauge("node_timex_tick_seconds", "Time between two ticks of the clock: tick of adjtimex.");
static PPS_FREQUENCY: Family =
    Family::gauge("node_timex_pps_frequency_hertz", "Frequency of the pulse per second: ppsfreq of adjtimex.");
static PPS_JITTER: Family = Family::gauge("node_timex_pps_jitter_seconds", "Jitter of the pulse per second: jitter of adjtimex.");
static PPS_SHIFT: Family =
    Family::gauge("node_timex_pps_shift_seconds", "Time over which the pulse is averaged: shift of adjtimex.");
static PPS_STABILITY: Family =
    Family::gauge("node_timex_pps_stability_hertz", "Stability of the pulse per second: stabil of adjtimex.");
static PPS_JITTERS: Family =
    Family::counter("node_timex_pps_jitter_total", "Pulses whose jitter was too large: jitcnt of adjtimex.");
static PPS_CALIBRATIONS: Family =
    Family::counter("node_timex_pps_calibration_total", "Intervals the clock was calibrated by: calcnt of adjtimex.");
static PPS_ERRORS: Family = Family::counter("node_timex_pps_error_total", "Calibrations that failed: errcnt of adjtimex.");
static PPS_UNSTABLE: Family =
    Family::counter("node_timex_pps_stability_exceeded_total", "Intervals that were not stable enough: stbcnt of adjtimex.");
static TAI: Family = Family::gauge("node_timex_tai_offset_seconds", "International atomic time less UTC: tai of adjtimex.");
static IN_STEP: Family =
    Family::gauge("node_timex_sync_status", "1 if the clock is kept in step, 0 if not: adjtimex returns TIME_ERROR.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "timex",
    enabled: Flag::switch("collector.timex", true, "How well the clock is kept in step."),
    flags: &[],
    new: |_| Ok(Box::new(Timex)),
};

const MICROS: f64 = 1e6;
const NANOS: f64 = 1e9;
/// Frequencies are parts per million with a 16-bit fraction.
const PPM: f64 = 65536.0 * 1e6;

struct Timex;

impl Collector for Timex {
    fn collect(&mut self, _system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let (clock, state) = match syscalls::adjtimex() {
            // Some container engines' filters forbid even reading the clock's state.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Err(Fault::Absent(format!("adjtimex: {error}"))),
            read => read.map_err(|error| Fault::read("adjtimex", error))?,
        };
        emit(&clock, state, out);
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "the kernel's numbers stay far below 2^53")]
fn emit(clock: &libc::timex, state: libc::c_int, out: &mut Samples) {
    let unit = if clock.status & libc::STA_NANO != 0 { NANOS } else { MICROS };
    for (family, value) in [
        (&OFFSET, clock.offset as f64 / unit),
        (&RATIO, 1.0 + clock.freq as f64 / PPM),
        (&MAX_ERROR, clock.maxerror as f64 / MICROS),
        (&ESTIMATED_ERROR, clock.esterror as f64 / MICROS),
        (&STATUS, f64::from(clock.status)),
        (&CONSTANT, clock.constant as f64),
        (&TICK, clock.tick as f64 / MICROS),
        (&PPS_FREQUENCY, clock.ppsfreq as f64 / PPM),
        (&PPS_JITTER, clock.jitter as f64 / unit),
        (&PPS_SHIFT, f64::from(clock.shift)),
        (&PPS_STABILITY, clock.stabil as f64 / PPM),
        (&PPS_JITTERS, clock.jitcnt as f64),
        (&PPS_CALIBRATIONS, clock.calcnt as f64),
        (&PPS_ERRORS, clock.errcnt as f64),
        (&PPS_UNSTABLE, clock.stbcnt as f64),
        (&TAI, f64::from(clock.tai)),
    ] {
        out.family(family).add([], value);
    }
    out.family(&IN_STEP).add([], state != libc::TIME_ERROR);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;

    fn page(status: libc::c_int, state: libc::c_int) -> String {
        let (mut clock, _) = syscalls::adjtimex().unwrap();
        (clock.status, clock.offset, clock.jitter, clock.freq) = (status, 2500, 500, 65536 * 100);
        let mut out = Samples::new();
        emit(&clock, state, &mut out);
        String::from_utf8(Page::new(vec![out]).to_vec()).unwrap()
    }

    #[test]
    fn the_unit_of_offset_and_jitter_depends_on_the_status() {
        let nano = page(libc::STA_NANO, libc::TIME_OK);
        assert!(
            nano.contains("\nnode_timex_offset_seconds 2.5e-6\n") || nano.contains("\nnode_timex_offset_seconds 0.0000025\n"),
            "{nano}"
        );
        assert!(nano.contains("\nnode_timex_sync_status 1\n"), "{nano}");
        let micro = page(0, libc::TIME_ERROR);
        assert!(micro.contains("\nnode_timex_offset_seconds 0.0025\n"), "{micro}");
        assert!(micro.contains("\nnode_timex_frequency_adjustment_ratio 1.0001\n"), "{micro}");
        assert!(micro.contains("\nnode_timex_sync_status 0\n"), "{micro}");
    }
}
