//! `pg_database`: how far each database is from having to be frozen.
//!
//! The names say seconds and the values are transactions and multixacts: postgres_exporter has it so, and alerts are made for it.

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 2] = [
    Column::gauge(
        "pg_database_wraparound_age_datfrozenxid_seconds",
        "age(datfrozenxid)",
        "age() of pg_database.datfrozenxid, in transactions.",
    ),
    Column::gauge(
        "pg_database_wraparound_age_datminmxid_seconds",
        "mxid_age(datminmxid)",
        "mxid_age() of pg_database.datminmxid, in multixacts.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "database_wraparound",
    enabled: Flag::switch("postgres.collector.database_wraparound", false, "Age of the oldest transaction and multixact ids."),
    statements: &[Statement::new(
        |server| {
            Some(format!("SELECT datname, {} FROM pg_database WHERE datallowconn", column::list(&COLUMNS, server.major)).into())
        },
        emit,
    )],
};

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 1, &column::labels(table, ["datname"]), Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn two_ages_a_database() {
        let text = text(|out| emit(&server(15), &Table::of(&[[Some("shop"), Some("60"), Some("0")]]), out));
        assert_eq!(
            text,
            "pg_database_wraparound_age_datfrozenxid_seconds{datname=\"shop\"} 60\n\
             pg_database_wraparound_age_datminmxid_seconds{datname=\"shop\"} 0\n"
        );
    }
}
