//! `redis_*`: Redis, Valkey and their like, in place of redis_exporter.
//!
//! One worker a server ([`worker`]) keeps one connection ([`connection`]), sends what [`plan`] thinks of in one round trip, and
//! writes what the replies hold: the fields of INFO by the tables in [`fields`], everything else by the file of its name.
//! What is parsed is bytes in, plain values out; a field that is not there gives no series, whatever the server's version.

mod address;
mod ask;
mod beyond;
mod clients;
mod commands;
mod config;
mod connection;
mod contained;
mod fields;
mod found;
#[cfg(fuzzing)]
mod fuzzing;
mod hotkeys;
mod info;
mod instance;
mod keys;
mod keyspace;
mod latency;
mod options;
mod outcome;
mod page;
mod pages;
mod percentiles;
mod plan;
mod registry;
mod replication;
mod reply;
mod resp;
mod retired;
mod retry;
mod rights;
mod sentinel;
mod slowlog;
mod target;
mod tls;
mod topology;
mod views;
mod worker;

#[cfg(fuzzing)]
pub use fuzzing::{passwords_of_any_file, read_as_any_server};

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::scrape::{Advice, Command, Module, Part, Sources};
use crate::settings::{Error, Flag, Settings};
use crate::system::Roots;
use options::Options;
use target::Target;
use worker::Manner;

/// What `redis_audit_finding` checks: the severity, and what to say where something is found.
pub fn checks() -> impl Iterator<Item = (&'static str, &'static Advice)> {
    beyond::checks()
}

/// The part's one collector: what a scrape asks of a server is one round trip, so there is nothing to choose from.
const COLLECTOR: &str = "redis";

static ADDR: Flag = Flag::text(
    "redis.addr",
    "redis://localhost:6379",
    "Address of the Redis server: redis://, valkey://, unix:// or host:port. Not given at all: what answers on the usual local addresses.",
)
.env("REDIS_ADDR");
static USER: Flag = Flag::text("redis.user", "", "User to log in as.").env("REDIS_USER");
static PASSWORD: Flag = Flag::text("redis.password", "", "Password to log in with.").env("REDIS_PASSWORD").secret();
static PASSWORD_FILE: Flag = Flag::text(
    "redis.password-file",
    "",
    "File whose first line is the password, or redis_exporter's JSON map from URL to password.",
)
.env("REDIS_PASSWORD_FILE");
static TIMEOUT: Flag =
    Flag::time("redis.connection-timeout", Duration::from_secs(15), "The longest that a scrape waits for the Redis server.")
        .env("REDIS_EXPORTER_CONNECTION_TIMEOUT");
static FIND: Flag = Flag::switch("redis.find", true, "Look for servers in containers, and for local ones where none is given.");

/// This part's line in the table of parts.
pub static MODULE: Module = Module {
    part: Part::Redis,
    enabled: Flag::switch("redis", true, "Collect `redis_*`."),
    flags,
    collectors,
    commands: &[ACL],
    start,
};

const ACL: Command = Command {
    words: "redis acl",
    help: "Print the ACL rules of a user who may ask just what these settings ask of Redis.",
    text: |settings| {
        let options = Options::read(settings)?;
        let wanted = keys::Wanted::read(settings, options.compat)?;
        Ok(format!("{}\n", rights::acl(&options, &wanted)))
    },
};

fn flags() -> Vec<&'static Flag> {
    let mut flags = vec![&ADDR, &USER, &PASSWORD, &PASSWORD_FILE, &TIMEOUT, &FIND];
    flags.extend(options::FLAGS);
    flags.extend(tls::FLAGS);
    flags.extend(keys::flags());
    flags.extend(pages::FLAGS);
    flags.extend(retired::flags());
    flags
}

fn collectors(_settings: &Settings) -> Vec<(&'static str, bool)> {
    vec![(COLLECTOR, true)]
}

fn start(settings: &Settings, sources: &Sources) -> Result<(), Error> {
    retired::check(settings)?;
    let options = Options::read(settings)?;
    let manner = Manner {
        timeout: settings.time(&TIMEOUT),
        keys: Arc::new(keys::Wanted::read(settings, options.compat)?),
        options,
        roots: Roots::of(settings),
    };
    let targets = targets(settings)?;
    let look = targets.is_empty() && !settings.is_given(&ADDR);
    let registry = pages::serve(settings, sources, manner, &targets);
    targets.iter().cloned().for_each(|target| registry.add(target));
    pages::follow(settings, &registry, &targets);
    if settings.switch(&FIND) {
        let contained = contained::follow(settings, sources, &registry, &targets)?;
        if look {
            sources.spawn(found::look(registry, contained, sources.discovery().clone()));
        }
    }
    Ok(())
}

/// The servers that the settings name: that of redis_exporter's own flags and variables, and those of the file's list.
fn targets(settings: &Settings) -> Result<Vec<Target>, Error> {
    let given = [&ADDR, &USER, &PASSWORD, &PASSWORD_FILE].into_iter().any(|flag| settings.is_given(flag));
    let mut targets: Vec<Target> = if given { Target::given(settings)?.into_iter().collect() } else { Vec::new() };
    let mut names = HashSet::new();
    for listed in &settings.redis_targets {
        if listed.name.is_empty() || !names.insert(&listed.name) {
            return Err(Error::new(format!("redis.targets: every target needs a name of its own, {:?} is none", listed.name)));
        }
        targets.push(Target::listed(listed)?);
    }
    Ok(targets)
}
