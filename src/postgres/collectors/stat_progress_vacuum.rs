//! `pg_stat_progress_vacuum`: how far running vacuums are. Series exist only while one runs.
//!
//! The two dead tuple families count tuples up to PostgreSQL 16 and bytes from 17 on, as the server's view does.

use std::borrow::Cow;

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static PHASE: Family =
    Family::gauge("pg_stat_progress_vacuum_phase", "1 for the phase that pg_stat_progress_vacuum.phase names, 0 for the others.");

/// Every value of `pg_stat_progress_vacuum.phase`.
const PHASES: [&str; 7] = [
    "initializing",
    "scanning heap",
    "vacuuming indexes",
    "vacuuming heap",
    "cleaning up indexes",
    "truncating heap",
    "performing final cleanup",
];

const MAX_DEAD: (&str, &str) = (
    "pg_stat_progress_vacuum_max_dead_tuples",
    "pg_stat_progress_vacuum.max_dead_tuples, from PostgreSQL 17 on max_dead_tuple_bytes: what fits into memory.",
);
const DEAD: (&str, &str) = (
    "pg_stat_progress_vacuum_num_dead_tuples",
    "pg_stat_progress_vacuum.num_dead_tuples, from PostgreSQL 17 on dead_tuple_bytes: what was found.",
);

static COLUMNS: [Column; 8] = [
    Column::gauge("pg_stat_progress_vacuum_heap_blks", "heap_blks_total", "pg_stat_progress_vacuum.heap_blks_total."),
    Column::gauge("pg_stat_progress_vacuum_heap_blks_scanned", "heap_blks_scanned", "pg_stat_progress_vacuum.heap_blks_scanned."),
    Column::gauge(
        "pg_stat_progress_vacuum_heap_blks_vacuumed",
        "heap_blks_vacuumed",
        "pg_stat_progress_vacuum.heap_blks_vacuumed.",
    ),
    Column::gauge("pg_stat_progress_vacuum_index_vacuums", "index_vacuum_count", "pg_stat_progress_vacuum.index_vacuum_count."),
    Column::gauge(MAX_DEAD.0, "max_dead_tuples", MAX_DEAD.1).before(17),
    Column::gauge(MAX_DEAD.0, "max_dead_tuple_bytes", MAX_DEAD.1).since(17),
    Column::gauge(DEAD.0, "num_dead_tuples", DEAD.1).before(17),
    Column::gauge(DEAD.0, "dead_tuple_bytes", DEAD.1).since(17),
];

pub(super) static ENTRY: Entry = Entry {
    name: "stat_progress_vacuum",
    enabled: Flag::switch("postgres.collector.stat_progress_vacuum", true, "Progress of running vacuums."),
    statements: &[Statement::behind(Gate::Vacuum, sql, emit)],
};

/// A table of another database is known by its number only; read here, that number might name another table.
fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(
        format!(
            "SELECT datname, CASE WHEN datname = current_database() THEN relid::regclass::text ELSE relid::text END, phase, {} \
             FROM pg_stat_progress_vacuum",
            column::list(&COLUMNS, server.major)
        )
        .into(),
    )
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["datname", "relname"]);
    let mut phases = out.family(&PHASE);
    for (row, labels) in table.rows().zip(&labels) {
        for phase in PHASES {
            phases.add_to(labels, [("phase", phase)], row.text(2) == Some(phase));
        }
    }
    column::emit(&COLUMNS, server.major, table, 3, &labels, Null::Zero, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn one_phase_is_hot() {
        let row =
            [Some("shop"), Some("orders"), Some("scanning heap"), Some("10"), Some("5"), Some("0"), Some("0"), Some("64"), None];
        for major in [12, 18] {
            let text = text(|out| emit(&server(major), &Table::of(&[row]), out));
            assert_eq!(text.lines().count(), 13);
            assert_eq!(
                text.lines().filter(|line| line.starts_with("pg_stat_progress_vacuum_phase") && line.ends_with(" 1")).count(),
                1
            );
            assert!(text.contains("max_dead_tuples{datname=\"shop\",relname=\"orders\"} 64\n"), "{text}");
        }
        assert!(sql(&server(17)).unwrap().contains("dead_tuple_bytes") && sql(&server(16)).unwrap().contains("num_dead_tuples"));
    }
}
