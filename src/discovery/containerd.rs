//! containerd's own API: names, images, labels and first processes of the containers that nerdctl, ctr or Kubernetes run by it.
//!
//! As with [`docker`](super::docker), a session lists what there is, follows the events and asks again for what they are about. Docker keeps
//! its containers in the namespace `moby`, without their names: that one is passed over.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::container::{Container, Network};
use super::directory::Shelf;
use super::docker::{PING, PINGS_TO_A_LIST};
use super::engine::Address;
use super::facts::State;
use super::grpc::{Channel, Method};
use super::oci;
use super::proto::{Value, entry, field, fields, items, message};
use super::transport::Refusal;

/// Docker's.
const FOREIGN: &str = "moby";
/// The most namespaces that are looked into.
const MOST: usize = 64;
/// What changes a container's description, in all namespaces but Docker's.
const EVENTS: &str =
    r#"topic~="^/(containers/(create|update|delete)|tasks/(start|exit|oom|delete|paused|resumed))$",namespace!=moby"#;

/// One connection's life: ends with the reason why it cannot go on.
pub(super) async fn session(address: &Address, shelf: &Shelf, secrets: bool) -> Result<Infallible, Refusal> {
    let channel = Channel::open(address).await?;
    let version = channel.ask(Method::Version, "", Vec::new()).await?;
    let version = field(&version, 1)?.map_or_else(String::new, Value::text);
    // Before the list, so that nothing is lost between them.
    let mut events = channel.stream(Method::Events, "", &message(&[(1, EVENTS)]))?;
    let mut engine = Watched { channel, shelf, secrets, known: HashMap::new() };
    engine.list().await?;
    shelf.note(|engine| (engine.up, engine.last_error, engine.version) = (true, None, Some(version.clone())));
    tracing::info!(%address, version, containers = shelf.all().len(), "engine answers");
    let (mut next, mut pings) = (Instant::now() + PING, 0);
    loop {
        match timeout_at(next, events.next()).await {
            Ok(event) => engine.follow(&event?).await?,
            Err(_) => {
                pings += 1;
                match pings % PINGS_TO_A_LIST {
                    0 => engine.list().await?,
                    _ => drop(engine.channel.ask(Method::Version, "", Vec::new()).await?),
                }
                next = Instant::now() + PING;
            }
        }
    }
}

/// A containerd that answers.
struct Watched<'a> {
    channel: Channel,
    shelf: &'a Shelf,
    secrets: bool,
    /// By namespace and id there, what the directory calls each container.
    known: HashMap<(String, String), String>,
}

impl Watched<'_> {
    /// Reads all containers of all namespaces. Forgets the rest.
    async fn list(&mut self) -> Result<(), Refusal> {
        let mut namespaces = Vec::new();
        let answer = self.channel.ask(Method::Namespaces, "", Vec::new()).await?;
        items(&answer, |namespace| {
            namespaces.extend(field(namespace, 1)?.map(Value::text));
            Ok(())
        })?;
        self.known.clear();
        for namespace in namespaces.iter().filter(|namespace| *namespace != FOREIGN).take(MOST) {
            let containers = self.channel.ask(Method::Containers, namespace, Vec::new()).await?;
            let answer = self.channel.ask(Method::Tasks, namespace, Vec::new()).await?;
            let mut tasks = HashMap::new();
            items(&answer, |process| {
                let task = Task::read(process)?;
                tasks.insert(task.container.clone(), task);
                Ok(())
            })?;
            items(&containers, |container| self.put(namespace, container, &tasks))?;
        }
        let ids: HashSet<&String> = self.known.values().collect();
        self.shelf.retain(|id| ids.contains(&id.to_owned()));
        Ok(())
    }

    /// Reads the container again that an event is about.
    async fn follow(&mut self, event: &[u8]) -> Result<(), Refusal> {
        let Some(Event { namespace, id, is_oom }) = Event::read(event)? else { return Ok(()) };
        if is_oom {
            if let Some(known) = self.known.get(&(namespace, id)) {
                self.shelf.amend(known, |container| container.ooms += 1);
            }
            return Ok(());
        }
        let Some(container) = self.channel.find(Method::Container, &namespace, message(&[(1, &id)])).await? else {
            if let Some(gone) = self.known.remove(&(namespace, id)) {
                self.shelf.retain(|known| known != gone);
            }
            return Ok(());
        };
        let task = match self.channel.find(Method::Task, &namespace, message(&[(1, &id)])).await? {
            Some(answer) => field(&answer, 1)?.map(|process| Task::read(process.bytes())).transpose()?,
            None => None,
        };
        let tasks = task.into_iter().map(|task| (id.clone(), task)).collect();
        items(&container, |container| self.put(&namespace, container, &tasks))
    }

    fn put(&mut self, namespace: &str, message: &[u8], tasks: &HashMap<String, Task>) -> Result<(), Refusal> {
        let (id, mut container) = container(message, tasks, self.secrets)?;
        // What events alone tell, or tasks that are gone.
        if let Some(known) = self.shelf.get(&container.id) {
            container.ooms = known.ooms;
            container.exit_code = container.exit_code.or(known.exit_code);
            container.finished = container.finished.or(known.finished);
        }
        self.known.insert((namespace.to_owned(), id), container.id.clone());
        self.shelf.put(container);
        Ok(())
    }
}

/// Whom an event is about that changes what we tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    namespace: String,
    /// The container's id there.
    id: String,
    /// Whether a process of it was killed for want of memory.
    is_oom: bool,
}

impl Event {
    /// A namespace (2), a topic (3), and what happened (4), whose first field is the container's id.
    pub(super) fn read(message: &[u8]) -> Result<Option<Self>, Refusal> {
        let text = |number| field(message, number).map(|value| value.map_or_else(String::new, Value::text));
        let (namespace, topic) = (text(2)?, text(3)?);
        let what = field(message, 4)?.map_or(Ok(None), |any| field(any.bytes(), 2))?;
        let what = what.map_or(&[][..], Value::bytes);
        let id = field(what, 1)?.map_or_else(String::new, Value::text);
        // The end of one more process in a container, such as a health check's.
        let of_another = topic == "/tasks/exit" && field(what, 2)?.is_some_and(|process| process.text() != id);
        Ok((!id.is_empty() && namespace != FOREIGN && !of_another).then_some(Event {
            namespace,
            id,
            is_oom: topic == "/tasks/oom",
        }))
    }
}

/// The first process of a container.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) container: String,
    pid: Option<u32>,
    state: Option<State>,
    exit_code: Option<i64>,
    finished: Option<i64>,
}

impl Task {
    /// The container (1) or, in lists, the process (2) by its container's name; its number (3) and state (4); how it ended (9) and when (10).
    pub(super) fn read(message: &[u8]) -> Result<Self, Refusal> {
        let mut task = Task { container: String::new(), pid: None, state: None, exit_code: None, finished: None };
        fields(message, |number, value| {
            match number {
                1 if !value.bytes().is_empty() => task.container = value.text(),
                2 if task.container.is_empty() => task.container = value.text(),
                3 => task.pid = u32::try_from(value.number()).ok().filter(|pid| *pid != 0),
                4 => task.state = state(value.number()),
                9 => task.exit_code = i64::try_from(value.number()).ok(),
                10 => task.finished = field(value.bytes(), 1)?.and_then(|time| i64::try_from(time.number()).ok()),
                _ => {}
            }
            Ok(())
        })?;
        // A code of 0 is not written, and of one that runs the time is that before all times.
        let ended = task.state == Some(State::Exited);
        task.exit_code = Some(task.exit_code.unwrap_or(0)).filter(|_| ended);
        task.finished = task.finished.filter(|_| ended);
        // One that has ended keeps its number for a while.
        task.pid = task.pid.filter(|_| task.state.is_some_and(State::is_alive));
        Ok(task)
    }
}

const fn state(number: u64) -> Option<State> {
    match number {
        1 => Some(State::Created),
        2 => Some(State::Running),
        3 => Some(State::Exited),
        4 | 5 => Some(State::Paused),
        _ => None,
    }
}

/// What the runtime interface for Kubernetes keeps with its containers.
#[derive(Debug, Default, Deserialize)]
struct Kept {
    #[serde(rename = "Metadata")]
    metadata: Option<Metadata>,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    /// `web_shop-7d9f_default_6e1c_0`; of a pod without the first word.
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "SandboxID")]
    sandbox: Option<String>,
}

/// A container: its id (1), labels (2), image (3), specification (5), when it was made (8), what others keep with it (10). Its own id comes
/// beside, since the directory may call it otherwise.
pub(super) fn container(message: &[u8], tasks: &HashMap<String, Task>, secrets: bool) -> Result<(String, Container), Refusal> {
    let mut container = Container::default();
    let (mut spec, mut pod, mut kept) = (&[][..], false, None);
    fields(message, |number, value| {
        match number {
            1 => container.id = value.text(),
            2 => {
                let (key, value) = entry(value.bytes())?;
                container.labels.insert(key, value.text());
            }
            3 => container.image = value.text(),
            5 => spec = field(value.bytes(), 2)?.map_or(spec, Value::bytes),
            8 => container.created = field(value.bytes(), 1)?.and_then(|time| i64::try_from(time.number()).ok()),
            10 => {
                let (key, value) = entry(value.bytes())?;
                if key.starts_with("io.cri-containerd.") && key.ends_with(".metadata") {
                    pod = key.contains("sandbox");
                    let any = field(value.bytes(), 2)?.map_or(&[][..], Value::bytes);
                    kept = serde_json::from_slice::<Kept>(any).ok().and_then(|kept| kept.metadata);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let id = container.id.clone();
    let kept = kept.unwrap_or_default();
    container.name = match (container.labels.get("nerdctl/name").filter(|name| !name.is_empty()), kept.name) {
        (Some(name), _) => name.clone(),
        // As kubelet and CRI-O call them.
        (None, Some(name)) => format!("k8s_{}{name}", if pod { "POD_" } else { "" }),
        (None, None) => id.clone(),
    };
    oci::complete(&mut container, spec, secrets);
    if let Some(sandbox) = kept.sandbox.filter(|sandbox| !sandbox.is_empty() && container.network == Network::Own) {
        container.network = Network::Of(sandbox);
    }
    if let Some(task) = tasks.get(&id) {
        (container.pid, container.state) = (task.pid, task.state);
        (container.exit_code, container.finished) = (task.exit_code, task.finished);
    }
    Ok((id, container))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_of_kubernetes_is_called_as_kubelet_does() {
        let kept = r#"{"Version":"v1","Metadata":{"ID":"x","Name":"web_shop_default_6e1c_0","SandboxID":"5a5a"}}"#;
        let any = message(&[(1, "github.com/containerd/cri"), (2, kept)]);
        let kept =
            String::from_utf8(message(&[(1, "io.cri-containerd.container.metadata"), (2, &String::from_utf8(any).unwrap())]))
                .unwrap();
        let label = String::from_utf8(message(&[(1, "io.kubernetes.pod.name"), (2, "shop")])).unwrap();
        let bytes = message(&[(1, "0af3"), (2, &label), (3, "docker.io/library/nginx:1"), (10, &kept)]);
        let (id, container) = container(&bytes, &HashMap::new(), false).unwrap();
        assert_eq!(
            (id.as_str(), container.id.as_str(), container.name.as_str()),
            ("0af3", "0af3", "k8s_web_shop_default_6e1c_0")
        );
        assert_eq!((container.image.as_str(), &container.network), ("docker.io/library/nginx:1", &Network::Of("5a5a".into())));
        assert_eq!(container.labels["io.kubernetes.pod.name"], "shop");
    }

    #[test]
    fn a_task_that_has_ended_has_no_process() {
        let task = |state| Task::read(&[&message(&[(2, "web")])[..], &[0x18, 7, 0x20, state]].concat()).unwrap();
        assert_eq!((task(2).container.as_str(), task(2).pid, task(2).state), ("web", Some(7), Some(State::Running)));
        assert_eq!((task(3).pid, task(3).state, task(3).exit_code), (None, Some(State::Exited), Some(0)));
        assert_eq!((task(2).exit_code, task(2).finished), (None, None));
        let killed = Task::read(b"\x12\x03web\x20\x03\x48\x89\x01\x52\x02\x08\x05").unwrap();
        assert_eq!((killed.exit_code, killed.finished), (Some(137), Some(5)));
    }

    #[test]
    fn events_tell_whom_they_are_about() {
        let read = |namespace: &str, topic: &str, ids: &[(u8, &str)]| {
            let what = String::from_utf8(message(ids)).unwrap();
            let any = String::from_utf8(message(&[(1, "containerd.events.TaskOOM"), (2, &what)])).unwrap();
            Event::read(&message(&[(2, namespace), (3, topic), (4, &any)])).unwrap()
        };
        let event = |is_oom| Some(Event { namespace: "default".into(), id: "web".into(), is_oom });
        assert_eq!(read("default", "/tasks/oom", &[(1, "web")]), event(true));
        assert_eq!(read("default", "/tasks/exit", &[(1, "web"), (2, "web")]), event(false));
        assert_eq!(read("default", "/tasks/exit", &[(1, "web"), (2, "health-check")]), None);
        assert_eq!([read("moby", "/tasks/oom", &[(1, "web")]), read("default", "/tasks/oom", &[])], [None, None]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(bytes: Vec<u8>) {
            _ = container(&bytes, &HashMap::new(), true);
            _ = (Task::read(&bytes), Event::read(&bytes));
        }
    }
}
