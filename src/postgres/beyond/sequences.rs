//! Sequences against their end: the one at 1 makes every INSERT fail.
//!
//! A sequence is opened to read its value. One that is locked for ALTER or DROP is left out, as is one that the role may not read, and one
//! that starts over.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::largest::name;
use crate::postgres::schedule::Schedule;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 1] = [Column::gauge(
    "pg_sequence_used_ratio",
    "used",
    "Share of its numbers that the sequence has given out; the ten of each database that are nearest to their end.",
)];

pub(super) static ENTRY: Entry = Entry {
    name: "sequences",
    enabled: Flag::switch("postgres.collector.sequences", true, "Sequences of each database that are nearest to their end."),
    statements: &[Statement::kept(Schedule::Catalog, sql, emit)],
};

/// An unlogged sequence cannot be read on a standby.
fn sql(_: &Server) -> Option<Cow<'static, str>> {
    let (schema, sequence) = (name("nspname"), name("relname"));
    Some(
        format!(
            "WITH locked AS (SELECT relation FROM pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())), \
             s AS (SELECT n.nspname, c.relname, s.*, CASE WHEN c.oid NOT IN (SELECT relation FROM locked) AND c.relpersistence = 'p' \
             AND has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(c.oid) END::numeric AS last \
             FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT s.seqcycle), \
             u AS (SELECT nspname, relname, round(CASE WHEN seqincrement > 0 THEN last - seqmin ELSE seqmax - last END \
             / nullif(seqmax::numeric - seqmin, 0), 6) AS used FROM s) \
             SELECT current_database(), {schema}, {sequence}, used FROM u WHERE used IS NOT NULL ORDER BY used DESC, nspname, relname LIMIT 10"
        )
        .into(),
    )
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["datname", "schemaname", "sequencename"]);
    column::emit(&COLUMNS, server.major, table, 3, &labels, Null::Absent, out)
}
