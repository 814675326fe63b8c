//! The part's own paths, `/scrape` and `/discover-cluster-nodes`, and the servers that configured ones tell of.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;

use super::PASSWORD_FILE;
use super::registry::Registry;
use super::target::Target;
use super::topology::{self, Kind};
use super::worker::Manner;
use crate::scrape::{Answer, Sources};
use crate::settings::{Flag, Settings};

static ANY: Flag = Flag::switch(
    "redis.scrape-any",
    false,
    "Let /scrape ask any address, not only configured servers: whoever reaches this program can then make it connect anywhere.",
);
static KEYS: Flag = Flag::switch(
    "redis.scrape-keys",
    false,
    "Let /scrape's parameters check-keys, check-single-keys, check-streams, check-single-streams and count-keys name keys of configured \
     servers: whoever reaches this program can then read them.",
);
static NO_SCRAPE: Flag =
    Flag::switch("redis.disable-scrape-endpoint", false, "Do not answer /scrape.").env("REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT");
static IS_CLUSTER: Flag =
    Flag::switch("redis.is-cluster", false, "The server is a node of a cluster: /discover-cluster-nodes lists all nodes.")
        .env("REDIS_EXPORTER_IS_CLUSTER");
static HOSTNAMES: Flag =
    Flag::switch("redis.cluster-discover-hostnames", false, "Let /discover-cluster-nodes give host names where nodes have some.")
        .env("REDIS_EXPORTER_CLUSTER_DISCOVER_HOSTNAMES");
static NODES: Flag = Flag::switch(
    "redis.cluster-nodes",
    false,
    "Watch all nodes of the clusters that the configured servers belong to, with the credentials of those.",
);
static SENTINEL: Flag =
    Flag::switch("redis.sentinel-discover", false, "Watch the masters and replicas that the configured Sentinels tell of.");
static SENTINEL_USER: Flag =
    Flag::text("redis.sentinel-master-user", "", "User to log in as on servers that a Sentinel tells of.");
static SENTINEL_FILE: Flag = Flag::text(
    "redis.sentinel-master-password-file",
    "",
    "File with the password for servers that a Sentinel tells of, of either kind of --redis.password-file.",
);

pub(super) static FLAGS: [&Flag; 9] =
    [&ANY, &KEYS, &NO_SCRAPE, &IS_CLUSTER, &HOSTNAMES, &NODES, &SENTINEL, &SENTINEL_USER, &SENTINEL_FILE];

/// The registry of all servers, and the paths that show them. `targets` are those that the operator named.
pub(super) fn serve(settings: &Settings, sources: &Sources, manner: Manner, targets: &[Target]) -> Arc<Registry> {
    let mut registry = Registry::new(sources.clone(), manner);
    if settings.switch(&ANY) {
        registry = registry.with_any(path(settings, &PASSWORD_FILE));
    }
    if settings.switch(&KEYS) {
        registry = registry.with_keys(settings.clone());
    }
    let registry = Arc::new(registry);
    if !settings.switch(&NO_SCRAPE) {
        let registry = registry.clone();
        sources.serve("/scrape", Arc::new(move |query| std::future::ready(registry.scrape(&query)).boxed()));
    }
    let (of, hostnames) = (registry.clone(), settings.switch(&HOSTNAMES));
    let seed = targets.first().cloned().filter(|_| settings.switch(&IS_CLUSTER));
    sources.serve(
        "/discover-cluster-nodes",
        Arc::new(move |_| {
            let (registry, seed) = (of.clone(), seed.clone());
            async move {
                let Some(seed) = seed else {
                    return Answer::Refused("nodes are only listed with --redis.is-cluster and a server\n".to_owned());
                };
                match topology::discover(&registry, seed, hostnames).await {
                    Ok(list) => Answer::Json(list),
                    Err(reason) => Answer::Failed(format!("the nodes cannot be listed: {reason}\n")),
                }
            }
            .boxed()
        }),
    );
    registry
}

/// Begins to watch what `targets` tell of, if the operator wants it.
pub(super) fn follow(settings: &Settings, registry: &Arc<Registry>, targets: &[Target]) {
    let user = Some(settings.text(&SENTINEL_USER)).filter(|user| !user.is_empty());
    let file = path(settings, &SENTINEL_FILE);
    for seed in targets {
        if settings.switch(&NODES) {
            registry.spawn(topology::follow(registry.clone(), seed.clone(), Kind::Cluster));
        }
        if settings.switch(&SENTINEL) {
            let (user, file) = (user.clone(), file.clone());
            let target = move |place| Target::watched(place, user.as_deref(), file.as_deref());
            registry.spawn(topology::follow(registry.clone(), seed.clone(), Kind::Sentinel(Box::new(target))));
        }
    }
}

fn path(settings: &Settings, flag: &Flag) -> Option<PathBuf> {
    Some(settings.text(flag)).filter(|path| !path.is_empty()).map(PathBuf::from)
}
