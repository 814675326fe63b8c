//! `pg_*`: PostgreSQL 10 and later, in place of postgres_exporter.
//!
//! A [`target`](target::Target) is one server with one kept [`session`](session::Session). A scrape sends the statements of all
//! [`collectors`] as one message ([`round`]) and hands in each collector as its rows come in. Which servers there are is told by
//! the settings ([`targets`], [`dsn`], and libpq's [`surroundings`] and [`passfile`]) or, where they name none, [found](find). All of them are in the [`registry`], from which [`probe`] shows one.

mod asked;
mod beyond;
mod collector;
mod collectors;
mod column;
mod compat;
mod connect;
mod contained;
mod databases;
mod dsn;
mod find;
#[cfg(fuzzing)]
mod fuzzing;
mod gates;
mod grants;
mod largest;
mod modules;
mod options;
mod pairs;
mod passfile;
mod pgbouncer;
mod probe;
mod processes;
mod queries;
mod refused;
mod registry;
mod retired;
mod round;
mod schedule;
mod security;
mod session;
mod session_samples;
mod side;
mod surroundings;
mod table;
mod target;
mod targets;
mod up;
mod wire;

use std::sync::Arc;

use collector::Entry;
use options::Options;
use registry::Registry;

use crate::discovery::Found;
use crate::scrape::{Module, Part, Sources};
use crate::settings::{Error, Flag, Settings};
use crate::system::Roots;

#[cfg(fuzzing)]
pub use fuzzing::read_as_libpq;

/// This part's line in the table of parts.
pub static MODULE: Module = Module {
    part: Part::Postgres,
    enabled: Flag::switch("postgres", true, "Collect `pg_*`."),
    flags,
    collectors,
    commands: &[grants::COMMAND],
    start,
};

/// Checks the text of a file for `--postgres.queries`.
pub fn check_queries(text: &str) -> Result<(), Error> {
    queries::check(text)
}

/// Every collector: those of the contract, and ours.
fn entries() -> impl Iterator<Item = &'static Entry> {
    collectors::ENTRIES.into_iter().chain(beyond::ENTRIES).chain([&databases::ENTRY, &session_samples::ENTRY])
}

fn flags() -> Vec<&'static Flag> {
    let entries = entries().map(|entry| &entry.enabled);
    targets::FLAGS
        .into_iter()
        .chain(entries)
        .chain([&compat::FLAG])
        .chain(options::FLAGS)
        .chain(queries::FLAGS)
        .chain(probe::FLAGS)
        .chain(retired::flags())
        .collect()
}

fn collectors(settings: &Settings) -> Vec<(&'static str, bool)> {
    let entries = entries().map(|entry| (entry.name, options::is_on(entry, settings)));
    [(up::NAME, true), (queries::NAME, queries::is_on(settings)), (pgbouncer::NAME, true)].into_iter().chain(entries).collect()
}

fn start(settings: &Settings, sources: &Sources) -> Result<(), Error> {
    let enabled: Vec<&'static Entry> = entries().filter(|entry| options::is_on(entry, settings)).collect();
    retired::check(settings)?;
    let named = targets::named(settings)?;
    let registry = Arc::new(Registry::new(sources.clone(), Roots::of(settings), enabled, Options::read(settings)?));
    probe::serve(settings, registry.clone())?;
    if targets::find(settings) {
        let found = contained::follow(settings, sources, &named, registry.clone())?;
        if named.iter().all(|named| named.access.dsn.pgbouncer) {
            sources.spawn(search(settings.clone(), registry.clone(), found));
        }
    }
    for target in named {
        registry.add(target.label.as_deref(), target.access);
    }
    Ok(())
}

/// Looks for local servers for ever, and adds those it finds, but for the host's side of a container's.
async fn search(settings: Settings, registry: Arc<Registry>, contained: Option<Found>) {
    let discovery = registry.sources.discovery();
    let (roots, mut known) = (Roots::of(&settings), std::collections::BTreeMap::new());
    if let Some(contained) = &contained {
        contained.settled().await;
    }
    loop {
        let in_container = |host: &str, port| contained.as_ref().is_some_and(|found| found.holds(host, port));
        known.retain(|name: &String, (host, port): &mut (String, u16)| {
            let stays = !in_container(host, *port);
            if !stays {
                registry.remove(name);
                discovery.forget_local(Part::Postgres.name(), name);
            }
            stays
        });
        for (name, (host, port)) in find::look(&roots).await {
            if !known.contains_key(&name) && !in_container(&host, port) {
                let access = targets::found(&settings, &host, port);
                let as_socket_owner = access.dsn.as_owner && host.starts_with('/');
                tracing::info!(part = "postgres", target = %name, host, port, as_socket_owner, "found a server");
                registry.add(Some(&name), access);
                discovery.meet_local(Part::Postgres.name(), &name);
                known.insert(name, (host, port));
            }
        }
        tokio::time::sleep(find::EVERY).await;
    }
}

/// What the collectors' tests share.
#[cfg(test)]
mod testing {
    use super::collector::Server;
    use crate::exposition::{Page, Samples};
    use crate::system::Fault;

    /// A server of version `major`.
    pub(super) fn server(major: u32) -> Server {
        Server {
            major,
            version: format!("PostgreSQL {major}"),
            short_version: format!("{major}.0.0"),
            address: "localhost:5432".to_owned(),
            ..Server::default()
        }
    }

    /// The sample lines that `emit` writes, families in order of their names.
    pub(super) fn text(emit: impl FnOnce(&mut Samples) -> Result<(), Fault>) -> String {
        let mut samples = Samples::new();
        emit(&mut samples).unwrap();
        let page = String::from_utf8(Page::new(vec![samples]).to_vec()).unwrap();
        page.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect()
    }
}
