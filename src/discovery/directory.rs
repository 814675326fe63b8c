//! All containers that the engine tells of, kept up to date, for whoever wants to know.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::container::Container;

/// How an engine's answers go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Whether it answers.
    pub up: bool,
    /// Why it does not, or what it last failed to tell. Short and without anything that changes by itself.
    pub last_error: Option<String>,
    /// Its version, once it has told.
    pub version: Option<String>,
}

/// The containers that the engine of this machine knows, kept up to date in the background. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: RwLock<Inner>,
    /// Sends whenever a container comes, goes or changes, and when the engine comes or goes.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    engine: Engine,
    containers: HashMap<String, Arc<Container>>,
}

impl Directory {
    /// The container of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Container>> {
        self.read().containers.get(id).cloned()
    }

    /// All containers that run, and the latest of those that do not and are not removed yet.
    pub fn all(&self) -> Vec<Arc<Container>> {
        self.read().containers.values().cloned().collect()
    }

    /// How the engine does.
    pub fn engine(&self) -> Engine {
        self.read().engine.clone()
    }

    /// Wakes whoever waits for it when any of this changes.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Puts in a container, in place of an earlier description.
    pub(super) fn put(&self, container: Container) {
        let mut inner = self.write();
        // The same description stays the same object: whoever rendered it need not do so again.
        if inner.containers.get(&container.id).is_none_or(|known| **known != container) {
            inner.containers.insert(container.id.clone(), Arc::new(container));
            self.shared.changed.send_replace(());
        }
    }

    /// Forgets all containers but those whose id is to be kept.
    pub(super) fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        let mut inner = self.write();
        let before = inner.containers.len();
        inner.containers.retain(|id, _| keep(id));
        if inner.containers.len() != before {
            self.shared.changed.send_replace(());
        }
    }

    /// Notes how the engine does.
    pub(super) fn note(&self, change: impl FnOnce(&mut Engine)) {
        let mut inner = self.write();
        let before = inner.engine.clone();
        change(&mut inner.engine);
        if inner.engine != before {
            self.shared.changed.send_replace(());
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.shared.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.shared.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}
