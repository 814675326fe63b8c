//! `pg_stat_statements`: the statements that cost most. Needs the extension in the connected database.
//!
//! The hundred with the longest total time are shown, of those that took longer than the cheapest tenth. What runs both by itself and
//! inside of functions has two rows in the view since PostgreSQL 14; they are added up.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

const SECONDS: (&str, &str) =
    ("pg_stat_statements_seconds_total", "pg_stat_statements.total_exec_time (total_time before PostgreSQL 13), in seconds.");
const READ: (&str, &str) = (
    "pg_stat_statements_block_read_seconds_total",
    "pg_stat_statements.shared_blk_read_time (blk_read_time before PostgreSQL 17), in seconds.",
);
const WRITE: (&str, &str) = (
    "pg_stat_statements_block_write_seconds_total",
    "pg_stat_statements.shared_blk_write_time (blk_write_time before PostgreSQL 17), in seconds.",
);

static COLUMNS: [Column; 8] = [
    Column::counter("pg_stat_statements_calls_total", "sum(calls)", "pg_stat_statements.calls."),
    Column::counter("pg_stat_statements_rows_total", "sum(rows)", "pg_stat_statements.rows."),
    Column::counter(SECONDS.0, "sum(total_time) / 1000", SECONDS.1).before(13),
    Column::counter(SECONDS.0, "sum(total_exec_time) / 1000", SECONDS.1).since(13),
    Column::counter(READ.0, "sum(blk_read_time) / 1000", READ.1).before(17),
    Column::counter(READ.0, "sum(shared_blk_read_time) / 1000", READ.1).since(17),
    Column::counter(WRITE.0, "sum(blk_write_time) / 1000", WRITE.1).before(17),
    Column::counter(WRITE.0, "sum(shared_blk_write_time) / 1000", WRITE.1).since(17),
];

pub(super) static ENTRY: Entry = Entry {
    name: "stat_statements",
    enabled: Flag::switch(
        "postgres.collector.stat_statements",
        false,
        "The statements that cost most (extension pg_stat_statements).",
    ),
    statements: &[Statement::new(sql, emit)],
};

/// A role that may not see others' statements sees them without an id: those are one group, "unknown".
fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let time = if server.major >= 13 { "total_exec_time" } else { "total_time" };
    Some(
        format!(
            "SELECT pg_get_userbyid(s.userid), d.datname, coalesce(s.queryid::text, 'unknown'), {} FROM pg_stat_statements s \
             JOIN pg_database d ON d.oid = s.dbid WHERE s.{time} > (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY {time}) \
             FROM pg_stat_statements) GROUP BY 1, 2, 3 ORDER BY sum(s.{time}) DESC LIMIT 100",
            column::list(&COLUMNS, server.major)
        )
        .into(),
    )
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["user", "datname", "queryid"]);
    column::emit(&COLUMNS, server.major, table, 3, &labels, Null::Zero, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn five_counters_a_statement_on_every_version() {
        let row = [Some("app"), Some("shop"), Some("-42"), Some("2"), Some("20"), Some("0.5"), Some("0"), Some("0")];
        for major in [10, 13, 17] {
            let text = text(|out| emit(&server(major), &Table::of(&[row]), out));
            assert_eq!(text.lines().count(), 5);
            let seconds = "pg_stat_statements_seconds_total{user=\"app\",datname=\"shop\",queryid=\"-42\"} 0.5\n";
            assert!(text.contains(seconds), "{text}");
        }
    }
}
