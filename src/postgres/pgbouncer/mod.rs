//! `pgbouncer_*`: PgBouncer 1.12 and later, in place of pgbouncer_exporter, by the SHOW commands of its console.
//!
//! The console is a database called `pgbouncer`, which admin_users and stats_users may connect to. It knows the simple protocol, one command
//! in a message and no transactions.

mod families;

use std::time::Duration;

use tokio::time::Instant;

use super::session::{Session, Trouble};
use super::target::Access;
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::{Job, Worker};
use crate::system::Fault;

/// The name of the one collector of such a target.
pub(super) const NAME: &str = "pgbouncer";

static UP: Family = Family::gauge("pgbouncer_up", "1 if PgBouncer let us in and answered all commands in this scrape.");

/// How long nothing is tried after an attempt that should not be repeated soon.
const PAUSE: Duration = Duration::from_secs(5);

/// The most rows of one command that are read: a pool for each user and database.
const MOST: usize = 10_000;

/// The worker of one PgBouncer.
pub(super) struct Bouncer {
    access: Access,
    labels: Labels,
    session: Option<Session>,
    /// Until when nothing is tried, and what is told meanwhile.
    pause: Option<(Instant, String)>,
}

impl Bouncer {
    pub(super) fn new(access: Access, labels: Labels) -> Self {
        Bouncer { access, labels, session: None, pause: None }
    }

    /// The session that is kept, or a new one.
    async fn session(&mut self, until: Instant) -> Result<&mut Session, String> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            self.session = None;
            if let Some((_, reason)) = self.pause.as_ref().filter(|(end, _)| Instant::now() < *end) {
                return Err(reason.clone());
            }
            self.pause = None;
            match self.access.open(None, until.min(Instant::now() + self.access.connect_timeout)).await {
                Ok(session) => self.session = Some(session),
                Err(refusal) => {
                    if refusal.wait {
                        self.pause = Some((Instant::now() + PAUSE, refusal.reason.clone()));
                    }
                    return Err(refusal.reason);
                }
            }
        }
        self.session.as_mut().ok_or_else(|| "no session".to_owned())
    }

    /// Runs all commands. One that is refused costs its own families only; a kept connection that turns out to be dead is opened anew once.
    async fn read(&mut self, until: Instant, out: &mut Samples) -> Result<(), String> {
        let mut result = Ok(());
        for shown in families::ALL {
            let kept = self.session.is_some();
            let mut answer = self.session(until).await?.show(shown.command, until, MOST).await;
            if matches!(answer, Err(Trouble::Lost(_))) && kept {
                self.session = None;
                answer = self.session(until).await?.show(shown.command, until, MOST).await;
            }
            match answer {
                Ok((names, table)) => (shown.emit)(&names, &table, out),
                Err(Trouble::Refused(reason)) => result = Err(reason),
                Err(trouble) => {
                    self.session = None;
                    return Err(match trouble {
                        Trouble::Lost(reason) | Trouble::Refused(reason) => reason,
                        Trouble::Late => "PgBouncer does not answer".to_owned(),
                    });
                }
            }
        }
        result
    }
}

impl Worker for Bouncer {
    async fn collect(&mut self, job: &Job) {
        if !job.wants(NAME) {
            return;
        }
        let start = Instant::now();
        let until = start + (job.remaining() * 9 / 10).min(self.access.timeout);
        let mut samples = Samples::with_common(if job.is_plain() { Labels::new() } else { self.labels.clone() });
        let result = self.read(until, &mut samples).await;
        samples.family(&UP).add([], result.is_ok());
        job.hand_in(NAME, start.elapsed(), result.map_err(Fault::Remote), &mut samples);
    }

    fn reset(&mut self) {
        self.session = None;
    }
}
