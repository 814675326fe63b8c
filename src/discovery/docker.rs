//! The Docker Engine API: names, images, labels, health and first processes of the containers.
//!
//! A session lists the containers once, follows the engine's events, and puts what it learns into the
//! [`Directory`](super::Directory); no scrape ever waits for it. It only asks (GET), and every question has a time limit. Podman's socket answers the
//! same questions.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::answer::{Event, Image, Inspection, Summary, Version};
use super::container::{Container, LABELS};
use super::directory::Shelf;
use super::engine::Address;
use super::facts::State;
use super::transport::{self, Refusal, ask};
use super::{inspection, kind};

/// How often a silent engine is asked whether it is still there, and failed questions are asked again.
pub(super) const PING: Duration = Duration::from_secs(10);
/// How many pings pass between two lists of all containers, which heal whatever the events did not tell.
pub(super) const PINGS_TO_A_LIST: u32 = 6;
/// Events that come this close together are looked at together: a container that starts or ends is told of three times and more.
const GATHER: Duration = Duration::from_millis(50);
/// Questions under way at once.
const AT_ONCE: usize = 4;
/// The most containers that are kept of those that do not run.
const MOST_STOPPED: usize = 500;
/// The events that change what we tell of a container. Those of health checks and `exec` are not even sent to us.
/// `remove` is Podman's word for `destroy`.
const EVENTS: [&str; 13] = [
    "create",
    "start",
    "die",
    "oom",
    "pause",
    "unpause",
    "rename",
    "update",
    "health_status",
    "destroy",
    "remove",
    "connect",
    "disconnect",
];

/// What events told, for longer than a session lasts.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// When the last event befell, in nanoseconds since 1970.
    last: i64,
    /// What they alone tell of containers that were not inspected yet: under load one is killed before we have an answer.
    early: HashMap<String, Container>,
}

impl Heard {
    /// From when on events are asked for, in seconds since 1970: of the time without a session as well, though no engine has any of times to come.
    fn since(&self, now: i64) -> i64 {
        let last = self.last / 1_000_000_000;
        if last == 0 { now } else { last.min(now) }
    }
}

/// One connection's life: ends with the reason why it cannot go on.
pub(super) async fn session(
    address: &Address,
    directory: &Shelf,
    secrets: bool,
    heard: &mut Heard,
) -> Result<Infallible, Refusal> {
    let version = ask::<Version>(address, "/version").await?.version.unwrap_or_default();
    // The events since then are sent again from the engine's memory, so none is lost between list and stream.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = heard.since(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let mut engine = Watched::new(address, directory, secrets, heard);
    engine.list(true).await?;
    directory.note(|engine| (engine.up, engine.version) = (true, Some(version.clone())));
    tracing::info!(%address, version, containers = directory.all().len(), "engine answers");

    let filters = serde_json::json!({"type": ["container", "network"], "event": EVENTS}).to_string();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("since", &since.to_string())
        .append_pair("filters", &filters)
        .finish();
    let mut events = transport::lines(address, &format!("/events?{query}")).await?;
    let (mut next, mut pings) = (Instant::now() + PING, 0);
    loop {
        match timeout_at(next, events.next()).await {
            Ok(event) => {
                engine.follow(event?);
                let until = Instant::now() + GATHER;
                while let Ok(event) = timeout_at(until, events.next()).await {
                    engine.follow(event?);
                }
                let changed = engine.changed.drain().collect();
                engine.inspect(changed).await?;
            }
            Err(_) => {
                pings += 1;
                engine.check(pings % PINGS_TO_A_LIST == 0).await?;
                next = Instant::now() + PING;
            }
        }
    }
}

/// An engine that answers.
pub(super) struct Watched<'a> {
    address: &'a Address,
    directory: &'a Shelf,
    secrets: bool,
    heard: &'a mut Heard,
    /// When the last event befell that an earlier session was told of: what is sent again is not counted again. Within a session events come
    /// once, but not always in their order.
    seen: i64,
    /// Containers that could not be inspected, to be tried again.
    failed: HashSet<String>,
    /// Containers of which events told.
    changed: HashSet<String>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(address: &'a Address, directory: &'a Shelf, secrets: bool, heard: &'a mut Heard) -> Self {
        Watched { address, directory, secrets, seen: heard.last, heard, failed: HashSet::new(), changed: HashSet::new() }
    }

    /// Lists what there is, and inspects what is new, renamed or in another state, at the start all of it. Forgets the rest.
    async fn list(&mut self, all: bool) -> Result<(), Refusal> {
        let listed = ask::<Vec<Summary>>(self.address, "/containers/json?all=true").await?;
        let wanted = self.choose(listed, all);
        self.inspect(wanted).await
    }

    /// Whom of those listed to inspect.
    pub(super) fn choose(&mut self, listed: Vec<Summary>, all: bool) -> Vec<String> {
        let mut found = Vec::with_capacity(listed.len());
        for summary in listed {
            let Some(id) = summary.id else { continue };
            let state = summary.state.as_deref().and_then(State::of);
            let known = self.directory.get(&id);
            let same = known.as_ref().is_some_and(|known| {
                known.state == state && summary.names.is_some_and(|names| names.iter().any(|name| plain(name) == known.name))
            });
            let is_database = known.is_some_and(|known| kind::is_any(&known));
            found.push((state.is_some_and(State::is_alive), is_database, summary.created, id, all || !same, state));
        }
        // Of those that do not run the latest: whoever runs jobs may leave thousands behind. Databases first: their absence is told.
        found.sort_unstable_by(|one, other| other.cmp(one));
        let alive = found.iter().filter(|(alive, ..)| *alive).count();
        let left_out = found.split_off(alive.saturating_add(MOST_STOPPED).min(found.len()));
        self.directory.leave_out(left_out.into_iter().filter_map(|(.., state)| state));
        let ids: HashSet<&str> = found.iter().map(|(_, _, _, id, ..)| id.as_str()).collect();
        self.directory.retain(|id| ids.contains(id));
        self.failed.retain(|id| ids.contains(id.as_str()));
        self.heard.early.retain(|id, _| ids.contains(id.as_str()));
        found.into_iter().filter_map(|(_, _, _, id, wanted, _)| wanted.then_some(id)).collect()
    }

    /// Asks for sign of life, and again for what could not be told before.
    async fn check(&mut self, list: bool) -> Result<(), Refusal> {
        if list {
            self.list(false).await?;
        } else {
            transport::ping(self.address).await?;
        }
        let failed = self.failed.drain().collect();
        self.inspect(failed).await
    }

    /// Notes what an event tells, and whom it befell.
    pub(super) fn follow(&mut self, event: Event) {
        let (Some(action), Some(actor)) = (event.action, event.actor) else { return };
        let mut attributes = actor.attributes.unwrap_or_default();
        // A network's event names its container beside.
        let joined = matches!(action.as_str(), "connect" | "disconnect");
        let Some(id) = (if joined { attributes.remove("container") } else { actor.id }) else { return };
        let time = event.time.unwrap_or_default();
        self.heard.last = time.max(self.heard.last);
        match action.as_str() {
            "destroy" | "remove" => {
                self.failed.remove(&id);
                self.changed.remove(&id);
                self.heard.early.remove(&id);
                self.directory.retain(|known| known != id);
                return;
            }
            "oom" if time > self.seen => self.amend(&id, |container| container.ooms += 1),
            // By the time of the inspection it may run again, and the engine has forgotten.
            "die" => {
                let code = attributes.get("exitCode").and_then(|text| text.parse().ok());
                self.amend(&id, |container| container.exit_code = code.or(container.exit_code));
            }
            _ => {}
        }
        self.changed.insert(id);
    }

    /// Notes what an event told of a container, whether or not it was inspected.
    fn amend(&mut self, id: &str, change: impl FnOnce(&mut Container)) {
        if self.directory.get(id).is_some() {
            self.directory.amend(id, change);
        } else {
            change(self.heard.early.entry(id.to_owned()).or_default());
        }
    }

    /// Inspects containers. One that the engine cannot tell of is tried again later; silence ends the session.
    async fn inspect(&mut self, ids: Vec<String>) -> Result<(), Refusal> {
        let address = self.address;
        let mut answers = futures_util::stream::iter(ids)
            .map(|id| async move { (ask::<Inspection>(address, &format!("/containers/{id}/json")).await, id) })
            .buffer_unordered(AT_ONCE);
        let mut last_error = None;
        while let Some((answer, id)) = answers.next().await {
            match answer {
                Ok(answer) => {
                    let image = answer.image.clone().unwrap_or_default();
                    let mut container = self.describe(id, answer);
                    if let Err(error) = self.settle(&mut container, &image).await {
                        last_error = Some(error.to_string());
                        self.failed.insert(container.id.clone());
                    }
                    self.directory.put(container);
                }
                Err(Refusal::Status(404)) => {
                    self.heard.early.remove(&id);
                    self.directory.retain(|known| known != id);
                }
                Err(Refusal::Late) => return Err(Refusal::Late),
                Err(error) => {
                    last_error = Some(error.to_string());
                    self.failed.insert(id);
                }
            }
        }
        let quiet = self.failed.is_empty();
        self.directory.note(|engine| {
            if last_error.is_some() || quiet {
                engine.last_error = last_error;
            }
        });
        Ok(())
    }
}

impl Watched<'_> {
    /// What an inspection tells of a container, and before it events.
    pub(super) fn describe(&mut self, id: String, answer: Inspection) -> Container {
        let variables = inspection::variables(&answer, self.directory.variables());
        let mut container = Container { variables, ..inspection::container(id, answer, self.secrets) };
        container.remote = !self.address.is_local();
        // What events alone tell.
        let early = self.heard.early.remove(&container.id).map(Arc::new);
        if let Some(known) = self.directory.get(&container.id).or(early) {
            (container.ooms, container.exit_code) = (known.ooms, container.exit_code.or(known.exit_code));
        }
        container
    }

    /// Takes from the settings of a container what stands in its image: whoever made the image is not the operator, and must not choose
    /// which secret is sent where. An engine that cannot tell now (an error) is to be asked again; not so one that has the image no more (404),
    /// nor a proxy that keeps images to itself (403).
    async fn settle(&self, container: &mut Container, image: &str) -> Result<(), Refusal> {
        if container.settings.is_empty() {
            return Ok(());
        }
        let error = match ask::<Image>(self.address, &format!("/images/{image}/json")).await {
            Ok(answer) => {
                let of_image = answer.config.and_then(|config| config.labels).unwrap_or_default();
                container.settings.retain(|key, value| of_image.get(key) != Some(value));
                return Ok(());
            }
            Err(error) => error,
        };
        container.settings.clear();
        // Labels never change in a container's life: what was settled once still holds.
        if let Some(known) = self.directory.get(&container.id) {
            container.settings.clone_from(&known.settings);
        } else {
            let (name, reason) = (&container.name, error.to_string());
            tracing::warn!(container = %name, reason, "labels {LABELS}* are not used: the engine does not tell which are the image's own");
        }
        match error {
            Refusal::Status(403 | 404) => Ok(()),
            error => Err(error),
        }
    }
}

/// The engine writes names with a slash before them.
pub(super) fn plain(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}
