//! `pg_stat_activity`: sessions and the age of their transactions, grouped by what they do.
//!
//! Our own session is not counted, and neither is one without database (walsenders, the server's own processes) or state. Each
//! state of each database that nobody is in has a zero, its other labels empty.

use crate::exposition::{Family, Labels, Samples};
use crate::postgres::collector::{Entry, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COUNT: Family = Family::gauge("pg_stat_activity_count", "Sessions of pg_stat_activity with these labels.");
static AGE: Family = Family::gauge(
    "pg_stat_activity_max_tx_duration",
    "Age in seconds of the oldest pg_stat_activity.xact_start with these labels, 0 outside of transactions.",
);

/// Every value of `pg_stat_activity.state`.
const STATES: [&str; 6] =
    ["active", "idle", "idle in transaction", "idle in transaction (aborted)", "fastpath function call", "disabled"];

/// The labels behind `datname`, in the order of the statement's columns.
const LABELS: [&str; 6] = ["state", "usename", "application_name", "backend_type", "wait_event_type", "wait_event"];

pub(super) static ENTRY: Entry = Entry {
    name: "stat_activity",
    enabled: Flag::switch("postgres.collector.stat_activity", true, "Sessions by state, and their oldest transaction."),
    statements: &[Statement::new(|_| Some(select(&LABELS).into()), |_, table, out| emit(&LABELS, table, out))],
};

/// One row for each group, at least one for each database. `labels` are columns of the view, the state first.
pub(in crate::postgres) fn select(labels: &[&str]) -> String {
    let columns = labels.join(", ");
    // The view joins names of users and databases to what the function tells.
    let selected = columns.replace("usename", "pg_get_userbyid(usesysid) AS usename");
    format!(
        "SELECT d.datname, a.* FROM pg_database d LEFT JOIN (SELECT {selected}, count(*), max(extract(epoch FROM now() - xact_start)), \
         datid FROM pg_stat_get_activity(NULL) WHERE pid <> pg_backend_pid() GROUP BY {columns}, datid) a ON a.datid = d.oid ORDER BY d.datname"
    )
}

pub(in crate::postgres) fn emit(names: &[&str], table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut groups: Vec<(Labels, f64, f64)> = Vec::new();
    let mut rows = table.rows().peekable();
    while let Some(database) = rows.peek().map(|row| row.label(0)) {
        let mut empty = [true; STATES.len()];
        while let Some(row) = rows.next_if(|row| row.label(0) == database) {
            let Some(at) = STATES.iter().position(|state| row.text(1) == Some(state)) else { continue };
            empty.iter_mut().skip(at).take(1).for_each(|empty| *empty = false);
            let mut labels = Labels::of(&[("datname", database)]);
            names.iter().enumerate().for_each(|(at, name)| labels.push(name, row.label(at + 1)));
            let (count, age) = (row.number(names.len() + 1), row.number(names.len() + 2));
            groups.push((labels, count.unwrap_or(0.0), age.unwrap_or(0.0).max(0.0)));
        }
        for (state, _) in STATES.iter().zip(empty).filter(|(_, empty)| *empty) {
            let mut labels = Labels::of(&[("datname", database), ("state", state)]);
            names.iter().skip(1).for_each(|name| labels.push(name, ""));
            groups.push((labels, 0.0, 0.0));
        }
    }
    let mut count = out.family(&COUNT);
    groups.iter().for_each(|(labels, sessions, _)| _ = count.add_to(labels, [], *sessions));
    let mut age = out.family(&AGE);
    groups.iter().for_each(|(labels, _, oldest)| _ = age.add_to(labels, [], *oldest));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn states_that_nobody_is_in_have_a_zero() {
        let group = |state, sessions, age| {
            [Some("shop"), state, Some("app"), Some("a\"b"), Some("client backend"), None, None, Some(sessions), age, Some("5")]
        };
        let table = Table::of(&[
            [Some("empty"), None, None, None, None, None, None, None, None, None],
            group(Some("active"), "2", Some("1.25")),
            group(Some("idle"), "3", None),
            group(None, "1", None),
        ]);
        let text = text(|out| emit(&LABELS, &table, out));
        let counts: Vec<_> = text.lines().filter(|line| line.starts_with("pg_stat_activity_count")).collect();
        assert_eq!(counts.len(), 12, "{text}");
        assert_eq!(text.lines().count(), 24);
        assert!(text.contains(
            "pg_stat_activity_count{datname=\"shop\",state=\"active\",usename=\"app\",application_name=\"a\\\"b\",\
             backend_type=\"client backend\",wait_event_type=\"\",wait_event=\"\"} 2\n"
        ));
        assert!(text.contains("wait_event=\"\"} 1.25\n"));
        assert!(text.contains("count{datname=\"empty\",state=\"disabled\",usename=\"\""));
        assert!(!text.contains("count{datname=\"shop\",state=\"active\",usename=\"\""));
    }
}
