//! Servers that other servers tell of: the nodes of a cluster, the masters and replicas of a Sentinel. Asked in the background, on
//! a connection of its own.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::resp::{Cmd, Value};

use super::address::Endpoint;
use super::connection::Failure;
use super::keys::Link;
use super::registry::Registry;
use super::reply;
use super::target::Target;

/// How often members are asked for.
const EVERY: Duration = Duration::from_secs(30);

/// The most members that are followed from one seed.
const MOST: usize = 1000;

/// What a seed is asked about.
pub(super) enum Kind {
    /// The nodes of its cluster, with the seed's own credentials.
    Cluster,
    /// The masters and replicas that a Sentinel watches; makes a server of a place, with the credentials set for those.
    Sentinel(Box<dyn Fn(Endpoint) -> Target + Send + Sync>),
}

/// A line of CLUSTER NODES.
#[derive(Debug, PartialEq, Eq)]
struct Node<'a> {
    id: &'a str,
    host: &'a str,
    hostname: &'a str,
    port: u16,
    myself: bool,
}

impl<'a> Node<'a> {
    /// `07c37dfe 127.0.0.1:30004@31004,node4 slave,fail e7d1eecc 0 1426238317239 4 connected`; `None` for a node without an address.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ');
        let (id, address, flags) = (words.next()?, words.next()?, words.next()?);
        let (address, more) = address.split_once(',').unwrap_or((address, ""));
        let (host, port) = address.split_once('@').map_or(address, |(address, _)| address).rsplit_once(':')?;
        let hostname = more.split(',').next().filter(|name| !name.contains('=')).unwrap_or_default();
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let myself = flags.split(',').any(|flag| flag == "myself");
        Some(Node { id, host: host.trim_matches(['[', ']']), hostname, port, myself })
    }

    /// Every node of the answer that can be reached from outside.
    fn all(text: &'a str) -> impl Iterator<Item = Self> {
        text.lines().filter_map(Node::parse).filter(|node| !node.host.is_empty()).take(MOST)
    }
}

/// The addresses of all nodes of the cluster of `seed`, failed ones too, as Prometheus' http_sd takes them.
pub(super) async fn discover(registry: &Registry, seed: Target, hostnames: bool) -> Result<String, Failure> {
    let mut link = Link::new(seed, registry.manner.clone(), None);
    let reply = ask(&mut link, &[b"CLUSTER", b"NODES"]).await?;
    let text = reply::text(&reply).unwrap_or_default();
    let place = |node: Node<'_>| {
        let host = if hostnames && !node.hostname.is_empty() { node.hostname } else { node.host };
        Endpoint::Tcp(host.to_owned(), node.port).to_string()
    };
    let targets: Vec<String> = Node::all(&text).map(place).collect();
    Ok(serde_json::json!([{ "targets": targets, "labels": {} }]).to_string())
}

/// Watches the members that `seed` tells of for as long as the program runs. While nobody tells, all stay as they were.
pub(super) async fn follow(registry: Arc<Registry>, seed: Target, kind: Kind) {
    let mut ours: BTreeMap<String, Target> = BTreeMap::new();
    let mut own_id = None;
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let told = match &kind {
            Kind::Cluster => nodes(&registry, &seed, &ours, &mut own_id).await,
            Kind::Sentinel(target) => watched(&registry, &seed, target).await,
        };
        let members = match told {
            Ok(members) => members,
            Err(reason) => {
                tracing::debug!(seed = seed.name, %reason, "cannot ask for members");
                continue;
            }
        };
        let now: HashSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
        ours.retain(|name, _| {
            let stays = now.contains(name.as_str());
            if !stays {
                tracing::info!(seed = seed.name, target = %name, "a member left");
                registry.remove(name);
            }
            stays
        });
        for member in members {
            if !ours.contains_key(&member.name) && registry.meet(member.clone()) {
                tracing::info!(seed = seed.name, target = %member.name, "found a member");
                ours.insert(member.name.clone(), member);
            }
        }
    }
}

/// All nodes but the seed, from the seed or, while that is down, from another node. Which one the seed is, only the seed can tell
/// for sure; until it has, a node at the seed's own address is taken for it.
async fn nodes(
    registry: &Registry,
    seed: &Target,
    ours: &BTreeMap<String, Target>,
    own_id: &mut Option<String>,
) -> Result<Vec<Target>, Failure> {
    let mut told = Err(Failure::Late(seed.endpoint.clone()));
    let mut by_seed = true;
    for target in std::iter::once(seed).chain(ours.values()) {
        let mut link = Link::new(target.clone(), registry.manner.clone(), None);
        told = ask(&mut link, &[b"CLUSTER", b"NODES"]).await;
        if told.is_ok() {
            break;
        }
        by_seed = false;
    }
    let reply = told?;
    let text = reply::text(&reply).unwrap_or_default();
    // A name may lead to another node each time: the first one is kept for as long as there is such a node.
    own_id.take_if(|id| by_seed && !Node::all(&text).any(|node| node.id == id));
    if let Some(node) = Node::all(&text).find(|node| node.myself && by_seed && own_id.is_none()) {
        *own_id = Some(node.id.to_owned());
    }
    let is_seed = |node: &Node<'_>| match own_id.as_deref() {
        Some(id) => id == node.id,
        None => seed.endpoint.is_held(|host, port| port == node.port && (host == node.host || host == node.hostname)),
    };
    let others = Node::all(&text).filter(|node| !is_seed(node));
    Ok(others.map(|node| seed.member(Endpoint::Tcp(node.host.to_owned(), node.port))).collect())
}

/// All masters and replicas of a Sentinel.
async fn watched(
    registry: &Registry,
    seed: &Target,
    target: &(dyn Fn(Endpoint) -> Target + Send + Sync),
) -> Result<Vec<Target>, Failure> {
    let mut link = Link::new(seed.clone(), registry.manner.clone(), None);
    let masters = ask(&mut link, &[b"SENTINEL", b"MASTERS"]).await?;
    let mut places = Vec::new();
    for master in reply::list(&masters).iter().take(MOST) {
        places.extend(place(master));
        let name = reply::pairs(master).find(|(key, _)| key == "name");
        let Some(name) = name.and_then(|(_, name)| reply::text(name)) else { continue };
        let replicas = ask(&mut link, &[b"SENTINEL", b"SLAVES", name.as_bytes()]).await?;
        places.extend(reply::list(&replicas).iter().filter_map(place));
    }
    places.truncate(MOST);
    Ok(places.into_iter().map(target).collect())
}

/// `ip` and `port` of a list of pairs.
fn place(server: &Value) -> Option<Endpoint> {
    let find = |wanted: &str| reply::pairs(server).find(|(key, _)| key == wanted).and_then(|(_, value)| reply::text(value));
    let (host, port) = (find("ip")?, find("port")?.parse().ok().filter(|port| *port != 0)?);
    (!host.is_empty()).then(|| Endpoint::Tcp(host.into_owned(), port))
}

/// The name of a server that has none: `host:port`.
pub(super) fn name(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(host, port) | Endpoint::Tls(host, port) => format!("{host}:{port}"),
        Endpoint::Unix(path) => path.display().to_string(),
    }
}

/// One command's reply; an error of the server is a failure.
async fn ask(link: &mut Link, words: &[&[u8]]) -> Result<Value, Failure> {
    let reply = link.ask(0, 0, vec![Cmd::of(words)]).await?.into_iter().next().unwrap_or(Value::Nil);
    reply::refusal(&reply).map_or(Ok(reply), |words| Err(Failure::Refused(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_versions() {
        let node = |line| Node::parse(line).map(|node| (node.host, node.hostname, node.port, node.myself));
        assert_eq!(node("a 127.0.0.1:30004 slave,fail b 0 1 4 connected"), Some(("127.0.0.1", "", 30004, false)));
        assert_eq!(node("a ::1:7000@17000,h1,shard-id=x myself,master - 0 0 1 connected 0-9"), Some(("::1", "h1", 7000, true)));
        assert_eq!(node("a 10.0.0.1:7000@17000,,shard-id=x master - 0 0 1 connected"), Some(("10.0.0.1", "", 7000, false)));
        for nothing in ["", "a", "a :0@0 master,noaddr - 0 0 1 disconnected", "a b c", "a h:99999@1 master"] {
            assert_eq!(node(nothing), None, "{nothing}");
        }
    }
}
