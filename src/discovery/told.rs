//! What was found and what is missing to reach it, for the page and the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exposition::{Family, Samples};

static FOUND: Family = Family::gauge(
    "stack_exporter_discovered_target",
    "A database that was found by itself: how it is reached, whether it has been, and what is missing; 1.",
);

/// Why a server that was found is not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing answers at any address that we know.
    Network,
    /// It answers, and takes nobody now: it starts, stops, or is full.
    Busy,
    /// It wants a password that nobody gave, or another one.
    Password,
    /// It does not know the user, or does not let that user in from here.
    User,
    /// It has no such database.
    Database,
    /// It and we do not agree on TLS.
    Tls,
    /// The file that the label names is not in the folder of secrets.
    Secret,
    /// A label cannot be understood.
    Label,
    /// What answers is not what was looked for.
    Protocol,
}

impl Missing {
    /// One word for the label `missing`.
    pub const fn word(self) -> &'static str {
        match self {
            Missing::Network => "network",
            Missing::Busy => "busy",
            Missing::Password => "password",
            Missing::User => "user",
            Missing::Database => "database",
            Missing::Tls => "tls",
            Missing::Secret => "secret",
            Missing::Label => "label",
            Missing::Protocol => "protocol",
        }
    }

    /// What the operator can do, for the log.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Missing::Network => "join one of its networks, or publish its port",
            Missing::Busy => "see why it starts for so long, or lets nobody in",
            Missing::Password => "name a password file in its label stack-exporter.<part>.password-file",
            Missing::User => "name a user whom it lets in, in its label stack-exporter.<part>.user",
            Missing::Database => "name a database of it in its label stack-exporter.postgres.database",
            Missing::Tls => "set TLS in its label stack-exporter.<part>, or name the server in the file of settings",
            Missing::Secret => "put the file that its label names into the folder --discovery.secrets",
            Missing::Label => "write true, false, or options such as port=5433 into its label stack-exporter.<part>",
            Missing::Protocol => "set its label stack-exporter.<part> to false if it is something else",
        }
    }

    /// Whether it is of no use, and may fill the server's log, to try again soon.
    pub(super) const fn is_final(self) -> bool {
        matches!(self, Missing::Password | Missing::User | Missing::Database | Missing::Tls)
    }
}

/// What is told of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// By which kind of place.
    pub(super) how: &'static str,
    pub(super) missing: Option<Missing>,
}

/// A server that was found, for the operator's page.
#[derive(Clone, Debug)]
pub struct Met {
    /// The part that watches its kind.
    pub part: &'static str,
    /// Its name.
    pub name: String,
    /// By which kind of place it is reached, or could be.
    pub how: &'static str,
    /// What is missing to reach it, in one word, and what to do about it.
    pub missing: Option<(&'static str, &'static str)>,
}

/// What is told of all servers that were found, by part and name.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<BTreeMap<(&'static str, String), State>>>);

impl Told {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, String), State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, part: &'static str, name: &str, state: State) {
        self.lock().insert((part, name.to_owned()), state);
    }

    pub(super) fn remove(&self, part: &'static str, name: &str) {
        self.lock().remove(&(part, name.to_owned()));
    }

    pub(super) fn all(&self) -> Vec<Met> {
        let met = |((part, name), state): (&(&'static str, String), &State)| Met {
            part,
            name: name.clone(),
            how: state.how,
            missing: state.missing.map(|missing| (missing.word(), missing.advice())),
        };
        self.lock().iter().map(met).collect()
    }

    pub(super) fn emit(&self, shown: impl Fn(&str) -> bool, out: &mut Samples) {
        for ((part, name), state) in self.lock().iter().filter(|((part, _), _)| shown(part)) {
            let how = [("how", state.how)].into_iter();
            let missing = state.missing.map(|missing| ("missing", missing.word()));
            let rest = [("part", *part), ("reached", if missing.is_some() { "no" } else { "yes" }), ("target", name)];
            let labels: Vec<(&str, &str)> = how.chain(missing).chain(rest).collect();
            out.family(&FOUND).line("", &Default::default(), &labels, 1.0);
        }
    }
}
