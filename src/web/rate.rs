//! The rate limit: a token bucket for all listeners together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::config::RateLimit;

/// A bucket of `burst` tokens, one of which comes back every `interval`.
///
/// It is kept as the moment at which it will be full again: a token taken puts that off by one interval, and none is left once
/// it is more than `burst` intervals away.
pub(super) struct Bucket {
    interval: Duration,
    depth: Duration,
    full_at: Mutex<Option<Instant>>,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit) -> Self {
        let depth = limit.interval.saturating_mul(limit.burst);
        Bucket { interval: limit.interval, depth, full_at: Mutex::new(None) }
    }

    /// Takes a token; false where there is none.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = full_at.map_or(now, |full_at| full_at.max(now));
        // Further than the clock reaches: the one token of this century is taken already.
        let Some(after) = start.checked_add(self.interval) else { return full_at.replace(now).is_none() };
        let granted = after.duration_since(now) <= self.depth;
        if granted {
            *full_at = Some(after);
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_an_interval() {
        let bucket = Bucket::new(RateLimit { interval: Duration::from_secs(2), burst: 3 });
        let start = Instant::now();
        let at = |seconds: f64| bucket.take(start + Duration::from_secs_f64(seconds));
        assert_eq!([at(0.0), at(0.0), at(0.1), at(0.2)], [true, true, true, false]);
        assert_eq!([at(1.9), at(2.0), at(2.1), at(4.0), at(4.0)], [false, true, false, true, false]);
        // A long rest fills it, and not beyond its brim.
        assert_eq!([at(99.0), at(99.0), at(99.0), at(99.0)], [true, true, true, false]);
    }

    #[test]
    fn an_endless_interval_lets_one_in() {
        let bucket = Bucket::new(RateLimit { interval: Duration::MAX, burst: 1 });
        assert_eq!([bucket.take(Instant::now()), bucket.take(Instant::now())], [true, false]);
    }
}
