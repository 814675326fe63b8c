//! Plain facts: figures of a page by their names there.

use crate::exposition::Samples;

/// The figures that checks look at, by the names that they have on the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures(Vec<(&'static str, f64)>);

/// A figure that is wanted: what it is called here, its family, and what its labels must hold.
pub(super) type Wanted = (&'static str, &'static str, &'static str);

impl Figures {
    /// Takes what is `wanted` (sorted by family) out of `samples`; where a figure has several samples, their sum.
    pub(super) fn take(&mut self, wanted: &[Wanted], samples: &Samples) {
        // Most families of a page are none of ours, and most of those differ from all of ours by their mark.
        let mut marks = [false; 256];
        for (_, name, _) in wanted {
            marks.iter_mut().skip(mark(name)).take(1).for_each(|mark| *mark = true);
        }
        for (family, figures) in samples.families() {
            if !marks.get(mark(family)).is_some_and(|is_ours| *is_ours) {
                continue;
            }
            let first = wanted.partition_point(|(_, name, _)| *name < family);
            let fitting = wanted.get(first..).unwrap_or_default().iter().take_while(|(_, name, _)| *name == family);
            let mut fitting = fitting.peekable();
            if fitting.peek().is_none() {
                continue;
            }
            for figure in figures {
                for (name, ..) in fitting.clone().filter(|(.., having)| figure.labels.contains(having)) {
                    self.add(name, figure.value);
                }
            }
        }
    }

    fn add(&mut self, name: &'static str, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += value,
            None => self.0.push((name, value)),
        }
    }

    /// A figure, if the page has it.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Whether the page has none of them.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A number below 256 of a name's length and last four letters.
fn mark(name: &str) -> usize {
    let letters = name.as_bytes().last_chunk().map_or(0, |letters| u32::from_ne_bytes(*letters));
    let [mark, ..] = letters.wrapping_add(u32::try_from(name.len()).unwrap_or(0)).wrapping_mul(0x9E37_79B1).to_be_bytes();
    usize::from(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_sorted_by_family() {
        let tables: [&[Wanted]; 2] = [&super::super::host::WANTED, &super::super::postgres::WANTED];
        for table in tables {
            assert!(table.is_sorted_by_key(|(_, family, _)| *family), "{table:?}");
        }
    }
}
