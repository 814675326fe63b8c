//! The largest tables of a database: those that are shown one by one. All others are summed up as `relname="(other)"`.

use std::borrow::Cow;

use super::collector::Server;

/// `tables`: every table of the user's, and whether it is `shown`. Ranked by pages and, where these are about equal, by scans: in powers of e,
/// so that the order seldom changes. `relpages` is what VACUUM and ANALYZE last saw; reading it waits for no lock.
pub(super) fn tables(server: &Server) -> String {
    // pg_stat_user_tables has partitioned tables since PostgreSQL 14.
    let kinds = if server.major >= 14 { "'r', 't', 'm', 'p'" } else { "'r', 't', 'm'" };
    format!(
        "tables AS (SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpages, c.reltoastrelid, row_number() OVER (ORDER BY \
         round(ln(greatest(c.relpages, 0) + 1)) DESC, round(ln(coalesce(pg_stat_get_numscans(c.oid), 0) + 1)) DESC, c.oid) <= {} AS shown \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ({kinds}) \
         AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast')",
        server.options.tables
    )
}

/// What is told of each table `c`, or of what belongs to it, by the functions that the server's views are made of: the views would work out
/// all columns of all tables, sorted by name, to tell of the few that are shown.
pub(super) struct View<'a> {
    /// CTEs that the columns need, each behind a comma.
    pub(super) with: &'a str,
    /// What is joined to `tables c`, and for which tables.
    pub(super) from: &'a str,
    /// The number of what has a row, and its names, the first of which is the schema's.
    pub(super) key: &'a str,
    pub(super) names: &'a [&'a str],
    pub(super) columns: &'a [String],
}

/// The rows that are shown, behind the columns `leading`, and one row for the rest. Of the rest, numbers are summed; of times the latest is told.
pub(super) fn rows(server: &Server, view: &View<'_>, leading: &str) -> Cow<'static, str> {
    let View { with, from, key, names, columns } = view;
    let rest = |at: usize| if at == 0 { "" } else { "(other)" };
    let shown =
        |(at, column): (usize, &&str)| format!("coalesce(min(CASE WHEN c.shown THEN {} END), '{}')", name(column), rest(at));
    let names = names.iter().enumerate().map(shown).collect::<Vec<_>>().join(", ");
    let total = |sql: &String| format!("{}({sql})", if sql.contains("extract(") { "max" } else { "sum" });
    let totals = columns.iter().map(total).collect::<Vec<_>>().join(", ");
    format!(
        "WITH {}{with} SELECT {leading}{names}, {totals} FROM tables c {from} GROUP BY CASE WHEN c.shown THEN {key} END",
        tables(server)
    )
    .into()
}

/// A name as text that is UTF-8. A database with the encoding SQL_ASCII holds whatever bytes came; those above ASCII are told as `\351`.
pub(super) fn name(column: &str) -> String {
    format!(
        "CASE WHEN getdatabaseencoding() = 'SQL_ASCII' THEN encode(convert_to({column}::text, 'SQL_ASCII'), 'escape') ELSE {column}::text END"
    )
}
