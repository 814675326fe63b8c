//! What is set for a container, where its engine was told and the kernel cannot tell.

use super::cgroup::Spec;
use crate::discovery::Limits;

impl Spec {
    /// Takes from the engine what the kernel has not. What the kernel has is what holds, also after someone wrote the files by hand; but of
    /// v2's weight nobody knows which formula made it of shares, and a kernel without swap accounting has no limit of swap.
    pub(super) fn complete(&mut self, limits: &Limits) {
        if self.cpu_shares.is_none() && self.cpu_weight.is_some() {
            self.cpu_shares = limits.cpu_shares;
        }
        // Without the memory controller nothing of it holds, whatever the engine was told.
        if self.memory_limit.is_some() {
            self.reservation = self.reservation.or(limits.memory_reservation);
            self.swap_limit = self.swap_limit.or_else(|| self.swap(limits));
        }
    }

    /// v1 limits memory and swap together, as engines are told; v2 swap alone. -1 is no limit: 0.
    fn swap(&self, limits: &Limits) -> Option<u64> {
        let both = u64::try_from(limits.memory_swap?).unwrap_or(0);
        let memory = limits.memory.filter(|_| self.cpu_weight.is_some()).unwrap_or(0);
        Some(both.saturating_sub(memory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_tells_what_the_kernel_cannot() {
        let (memory, memory_swap) = (Some(64), Some(100));
        let limits = Limits { memory, memory_swap, memory_reservation: Some(32), cpu_shares: Some(512), ..Limits::default() };
        let complete = |spec: Spec| {
            let mut spec = spec;
            spec.complete(&limits);
            (spec.shares(), spec.reservation, spec.swap_limit)
        };
        let v2 = Spec { cpu_weight: Some(20), memory_limit: Some(64), ..Spec::default() };
        assert_eq!(complete(v2.clone()), (Some(512), Some(32), Some(36)));
        assert_eq!(complete(Spec { reservation: Some(0), swap_limit: Some(5), ..v2.clone() }), (Some(512), Some(0), Some(5)));
        let v1 = Spec { cpu_shares: Some(1024), memory_limit: Some(64), ..Spec::default() };
        assert_eq!(complete(v1), (Some(1024), Some(32), Some(100)));
        // Neither controller is there.
        assert_eq!(complete(Spec::default()), (None, None, None));
        let mut unlimited = v2;
        unlimited.complete(&Limits { memory_swap: Some(-1), memory, ..Limits::default() });
        assert_eq!((unlimited.shares(), unlimited.swap_limit), (Some(2 + 19 * 262_142 / 9999), Some(0)));
    }
}
