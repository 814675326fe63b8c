//! What a collector is, and the parts they belong to.

use crate::exposition::Samples;
use crate::settings::{self, Flag, Settings};
use crate::system::{Fault, System};

/// The four exporters that this program replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `node_*`, in place of node_exporter.
    Host,
    /// `container_*` and `machine_*`, in place of cAdvisor.
    Containers,
    /// `pg_*`, in place of postgres_exporter.
    Postgres,
    /// `redis_*`, in place of redis_exporter.
    Redis,
}

impl Part {
    /// All parts.
    pub const ALL: [Part; 4] = [Part::Host, Part::Containers, Part::Postgres, Part::Redis];

    /// The part's name in labels, logs and flags.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Host => "host",
            Part::Containers => "containers",
            Part::Postgres => "postgres",
            Part::Redis => "redis",
        }
    }

    /// The last segment of the part's own page, `/metrics/<page>`.
    pub const fn page(self) -> &'static str {
        match self {
            Part::Host => "node",
            other => other.name(),
        }
    }
}

/// Reads one thing of the kernel and writes its families.
pub trait Collector: Send {
    /// Adds the samples of this moment to `out`. What was added before an error stays on the page.
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault>;
}

/// Makes a collector from the settings; fails when they cannot be meant (a bad pattern, two flags that exclude each other).
pub type New = fn(&Settings) -> Result<Box<dyn Collector>, settings::Error>;

/// A collector's line in its part's table: flags, help, filters, documentation and tests are derived from it.
pub struct Entry {
    /// One word, the same as the file, the flag and the label.
    pub name: &'static str,
    /// `--collector.<name>` (true) or `--no-collector.<name>` (false), and its line in `--help`.
    pub enabled: Flag,
    /// The collector's own flags.
    pub flags: &'static [Flag],
    /// Its constructor.
    pub new: New,
}
