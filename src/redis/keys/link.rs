//! A connection for key work: opened when needed, moved between databases, and slowed down to a budget. The connection that
//! scrapes use stays out of it: no SELECT must reach that one, and no scrape must wait behind a SCAN.

use std::time::{Duration, Instant};

use super::super::resp::{Cmd, Value};

use super::super::connection::{Connection, Failure};
use super::super::reply;
use super::super::target::Target;
use super::super::worker::Manner;

/// What key work in the background may cost.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Budget {
    /// Share of its time that the server may spend on us, at most: the time of a round trip is counted as the server's.
    pub(super) share: f64,
    /// Keys a second, at most.
    pub(super) keys: f64,
}

impl Budget {
    /// How long to rest after a round trip of `took` that dealt with `keys` keys.
    fn rest(self, took: Duration, keys: usize) -> Duration {
        let for_share = took.mul_f64((1.0 / self.share - 1.0).max(0.0));
        let for_keys = Duration::try_from_secs_f64(super::pass::count(keys) / self.keys).unwrap_or(took);
        for_share.max(for_keys.saturating_sub(took))
    }
}

/// A connection, or the wish for one.
pub(in super::super) struct Link {
    target: Target,
    manner: Manner,
    budget: Option<Budget>,
    connection: Option<Connection>,
    database: u32,
    /// Time spent on round trips so far.
    pub(super) waited: Duration,
}

impl Link {
    pub(in super::super) fn new(target: Target, manner: Manner, budget: Option<Budget>) -> Self {
        Link { target, manner, budget, connection: None, database: 0, waited: Duration::ZERO }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_none()
    }

    /// One round trip in `database`, dealing with `keys` keys; one reply for each command, errors among them.
    pub(in super::super) async fn ask(&mut self, database: u32, keys: usize, commands: Vec<Cmd>) -> Result<Vec<Value>, Failure> {
        let start = Instant::now();
        let result = tokio::time::timeout(self.manner.timeout, self.send(database, commands)).await;
        let took = start.elapsed();
        self.waited += took;
        let result = result.unwrap_or_else(|_| Err(Failure::Late(self.target.endpoint.clone())));
        if result.is_err() {
            self.connection = None;
        }
        // After a failure that ends the search there is nothing to rest for.
        if let (Ok(_) | Err(Failure::Refused(_)), Some(budget)) = (&result, self.budget) {
            tokio::time::sleep(budget.rest(took, keys)).await;
        }
        result
    }

    async fn send(&mut self, database: u32, commands: Vec<Cmd>) -> Result<Vec<Value>, Failure> {
        let mut first = Vec::new();
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.database = 0;
                if let Some((user, password)) = self.target.credentials().map_err(Failure::Password)? {
                    first.push(Cmd::login(user, &password));
                }
                Connection::open(&self.target.endpoint, &self.target.tls).await?
            }
        };
        // Put back only when all went well: what is cut off in the middle is not used again.
        let mut connection = connection;
        if self.database != database {
            first.push(Cmd::of(&[b"SELECT", database.to_string().as_bytes()]));
        }
        let ours = first.len();
        let mut replies = connection.ask(first.into_iter().chain(commands)).await?;
        let theirs = replies.split_off(ours.min(replies.len()));
        if let Some(words) = replies.iter().find_map(reply::refusal) {
            // Some servers quote what they were sent.
            let code = words.split(' ').next().unwrap_or_default();
            return Err(Failure::Refused(code.to_owned()));
        }
        (self.connection, self.database) = (Some(connection), database);
        Ok(theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_for_the_stricter_limit() {
        let budget = Budget { share: 0.02, keys: 1000.0 };
        let rest = |milliseconds, keys| budget.rest(Duration::from_millis(milliseconds), keys).as_millis();
        assert_eq!((rest(10, 1), rest(10, 1000), rest(0, 0)), (490, 990, 0));
    }
}
