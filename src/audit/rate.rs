//! How fast a counter grows, and where a figure is heading: by the monotonic clock, so that no jump of the wall's matters.

use std::time::{Duration, Instant};

/// Two readings that are closer than this tell nothing.
const CLOSEST: Duration = Duration::from_secs(1);

/// A counter's speed between two readings.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    last: Option<(Instant, f64)>,
    rate: Option<f64>,
}

impl Rate {
    /// Takes in a reading and tells the growth a second since the one before; `None` for the first one and after a reset.
    pub(super) fn note(&mut self, now: Instant, value: Option<f64>) -> Option<f64> {
        let Some(value) = value else {
            *self = Rate::default();
            return None;
        };
        match self.last {
            Some((at, _)) if now.saturating_duration_since(at) < CLOSEST => return self.rate,
            Some((at, before)) if value >= before => {
                self.rate = Some((value - before) / now.saturating_duration_since(at).as_secs_f64());
            }
            _ => self.rate = None,
        }
        self.last = Some((now, value));
        self.rate
    }
}

/// The most readings of a trend.
const MOST: usize = 36;

/// The fewest that tell something.
const FEWEST: usize = 6;

/// Readings of a figure at even distances, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Trend {
    readings: Vec<(Instant, f64)>,
    slope: Option<f64>,
}

impl Trend {
    /// Takes in a reading if the last one is at least `every` old.
    pub(super) fn note(&mut self, now: Instant, value: f64, every: Duration) {
        if self.readings.last().is_some_and(|(at, _)| now.saturating_duration_since(*at) < every) || !value.is_finite() {
            return;
        }
        if self.readings.len() == MOST {
            self.readings.remove(0);
        }
        self.readings.push((now, value));
        self.slope = self.median_slope();
    }

    /// The median of the slopes between all pairs (Theil and Sen): what one clean-up or one large file does to it is little.
    fn median_slope(&self) -> Option<f64> {
        if self.readings.len() < FEWEST {
            return None;
        }
        let mut slopes = Vec::with_capacity(MOST * MOST / 2);
        for (at, (early, before)) in self.readings.iter().enumerate() {
            for (late, after) in self.readings.iter().skip(at + 1) {
                slopes.push((after - before) / late.saturating_duration_since(*early).as_secs_f64());
            }
        }
        let middle = slopes.len() / 2;
        Some(*slopes.select_nth_unstable_by(middle, f64::total_cmp).1)
    }

    /// In how many seconds `left` will have come to nothing; `None` while too little is known, and where nothing shrinks.
    pub(super) fn ends_in(&self, left: f64) -> Option<f64> {
        self.slope.filter(|slope| *slope < 0.0).map(|slope| left / -slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn trend(values: impl IntoIterator<Item = f64>) -> Trend {
        let (start, mut trend) = (Instant::now(), Trend::default());
        for (minute, value) in (0..).zip(values) {
            trend.note(start + MINUTE * minute, value, MINUTE);
        }
        trend
    }

    #[test]
    fn a_rate_needs_two_readings_and_survives_a_reset() {
        let (start, mut rate) = (Instant::now(), Rate::default());
        assert_eq!(rate.note(start, Some(5.0)), None);
        assert_eq!(rate.note(start + MINUTE, Some(65.0)), Some(1.0));
        assert_eq!(rate.note(start + MINUTE, Some(99.0)), Some(1.0), "too close");
        assert_eq!(rate.note(start + MINUTE * 2, Some(0.0)), None, "a reset");
        assert_eq!(rate.note(start + MINUTE * 3, Some(120.0)), Some(2.0));
        assert_eq!(rate.note(start + MINUTE * 4, None), None);
        assert_eq!(rate.note(start + MINUTE * 5, Some(120.0)), None);
    }

    #[test]
    fn a_trend_is_known_after_a_while_and_one_jump_does_not_turn_it() {
        let falling = |minute: u32| 1_000.0 - f64::from(minute);
        assert_eq!(trend((0..5).map(falling)).ends_in(995.0), None, "too few");
        assert_eq!(trend((0..6).map(falling)).ends_in(600.0), Some(36_000.0));
        assert_eq!(trend((0..100).map(falling)).ends_in(600.0), Some(36_000.0), "old readings go");
        assert_eq!(trend((0..20).map(|_| 7.0)).ends_in(600.0), None);
        assert_eq!(trend((0..20).map(f64::from)).ends_in(600.0), None, "it grows");
        let cleaned = (0..20).map(|minute| falling(minute) + if minute > 15 { 500.0 } else { 0.0 });
        assert_eq!(trend(cleaned).ends_in(600.0), Some(36_000.0));
        let dropped = (0..20).map(|minute| if minute > 15 { 100.0 } else { 1_000.0 });
        assert_eq!(trend(dropped).ends_in(100.0), None, "one large file is no trend");
        let sawtooth = (0..36).map(|minute| 1_000.0 - f64::from(minute % 3));
        assert_eq!(trend(sawtooth).ends_in(1_000.0), None);
    }

    #[test]
    fn readings_that_come_too_soon_are_left_out() {
        let (start, mut trend) = (Instant::now(), Trend::default());
        for second in 0..60u32 {
            trend.note(start + Duration::from_secs(second.into()), 1_000.0 - f64::from(second), MINUTE);
        }
        assert_eq!(trend.readings.len(), 1);
    }
}
