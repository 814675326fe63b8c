//! Time on the run queue of all processes that a cgroup ever had: what a process that ended had last stays in the sum.

use std::collections::{BTreeMap, HashMap};

/// Nanoseconds run, nanoseconds waited, times run.
pub(super) type Schedule = [u64; 3];

/// The sums of all cgroups, by path.
#[derive(Debug, Default)]
pub(super) struct History {
    cgroups: BTreeMap<String, Own>,
    round: u64,
}

/// What one cgroup's own processes had.
#[derive(Debug, Default)]
struct Own {
    running: HashMap<u32, (Schedule, u64)>,
    gone: Schedule,
    round: u64,
}

impl Own {
    fn total(&self) -> Schedule {
        self.running.values().fold(self.gone, |sum, (schedule, _)| add(sum, *schedule))
    }
}

fn add(a: Schedule, b: Schedule) -> Schedule {
    let mut both = a.iter().zip(b).map(|(a, b)| a.saturating_add(b));
    std::array::from_fn(|_| both.next().unwrap_or(0))
}

impl History {
    /// Begins a look at all cgroups.
    pub(super) fn begin(&mut self) {
        self.round += 1;
    }

    /// Notes that the cgroup `id` is there.
    pub(super) fn meet(&mut self, id: &str) {
        if !self.cgroups.contains_key(id) {
            self.cgroups.insert(id.to_owned(), Own::default());
        }
        if let Some(own) = self.cgroups.get_mut(id) {
            own.round = self.round;
        }
    }

    /// Notes what a process of the cgroup `id` has. Less than before is another process under the same number.
    pub(super) fn learn(&mut self, id: &str, pid: u32, now: Schedule) {
        let Some(own) = self.cgroups.get_mut(id) else { return };
        let before = own.running.insert(pid, (now, self.round)).map(|(before, _)| before);
        if let Some(before) = before.filter(|before| before.iter().zip(now).any(|(before, now)| *before > now)) {
            own.gone = add(own.gone, before);
        }
    }

    /// Ends the look: each cgroup's sum, with all below it.
    pub(super) fn end(&mut self) -> BTreeMap<String, Schedule> {
        let round = self.round;
        for own in self.cgroups.values_mut() {
            let gone = &mut own.gone;
            own.running.retain(|_, (schedule, seen)| {
                if *seen != round {
                    *gone = add(*gone, *schedule);
                }
                *seen == round
            });
        }
        // A cgroup's path sorts before those below it: from the end, each is done when its parent's turn comes.
        let ended: Vec<String> =
            self.cgroups.iter().rev().filter(|(_, own)| own.round != round).map(|(id, _)| id.clone()).collect();
        for id in ended {
            let Some(own) = self.cgroups.remove(&id) else { continue };
            if let Some(above) = parent(&id).and_then(|parent| self.cgroups.get_mut(parent)) {
                above.gone = add(above.gone, own.total());
            }
        }
        let mut totals: BTreeMap<String, Schedule> = self.cgroups.iter().map(|(id, own)| (id.clone(), own.total())).collect();
        for id in self.cgroups.keys().rev() {
            let Some(total) = totals.get(id).copied() else { continue };
            if let Some(above) = parent(id).and_then(|parent| totals.get_mut(parent)) {
                *above = add(*above, total);
            }
        }
        totals
    }
}

/// `/a` of `/a/b`, `/` of `/a`
fn parent(id: &str) -> Option<&str> {
    match id.rsplit_once('/')? {
        (_, "") => None,
        ("", _) => Some("/"),
        (above, _) => Some(above),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_stays_in_the_sum() {
        let mut history = History::default();
        let mut look = |processes: &[(&str, &[(u32, u64)])]| {
            history.begin();
            for (id, pids) in processes {
                history.meet(id);
                pids.iter().for_each(|(pid, value)| history.learn(id, *pid, [*value, 1, 2]));
            }
            history.end().into_iter().map(|(id, [run, ..])| (id, run)).collect::<Vec<_>>()
        };
        let sums = |root, a, b| vec![("/".to_owned(), root), ("/a".to_owned(), a), ("/a/b".to_owned(), b)];
        assert_eq!(look(&[("/", &[(1, 5)]), ("/a", &[(2, 10)]), ("/a/b", &[(3, 100), (4, 7)])]), sums(122, 117, 107));
        // One ended, another took up its number later.
        assert_eq!(look(&[("/", &[(1, 6)]), ("/a", &[(2, 10)]), ("/a/b", &[(3, 100)])]), sums(123, 117, 107));
        assert_eq!(look(&[("/", &[(1, 6)]), ("/a", &[(2, 3)]), ("/a/b", &[(3, 101)])]), sums(127, 121, 108));
        // The cgroup itself is gone.
        assert_eq!(look(&[("/", &[(1, 6)]), ("/a", &[(2, 3)])]), sums(127, 121, 0)[..2]);
        assert_eq!(look(&[("/", &[(1, 6)])]), [("/".to_owned(), 127)]);
    }

    proptest::proptest! {
        #[test]
        fn sums_never_fall(rounds in proptest::collection::vec(proptest::collection::vec((0u32..4, 0u64..9), 0..5), 1..9)) {
            let (mut history, mut before) = (History::default(), 0);
            for round in rounds {
                history.begin();
                history.meet("/");
                round.into_iter().for_each(|(pid, value)| history.learn("/", pid, [value; 3]));
                let now = history.end()["/"][0];
                proptest::prop_assert!(before <= now);
                before = now;
            }
        }
    }
}
