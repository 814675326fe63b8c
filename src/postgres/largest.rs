//! The largest tables of a database: those that are shown one by one. All others are summed up as `relname="(other)"`.

use std::borrow::Cow;

use super::collector::Server;
use super::column::{self, Column};

/// `tables`: every table of the user's, and whether it is `shown`. Ranked by pages and, where these are about equal, by scans: in powers of e,
/// so that the order seldom changes. `relpages` is what VACUUM and ANALYZE last saw; reading it waits for no lock.
pub(super) fn tables(server: &Server) -> String {
    // pg_stat_user_tables has partitioned tables since PostgreSQL 14.
    let kinds = if server.major >= 14 { "'r', 't', 'm', 'p'" } else { "'r', 't', 'm'" };
    format!(
        "tables AS (SELECT c.oid, n.nspname, c.relname, c.relpages, row_number() OVER (ORDER BY \
         round(ln(greatest(c.relpages, 0) + 1)) DESC, round(ln(coalesce(pg_stat_get_numscans(c.oid), 0) + 1)) DESC, c.oid) <= {} AS shown \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ({kinds}) \
         AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast')",
        server.options.tables
    )
}

/// The rows of `view` that are shown, behind the labels `names` (the first of which is a schema), and one row for the rest. Of the rest, numbers
/// are summed; of times, which alone are more than the name of a column, the latest is told.
pub(super) fn of_view(server: &Server, view: &str, leading: &str, names: &[&str], columns: &[Column]) -> Cow<'static, str> {
    let own = names.iter().map(|column| name(column)).collect::<Vec<_>>().join(", ");
    let other = names.iter().enumerate().map(|(at, _)| if at == 0 { "''" } else { "'(other)'" }).collect::<Vec<_>>().join(", ");
    let all = column::mapped(columns, server.major, |sql| sql.to_owned());
    let sums = column::mapped(columns, server.major, |sql| {
        let function = if sql.contains('(') { "max" } else { "sum" };
        format!("{function}({sql})")
    });
    format!(
        "WITH {}, v AS (SELECT v.*, t.shown IS NOT FALSE AS shown FROM {view} v LEFT JOIN tables t ON t.oid = v.relid) \
         SELECT {leading}{own}, {all} FROM v WHERE shown \
         UNION ALL SELECT {leading}{other}, {sums} FROM v WHERE NOT shown HAVING count(*) > 0",
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
