//! What a check is: a line of its area's table.

use std::fmt;

use crate::scrape::Advice;

/// A check over facts of one kind.
pub(super) struct Check<F> {
    /// Its name, what is wrong where it finds something, and the remedy.
    pub(super) advice: Advice,
    /// `critical`, `warning` or `info`.
    pub(super) severity: &'static str,
    /// What it looks at, by the names of its source.
    pub(super) source: &'static str,
    /// The number that it compares with, which the operator may set.
    pub(super) threshold: Option<f64>,
    /// What it finds, given the threshold; `None` where all is well or nothing is known.
    pub(super) finds: fn(&F, f64) -> Option<Figure>,
}

impl<F> Check<F> {
    /// A check without a threshold.
    pub(super) const fn new(severity: &'static str, check: &'static str, finds: fn(&F, f64) -> Option<Figure>) -> Self {
        let advice = Advice { check, what: "", remedy: "" };
        Check { advice, severity, source: "", threshold: None, finds }
    }

    /// With a threshold, which is this unless it is set.
    pub(super) const fn over(self, threshold: f64) -> Self {
        Check { threshold: Some(threshold), ..self }
    }

    /// What is wrong, what to do about it, and what tells so.
    pub(super) const fn says(self, what: &'static str, remedy: &'static str, source: &'static str) -> Self {
        let advice = Advice { check: self.advice.check, what, remedy };
        Check { advice, source, ..self }
    }
}

/// The figure that a check found.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Figure {
    /// There is no figure: a state.
    Plain,
    /// A number.
    Count(f64),
    /// A part of a whole.
    Share(f64),
    /// Bytes.
    Bytes(f64),
    /// Bytes, and what they are compared with.
    BytesOf(f64, f64),
    /// Seconds.
    Time(f64),
    /// A word of the source's.
    Text(String),
}

/// A state that is there or not.
pub(super) fn state(found: bool) -> Option<Figure> {
    found.then_some(Figure::Plain)
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Plain => Ok(()),
            Figure::Count(count) => write!(f, "{count:.0}"),
            Figure::Share(share) => write!(f, "{:.1} %", share * 100.0),
            Figure::Bytes(bytes) => write!(f, "{}", Size(*bytes)),
            Figure::BytesOf(bytes, whole) => write!(f, "{} of {}", Size(*bytes), Size(*whole)),
            Figure::Time(seconds) if *seconds < 7_200.0 => write!(f, "{:.0} min", seconds / 60.0),
            Figure::Time(seconds) => write!(f, "{:.0} h", seconds / 3_600.0),
            Figure::Text(text) => f.write_str(text),
        }
    }
}

/// Bytes in the unit that leaves the fewest digits.
struct Size(f64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 1024f64.powi(4)), ("GiB", 1024f64.powi(3)), ("MiB", 1024f64.powi(2)), ("KiB", 1024.0)];
        match units.into_iter().find(|(_, size)| self.0 >= *size) {
            Some((unit, size)) => write!(f, "{:.1} {unit}", self.0 / size),
            None => write!(f, "{:.0} B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units() {
        let told =
            [Figure::Share(0.934), Figure::BytesOf(1536.0, 3e9), Figure::Time(90.0), Figure::Time(36_000.0), Figure::Plain];
        assert_eq!(told.map(|figure| figure.to_string()), ["93.4 %", "1.5 KiB of 2.8 GiB", "2 min", "10 h", ""]);
        assert_eq!([Figure::Count(3.0), Figure::Bytes(5.0)].map(|figure| figure.to_string()), ["3", "5 B"]);
    }
}
