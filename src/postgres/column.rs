//! Tables of columns: one number of a view, and the family it becomes.
//!
//! The statement and the samples are both made from the same slice, so they cannot get out of step.

use super::table::Table;
use crate::exposition::{Family, Labels, Samples};
use crate::system::Fault;

/// One column of a statement.
pub(super) struct Column {
    pub(super) family: Family,
    /// What is selected.
    pub(super) sql: &'static str,
    since: u32,
    before: u32,
    /// Whether NULL is 0 where it would be absent.
    zero: bool,
}

impl Column {
    /// `sql` as `family`, on all servers.
    pub(super) const fn new(family: Family, sql: &'static str) -> Self {
        Column { family, sql, since: 0, before: u32::MAX, zero: false }
    }

    /// A counter on all servers.
    pub(super) const fn counter(name: &'static str, sql: &'static str, help: &'static str) -> Self {
        Column::new(Family::counter(name, help), sql)
    }

    /// A gauge on all servers.
    pub(super) const fn gauge(name: &'static str, sql: &'static str, help: &'static str) -> Self {
        Column::new(Family::gauge(name, help), sql)
    }

    /// Only from major version `since` on.
    pub(super) const fn since(self, since: u32) -> Self {
        Column { since, ..self }
    }

    /// Only on versions older than `before`.
    pub(super) const fn before(self, before: u32) -> Self {
        Column { before, ..self }
    }

    /// NULL is 0 even where that of other columns of the view is absent.
    pub(super) const fn or_zero(self) -> Self {
        Column { zero: true, ..self }
    }

    fn is_on(&self, major: u32) -> bool {
        (self.since..self.before).contains(&major)
    }
}

/// What a column that is NULL becomes; the contract tells for each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Null {
    /// 0.
    Zero,
    /// No sample.
    Absent,
    /// Not a number, as postgres_exporter had it before 0.13.
    NotANumber,
}

/// How many columns a server of version `major` has.
pub(super) fn count(columns: &[Column], major: u32) -> usize {
    columns.iter().filter(|column| column.is_on(major)).count()
}

/// The columns that a server of version `major` has, for a SELECT.
pub(super) fn list(columns: &[Column], major: u32) -> String {
    mapped(columns, major, str::to_owned).join(", ")
}

/// The same, each as `map` writes it.
pub(super) fn mapped(columns: &[Column], major: u32, map: impl Fn(&str) -> String) -> Vec<String> {
    columns.iter().filter(|column| column.is_on(major)).map(|column| map(column.sql)).collect()
}

/// The labels of every row: `names` are the names of the first columns.
pub(super) fn labels<const N: usize>(table: &Table, names: [&str; N]) -> Vec<Labels> {
    let row_labels = |row: super::table::Row<'_>| {
        let mut labels = Labels::new();
        names.iter().enumerate().for_each(|(at, name)| labels.push(name, row.label(at)));
        labels
    };
    table.rows().map(row_labels).collect()
}

/// Writes the columns of [`list`], which start at column `first`; what follows them is another collector's. `labels` has the label text of
/// each row.
pub(super) fn emit(
    columns: &'static [Column],
    major: u32,
    table: &Table,
    first: usize,
    labels: &[Labels],
    null: Null,
    out: &mut Samples,
) -> Result<(), Fault> {
    let columns = || columns.iter().filter(|column| column.is_on(major));
    let want = first + columns().count();
    if table.width() < want {
        let detail = format!("{} columns instead of {want}", table.width());
        return Err(Fault::Parse { what: "the server's answer".to_owned(), detail });
    }
    for (at, column) in columns().enumerate() {
        let mut rows = out.family(&column.family);
        for (row, labels) in table.rows().zip(labels) {
            let value = match (row.text(first + at), null) {
                (Some(_), _) => row.number(first + at),
                (None, Null::Zero) => Some(0.0),
                (None, Null::Absent) => column.zero.then_some(0.0),
                (None, Null::NotANumber) => Some(f64::NAN),
            };
            if let Some(value) = value {
                rows.add_to(labels, [], value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    static COLUMNS: [Column; 3] = [
        Column::counter("pg_a", "a", "A."),
        Column::gauge("pg_b", "b", "B.").since(14),
        Column::gauge("pg_c", "c", "C.").before(17),
    ];

    #[test]
    fn statement_and_samples_follow_the_version() {
        assert_eq!(
            (list(&COLUMNS, 13), list(&COLUMNS, 14), list(&COLUMNS, 17)),
            ("a, c".into(), "a, b, c".into(), "a, b".into())
        );
        let table = Table::of(&[[Some("x"), Some("1"), None], [Some("y"), Some("2"), Some("2.5")]]);
        let names = labels(&table, ["n"]);
        let of = |null| text(|out| emit(&COLUMNS, 17, &table, 1, &names, null, out));
        assert_eq!(of(Null::Zero), "pg_a{n=\"x\"} 1\npg_a{n=\"y\"} 2\npg_b{n=\"x\"} 0\npg_b{n=\"y\"} 2.5\n");
        assert_eq!(of(Null::Absent), "pg_a{n=\"x\"} 1\npg_a{n=\"y\"} 2\npg_b{n=\"y\"} 2.5\n");
        let fault = emit(&COLUMNS, 14, &table, 1, &names, Null::Zero, &mut Samples::new()).unwrap_err();
        assert!(fault.to_string().contains("3 columns instead of 4"), "{fault}");
    }
}
