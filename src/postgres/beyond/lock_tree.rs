//! Who holds whom up, as a graph: sessions that wait, and those they wait for.

use std::collections::{HashMap, HashSet};

/// One session that waits for a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) pid: i64,
    /// Those it waits for; 0 stands for a prepared transaction, which has no session.
    pub(super) blockers: Vec<i64>,
}

impl Waiter {
    /// From a process id and the text of `pg_blocking_pids()`: `{4711,0}`.
    pub(super) fn read(pid: &str, blockers: &str) -> Option<Waiter> {
        let list = blockers.strip_prefix('{')?.strip_suffix('}')?;
        let mut blockers: Vec<i64> = list.split(',').filter_map(|pid| pid.trim().parse().ok()).collect();
        // A group of parallel workers is named by its leader once for each of them.
        blockers.sort_unstable();
        blockers.dedup();
        Some(Waiter { pid: pid.parse().ok()?, blockers })
    }
}

/// What the graph tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// Those that hold others up and wait for nobody.
    pub(super) roots: HashSet<i64>,
    /// The longest chain of sessions that wait for one another.
    pub(super) depth: usize,
    /// The most sessions that wait, directly or not, for one root.
    pub(super) victims: usize,
}

impl Tree {
    /// The tree of these waiters. A ring of sessions (a deadlock that the server has not found yet) has no root, and what hangs on it no
    /// depth.
    pub(super) fn of(waiters: &[Waiter]) -> Tree {
        let waiting: HashSet<i64> = waiters.iter().map(|waiter| waiter.pid).collect();
        let mut behind: HashMap<i64, Vec<i64>> = HashMap::new();
        let mut open: HashMap<i64, usize> = HashMap::new();
        for waiter in waiters {
            open.insert(waiter.pid, waiter.blockers.len());
            waiter.blockers.iter().for_each(|blocker| behind.entry(*blocker).or_default().push(waiter.pid));
        }
        let roots: HashSet<i64> = behind.keys().copied().filter(|pid| !waiting.contains(pid)).collect();
        Tree {
            depth: depth(&roots, &behind, open),
            victims: roots.iter().map(|root| victims(*root, &behind)).max().unwrap_or(0),
            roots,
        }
    }
}

/// Goes from the roots outwards, to each waiter once all that it waits for has been reached.
fn depth(roots: &HashSet<i64>, behind: &HashMap<i64, Vec<i64>>, mut open: HashMap<i64, usize>) -> usize {
    let (mut level, mut depth) = (roots.iter().copied().collect::<Vec<_>>(), 0);
    loop {
        let mut next = Vec::new();
        for waiter in level.iter().filter_map(|pid| behind.get(pid)).flatten() {
            if let Some(left) = open.get_mut(waiter) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    open.remove(waiter);
                    next.push(*waiter);
                }
            }
        }
        if next.is_empty() {
            return depth;
        }
        depth += 1;
        level = next;
    }
}

fn victims(root: i64, behind: &HashMap<i64, Vec<i64>>) -> usize {
    let (mut seen, mut stack) = (HashSet::new(), vec![root]);
    while let Some(pid) = stack.pop() {
        stack.extend(behind.get(&pid).into_iter().flatten().filter(|waiter| seen.insert(**waiter)));
    }
    seen.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(edges: &[(i64, &[i64])]) -> (Vec<i64>, usize, usize) {
        let waiters: Vec<_> = edges.iter().map(|(pid, blockers)| Waiter { pid: *pid, blockers: blockers.to_vec() }).collect();
        let tree = Tree::of(&waiters);
        let mut roots: Vec<_> = tree.roots.into_iter().collect();
        roots.sort_unstable();
        (roots, tree.depth, tree.victims)
    }

    #[test]
    fn chains_queues_and_rings() {
        assert_eq!(tree(&[]), (vec![], 0, 0));
        assert_eq!(tree(&[(2, &[1])]), (vec![1], 1, 1));
        // A chain of three with a side branch, and a second root.
        assert_eq!(tree(&[(2, &[1]), (3, &[2]), (4, &[3]), (5, &[2]), (11, &[10])]), (vec![1, 10], 3, 4));
        // A queue before one lock: each waits for the holder and for those ahead.
        assert_eq!(tree(&[(2, &[1]), (3, &[1, 2]), (4, &[1, 2, 3])]), (vec![1], 3, 3));
        // A deadlock, one that waits for it, and a prepared transaction.
        assert_eq!(tree(&[(2, &[3]), (3, &[2]), (4, &[2])]), (vec![], 0, 0));
        assert_eq!(tree(&[(2, &[0]), (3, &[3])]), (vec![0], 1, 1));
    }

    #[test]
    fn the_servers_arrays_are_read() {
        assert_eq!(Waiter::read("7", "{9,0,9}"), Some(Waiter { pid: 7, blockers: vec![0, 9] }));
        assert_eq!(Waiter::read("7", "{}"), Some(Waiter { pid: 7, blockers: vec![] }));
        assert_eq!((Waiter::read("x", "{1}"), Waiter::read("7", "")), (None, None));
    }

    proptest::proptest! {
        #[test]
        fn any_graph_ends(edges: Vec<(u8, Vec<u8>)>) {
            let waiters: Vec<_> = edges
                .iter()
                .map(|(pid, blockers)| Waiter { pid: i64::from(*pid), blockers: blockers.iter().map(|b| i64::from(*b)).collect() })
                .collect();
            let tree = Tree::of(&waiters);
            proptest::prop_assert!(tree.depth <= 256 && tree.victims <= 256);
            proptest::prop_assert!(tree.victims > 0 || tree.roots.is_empty());
        }
    }
}
