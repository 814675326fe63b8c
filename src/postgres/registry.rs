//! All servers that are watched now, and how a source is made of one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::collector::Entry;
use super::options::Options;
use super::pgbouncer::{self, Bouncer};
use super::side::Side;
use super::target::{Access, Target};
use super::{databases, queries, session_samples, up};
use crate::exposition::Labels;
use crate::scrape::{Job, Part, Source, Sources, Worker};
use crate::system::Roots;

/// The servers that are watched, and what is asked of every one.
pub(super) struct Registry {
    pub(super) sources: Sources,
    roots: Roots,
    enabled: Vec<&'static Entry>,
    options: Arc<Options>,
    /// How each is reached, by the name of its source.
    known: Mutex<BTreeMap<String, Access>>,
}

impl Registry {
    pub(super) fn new(sources: Sources, roots: Roots, enabled: Vec<&'static Entry>, options: Options) -> Self {
        Registry { sources, roots, enabled, options: Arc::new(options), known: Mutex::default() }
    }

    /// Watches a server; without a label it is the only one of its kind.
    pub(super) fn add(&self, label: Option<&str>, access: Access) {
        let labels = label.map_or_else(Labels::new, |label| Labels::of(&[("target", label)]));
        let address = access.dsn.address();
        let name = label.unwrap_or(&address);
        let watched = self.watch(name, access.clone(), labels.clone(), self.enabled.clone());
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), access);
        self.sources.add(
            self.source(name, &self.enabled, watched.is_server(), watched).with_labels(labels).at(address.clone(), "settings"),
        );
    }

    /// Watches a server no longer.
    pub(super) fn remove(&self, name: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.sources.remove(Part::Postgres, name);
    }

    /// The server that is called `text` or, where none is, the first at that address; and how it is reached.
    pub(super) fn find(&self, text: &str) -> Option<(String, Access)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let named = known.get_key_value(text);
        let found = named.or_else(|| known.iter().find(|(_, access)| access.dsn.address() == text));
        found.map(|(name, access)| (name.clone(), access.clone()))
    }

    /// The source of a server that is asked once: of its other databases and of samples, which are looked at in the background, there is nothing
    /// to tell.
    pub(super) fn visit<W: Worker>(&self, access: Access, wrap: impl FnOnce(Watched) -> W) -> Source {
        let mut enabled = self.enabled.clone();
        enabled.retain(|entry| ![&databases::ENTRY, &session_samples::ENTRY].iter().any(|other| std::ptr::eq(*entry, *other)));
        let name = access.dsn.address();
        let watched = self.watch(&name, access, Labels::new(), enabled.clone());
        self.source(&name, &enabled, watched.is_server(), wrap(watched))
    }

    fn watch(&self, name: &str, access: Access, labels: Labels, enabled: Vec<&'static Entry>) -> Watched {
        if access.dsn.pgbouncer {
            Watched::Bouncer(Box::new(Bouncer::new(access, labels)))
        } else {
            let side = Side::of(&access.dsn, name, &self.roots, &self.sources);
            Watched::Server(Box::new(Target::new(access, side, labels, enabled, self.options.clone())))
        }
    }

    fn source(&self, name: &str, enabled: &[&'static Entry], is_server: bool, worker: impl Worker) -> Source {
        if !is_server {
            return Source::task(Part::Postgres, name, vec![pgbouncer::NAME], worker);
        }
        let own = (!self.options.queries.is_empty()).then_some(queries::NAME);
        let collectors = std::iter::once(up::NAME).chain(own).chain(enabled.iter().map(|entry| entry.name)).collect();
        Source::task(Part::Postgres, name, collectors, worker)
    }
}

/// What is asked: a server, or a PgBouncer's console.
pub(super) enum Watched {
    Server(Box<Target>),
    Bouncer(Box<Bouncer>),
}

impl Watched {
    fn is_server(&self) -> bool {
        matches!(self, Watched::Server(_))
    }
}

impl Worker for Watched {
    async fn collect(&mut self, job: &Job) {
        match self {
            Watched::Server(target) => target.collect(job).await,
            Watched::Bouncer(bouncer) => bouncer.collect(job).await,
        }
    }

    fn reset(&mut self) {
        match self {
            Watched::Server(target) => target.reset(),
            Watched::Bouncer(bouncer) => bouncer.reset(),
        }
    }
}
