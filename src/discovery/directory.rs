//! All containers that the engines tell of, kept up to date, for whoever wants to know.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::container::Container;
use super::engine::Product;
use super::facts::State;
use super::holdings::Holdings;
use super::streams::Streams;

/// How an engine's answers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Which software it is.
    pub product: Product,
    /// Where it listens: `unix:///run/podman/podman.sock`.
    pub address: String,
    /// Whether it answers.
    pub up: bool,
    /// Why it does not, or what it last failed to tell. Short and without anything that changes by itself.
    pub last_error: Option<String>,
    /// Its version, once it has told.
    pub version: Option<String>,
}

/// The containers that the engines of this machine know, kept up to date in the background. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What each engine told. One that two engines know (Docker and its containerd) is the former's.
    inner: RwLock<BTreeMap<(Product, String), Told>>,
    /// Sends whenever a container comes, goes or changes, and when an engine comes or goes.
    changed: watch::Sender<()>,
    /// Variables of containers' environments that are kept.
    variables: Vec<String>,
    /// Figures from the engines, where there are none from the kernel.
    streams: Streams,
}

/// What one engine told.
#[derive(Debug)]
struct Told {
    engine: Engine,
    containers: HashMap<String, Arc<Container>>,
    /// Containers in each of [`State::ALL`] that are not kept, since they are too many.
    unlisted: Counts,
    holdings: Arc<Holdings>,
}

/// Containers in each state, in the order of [`State::ALL`].
pub type Counts = [u64; State::ALL.len()];

/// What an engine has.
#[derive(Clone, Debug)]
pub struct Stock {
    /// Which engine.
    pub engine: Engine,
    /// Its containers; none in any state where it does not tell of states.
    pub containers: Counts,
    /// All else.
    pub holdings: Arc<Holdings>,
}

impl Directory {
    /// An empty one, of whose containers these variables are kept.
    pub(crate) fn keeping(variables: Vec<String>) -> Self {
        Directory { shared: Arc::new(Shared { variables, ..Shared::default() }) }
    }

    /// The container of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Container>> {
        self.read().values().find_map(|told| told.containers.get(id)).cloned()
    }

    /// All containers that run, and the latest of those that do not and are not removed yet.
    pub fn all(&self) -> Vec<Arc<Container>> {
        let (inner, mut seen) = (self.read(), HashSet::new());
        let all = inner.values().flat_map(|told| &told.containers);
        all.filter(|(id, _)| seen.insert(id.as_str())).map(|(_, container)| container.clone()).collect()
    }

    /// How the engines do: Docker first, then in the order of their products and addresses.
    pub fn engines(&self) -> Vec<Engine> {
        self.read().values().map(|told| told.engine.clone()).collect()
    }

    /// What the engines have, or had when they answered last, in the order of [`engines`](Self::engines).
    pub fn stocks(&self) -> Vec<Stock> {
        let stock = |told: &Told| {
            let mut containers = told.unlisted;
            count(&mut containers, told.containers.values().filter_map(|container| container.state));
            Stock { engine: told.engine.clone(), containers, holdings: told.holdings.clone() }
        };
        self.read().values().map(stock).collect()
    }

    /// Figures from the engines.
    pub fn streams(&self) -> &Streams {
        &self.shared.streams
    }

    /// The containers that run of those engines of Docker's API of which none is `seen`: their cgroups are elsewhere.
    pub fn out_of_sight(&self, seen: impl Fn(&str) -> bool) -> Vec<Arc<Container>> {
        let (inner, mut found) = (self.read(), Vec::new());
        for told in inner.values().filter(|told| told.engine.up && told.engine.product.speaks_docker()) {
            let alive = || told.containers.values().filter(|container| container.state.is_some_and(State::is_alive));
            if !alive().any(|container| seen(&container.id)) {
                found.extend(alive().cloned());
            }
        }
        found.sort_by(|one: &Arc<Container>, other| one.id.cmp(&other.id));
        found.dedup_by(|one, other| one.id == other.id);
        found
    }

    /// Wakes whoever waits for it when any of this changes.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Where what the engine at `address` tells is put.
    pub(super) fn shelf(&self, product: Product, address: String) -> Shelf {
        let engine = Engine { product, address: address.clone(), up: false, last_error: None, version: None };
        let key = (product, address);
        self.write().entry(key.clone()).or_insert_with(|| {
            let (containers, unlisted, holdings) = Default::default();
            Told { engine, containers, unlisted, holdings }
        });
        self.shared.changed.send_replace(());
        Shelf { directory: self.clone(), key }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<(Product, String), Told>> {
        self.shared.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<(Product, String), Told>> {
        self.shared.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One engine's place in the [`Directory`].
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    directory: Directory,
    key: (Product, String),
}

impl Shelf {
    /// Variables of containers' environments that are kept.
    pub(super) fn variables(&self) -> &[String] {
        &self.directory.shared.variables
    }

    /// Figures that are wanted of the engines.
    pub(super) fn streams(&self) -> &Streams {
        &self.directory.shared.streams
    }

    /// The container of this id, as this engine told.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Container>> {
        self.directory.read().get(&self.key)?.containers.get(id).cloned()
    }

    /// All containers that this engine told of.
    pub(super) fn all(&self) -> Vec<Arc<Container>> {
        self.directory.read().get(&self.key).map_or_else(Vec::new, |told| told.containers.values().cloned().collect())
    }

    /// Puts in a container, in place of an earlier description.
    pub(super) fn put(&self, container: Container) {
        self.change(|told| {
            // The same description stays the same object: whoever rendered it need not do so again.
            let is_new = told.containers.get(&container.id).is_none_or(|known| **known != container);
            if is_new {
                told.containers.insert(container.id.clone(), Arc::new(container));
            }
            is_new
        });
    }

    /// Changes what is known of a container, if it is known.
    pub(super) fn amend(&self, id: &str, change: impl FnOnce(&mut Container)) {
        if let Some(known) = self.get(id) {
            let mut container = Container::clone(&known);
            change(&mut container);
            self.put(container);
        }
    }

    /// Forgets all containers but those whose id is to be kept.
    pub(super) fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.change(|told| {
            let before = told.containers.len();
            told.containers.retain(|id, _| keep(id));
            told.containers.len() != before
        });
    }

    /// Notes how the engine does.
    pub(super) fn note(&self, change: impl FnOnce(&mut Engine)) {
        self.change(|told| {
            let before = told.engine.clone();
            change(&mut told.engine);
            told.engine != before
        });
    }

    /// Whether the engine answers.
    pub(super) fn is_up(&self) -> bool {
        self.directory.read().get(&self.key).is_some_and(|told| told.engine.up)
    }

    /// Puts in what the engine has beside containers.
    pub(super) fn hold(&self, holdings: Holdings) {
        if let Some(told) = self.directory.write().get_mut(&self.key) {
            told.holdings = Arc::new(holdings);
        }
    }

    /// Notes how many containers are not kept.
    pub(super) fn leave_out(&self, states: impl Iterator<Item = State>) {
        let mut counts = Counts::default();
        count(&mut counts, states);
        if let Some(told) = self.directory.write().get_mut(&self.key) {
            told.unlisted = counts;
        }
    }

    /// Whether the engine has ever told its version.
    pub(super) fn has_answered(&self) -> bool {
        self.directory.read().get(&self.key).is_some_and(|told| told.engine.version.is_some())
    }

    /// Takes the engine and its containers away.
    pub(super) fn remove(&self) {
        self.directory.write().remove(&self.key);
        self.directory.shared.changed.send_replace(());
    }

    /// Tells those who wait where `change` says that it changed anything.
    fn change(&self, change: impl FnOnce(&mut Told) -> bool) {
        let changed = self.directory.write().get_mut(&self.key).is_some_and(change);
        if changed {
            self.directory.shared.changed.send_replace(());
        }
    }
}

fn count(counts: &mut Counts, states: impl Iterator<Item = State>) {
    for state in states {
        if let Some((count, _)) = counts.iter_mut().zip(State::ALL).find(|(_, other)| *other == state) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_two_engines_know_is_shown_once() {
        let (directory, address) = (Directory::default(), "unix:///run/x.sock".to_owned());
        let (containerd, docker) =
            (directory.shelf(Product::Containerd, address.clone()), directory.shelf(Product::Docker, address));
        let container = |name: &str| Container { id: "0af3".into(), name: name.into(), ..Container::default() };
        containerd.put(container("0af3"));
        assert_eq!(directory.get("0af3").unwrap().name, "0af3");
        docker.put(container("web"));
        assert_eq!(directory.get("0af3").unwrap().name, "web");
        assert_eq!(directory.all().iter().map(|container| container.name.as_str()).collect::<Vec<_>>(), ["web"]);
        assert_eq!((containerd.all().len(), containerd.get("0af3").unwrap().name.as_str()), (1, "0af3"));
        let products: Vec<Product> = directory.engines().iter().map(|engine| engine.product).collect();
        assert_eq!(products, [Product::Docker, Product::Containerd]);
        docker.put(Container { state: Some(State::Exited), ..container("web") });
        docker.leave_out([State::Dead, State::Exited].into_iter());
        assert_eq!(directory.stocks()[0].containers, [0, 0, 0, 0, 0, 2, 1]);
        docker.remove();
        docker.put(container("late"));
        assert_eq!((directory.get("0af3").unwrap().name.as_str(), directory.engines().len()), ("0af3", 1));
    }
}
