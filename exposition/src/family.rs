//! A metric family: name, help, type.

/// The type of a family, as its TYPE line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up, but for a reset to zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum` and `_count` series.
    Histogram,
    /// Quantile, `_sum` and `_count` series.
    Summary,
    /// No promise at all: what node_exporter calls untyped.
    Untyped,
}

impl Kind {
    /// The word of the TYPE line.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Untyped => "untyped",
        }
    }
}

/// A family known when the program is built: a `static` beside the collector that emits it.
///
/// Families whose names come from the input (`node_memory_*`, `pg_settings_*`, text files) go through
/// [`Samples::named`](super::Samples::named).
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Metric name, exactly as scraped.
    pub name: &'static str,
    /// One line in our own words that names the field it comes from.
    pub help: &'static str,
    /// What the TYPE line says.
    pub kind: Kind,
}

impl Family {
    /// A counter.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Family { name, help, kind: Kind::Counter }
    }

    /// A gauge.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Family { name, help, kind: Kind::Gauge }
    }

    /// A histogram.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Family { name, help, kind: Kind::Histogram }
    }

    /// A summary.
    pub const fn summary(name: &'static str, help: &'static str) -> Self {
        Family { name, help, kind: Kind::Summary }
    }

    /// An untyped family.
    pub const fn untyped(name: &'static str, help: &'static str) -> Self {
        Family { name, help, kind: Kind::Untyped }
    }
}
