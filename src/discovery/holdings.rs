//! What a Docker engine has beside containers: images, volumes, and its place in a Swarm.
//!
//! Asked in the background and apart from the session, so that a slow answer delays no name. `/system/df` would tell sizes of volumes too, and
//! has the engine walk them all at once, and every container's layer with them; so only lists are asked for, and who wants the size of a
//! volume measures its folder.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::answer::{ImageSummary, Info, Listed, Service as Told};
use super::directory::Shelf;
use super::engine::Address;
use super::transport::{Refusal, ask};

/// How often images, volumes and the Swarm's node are asked for, in looks: five minutes.
const LOOKS: u32 = 5;
/// How often services are, which is a look.
const LOOK: Duration = Duration::from_secs(60);
/// How soon it is looked again whether the engine answers at all.
const SOON: Duration = Duration::from_secs(1);
/// The most of each that are kept, in the order of their names.
const MOST: usize = 1000;

/// An image.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// Its first name, `nginx:1.27`; empty for one without any.
    pub name: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub id: String,
    /// In bytes, with the layers that it shares with others.
    pub size: u64,
}

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// As the user calls it, or 64 hexadecimal digits.
    pub name: String,
    /// `local`, or a plugin's name.
    pub driver: String,
    /// Its folder by the host's paths; `None` where it is another host's, or the driver has none.
    pub path: Option<String>,
}

/// The engine as a node of a Swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// As in the label `com.docker.swarm.node.id` of its containers.
    pub id: String,
    /// The host's name.
    pub name: String,
    /// Whether it manages the Swarm.
    pub is_manager: bool,
}

/// A service of the Swarm, as a manager tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Tasks that there should be.
    pub desired: u64,
    /// Tasks that run.
    pub running: u64,
}

/// All of it, of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Images.
    pub images: Vec<Image>,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// `None` outside of a Swarm.
    pub node: Option<Node>,
    /// Services, on managers.
    pub services: Vec<Service>,
}

/// Keeps the holdings of one engine up to date, for ever.
pub(super) async fn follow(address: &Address, shelf: &Shelf) {
    let (mut held, mut looks) = (Holdings::default(), 0_u32);
    loop {
        if !shelf.is_up() {
            // Whoever answers next may be another one.
            looks = 0;
            sleep(SOON).await;
            continue;
        }
        if looks.is_multiple_of(LOOKS) {
            if let Some(answer) = told(ask::<Info>(address, "/info").await) {
                held.node = node(answer);
            }
            if let Some(answer) = told(ask::<Vec<ImageSummary>>(address, "/images/json").await) {
                held.images = images(answer);
            }
            if let Some(answer) = told(ask::<Listed>(address, "/volumes").await) {
                held.volumes = volumes(answer, address.is_local());
            }
        }
        held.services = match &held.node {
            Some(node) if node.is_manager => {
                told(ask::<Vec<Told>>(address, "/services?status=true").await).map_or(held.services, services)
            }
            _ => Vec::new(),
        };
        shelf.hold(held.clone());
        looks = looks.wrapping_add(1);
        sleep(LOOK).await;
    }
}

/// An answer; nothing of who does not tell (a proxy's 403, 503 of a node that manages no Swarm); `None` of who did not answer this time.
fn told<T: DeserializeOwned + Default>(answer: Result<T, Refusal>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(Refusal::Status(_)) => Some(T::default()),
        Err(_) => None,
    }
}

/// `{"Name": "host", "Swarm": {"NodeID": "x1", "LocalNodeState": "active", "ControlAvailable": true}}`
pub(super) fn node(answer: Info) -> Option<Node> {
    let swarm = answer.swarm?;
    Some(Node { id: word(swarm.node_id)?, name: word(answer.name)?, is_manager: swarm.control_available.unwrap_or_default() })
}

/// `[{"Id": "sha256:0a", "RepoTags": ["nginx:1.27"], "Size": 1}]`; engines before Docker 25 call one without a name `<none>:<none>`.
pub(super) fn images(answer: Vec<ImageSummary>) -> Vec<Image> {
    let images = answer.into_iter().filter_map(|image| {
        let names = image.repo_tags.unwrap_or_default().into_iter().filter(|name| name != "<none>:<none>");
        let size = image.size.and_then(|size| u64::try_from(size).ok())?;
        Some(Image { name: names.min().unwrap_or_default(), id: word(image.id)?, size })
    });
    first(images.collect(), |one, other| (&one.name, &one.id) == (&other.name, &other.id))
}

/// `{"Volumes": [{"Name": "data", "Driver": "local", "Mountpoint": "/var/lib/docker/volumes/data/_data"}]}`
pub(super) fn volumes(answer: Listed, is_local: bool) -> Vec<Volume> {
    let volumes = answer.volumes.unwrap_or_default().into_iter().filter_map(|volume| {
        let path = volume.mountpoint.filter(|path| is_local && path.starts_with('/'));
        Some(Volume { name: word(volume.name)?, driver: word(volume.driver)?, path })
    });
    first(volumes.collect(), |one, other| (&one.name, &one.driver) == (&other.name, &other.driver))
}

/// `[{"ID": "x", "Spec": {"Name": "web"}, "ServiceStatus": {"RunningTasks": 1, "DesiredTasks": 2}}]`; engines before Docker 20.10 have no status.
pub(super) fn services(answer: Vec<Told>) -> Vec<Service> {
    let services = answer.into_iter().filter_map(|service| {
        let status = service.service_status?;
        let (name, id) = (word(service.spec?.name)?, word(service.id)?);
        Some(Service { name, id, desired: status.desired_tasks?, running: status.running_tasks? })
    });
    first(services.collect(), |one, other| (&one.name, &one.id) == (&other.name, &other.id))
}

/// What tells one thing from another; an empty text does not.
fn word(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Each thing once, by what tells it from others.
fn first<T: Ord>(mut all: Vec<T>, same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    all.sort_unstable();
    all.dedup_by(|other, one| same(one, other));
    all.truncate(MOST);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let info = r#"{"Name":"host","Swarm":{"NodeID":"x1","LocalNodeState":"active","ControlAvailable":true}}"#;
        let found = node(serde_json::from_str(info).unwrap());
        assert_eq!(found, Some(Node { id: "x1".into(), name: "host".into(), is_manager: true }));
        let twice = r#"[{"Id":"a","RepoTags":["a:1"],"Size":1},{"Id":"a","RepoTags":["a:1"],"Size":2},{"Id":"","Size":3}]"#;
        let image = |size| Image { name: "a:1".into(), id: "a".into(), size };
        assert_eq!(images(serde_json::from_str(twice).unwrap()), [image(1)], "one thing has one size");
        let outside = r#"{"Name":"host","Swarm":{"NodeID":"","LocalNodeState":"inactive","ControlAvailable":false}}"#;
        assert_eq!([outside, "{}"].map(|text| node(serde_json::from_str(text).unwrap())), [None, None]);

        let text = r#"[{"Id":"b","RepoTags":["b:2","a:1"],"Size":2},{"Id":"a","RepoTags":null,"Size":1},{"Id":"c","RepoTags":["<none>:<none>"],"Size":-1}]"#;
        let of = |name: &str, id: &str, size| Image { name: name.into(), id: id.into(), size };
        assert_eq!(images(serde_json::from_str(text).unwrap()), [of("", "a", 1), of("a:1", "b", 2)]);

        let text = r#"{"Volumes":[{"Name":"data","Driver":"local","Mountpoint":"/v/data/_data"},{"Name":"far","Driver":"nfs","Mountpoint":""}]}"#;
        let paths = |is_local| volumes(serde_json::from_str(text).unwrap(), is_local).into_iter().map(|volume| volume.path);
        assert_eq!(paths(true).collect::<Vec<_>>(), [Some("/v/data/_data".to_owned()), None]);
        assert_eq!(paths(false).collect::<Vec<_>>(), [None, None]);
        assert_eq!(volumes(serde_json::from_str(r#"{"Volumes":null}"#).unwrap(), true), []);

        let text = r#"[{"ID":"x","Spec":{"Name":"web"},"ServiceStatus":{"RunningTasks":1,"DesiredTasks":2,"CompletedTasks":0}},{"ID":"y","Spec":{"Name":"old"}}]"#;
        let web = Service { name: "web".into(), id: "x".into(), desired: 2, running: 1 };
        assert_eq!(services(serde_json::from_str(text).unwrap()), [web]);
    }

    #[test]
    fn who_does_not_tell_has_nothing_and_who_is_late_is_believed_still() {
        assert_eq!(told::<Vec<u8>>(Err(Refusal::Status(403))), Some(Vec::new()));
        assert_eq!(told::<Vec<u8>>(Err(Refusal::Late)), None);
    }
}
