//! `pg_stat_statements` under the names of queries.yaml: what the collector shows, and what it no longer does.

use crate::exposition::Samples;
use crate::postgres::collector::{Server, Statement};
use crate::postgres::collectors::stat_statements;
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::system::Fault;

pub(super) static STATEMENTS: [Statement; 1] =
    [Statement::new(|server| Some(stat_statements::select(server, &column::list(&COLUMNS, server.major)).into()), emit)];

const TOTAL: (&str, &str) = (
    "pg_stat_statements_total_time_seconds",
    "pg_stat_statements.total_exec_time (total_time before PostgreSQL 13), in seconds.",
);
const MIN: (&str, &str) =
    ("pg_stat_statements_min_time_seconds", "pg_stat_statements.min_exec_time (min_time before PostgreSQL 13), in seconds.");
const MAX: (&str, &str) =
    ("pg_stat_statements_max_time_seconds", "pg_stat_statements.max_exec_time (max_time before PostgreSQL 13), in seconds.");
const MEAN: (&str, &str) = (
    "pg_stat_statements_mean_time_seconds",
    "pg_stat_statements.total_exec_time (total_time before PostgreSQL 13) for each call, in seconds.",
);
const SPREAD: (&str, &str) = (
    "pg_stat_statements_stddev_time_seconds",
    "pg_stat_statements.stddev_exec_time (stddev_time before PostgreSQL 13), in seconds.",
);
const READ: (&str, &str) = (
    "pg_stat_statements_blk_read_time_seconds",
    "pg_stat_statements.shared_blk_read_time (blk_read_time before PostgreSQL 17), in seconds.",
);
const WRITE: (&str, &str) = (
    "pg_stat_statements_blk_write_time_seconds",
    "pg_stat_statements.shared_blk_write_time (blk_write_time before PostgreSQL 17), in seconds.",
);

/// A statement has two rows since PostgreSQL 14 where it runs both by itself and inside of functions.
static COLUMNS: [Column; 26] = [
    Column::counter("pg_stat_statements_calls", "sum(calls)", "pg_stat_statements.calls."),
    Column::counter("pg_stat_statements_rows", "sum(rows)", "pg_stat_statements.rows."),
    Column::counter(TOTAL.0, "sum(total_time) / 1000", TOTAL.1).before(13),
    Column::counter(TOTAL.0, "sum(total_exec_time) / 1000", TOTAL.1).since(13),
    Column::gauge(MIN.0, "min(min_time) / 1000", MIN.1).before(13),
    Column::gauge(MIN.0, "min(min_exec_time) / 1000", MIN.1).since(13),
    Column::gauge(MAX.0, "max(max_time) / 1000", MAX.1).before(13),
    Column::gauge(MAX.0, "max(max_exec_time) / 1000", MAX.1).since(13),
    Column::gauge(MEAN.0, "sum(total_time) / nullif(sum(calls), 0) / 1000", MEAN.1).before(13),
    Column::gauge(MEAN.0, "sum(total_exec_time) / nullif(sum(calls), 0) / 1000", MEAN.1).since(13),
    Column::gauge(SPREAD.0, "max(stddev_time) / 1000", SPREAD.1).before(13),
    Column::gauge(SPREAD.0, "max(stddev_exec_time) / 1000", SPREAD.1).since(13),
    blocks("pg_stat_statements_shared_blks_hit", "sum(shared_blks_hit)", "pg_stat_statements.shared_blks_hit."),
    blocks("pg_stat_statements_shared_blks_read", "sum(shared_blks_read)", "pg_stat_statements.shared_blks_read."),
    blocks("pg_stat_statements_shared_blks_dirtied", "sum(shared_blks_dirtied)", "pg_stat_statements.shared_blks_dirtied."),
    blocks("pg_stat_statements_shared_blks_written", "sum(shared_blks_written)", "pg_stat_statements.shared_blks_written."),
    blocks("pg_stat_statements_local_blks_hit", "sum(local_blks_hit)", "pg_stat_statements.local_blks_hit."),
    blocks("pg_stat_statements_local_blks_read", "sum(local_blks_read)", "pg_stat_statements.local_blks_read."),
    blocks("pg_stat_statements_local_blks_dirtied", "sum(local_blks_dirtied)", "pg_stat_statements.local_blks_dirtied."),
    blocks("pg_stat_statements_local_blks_written", "sum(local_blks_written)", "pg_stat_statements.local_blks_written."),
    blocks("pg_stat_statements_temp_blks_read", "sum(temp_blks_read)", "pg_stat_statements.temp_blks_read."),
    blocks("pg_stat_statements_temp_blks_written", "sum(temp_blks_written)", "pg_stat_statements.temp_blks_written."),
    Column::counter(READ.0, "sum(blk_read_time) / 1000", READ.1).before(17),
    Column::counter(READ.0, "sum(shared_blk_read_time) / 1000", READ.1).since(17),
    Column::counter(WRITE.0, "sum(blk_write_time) / 1000", WRITE.1).before(17),
    Column::counter(WRITE.0, "sum(shared_blk_write_time) / 1000", WRITE.1).since(17),
];

const fn blocks(name: &'static str, sql: &'static str, help: &'static str) -> Column {
    Column::counter(name, sql, help)
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["rolname", "datname", "queryid"]);
    column::emit(&COLUMNS, server.major, table, stat_statements::FIRST, &labels, Null::Zero, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn every_version_has_nineteen_families() {
        for major in [10, 13, 17] {
            let text = text(|out| emit(&server(major), &Table::of(&[[Some("1"); 22]]), out));
            assert_eq!(text.lines().count(), 19);
            let sample = "pg_stat_statements_min_time_seconds{rolname=\"1\",datname=\"1\",queryid=\"1\"} 1\n";
            assert!(text.contains(sample), "{text}");
        }
    }
}
