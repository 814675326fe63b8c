//! The servers of one kind in the engine's containers, for as long as the program runs: met, changed, gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::directory::{Directory, Engine};
use super::told::{Missing, State, Told};
use super::wish::{Look, Place, Wish};
use super::{Discovery, Kind, SECRETS};
use crate::settings::{Error, Settings};
use crate::system::Roots;

/// How long a place may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Servers that are tried at once.
const AT_ONCE: usize = 8;
/// A server that does not answer is tried again after the first of these for as often as the number says, since it may be starting; then
/// after the second; one that refuses us after the third.
const PAUSES: (Duration, u32, Duration, Duration) =
    (Duration::from_secs(1), 60, Duration::from_secs(15), Duration::from_secs(300));
/// Changes that come this close together are looked at together: at the start, one for each container.
const GATHER: Duration = Duration::from_millis(100);
/// How long local servers wait for the engine's first answer, so that one in a container is not taken for one.
const SETTLE: Duration = Duration::from_secs(3);

/// What a part does with servers of its kind.
pub trait Finder: Send + Sync {
    /// Whether the operator named this server in the settings.
    fn is_named(&self, wish: &Wish) -> bool;
    /// Tries to get an answer at `place`. Need not mind the time.
    fn reach<'a>(&'a self, wish: &'a Wish, place: &'a Place) -> BoxFuture<'a, Result<(), Missing>>;
    /// Makes a target of it, in place of one of the same name.
    fn add(&self, wish: &Wish, place: &Place);
    /// Ends the target.
    fn remove(&self, name: &str);
}

/// The containers of one kind.
#[derive(Clone)]
pub struct Found {
    directory: Directory,
    look: Look,
    told: Told,
}

impl Found {
    /// Looks for servers of `kind`; `None` where there is no engine to ask. `taken` are the names of the servers in the settings.
    pub fn of(
        settings: &Settings,
        discovery: &Discovery,
        kind: &'static Kind,
        taken: BTreeSet<String>,
    ) -> Result<Option<Self>, Error> {
        let (roots, secrets) = (Roots::of(settings), PathBuf::from(settings.text(&SECRETS)));
        let directory = discovery.directory(settings)?;
        let look = Look { kind, roots, secrets, taken };
        Ok(directory.map(|directory| Found { directory, look, told: discovery.told.clone() }))
    }

    /// Whether what answers at `host` and `port` is in a container, be it one that is not to be watched.
    pub fn holds(&self, host: &str, port: u16) -> bool {
        let (wishes, off) = self.look.wishes(self.directory.all());
        wishes.values().chain(&off).any(|wish| wish.is_at(host, port))
    }

    /// Waits until the engines have told of their containers, or cannot.
    pub async fn settled(&self) {
        let mut changes = self.directory.changes();
        let until = Instant::now() + SETTLE;
        loop {
            let is_settled = |engine: &Engine| engine.up || engine.last_error.is_some();
            if self.directory.engines().iter().all(is_settled) || timeout_at(until, changes.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Watches them for ever.
    pub async fn follow(self, finder: Arc<dyn Finder>) {
        let mut changes = self.directory.changes();
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        loop {
            changes.borrow_and_update();
            let (mut wishes, _) = self.look.wishes(self.directory.all());
            // One that has ended is missed only if it was watched.
            let missed = |name: &str| known.get(name).is_some_and(|known| known.place.is_some());
            wishes.retain(|name, wish| (wish.running || missed(name)) && !finder.is_named(wish));
            known.retain(|name, known| wishes.contains_key(name) || self.forget(name, known, finder.as_ref()));
            wishes.into_iter().for_each(|(name, wish)| meet(&mut known, name, wish));
            self.reach(&mut known, &finder).await;
            let next = known.values().filter_map(|known| known.next).min();
            let changed = changes.changed();
            // The directory lives as long as this: its sender is never gone.
            let changed = match next {
                None => changed.await.is_ok(),
                Some(next) => timeout_at(next, changed).await.is_ok(),
            };
            if changed {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    /// Always false: it is not kept.
    fn forget(&self, name: &str, known: &Known, finder: &dyn Finder) -> bool {
        if known.place.is_some() {
            finder.remove(name);
        }
        let part = self.look.kind.part;
        self.told.remove(part, name);
        if known.logged.is_some() {
            tracing::info!(part, target = %name, container = %known.wish.container, "the container is gone");
        }
        false
    }

    /// Tries all that is due.
    async fn reach(&self, known: &mut BTreeMap<String, Known>, finder: &Arc<dyn Finder>) {
        let now = Instant::now();
        let due = known.values().filter(|known| known.next.is_some_and(|next| next <= now));
        let tried: Vec<_> = due.map(|known| attempt(known.wish.clone(), finder.clone()).boxed()).collect();
        let mut tried = futures_util::stream::iter(tried).buffer_unordered(AT_ONCE);
        while let Some((name, result)) = tried.next().await {
            let Some(known) = known.get_mut(&name) else { continue };
            known.learn(result, finder.as_ref());
            self.tell(known);
        }
    }

    /// Tells of a server on the page, and in the log when that is new.
    fn tell(&self, known: &mut Known) {
        let (part, title, wish) = (self.look.kind.part, self.look.kind.title, &known.wish);
        let how = known.how;
        let state = State { how, missing: known.missing };
        self.told.set(part, &wish.name, state);
        // It may merely be starting.
        let early = matches!(state.missing, Some(Missing::Network | Missing::Busy)) && known.tries < 10;
        if early || known.logged == Some(state) {
            return;
        }
        let (target, container) = (&wish.name, &wish.container);
        match state.missing {
            None => tracing::info!(part, %target, %container, how, "found a {title} server"),
            Some(missing) => {
                let (word, advice) = (missing.word(), missing.advice());
                tracing::warn!(part, %target, %container, how, missing = word, advice, "found a {title} server and cannot reach it");
            }
        }
        known.logged = Some(state);
    }
}

/// What became of a server so far.
struct Known {
    wish: Wish,
    /// Where its target asks, if there is one.
    place: Option<Place>,
    missing: Option<Missing>,
    /// By which kind of place it is reached, or comes nearest to it.
    how: &'static str,
    /// How often it was tried in vain.
    tries: u32,
    /// When to try again; `None` while it is reached.
    next: Option<Instant>,
    logged: Option<State>,
}

/// Takes in a wish that is new or has changed.
fn meet(known: &mut BTreeMap<String, Known>, name: String, wish: Wish) {
    match known.get_mut(&name) {
        Some(known) if known.wish == wish => {}
        // Its target says that it is down; there is nothing else to try.
        Some(known) if !wish.running => (known.wish.running, known.next) = (false, None),
        Some(known) => (known.wish, known.tries, known.next) = (wish, 0, Some(Instant::now())),
        None => {
            let fresh =
                Known { wish, place: None, missing: None, how: "none", tries: 0, next: Some(Instant::now()), logged: None };
            known.insert(name, fresh);
        }
    }
}

impl Known {
    fn learn(&mut self, attempt: Attempt, finder: &dyn Finder) {
        // Not reached, a server is a target if the operator asked for it or if it was one before: asked where it should be now, so that no
        // scrape is lost once it answers.
        let watched = self.wish.asked && self.wish.wrong.is_none() || self.place.is_some();
        let (reached, place) = match attempt {
            Ok(place) => {
                self.missing = None;
                (true, Some(place))
            }
            Err((best, missing)) => {
                let same = |place: &&Place| self.place.as_ref().is_some_and(|known| known.how == place.how);
                let guess = self.wish.places.iter().find(same).cloned().or_else(|| best.clone());
                self.missing = Some(missing);
                self.how = best.map_or("none", |place| place.how);
                (false, guess.filter(|_| watched && self.tries == 0))
            }
        };
        if let Some(place) = place {
            finder.add(&self.wish, &place);
            if reached {
                self.how = place.how;
            }
            self.place = Some(place);
        }
        self.tries = self.tries.saturating_add(1);
        let (soon, times, later, rarely) = PAUSES;
        let pause = match self.missing {
            Some(missing) if missing.is_final() => rarely,
            _ if self.tries < times => soon,
            _ => later,
        };
        self.next = (!reached).then(|| Instant::now() + pause);
    }
}

/// The first place that answers, or the reason that tells most.
async fn attempt(wish: Wish, finder: Arc<dyn Finder>) -> (String, Attempt) {
    let result = first_place(&wish, finder.as_ref()).await;
    (wish.name, result)
}

/// The place that answers; or else the one that told most, and what is missing there.
type Attempt = Result<Place, (Option<Place>, Missing)>;

async fn first_place(wish: &Wish, finder: &dyn Finder) -> Attempt {
    let mut best = (wish.places.first().cloned(), Missing::Network);
    if let Some(wrong) = wish.wrong {
        return Err((best.0, wrong));
    }
    if wish.password_file.as_ref().is_some_and(|file| !file.is_file()) {
        return Err((best.0, Missing::Secret));
    }
    for place in &wish.places {
        match timeout(PATIENCE, finder.reach(wish, place)).await.unwrap_or(Err(Missing::Network)) {
            Ok(()) => return Ok(place.clone()),
            Err(missing) if best.1 == Missing::Network && missing != best.1 => best = (Some(place.clone()), missing),
            Err(_) => {}
        }
    }
    Err(best)
}
