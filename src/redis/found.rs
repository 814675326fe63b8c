//! Servers on their usual local addresses, when the operator named none: looked for in the background, never waited for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::resp::{Cmd, Value};

use super::address::Endpoint;
use super::connection::Connection;
use super::info::Info;
use super::registry::Registry;
use super::target::Target;
use super::{reply, topology};
use crate::discovery::{Discovery, Found};
use crate::scrape::Part;
use crate::settings::Tls;

/// Where servers usually listen, the most likely place first.
const TCP: (&str, u16) = ("127.0.0.1", 6379);
///
/// Not in /tmp, where any user could put up a server of his own making.
const SOCKETS: [&str; 6] = [
    "/run/redis/redis-server.sock",
    "/run/redis/redis.sock",
    "/run/valkey/valkey.sock",
    "/run/valkey/valkey-server.sock",
    "/var/run/redis/redis-server.sock",
    "/var/run/redis/redis.sock",
];

/// How often the places are looked at.
const EVERY: Duration = Duration::from_secs(30);

/// How long a place may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks for servers for as long as the program runs, and watches each one found. A server that goes away stays a target, so that its
/// absence shows; one that turns out to be in a container is left to who watches those.
pub(super) async fn look(registry: Arc<Registry>, contained: Option<Found>, discovery: Discovery) {
    let (host, port) = TCP;
    let mut places = vec![Endpoint::Tcp(host.to_owned(), port)];
    places.extend(SOCKETS.iter().map(|path| Endpoint::Unix(Path::new(path).to_path_buf())));
    let mut met: Vec<Met> = Vec::new();
    let mut ticks = tokio::time::interval(EVERY);
    if let Some(contained) = &contained {
        contained.settled().await;
    }
    loop {
        ticks.tick().await;
        let in_container =
            |place: &Endpoint| contained.as_ref().is_some_and(|found| place.is_held(|host, port| found.holds(host, port)));
        for known in met.extract_if(.., |known| in_container(&known.place)) {
            let name = topology::name(&known.place);
            registry.remove(&name);
            discovery.forget_local(Part::Redis.name(), &name);
            places.push(known.place);
        }
        let mut silent = Vec::new();
        for place in places {
            if in_container(&place) {
                silent.push(place);
                continue;
            }
            match tokio::time::timeout(PATIENCE, who(&place)).await.ok().flatten() {
                Some(identity) if is_new(&met, identity.as_deref()) => {
                    tracing::info!(address = %place, "found a Redis server");
                    let target = Target::found(place.clone());
                    discovery.meet_local(Part::Redis.name(), &target.name);
                    registry.meet(target);
                    met.push(Met { identity, place });
                }
                _ => silent.push(place),
            }
        }
        places = silent;
    }
}

/// A server that was found.
struct Met {
    identity: Option<String>,
    place: Endpoint,
}

/// Whether a server that answers is one that we do not have yet: most listen on a port and a socket. One that does not tell
/// its run id (it wants a password) is taken only if it is the first.
fn is_new(met: &[Met], identity: Option<&str>) -> bool {
    match identity {
        Some(run_id) => !met.iter().any(|known| known.identity.as_deref() == Some(run_id)),
        None => met.is_empty(),
    }
}

/// The run id of the server at `place`, empty-handed if it does not tell; `None` if nothing answers there as Redis does.
async fn who(place: &Endpoint) -> Option<Option<String>> {
    let mut connection = Connection::open(place, &Tls::default()).await.ok()?;
    let replies = connection.ask([Cmd::of(&[b"INFO", b"server"])]).await.ok()?;
    let reply = replies.first()?;
    if let Some(words) = reply::refusal(reply) {
        let of_redis = ["NOAUTH ", "NOPERM ", "LOADING ", "DENIED "].iter().any(|code| words.starts_with(code));
        return of_redis.then_some(None);
    }
    run_id(reply).map(Some)
}

fn run_id(reply: &Value) -> Option<String> {
    let text = reply::text(reply)?;
    Info::parse(&text).get("run_id").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_on_two_addresses_is_one() {
        let met =
            |identity: Option<&str>| [Met { identity: identity.map(str::to_owned), place: Endpoint::Tcp(String::new(), 1) }];
        let a = met(Some("a"));
        assert!(!is_new(&a, Some("a")) && is_new(&a, Some("b")) && !is_new(&a, None));
        assert!(is_new(&[], None) && !is_new(&met(None), None) && is_new(&met(None), Some("a")));
    }
}
