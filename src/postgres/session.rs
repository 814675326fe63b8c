//! One connection to one server: opened, asked, closed. Plain SQL and text results only, so that it works through PgBouncer.
//!
//! postgres_exporter users put session settings into the connection string. Ours go with every message instead (`SET LOCAL`, for its one
//! transaction): behind a pooler in transaction mode a plain SET would stay on a connection that an application uses next.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::Severity;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::collector::Server;
use super::connect::{self, Refusal, words};
use super::dsn::{Dsn, Host};
use super::table::Table;
use super::wire::BUDGET;

/// How long a statement may wait for a lock. None of ours should wait at all.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// Why a message was not answered to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The first statement that was not answered got an error; the ones behind it were not run. The session lives on.
    Refused(String),
    /// The connection is gone.
    Lost(String),
    /// No answer within the time.
    Late,
}

/// An open connection.
pub(super) struct Session {
    client: Client,
    /// What was learned of the server when the session was opened.
    pub(super) server: Server,
    /// Who listens at the socket, if it is one: the postmaster, by its number in our own namespace.
    pub(super) peer: Option<u32>,
    budget: Arc<AtomicUsize>,
    driver: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        // A driver left alone would wait for the answers of a server that hangs.
        self.driver.abort();
    }
}

impl Session {
    /// Connects to the first host of `dsn` that lets us in.
    pub(super) async fn open(dsn: &Dsn, deadline: Instant) -> Result<Session, Refusal> {
        let mut refusal = Refusal { reason: "no host".to_owned(), wait: false };
        for (at, host) in dsn.hosts.iter().enumerate() {
            // The time left is shared among the hosts left.
            let left = deadline.saturating_duration_since(Instant::now());
            let hosts = u32::try_from(dsn.hosts.len() - at).unwrap_or(u32::MAX);
            let until = Instant::now() + left / hosts;
            match timeout_at(until, Session::open_at(dsn, host, until)).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) => refusal = error,
                Err(_) => refusal = Refusal::waiting(format!("{} does not answer", host.shown())),
            }
        }
        Err(refusal)
    }

    /// A PgBouncer's console has no version that we could ask for as a server's.
    async fn open_at(dsn: &Dsn, host: &Host, until: Instant) -> Result<Session, Refusal> {
        let budget = Arc::new(AtomicUsize::new(BUDGET));
        let (client, driver, peer) = connect::connect(dsn, host, &budget).await?;
        let mut session = Session { client, server: Server::default(), peer, budget, driver };
        if dsn.pgbouncer {
            return Ok(session);
        }
        let mut server = Err(Refusal::waiting("no version"));
        let sql = ["SELECT current_setting('server_version_num'), version()"];
        let limit = until.saturating_duration_since(Instant::now());
        let asked = session.ask(&sql, (until, limit), |_, _, table| {
            server = Server::read(table, &dsn.address()).map_err(|fault| Refusal::waiting(fault.to_string()));
        });
        match asked.await {
            Ok(()) => {}
            Err(Trouble::Late) => return Err(Refusal::waiting(format!("{} does not answer", host.shown()))),
            Err(Trouble::Refused(reason) | Trouble::Lost(reason)) => return Err(Refusal::waiting(reason)),
        }
        session.server = server?;
        Ok(session)
    }

    /// Whether the connection is known to be gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs `statements` as one message, in one transaction that can only read, and calls `done` with the number, the duration and the
    /// rows of each statement as they come in. Past `until` the session is of no more use; a statement that takes longer than `limit` is refused.
    pub(super) async fn ask(
        &mut self,
        statements: &[&str],
        (until, limit): (Instant, Duration),
        mut done: impl FnMut(usize, Duration, &Table),
    ) -> Result<(), Trouble> {
        self.budget.store(BUDGET, Ordering::Relaxed);
        let message = message(statements, limit);
        let client = &self.client;
        let (mut index, mut table) = (0, Table::default());
        let answers = async {
            let mut stream = pin!(client.simple_query_raw(&message).await?);
            let mut last = Instant::now();
            while let Some(answer) = stream.next().await {
                match answer? {
                    SimpleQueryMessage::RowDescription(columns) => table.begin(columns.len()),
                    SimpleQueryMessage::Row(row) => (0..row.len()).for_each(|at| table.push(row.try_get(at).ok().flatten())),
                    SimpleQueryMessage::CommandComplete(_) => {
                        if let Some(number) = usize::checked_sub(index, PRELUDE) {
                            let now = Instant::now();
                            done(number, now.duration_since(last), &table);
                            last = now;
                            table.begin(0);
                        }
                        index += 1;
                    }
                    _ => {}
                }
            }
            Ok(())
        };
        match timeout_at(until, answers).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(trouble(&error, index)),
            Err(_) => Err(Trouble::Late),
        }
    }
}

/// The names of the columns, the rows, and how many rows were too many.
pub(super) type Rows = (Vec<String>, Table, usize);

/// A message, how many statements of ours are missing in it, and the most rows that are kept of its answer.
type Asked<'a> = (&'a str, usize, usize);

impl Session {
    /// Runs one statement of the operator's as [`ask`](Session::ask) runs ours, with dates as ISO 8601 has them. Beyond `most` rows
    /// nothing is kept.
    pub(super) async fn query(&mut self, statement: &str, until: Instant, most: usize) -> Result<Rows, Trouble> {
        let message = message(&["SET LOCAL datestyle = 'ISO'", statement], until.saturating_duration_since(Instant::now()));
        self.rows((&message, 0, most), until).await
    }

    /// Runs one command of PgBouncer's console, which knows neither transactions nor settings.
    pub(super) async fn show(&mut self, command: &str, until: Instant, most: usize) -> Result<(Vec<String>, Table), Trouble> {
        let (names, table, _) = self.rows((command, PRELUDE, most), until).await?;
        Ok((names, table))
    }

    async fn rows(&mut self, (message, missing, most): Asked<'_>, until: Instant) -> Result<Rows, Trouble> {
        self.budget.store(QUERY_BUDGET, Ordering::Relaxed);
        let (mut index, mut names, mut table, mut rows) = (missing, Vec::new(), Table::default(), 0);
        let answers = async {
            let mut stream = pin!(self.client.simple_query_raw(message).await?);
            while let Some(answer) = stream.next().await {
                match answer? {
                    SimpleQueryMessage::RowDescription(columns) => {
                        names = columns.iter().map(|column| column.name().to_owned()).collect();
                        table.begin(columns.len());
                    }
                    SimpleQueryMessage::Row(row) => {
                        if rows < most {
                            (0..row.len()).for_each(|at| table.push(row.try_get(at).ok().flatten()));
                        }
                        rows += 1;
                    }
                    SimpleQueryMessage::CommandComplete(_) => index += 1,
                    _ => {}
                }
            }
            Ok(())
        };
        match timeout_at(until, answers).await {
            Ok(Ok(())) => Ok((names, table, rows.saturating_sub(most))),
            Ok(Err(error)) => Err(trouble(&error, index)),
            Err(_) => Err(Trouble::Late),
        }
    }
}

/// What one statement of the operator's may answer.
const QUERY_BUDGET: usize = 16 * 1024 * 1024;

/// How many statements of ours stand before the collectors'.
const PRELUDE: usize = 3;

fn message(statements: &[&str], time: Duration) -> String {
    // The server gives up a little before we do: a statement that is cancelled costs less than a connection. PostgreSQL 10 starts the
    // clock before it is set, so there only our own deadline holds.
    let millis = (time.as_millis() * 9 / 10).max(1);
    let mut sql = format!(
        "SET LOCAL statement_timeout = {millis}; SET LOCAL lock_timeout = {}; SET LOCAL transaction_read_only = on",
        LOCK_TIMEOUT.as_millis()
    );
    for statement in statements {
        sql.push_str("; ");
        sql.push_str(statement);
    }
    sql
}

fn trouble(error: &tokio_postgres::Error, index: usize) -> Trouble {
    let fatal =
        error.as_db_error().is_none_or(|error| matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic)));
    // An error before the first statement of a collector is one of the whole message.
    if fatal || index < PRELUDE { Trouble::Lost(words(error)) } else { Trouble::Refused(words(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_brings_its_limits() {
        assert_eq!(
            message(&["SELECT 1", "SELECT 2"], Duration::from_secs(5)),
            "SET LOCAL statement_timeout = 4500; SET LOCAL lock_timeout = 100; SET LOCAL transaction_read_only = on; SELECT 1; SELECT 2"
        );
        assert!(message(&[], Duration::ZERO).contains("statement_timeout = 1;"), "0 would be no limit at all");
    }
}
