//! `pg_stat_activity`: for how long sessions have been idle, as a histogram for each application and idle state.
//!
//! postgres_exporter shows the first of these groups only, and fails where there is none.

use crate::exposition::{Family, Labels, Samples};
use crate::postgres::collector::{Entry, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static IDLE: Family =
    Family::histogram("pg_process_idle_seconds", "Seconds since pg_stat_activity.state_change of the sessions in an idle state.");

pub(super) static ENTRY: Entry = Entry {
    name: "process_idle",
    enabled: Flag::switch("postgres.collector.process_idle", false, "For how long sessions have been idle."),
    statements: &[Statement::new(
        |_| Some(select("application_name, state", "LIKE 'idle%'").into()),
        |_, table, out| emit(&["application_name", "state"], table, out),
    )],
};

/// The upper bounds, in the order of the statement's columns.
const BOUNDS: [&str; 9] = ["1", "2", "5", "15", "30", "60", "90", "120", "300"];

/// One row for each group of `columns`, of the sessions whose state is as `which` says.
pub(in crate::postgres) fn select(columns: &str, which: &str) -> String {
    let buckets: String = BOUNDS.iter().map(|bound| format!(", count(*) FILTER (WHERE age <= {bound})")).collect();
    format!(
        "SELECT {columns}, count(*), sum(age){buckets} FROM (SELECT {columns}, \
         greatest(extract(epoch FROM now() - state_change), 0) AS age FROM pg_stat_activity WHERE state {which}) a GROUP BY {columns}"
    )
}

pub(in crate::postgres) fn emit(names: &[&str], table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut family = out.family(&IDLE);
    for row in table.rows() {
        let (mut labels, first) = (Labels::new(), names.len());
        names.iter().enumerate().for_each(|(at, name)| labels.push(name, row.label(at)));
        let count = row.number(first).unwrap_or(0.0);
        for (at, bound) in BOUNDS.iter().enumerate() {
            family.line("_bucket", &labels, &[("le", bound)], row.number(first + 2 + at).unwrap_or(0.0));
        }
        family.line("_bucket", &labels, &[("le", "+Inf")], count);
        family.line("_sum", &labels, &[], row.number(first + 1).unwrap_or(0.0));
        family.line("_count", &labels, &[], count);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn buckets_add_up() {
        let mut row = [Some("3"); 13];
        row[..5].copy_from_slice(&[Some("app"), Some("idle"), Some("4"), Some("310.5"), Some("1")]);
        let text = text(|out| emit(&["application_name", "state"], &Table::of(&[row]), out));
        assert_eq!(text.lines().count(), 12);
        let labels = "application_name=\"app\",state=\"idle\"";
        assert!(text.contains(&format!("pg_process_idle_seconds_bucket{{{labels},le=\"1\"}} 1\n")), "{text}");
        assert!(text.contains(&format!("pg_process_idle_seconds_bucket{{{labels},le=\"300\"}} 3\n")), "{text}");
        assert!(text.contains(&format!("pg_process_idle_seconds_bucket{{{labels},le=\"+Inf\"}} 4\n")), "{text}");
        assert!(text.contains(&format!("pg_process_idle_seconds_sum{{{labels}}} 310.5\n")), "{text}");
    }
}
