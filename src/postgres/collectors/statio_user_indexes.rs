//! `pg_statio_user_indexes`: blocks of every index of the connected database, found in the buffer cache (`hit`) or not (`read`).

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::largest::{self, View};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 2] = [
    Column::counter(
        "pg_statio_user_indexes_idx_blks_read_total",
        "pg_stat_get_blocks_fetched(i.oid) - pg_stat_get_blocks_hit(i.oid)",
        "pg_statio_user_indexes.idx_blks_read.",
    ),
    Column::counter(
        "pg_statio_user_indexes_idx_blks_hit_total",
        "pg_stat_get_blocks_hit(i.oid)",
        "pg_statio_user_indexes.idx_blks_hit.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "statio_user_indexes",
    enabled: Flag::switch("postgres.collector.statio_user_indexes", false, "Block reads of the indexes of each database."),
    statements: &[Statement::new(sql, emit)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let view = View {
        with: "",
        from: "JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid WHERE c.relkind <> 'p'",
        key: "i.oid",
        names: &["c.nspname", "c.relname", "i.relname"],
        columns: &column::mapped(&COLUMNS, server.major, str::to_owned),
    };
    Some(largest::rows(server, &view, ""))
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["schemaname", "relname", "indexrelname"]);
    column::emit(&COLUMNS, server.major, table, 3, &labels, Null::Zero, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn no_database_among_the_labels() {
        let row = [Some("public"), Some("orders"), Some("orders_pkey"), Some("2"), Some("30")];
        let text = text(|out| emit(&server(15), &Table::of(&[row]), out));
        let labels = "{schemaname=\"public\",relname=\"orders\",indexrelname=\"orders_pkey\"}";
        assert_eq!(
            text,
            format!(
                "pg_statio_user_indexes_idx_blks_hit_total{labels} 30\npg_statio_user_indexes_idx_blks_read_total{labels} 2\n"
            )
        );
    }
}
