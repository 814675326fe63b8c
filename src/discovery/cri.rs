//! Kubernetes' container runtime interface, as CRI-O serves it: names, images and labels of pods' containers.
//!
//! Not every server of it has events, so it is asked every few seconds for its lists, and once for each new container. First processes are
//! not told; the kernel knows them.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::sleep;

use super::container::{Container, Network};
use super::directory::Shelf;
use super::engine::Address;
use super::facts::State;
use super::grpc::{Channel, Method};
use super::proto::{Value, entry, field, fields, items, message};
use super::transport::Refusal;

/// How often it is asked.
const LOOK: Duration = Duration::from_secs(5);
/// Nanoseconds of a second, in which it tells times.
const SECOND: u64 = 1_000_000_000;

/// One connection's life: ends with the reason why it cannot go on.
pub(super) async fn session(address: &Address, shelf: &Shelf) -> Result<Infallible, Refusal> {
    let channel = Channel::open(address).await?;
    let answer = channel.ask(Method::CriVersion, "", Vec::new()).await?;
    let text = |number| field(&answer, number).map(|value| value.map_or_else(String::new, Value::text));
    let version = format!("{} {}", text(2)?, text(3)?);
    look(&channel, shelf).await?;
    shelf.note(|engine| (engine.up, engine.last_error, engine.version) = (true, None, Some(version.clone())));
    tracing::info!(%address, version, containers = shelf.all().len(), "engine answers");
    loop {
        sleep(LOOK).await;
        look(&channel, shelf).await?;
    }
}

/// Reads what there is, and asks how those did that are new or do something else now. Forgets the rest.
async fn look(channel: &Channel, shelf: &Shelf) -> Result<(), Refusal> {
    let mut pods = HashMap::new();
    let answer = channel.ask(Method::CriSandboxes, "", Vec::new()).await?;
    items(&answer, |sandbox| {
        let (pod, container) = pod(sandbox)?;
        pods.insert(container.id.clone(), pod);
        shelf.put(container);
        Ok(())
    })?;
    let mut containers = Vec::new();
    let answer = channel.ask(Method::CriContainers, "", Vec::new()).await?;
    items(&answer, |listed| {
        containers.push(container(listed, &pods)?);
        Ok(())
    })?;
    let ids: HashSet<String> = pods.into_keys().chain(containers.iter().map(|container| container.id.clone())).collect();
    for mut container in containers {
        if let Some(known) = shelf.get(&container.id).filter(|known| known.state == container.state) {
            (container.started, container.finished, container.exit_code) = (known.started, known.finished, known.exit_code);
            container.oom_killed = known.oom_killed;
            container.image.clone_from(&known.image);
        } else if let Some(answer) = channel.find(Method::CriStatus, "", message(&[(1, &container.id)])).await? {
            status(&mut container, field(&answer, 1)?.map_or(&[][..], Value::bytes))?;
        }
        shelf.put(container);
    }
    shelf.retain(|id| ids.contains(id));
    Ok(())
}

/// A pod: the id of its sandbox (1), its name (2), state (3), when it was made (4), labels (5). The sandbox holds its network, and is called
/// as kubelet does; the pod's own name, as its containers have it in theirs, comes beside.
pub(super) fn pod(message: &[u8]) -> Result<(String, Container), Refusal> {
    let mut pod = Container::default();
    let (mut parts, mut attempt) = ([const { String::new() }; 3], 0);
    fields(message, |number, value| {
        match number {
            1 => pod.id = value.text(),
            2 => fields(value.bytes(), |number, value| {
                let [name, namespace, uid] = &mut parts;
                match number {
                    1 => *name = value.text(),
                    2 => *uid = value.text(),
                    3 => *namespace = value.text(),
                    4 => attempt = value.number(),
                    _ => {}
                }
                Ok(())
            })?,
            3 => pod.state = Some(if value.number() == 0 { State::Running } else { State::Exited }),
            4 => pod.created = seconds(value),
            5 => label(&mut pod, value)?,
            _ => {}
        }
        Ok(())
    })?;
    // The first of the states is not written, as all zeros are.
    pod.state = pod.state.or(Some(State::Running));
    let name = parts.join("_");
    pod.name = format!("k8s_POD_{name}_{attempt}");
    Ok((name, pod))
}

/// A container: its id (1), its pod's (2), its name (3), image (4), state (6), when it was made (7), labels (8).
pub(super) fn container(message: &[u8], pods: &HashMap<String, String>) -> Result<Container, Refusal> {
    let mut container = Container { state: Some(State::Created), ..Container::default() };
    let (mut name, mut attempt, mut sandbox) = (String::new(), 0, String::new());
    fields(message, |number, value| {
        match number {
            1 => container.id = value.text(),
            2 => sandbox = value.text(),
            3 => fields(value.bytes(), |number, value| {
                match number {
                    1 => name = value.text(),
                    2 => attempt = value.number(),
                    _ => {}
                }
                Ok(())
            })?,
            4 => container.image = field(value.bytes(), 1)?.map_or_else(String::new, Value::text),
            6 => container.state = state(value.number()),
            7 => container.created = seconds(value),
            8 => label(&mut container, value)?,
            _ => {}
        }
        Ok(())
    })?;
    let pod = pods.get(&sandbox).map_or("", String::as_str);
    container.name = format!("k8s_{name}_{pod}_{attempt}");
    container.restart_count = Some(attempt);
    container.network = Network::Of(sandbox);
    Ok(container)
}

/// How it did: when it was started (5) and ended (6), how (7), its image as it was asked for (8), and why it ended (10).
pub(super) fn status(container: &mut Container, message: &[u8]) -> Result<(), Refusal> {
    let mut code = 0;
    fields(message, |number, value| {
        match number {
            5 => container.started = seconds(value),
            6 => container.finished = seconds(value),
            7 => code = value.number(),
            10 => container.oom_killed = value.bytes() == b"OOMKilled",
            8 => {
                let image = field(value.bytes(), 1)?.map_or_else(String::new, Value::text);
                if !image.is_empty() {
                    container.image = image;
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    container.exit_code = container.finished.and_then(|_| i64::try_from(code).ok());
    Ok(())
}

const fn state(number: u64) -> Option<State> {
    match number {
        0 => Some(State::Created),
        1 => Some(State::Running),
        2 => Some(State::Exited),
        _ => None,
    }
}

fn label(container: &mut Container, value: Value<'_>) -> Result<(), Refusal> {
    let (key, value) = entry(value.bytes())?;
    container.labels.insert(key, value.text());
    Ok(())
}

/// Nanoseconds since 1970; 0 for never.
fn seconds(value: Value<'_>) -> Option<i64> {
    i64::try_from(value.number() / SECOND).ok().filter(|seconds| *seconds != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_containers_are_called_as_kubelet_calls_them() {
        let nested = |texts: &[(u8, &str)]| String::from_utf8(message(texts)).unwrap();
        let sandbox = message(&[(1, "5a5a"), (2, &nested(&[(1, "shop"), (2, "6e1c"), (3, "default")]))]);
        let (name, pod) = pod(&sandbox).unwrap();
        assert_eq!((name.as_str(), pod.name.as_str()), ("shop_default_6e1c", "k8s_POD_shop_default_6e1c_0"));
        assert_eq!((pod.id.as_str(), pod.state), ("5a5a", Some(State::Running)));
        let label = nested(&[(1, "io.kubernetes.pod.name"), (2, "shop")]);
        let listed =
            message(&[(1, "0af3"), (2, "5a5a"), (3, &nested(&[(1, "web")])), (4, &nested(&[(1, "nginx:1")])), (8, &label)]);
        // State 1 and a time.
        let listed = [&listed[..], &[0x30, 1, 0x38], &[0x80, 0x80, 0xa0, 0xf6, 0xf4, 0xac, 0xdb, 0xe0, 0x1b]].concat();
        let mut container = container(&listed, &HashMap::from([("5a5a".to_owned(), name)])).unwrap();
        assert_eq!((container.name.as_str(), container.image.as_str()), ("k8s_web_shop_default_6e1c_0", "nginx:1"));
        assert_eq!((container.state, container.created), (Some(State::Running), Some(2_000_000_000)));
        assert_eq!(container.network, Network::Of("5a5a".into()));
        status(&mut container, &[&message(&[(8, &nested(&[(1, "docker.io/library/nginx:1")]))])[..], &[0x38, 3]].concat())
            .unwrap();
        assert_eq!((container.image.as_str(), container.exit_code), ("docker.io/library/nginx:1", None));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(bytes: Vec<u8>) {
            _ = (pod(&bytes), container(&bytes, &HashMap::new()), status(&mut Container::default(), &bytes));
        }
    }
}
