//! One server: its kept session, when to open a new one, and what its state is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::collector::{Entry, Server};
use super::connect::Refusal;
use super::databases::Databases;
use super::dsn::Dsn;
use super::options::Options;
use super::queries::Runner;
use super::round::{self, Plan, Round};
use super::session::{Session, Trouble};
use super::session_samples::Sampler;
use super::side::Side;
use super::{asked, session_samples, targets, up};
use crate::exposition::{Labels, Samples};
use crate::scrape::{Job, Worker};
use crate::system::Fault;

/// The shortest and the longest time without a new attempt after one that should not be repeated soon.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// How to reach a server, and for how long to try.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) dsn: Dsn,
    /// Read for each connection, so that a password can be changed under way.
    pub(super) password_file: Option<PathBuf>,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
}

impl Access {
    /// Opens a session, in `database` if one is given.
    pub(super) async fn open(&self, database: Option<&str>, until: Instant) -> Result<Session, Refusal> {
        let mut dsn = self.dsn.clone();
        if let Some(path) = &self.password_file {
            dsn.password = Some(targets::password(path).map_err(|reason| Refusal { reason, wait: false })?);
        }
        dsn.database = database.map(str::to_owned).or(dsn.database);
        Session::open(&dsn, until).await
    }
}

/// The worker of one target.
pub(super) struct Target {
    access: Access,
    side: Side,
    labels: Labels,
    collectors: Vec<&'static Entry>,
    options: Arc<Options>,
    queries: Runner,
    session: Option<Session>,
    plan: Option<Plan>,
    databases: Databases,
    sampler: Option<Sampler>,
    pause: Option<Pause>,
    scrapes: u64,
}

/// After a refusal: until when nothing is tried, and what is told meanwhile.
struct Pause {
    until: Instant,
    length: Duration,
    reason: String,
}

impl Target {
    pub(super) fn new(
        access: Access,
        side: Side,
        labels: Labels,
        collectors: Vec<&'static Entry>,
        options: Arc<Options>,
    ) -> Self {
        let queries = Runner::new(options.queries.clone());
        let samples = collectors.iter().any(|entry| std::ptr::eq(*entry, &session_samples::ENTRY));
        let sampler = samples.then(|| Sampler::start(access.clone()));
        Target {
            access,
            side,
            labels,
            collectors,
            options,
            queries,
            session: None,
            plan: None,
            databases: Databases::default(),
            sampler,
            pause: None,
            scrapes: 0,
        }
    }

    /// The session that is kept, or a new one.
    async fn session(&mut self, until: Instant) -> Result<&mut Session, String> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            self.session = None;
            if let Some(pause) = self.pause.as_ref().filter(|pause| Instant::now() < pause.until) {
                return Err(pause.reason.clone());
            }
            match self.access.open(None, until.min(Instant::now() + self.access.connect_timeout)).await {
                Ok(mut session) => {
                    session.server.options = self.options.clone();
                    session.server.processes = self.side.processes.clone();
                    session.server.postmaster = self.side.postmaster(session.peer);
                    self.side.forget();
                    self.plan = Some(round::plan(&self.collectors, &session.server, self.plan.take()));
                    self.session = Some(session);
                }
                Err(Refusal { reason, wait }) => {
                    if wait {
                        self.rest(&reason);
                    }
                    return Err(reason);
                }
            }
        }
        self.session.as_mut().ok_or_else(|| "no session".to_owned())
    }

    /// Tries nothing for a while, longer each time.
    fn rest(&mut self, reason: &str) {
        let length = self.pause.as_ref().map_or(PAUSE.0, |pause| (pause.length * 2).min(PAUSE.1));
        self.pause = Some(Pause { until: Instant::now() + length, length, reason: reason.to_owned() });
    }

    /// Runs one round. A kept connection that turns out to be dead is opened anew once.
    async fn run(&mut self, round: &mut Round<'_>, until: Instant) -> Result<Server, String> {
        loop {
            let kept = self.session.is_some();
            self.session(until).await?;
            let (Some(session), Some(plan)) = (&mut self.session, &mut self.plan) else { return Err("no session".to_owned()) };
            session.server.memory = self.side.memory(session.peer);
            let server = session.server.clone();
            let Err(trouble) = round.ask(session, plan, until).await else {
                self.pause = None;
                return Ok(server);
            };
            self.session = None;
            let reason = match trouble {
                Trouble::Lost(_) if kept => continue,
                // The server did answer, only not all: the collectors that are missing say so.
                Trouble::Late if round.answered => return Ok(server),
                Trouble::Late => "the server does not answer".to_owned(),
                Trouble::Lost(reason) | Trouble::Refused(reason) => reason,
            };
            self.rest(&reason);
            return Err(reason);
        }
    }
}

impl Worker for Target {
    async fn collect(&mut self, job: &Job) {
        let start = Instant::now();
        // A part of the time is kept back to hand in what there is before the page leaves.
        let time = (job.remaining() * 9 / 10).min(self.access.timeout);
        let address = self.access.dsn.address();
        let labels = if job.is_plain() { Labels::new() } else { self.labels.clone() };
        let mut round = Round::new(job, &self.collectors, |name| self.options.compat.labels(name, labels.clone(), &address));
        let outcome = self.run(&mut round, start + time).await;
        self.scrapes += 1;
        let mut samples = Samples::with_common(labels.clone());
        up::emit(outcome.as_ref().ok(), &self.options, start.elapsed(), self.scrapes, &mut samples);
        let others = self.databases.connections() + self.sampler.as_ref().map_or(0, Sampler::connections);
        asked::emit_connections(usize::from(self.session.is_some()) + others, &mut samples);
        self.plan.iter().for_each(|plan| plan.emit_failures(&mut samples));
        if let Ok(server) = &outcome {
            self.plan.iter().for_each(|plan| plan.emit_refused(&mut samples));
            self.plan.iter().for_each(|plan| plan.emit_asked(&mut samples));
            self.sampler.iter().filter(|_| job.wants(session_samples::ENTRY.name)).for_each(|sampler| sampler.emit(&mut samples));
            if let Some(listed) = round.databases.take() {
                if self.databases.follow(&listed, &self.access, &self.options, &self.collectors) {
                    self.plan.iter_mut().for_each(|plan| plan.forget("database"));
                }
                self.databases.emit(job, server, &labels, &mut samples);
            }
        }
        let result = match outcome {
            Ok(_) => {
                round.give_up(|| Fault::Late);
                Ok(())
            }
            Err(reason) => {
                round.give_up(|| Fault::Down);
                Err(Fault::Remote(reason))
            }
        };
        job.hand_in(up::NAME, start.elapsed(), result, &mut samples);
        match &mut self.session {
            Some(session) => {
                if !self.queries.collect(job, session, &labels, start + time).await {
                    self.session = None;
                }
            }
            None => self.queries.give_up(job),
        }
    }

    fn reset(&mut self) {
        self.session = None;
    }
}
