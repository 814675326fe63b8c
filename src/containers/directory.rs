//! What the engines tell of their containers, in plain types for whoever wants to know.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// A container as its engine describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// As the user calls it.
    pub name: String,
    /// As the user wrote it when the container was made.
    pub image: String,
    /// All labels, whether or not they are shown.
    pub labels: BTreeMap<String, String>,
    /// The first process, in the host's numbering; `None` when it does not run.
    pub pid: Option<u32>,
    /// When it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// When it was started last, in seconds since 1970.
    pub started: Option<i64>,
    /// What its health check says.
    pub health: Option<Health>,
    /// Whether it lives in another container's network, or the host's.
    pub joins_network: bool,
}

/// A container's state of health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// There is no health check.
    Unchecked,
    /// The last check was passed.
    Healthy,
    /// Checks failed, or none has been passed yet.
    Unhealthy,
}

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
    inner: Arc<RwLock<Inner>>,
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

    /// All containers that run.
    pub fn all(&self) -> Vec<Arc<Container>> {
        self.read().containers.values().cloned().collect()
    }

    /// How the engine does.
    pub fn engine(&self) -> Engine {
        self.read().engine.clone()
    }

    /// Puts in a container, in place of an earlier description.
    pub(super) fn put(&self, container: Container) {
        let mut inner = self.write();
        // The same description stays the same object: whoever rendered it need not do so again.
        if inner.containers.get(&container.id).is_none_or(|known| **known != container) {
            inner.containers.insert(container.id.clone(), Arc::new(container));
        }
    }

    /// Forgets all containers but those whose id is to be kept.
    pub(super) fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.write().containers.retain(|id, _| keep(id));
    }

    /// Notes how the engine does.
    pub(super) fn note(&self, change: impl FnOnce(&mut Engine)) {
        change(&mut self.write().engine);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}
