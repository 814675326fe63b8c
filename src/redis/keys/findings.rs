//! Series found between scrapes, kept until they are shown.

use crate::exposition::{Family, Labels, Samples};

/// Series in the order they were found.
#[derive(Debug, Default)]
pub(in crate::redis) struct Findings(Vec<(&'static Family, Labels, f64)>);

impl Findings {
    pub(super) fn add(&mut self, family: &'static Family, labels: &[(&str, &str)], value: f64) {
        self.0.push((family, Labels::of(labels), value));
    }

    pub(super) fn emit(&self, out: &mut Samples) {
        for (family, labels, value) in &self.0 {
            out.family(family).add_to(labels, [], *value);
        }
    }
}
