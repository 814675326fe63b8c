//! What most servers have none of: standbys, slots, prepared transactions, commands that report their progress. One small statement in each
//! scrape asks which of them there are, and the statements about those that there are not stay out of the message: to plan them costs the
//! server more than all that it then does.

use super::collector::Server;
use super::table::Table;

/// What there has to be for a statement to have rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Whoever receives WAL from this server.
    Standbys,
    Slots,
    Prepared,
    /// The server is a standby.
    Recovery,
    /// A vacuum that runs.
    Vacuum,
    /// Another command that reports its progress.
    Progress,
}

/// Those there are, each with an expression that is true while its gate is open. Functions and not views, which the planner would unfold.
const GATES: [(Gate, &str); 6] = [
    (Gate::Standbys, "EXISTS (SELECT FROM pg_stat_get_wal_senders())"),
    (Gate::Slots, "EXISTS (SELECT FROM pg_get_replication_slots())"),
    (Gate::Prepared, "EXISTS (SELECT FROM pg_prepared_xact())"),
    (Gate::Recovery, "pg_is_in_recovery()"),
    (Gate::Vacuum, "EXISTS (SELECT FROM pg_stat_get_progress_info('VACUUM'))"),
    (Gate::Progress, ""),
];

/// The commands behind [`Gate::Progress`], and since when they report.
const COMMANDS: [(&str, u32); 5] = [("CLUSTER", 12), ("CREATE INDEX", 12), ("ANALYZE", 13), ("BASEBACKUP", 13), ("COPY", 14)];

/// The gates of one session.
pub(super) struct Gates {
    /// The statement that asks for all; `None` where the server refuses it, and so all are open.
    pub(super) sql: Option<String>,
    open: [bool; GATES.len()],
}

impl Gates {
    /// All open, as nobody knows better yet.
    pub(super) fn new(server: &Server) -> Self {
        let of = |(gate, sql): &(Gate, &str)| match gate {
            Gate::Progress => progress(server.major),
            _ => (*sql).to_owned(),
        };
        let all: Vec<String> = GATES.iter().map(of).collect();
        Gates { sql: Some(format!("SELECT {}", all.join(", "))), open: [true; GATES.len()] }
    }

    /// Takes in the answer. What it does not tell is open.
    pub(super) fn read(&mut self, table: &Table) {
        let row = table.rows().next();
        for (at, open) in self.open.iter_mut().enumerate() {
            *open = row.is_none_or(|row| row.text(at) != Some("f"));
        }
    }

    /// Opens all for good.
    pub(super) fn give_up(&mut self) {
        (self.sql, self.open) = (None, [true; GATES.len()]);
    }

    /// Whether a statement behind `gate` is to be asked.
    pub(super) fn is_open(&self, gate: Option<Gate>) -> bool {
        let Some(gate) = gate else { return true };
        GATES.iter().zip(self.open).any(|((known, _), open)| *known == gate && open)
    }
}

fn progress(major: u32) -> String {
    let commands = COMMANDS.iter().filter(|(_, since)| *since <= major);
    let each: Vec<String> =
        commands.map(|(command, _)| format!("EXISTS (SELECT FROM pg_stat_get_progress_info('{command}'))")).collect();
    if each.is_empty() { "false".to_owned() } else { format!("({})", each.join(" OR ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::server;

    #[test]
    fn what_there_is_none_of_is_not_asked_for() {
        let mut gates = Gates::new(&server(15));
        assert!(gates.is_open(Some(Gate::Slots)) && gates.is_open(None));
        gates.read(&Table::of(&[[Some("f"), Some("t"), Some("f"), Some("f"), Some("f"), Some("f")]]));
        assert!(gates.is_open(Some(Gate::Slots)) && gates.is_open(None) && !gates.is_open(Some(Gate::Standbys)));
        gates.read(&Table::of::<6>(&[]));
        assert!(gates.is_open(Some(Gate::Standbys)));
        gates.read(&Table::of(&[[Some("f"); 6]]));
        gates.give_up();
        assert!(gates.is_open(Some(Gate::Progress)) && gates.sql.is_none());
    }

    #[test]
    fn every_version_is_asked_for_what_it_reports() {
        assert!(Gates::new(&server(11)).sql.unwrap().ends_with(", false"));
        assert!(Gates::new(&server(12)).sql.unwrap().contains("CREATE INDEX") && !progress(13).contains("COPY"));
        assert!(progress(14).ends_with("'COPY')))"));
    }
}
