//! Containers that the kernel shows and that no engine tells of.

use std::sync::{Arc, Mutex, PoisonError};

/// How many are kept by name, and how much of a name.
const MOST: (usize, usize) = (100, 200);

/// Cgroups that are a container's by their path, without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nameless {
    /// Paths of the first of them.
    pub cgroups: Vec<String>,
    /// How many there are in all.
    pub count: usize,
}

/// What was seen last.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Nameless>>);

impl Seen {
    /// Notes the cgroups of one look. Where nothing has changed, nothing is allocated.
    pub(super) fn set<'a>(&self, cgroups: impl Iterator<Item = &'a str>) {
        let (most, longest) = MOST;
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        for path in cgroups {
            let end = (0..=longest.min(path.len())).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
            let path = path.get(..end).unwrap_or_default();
            match seen.cgroups.get_mut(count) {
                Some(known) if known == path => {}
                Some(known) => path.clone_into(known),
                None if count < most => seen.cgroups.push(path.to_owned()),
                None => {}
            }
            count += 1;
        }
        seen.cgroups.truncate(count);
        seen.count = count;
    }

    pub(super) fn get(&self) -> Nameless {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_is_kept() {
        let (seen, paths) = (Seen::default(), (0..150).map(|number| format!("/{number}{}", "ä".repeat(300))).collect::<Vec<_>>());
        seen.set(paths.iter().map(String::as_str));
        let kept = seen.get();
        assert_eq!((kept.cgroups.len(), kept.count), (100, 150));
        assert!(kept.cgroups.iter().all(|path| path.len() <= 200));
        seen.set(["/a"].into_iter());
        assert_eq!(seen.get(), Nameless { cgroups: vec!["/a".to_owned()], count: 1 });
        seen.set(std::iter::empty());
        assert_eq!(seen.get(), Nameless::default());
    }
}
