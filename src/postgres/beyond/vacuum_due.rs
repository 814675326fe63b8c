//! Tables that autovacuum owes a visit, by its own rules: more dead rows than their threshold, or rows older than may be.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::schedule::Schedule;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 2] = [
    Column::gauge(
        "pg_autovacuum_tables_due",
        "count(*)",
        "Tables with more dead rows than autovacuum lets stand, or with rows older than autovacuum_freeze_max_age.",
    ),
    Column::gauge(
        "pg_autovacuum_due_oldest_seconds",
        "max(extract(epoch FROM clock_timestamp() - vacuumed))",
        "Of the tables that are due, the longest time since the last vacuum; one that never had any does not count.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "vacuum_due",
    enabled: Flag::switch("postgres.collector.vacuum_due", true, "Tables of each database that wait for autovacuum."),
    statements: &[Statement::kept(Schedule::Catalog, sql, emit)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let own = |setting: &str| {
        format!(
            "coalesce((SELECT option_value::float8 FROM pg_options_to_table(c.reloptions) WHERE option_name = '{setting}'), \
             current_setting('{setting}')::float8)"
        )
    };
    let (fixed, share) = (own("autovacuum_vacuum_threshold"), own("autovacuum_vacuum_scale_factor"));
    let mut limit = format!("{fixed} + {share} * greatest(c.reltuples, 0)");
    if server.major >= 18 {
        // -1 is no bound.
        let most = own("autovacuum_vacuum_max_threshold");
        limit = format!("CASE WHEN {most} < 0 THEN {limit} ELSE least({most}, {limit}) END");
    }
    Some(
        format!(
            "WITH t AS (SELECT greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed, \
             age(c.relfrozenxid) > current_setting('autovacuum_freeze_max_age')::int AS old, pg_stat_get_dead_tuples(c.oid) > {limit} AS full_of, \
             coalesce((SELECT option_value::bool FROM pg_options_to_table(c.reloptions) WHERE option_name = 'autovacuum_enabled'), true) AS wanted \
             FROM pg_class c WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't') \
             SELECT current_database(), {} FROM t WHERE old OR (full_of AND wanted)",
            column::list(&COLUMNS, server.major)
        )
        .into(),
    )
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 1, &column::labels(table, ["datname"]), Null::Absent, out)
}
