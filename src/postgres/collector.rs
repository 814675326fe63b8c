//! What a collector of this part is: statements, and what becomes of their answers.

use std::borrow::Cow;
use std::sync::Arc;

use super::gates::Gate;
use super::options::Options;
use super::processes::Processes;
use super::schedule::Schedule;
use super::table::Table;
use crate::exposition::Samples;
use crate::settings::Flag;
use crate::system::Fault;

/// A collector: one file, one flag, one or two statements.
pub(super) struct Entry {
    /// The same as the file, the flag and the label.
    pub(super) name: &'static str,
    /// `--postgres.collector.<name>`.
    pub(super) enabled: Flag,
    pub(super) statements: &'static [Statement],
}

/// One statement. It must never wait for a lock of the application's: what opens user tables leaves out those that are locked.
pub(super) struct Statement {
    /// The statement for a server; `None` where it lacks what the collector reads. Statements of the same text are asked once.
    pub(super) sql: Sql,
    /// Writes the samples of the answer.
    pub(super) emit: Emit,
    /// Whether it reads the disk and so has to stand behind those that only read memory.
    pub(super) slow: bool,
    /// On what schedule its rows are kept, because they cost the server much and change slowly.
    pub(super) kept: Option<Schedule>,
    /// Whether its rows say if what is kept of the collector still holds: once they are others, it is asked for again.
    pub(super) stamp: bool,
    /// Without what it is not asked, since it would have no rows.
    pub(super) gate: Option<Gate>,
}

/// Makes a statement for a server.
type Sql = fn(&Server) -> Option<Cow<'static, str>>;

/// Writes samples of rows.
type Emit = fn(&Server, &Table, &mut Samples) -> Result<(), Fault>;

impl Statement {
    /// A statement that answers from the server's memory.
    pub(super) const fn new(sql: Sql, emit: Emit) -> Self {
        Statement { sql, emit, slow: false, kept: None, stamp: false, gate: None }
    }

    /// A statement that reads the disk.
    pub(super) const fn slow(sql: Sql, emit: Emit) -> Self {
        Statement { slow: true, ..Statement::new(sql, emit) }
    }

    /// A statement that is asked when its `schedule` says so.
    pub(super) const fn kept(schedule: Schedule, sql: Sql, emit: Emit) -> Self {
        Statement { kept: Some(schedule), ..Statement::new(sql, emit) }
    }

    /// A statement that asks for sizes: every file of every relation is looked at.
    pub(super) const fn sizes(sql: Sql, emit: Emit) -> Self {
        Statement::kept(Schedule::Sizes, sql, emit)
    }

    /// A statement, asked each time, that writes nothing and answers the same as long as what is kept of its collector holds.
    pub(super) const fn stamp(sql: Sql) -> Self {
        Statement { stamp: true, ..Statement::new(sql, |_, _, _| Ok(())) }
    }

    /// A statement that has rows only where `gate` is open.
    pub(super) const fn behind(gate: Gate, sql: Sql, emit: Emit) -> Self {
        Statement { gate: Some(gate), ..Statement::new(sql, emit) }
    }
}

/// What a session learned about its server when it was opened.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// Major version: 10 to 18.
    pub(super) major: u32,
    /// The text of `version()`.
    pub(super) version: String,
    /// Major and minor version in three parts: `15.18.0`.
    pub(super) short_version: String,
    /// `host:port` of the connection string, the value of the label `server`.
    pub(super) address: String,
    /// The memory that it may use in bytes; `None` for a server elsewhere.
    pub(super) memory: Option<f64>,
    /// Its postmaster by its number in the process table that we see, if it is on this machine.
    pub(super) postmaster: Option<u32>,
    pub(super) processes: Arc<Processes>,
    /// What the operator wants to see of it.
    pub(super) options: Arc<Options>,
}

impl Server {
    /// From the row `(server_version_num, version())`.
    pub(super) fn read(table: &Table, address: &str) -> Result<Server, Fault> {
        let unreadable = || Fault::parse("the server's version", table.rows().next().map_or("", |row| row.label(0)).as_bytes());
        let row = table.rows().next().ok_or_else(unreadable)?;
        let number: u32 = row.text(0).and_then(|text| text.parse().ok()).ok_or_else(unreadable)?;
        let (major, minor) = (number / 10_000, number % 10_000);
        if major < 10 {
            return Err(Fault::Remote(format!("server version {number} is older than PostgreSQL 10")));
        }
        let short_version = format!("{major}.{minor}.0");
        let (version, address) = (row.label(1).to_owned(), address.to_owned());
        Ok(Server { major, version, short_version, address, ..Server::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let text = "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu";
        let server = Server::read(&Table::of(&[[Some("150018"), Some(text)]]), "db:5432").unwrap();
        assert_eq!((server.major, server.short_version.as_str()), (15, "15.18.0"));
        assert!(Server::read(&Table::of(&[[Some("90624"), Some("")]]), "").unwrap_err().to_string().contains("older than"));
        for odd in [Table::of::<2>(&[]), Table::of(&[[None, None]]), Table::of(&[[Some("x"), None]])] {
            assert!(Server::read(&odd, "").is_err());
        }
    }
}
