//! How often each container ran out of memory, by its name: over restarts, and when it is made anew under that name.
//!
//! Two tell of it, and neither tells all: the kernel's count goes with the cgroup, which the killed process may have been all of, and the
//! engine's events are missed while nobody listens. Of each run the larger count holds, and at least one where the engine says that the run
//! ended so.

use std::collections::HashMap;

use crate::discovery::{Container, State};

/// The most names that are remembered of containers that are gone.
const MOST_GONE: usize = 1000;

/// What the kernel shows of a container that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    /// Which cgroup: another one is another run.
    pub(super) cgroup: (usize, u64),
    /// Its count of kills.
    pub(super) kills: Option<u64>,
}

/// The counts of all names.
#[derive(Debug, Default)]
pub(super) struct Ooms {
    totals: HashMap<String, Total>,
    round: u64,
}

#[derive(Debug, Default)]
struct Total {
    /// Of the runs that are over.
    past: u64,
    run: Run,
    /// When it was last asked for.
    round: u64,
}

#[derive(Debug, Default)]
struct Run {
    container: String,
    cgroup: Option<(usize, u64)>,
    /// The kernel's count.
    kernel: u64,
    /// The engine's count of this container's runs: now, and when this run began.
    events: u64,
    events_before: u64,
    /// Whether the engine says that the run ended so.
    ended_so: bool,
}

impl Run {
    fn count(&self) -> u64 {
        self.kernel.max(self.events.saturating_sub(self.events_before)).max(u64::from(self.ended_so))
    }

    /// Ends the run and returns its count; `newer` kills are already the next one's. Events that are still to come of this run are not.
    fn end(&mut self, newer: u64) -> u64 {
        let events = self.events.saturating_sub(self.events_before).saturating_sub(newer);
        let count = self.kernel.max(events).max(u64::from(self.ended_so));
        self.events_before = self.events_before.min(self.events).saturating_add(count);
        (self.kernel, self.ended_so, self.cgroup) = (0, false, None);
        count
    }
}

impl Total {
    fn count(&self) -> u64 {
        self.past.saturating_add(self.run.count())
    }

    fn learn(&mut self, container: &Container, live: Option<Live>) {
        if self.run.container != container.id {
            self.past = self.count();
            self.run = Run { container: container.id.clone(), ..Run::default() };
        }
        self.run.events = container.ooms;
        match live {
            Some(Live { cgroup, kills }) => {
                let kills = kills.unwrap_or(0);
                let is_new = self.run.cgroup.map_or(self.run.ended_so, |known| known != cgroup) || kills < self.run.kernel;
                if is_new {
                    self.past = self.past.saturating_add(self.run.end(kills));
                }
                (self.run.cgroup, self.run.kernel) = (Some(cgroup), kills);
            }
            // While it runs, the mark may still be that of an earlier run.
            None => self.run.ended_so |= container.oom_killed && !container.state.is_some_and(State::is_alive),
        }
    }
}

impl Ooms {
    /// Begins a look at all containers.
    pub(super) fn begin(&mut self) {
        self.round += 1;
    }

    /// The count of a container's name.
    pub(super) fn learn(&mut self, container: &Container, live: Option<Live>) -> u64 {
        // Another engine may have a container of the same name.
        let is_taken = self.totals.get(&container.name).is_some_and(|total| total.round == self.round);
        let key = if is_taken { &container.id } else { &container.name };
        // No name is made where there is one: this is asked at each scrape.
        if !self.totals.contains_key(key) {
            self.totals.insert(key.clone(), Total::default());
        }
        let Some(total) = self.totals.get_mut(key) else { return 0 };
        total.round = self.round;
        total.learn(container, live);
        total.count()
    }

    /// Ends a look: forgets the names that are gone, at once those of no count, and all if there are too many.
    pub(super) fn end(&mut self) {
        let (round, here) = (self.round, self.totals.values().filter(|total| total.round == self.round).count());
        let many = self.totals.len().saturating_sub(here) > MOST_GONE;
        self.totals.retain(|_, total| total.round == round || !many && total.count() != 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, ooms: u64, state: State, oom_killed: bool) -> Container {
        Container { id: id.into(), name: "web".into(), ooms, state: Some(state), oom_killed, ..Container::default() }
    }

    const fn live(inode: u64, kills: u64) -> Option<Live> {
        Some(Live { cgroup: (0, inode), kills: Some(kills) })
    }

    fn counts(looks: &[(Container, Option<Live>)]) -> Vec<u64> {
        let mut ooms = Ooms::default();
        looks
            .iter()
            .map(|(container, live)| {
                ooms.begin();
                let count = ooms.learn(container, *live);
                ooms.end();
                count
            })
            .collect()
    }

    #[test]
    fn the_count_goes_on_over_restarts() {
        let runs = |ooms| container("a", ooms, State::Running, false);
        // The kernel's count alone, then gone with its cgroup.
        assert_eq!(
            counts(&[(runs(0), live(1, 0)), (runs(0), live(1, 2)), (runs(0), live(2, 0)), (runs(0), live(2, 1))]),
            [0, 2, 2, 3]
        );
        // Killed between two scrapes: only the engine saw it.
        assert_eq!(counts(&[(runs(0), live(1, 0)), (runs(1), live(2, 0)), (runs(3), live(3, 0))]), [0, 1, 3]);
        // Both saw it, in either order.
        assert_eq!(counts(&[(runs(0), live(1, 1)), (runs(1), live(1, 1)), (runs(1), live(1, 3))]), [1, 1, 3]);
        // The event is of the new run, which the kernel shows.
        assert_eq!(counts(&[(runs(0), live(1, 0)), (runs(1), live(2, 1)), (runs(1), live(3, 0))]), [0, 1, 1]);
        // The event comes when the next run has begun already.
        assert_eq!(
            counts(&[(runs(0), live(1, 1)), (runs(0), live(2, 0)), (runs(1), live(2, 0)), (runs(2), live(2, 0))]),
            [1, 1, 1, 2]
        );
        // The same inode again, of another cgroup.
        assert_eq!(counts(&[(runs(0), live(1, 2)), (runs(0), live(1, 1))]), [2, 3]);
    }

    #[test]
    fn a_run_that_ended_so_counts_once() {
        let over = |ooms| container("a", ooms, State::Exited, true);
        let runs = |ooms| container("a", ooms, State::Running, false);
        assert_eq!(counts(&[(runs(0), live(1, 0)), (over(0), None), (over(1), None), (runs(1), live(2, 0))]), [0, 1, 1, 1]);
        // Before anyone looked.
        assert_eq!(counts(&[(over(0), None), (over(0), live(2, 0)), (runs(0), live(2, 1))]), [1, 1, 2]);
    }

    #[test]
    fn a_container_made_anew_goes_on_under_its_name() {
        let (old, new) = (container("a", 2, State::Running, false), container("b", 0, State::Running, false));
        assert_eq!(counts(&[(old, live(1, 1)), (new.clone(), live(2, 0)), (new, live(2, 1))]), [2, 2, 3]);
    }

    #[test]
    fn two_engines_may_use_one_name() {
        let (one, other) = (container("a", 0, State::Running, false), container("b", 0, State::Running, false));
        let mut ooms = Ooms::default();
        for _ in 0..3 {
            ooms.begin();
            assert_eq!((ooms.learn(&one, live(1, 2)), ooms.learn(&other, live(2, 3))), (2, 3));
            ooms.end();
        }
    }

    proptest::proptest! {
        #[test]
        fn no_count_ever_falls(steps in proptest::collection::vec((0u8..3, 0u64..3, 0u64..4, proptest::bool::ANY, proptest::bool::ANY), 0..40)) {
            let (mut ooms, mut events, mut before) = (Ooms::default(), 0, 0);
            for (id, more, kills, runs, killed) in steps {
                events += more;
                let state = if runs { State::Running } else { State::Exited };
                let container = container(&id.to_string(), events, state, killed);
                ooms.begin();
                let count = ooms.learn(&container, live(more, kills).filter(|_| runs));
                ooms.end();
                proptest::prop_assert!(count >= before);
                before = count;
            }
        }
    }

    #[test]
    fn names_that_are_gone_are_few() {
        let mut ooms = Ooms::default();
        for name in 0..MOST_GONE + 10 {
            ooms.begin();
            ooms.learn(&Container { name: name.to_string(), ooms: 1, ..Container::default() }, None);
            ooms.end();
            assert!(ooms.totals.len() <= MOST_GONE + 1);
        }
    }
}
