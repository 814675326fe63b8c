//! What sessions are doing, looked at every second between scrapes: short waits, which a scrape would miss, show in proportion.
//!
//! One session of its own asks, so that a scrape waits for no look and no look for a scrape. One look at a time: while one is late there is no
//! other, and it then counts for all the time since the last.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::collector::Entry;
use super::session::{Session, Trouble};
use super::table::Table;
use super::target::Access;
use crate::exposition::{Family, Samples};
use crate::settings::Flag;

static SAMPLES: Family = Family::counter(
    "pg_session_samples_total",
    "Seconds in which sessions of clients, with their parallel workers, were seen in this state, waiting for this (empty: they run), by a look each second; \
     its rate is how many there are on average. Idle ones are left out.",
);

/// There is nothing to ask for in a scrape.
pub(super) static ENTRY: Entry = Entry {
    name: "session_samples",
    enabled: Flag::switch(
        "postgres.collector.session_samples",
        false,
        "What sessions do and wait for, looked at each second in one more session.",
    ),
    statements: &[],
};

const SQL: &str = "SELECT state, wait_event_type, wait_event, count(*) FROM pg_stat_get_activity(NULL) WHERE pid <> pg_backend_pid() \
    AND state <> 'idle' AND backend_type IN ('client backend', 'parallel worker') GROUP BY 1, 2, 3";

/// How often to look.
const EVERY: Duration = Duration::from_secs(1);

/// The longest that one look takes, and the most time that it stands for.
const LONGEST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));

/// The shortest and the longest time without a session after one has ended.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// How many combinations are kept apart: PostgreSQL has about 250 things to wait for, and extensions may add theirs.
const MOST: usize = 1_000;

/// What stands for those beyond.
const OTHER: &str = "(other)";

/// State, wait_event_type and wait_event, and in how many seconds they were seen.
type Seen = BTreeMap<[String; 3], f64>;

/// What is shared with whoever looks.
#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    connected: AtomicBool,
}

/// Looks at one server until it is dropped.
pub(super) struct Sampler {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sampler {
    pub(super) fn start(access: Access) -> Self {
        let shared = Arc::<Shared>::default();
        let task = tokio::spawn(run(access, shared.clone())).abort_handle();
        Sampler { shared, task }
    }

    /// How many connections it holds.
    pub(super) fn connections(&self) -> usize {
        self.shared.connected.load(Ordering::Relaxed).into()
    }

    /// Writes what was seen.
    pub(super) fn emit(&self, out: &mut Samples) {
        let seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = out.family(&SAMPLES);
        for ([state, kind, event], seconds) in seen.iter() {
            rows.add([("state", state), ("wait_event_type", kind), ("wait_event", event)], *seconds);
        }
    }
}

/// Keeps a session, and opens another when it ends, later each time that it had nothing to tell.
async fn run(access: Access, shared: Arc<Shared>) {
    let (mut pause, mut told) = (PAUSE.0, String::new());
    loop {
        let reason = match access.open(None, Instant::now() + access.connect_timeout).await {
            Ok(session) => {
                shared.connected.store(true, Ordering::Relaxed);
                let (looks, reason) = look(session, &access, &shared).await;
                shared.connected.store(false, Ordering::Relaxed);
                if looks > 0 {
                    (pause, told) = (PAUSE.0, String::new());
                }
                reason
            }
            Err(refusal) => refusal.reason,
        };
        if reason != told {
            tracing::warn!(part = "postgres", target = access.dsn.address(), error = %reason, "what sessions do is not looked at for now");
            told = reason;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Looks until the session is of no more use: how often it did, and why it ends.
async fn look(mut session: Session, access: &Access, shared: &Shared) -> (u64, String) {
    let (mut looks, mut last) = (0, None);
    let mut timer = interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let limit = access.timeout.min(LONGEST.0);
        let asked = session.ask(&[SQL], (Instant::now() + limit, limit), |_, _, table| {
            let now = Instant::now();
            let since = last.replace(now).map_or(EVERY, |last: Instant| now.duration_since(last).min(LONGEST.1));
            add(&mut shared.seen.lock().unwrap_or_else(PoisonError::into_inner), table, since);
        });
        match asked.await {
            Ok(()) => looks += 1,
            Err(Trouble::Refused(reason) | Trouble::Lost(reason)) => return (looks, reason),
            Err(Trouble::Late) => return (looks, "the server does not answer".to_owned()),
        }
    }
}

/// Adds a look that stands for the time `since` the last.
fn add(seen: &mut Seen, table: &Table, since: Duration) {
    for row in table.rows() {
        let mut key = [0, 1, 2].map(|at| row.label(at).to_owned());
        if seen.len() >= MOST && !seen.contains_key(&key) {
            key = [OTHER; 3].map(str::to_owned);
        }
        *seen.entry(key).or_default() += row.number(3).unwrap_or(0.0) * since.as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_look_counts_for_the_time_since_the_last() {
        let mut seen = Seen::new();
        let table =
            Table::of(&[[Some("active"), Some("Lock"), Some("relation"), Some("2")], [Some("active"), None, None, Some("1")]]);
        add(&mut seen, &table, EVERY);
        add(&mut seen, &table, EVERY * 3);
        let of = |kind: &str, event: &str| seen.get(&["active", kind, event].map(str::to_owned)).copied();
        assert_eq!((of("Lock", "relation"), of("", "")), (Some(8.0), Some(4.0)));
    }

    #[test]
    fn what_is_waited_for_is_bounded() {
        let mut seen = Seen::new();
        for event in 0..MOST + 50 {
            add(&mut seen, &Table::of(&[[Some("active"), Some("Extension"), Some(&event.to_string()), Some("1")]]), EVERY);
        }
        assert_eq!((seen.len(), seen.get(&[OTHER; 3].map(str::to_owned))), (MOST + 1, Some(&50.0)));
    }
}
