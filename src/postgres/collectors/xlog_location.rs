//! The position in the WAL under its name before PostgreSQL 10. No server that this part knows has it: the flag is accepted, and the
//! collector succeeds with nothing, as postgres_exporter's does.

use crate::postgres::collector::Entry;
use crate::settings::Flag;

pub(super) static ENTRY: Entry = Entry {
    name: "xlog_location",
    enabled: Flag::switch("postgres.collector.xlog_location", false, "Nothing: what PostgreSQL 9.6 and older called the WAL.")
        .hidden(),
    statements: &[],
};
