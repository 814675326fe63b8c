//! A container as its engine describes it, in plain types.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::facts::{Health, Limits, Log, State, Storage};
use crate::settings::Secret;

/// What our own labels begin with.
pub(super) const LABELS: &str = "stack-exporter.";

/// A container as its engine describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits; where an engine gives none, the path of its cgroup.
    pub id: String,
    /// Whether the engine that tells of it may be another machine's.
    pub remote: bool,
    /// As the user calls it.
    pub name: String,
    /// As the user wrote it when the container was made.
    pub image: String,
    /// The image itself: `sha256:` and 64 hexadecimal digits; empty where the engine does not tell.
    pub image_id: String,
    /// All labels, whether or not they are shown.
    pub labels: BTreeMap<String, String>,
    /// Those of them that begin with [`LABELS`] and do not come with the image.
    pub settings: BTreeMap<String, String>,
    /// The first process, in the host's numbering; `None` when it does not run.
    pub pid: Option<u32>,
    /// When it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// When it was started last, in seconds since 1970.
    pub started: Option<i64>,
    /// When it ended last, in seconds since 1970.
    pub finished: Option<i64>,
    /// What it is doing; `None` where the engine does not tell.
    pub state: Option<State>,
    /// How it ended last, if it ever did.
    pub exit_code: Option<i64>,
    /// Whether a process of it was killed for want of memory in its last run.
    pub oom_killed: bool,
    /// How often the engine told, while we listened, that a process of it was killed for want of memory.
    pub ooms: u64,
    /// How often its restart policy started it again.
    pub restart_count: Option<u64>,
    /// `no`, `always`, `unless-stopped`, `on-failure`; empty where the engine does not tell.
    pub restart_policy: String,
    /// What its health check says.
    pub health: Option<Health>,
    /// How many checks failed since the last one that was passed.
    pub failing_streak: u64,
    /// Whether it has a health check, be it one that has never run.
    pub health_check: bool,
    /// Whether it has all rights on the host.
    pub privileged: bool,
    /// What it may use.
    pub limits: Limits,
    /// Where its output goes.
    pub log: Log,
    /// Where its files are.
    pub storage: Storage,
    /// Whose network it lives in.
    pub network: Network,
    /// Its addresses, in the order of its networks' names.
    pub addresses: Vec<IpAddr>,
    /// What it is called in its networks.
    pub aliases: Vec<String>,
    /// The TCP ports that it says it listens on.
    pub exposed: Vec<u16>,
    /// The TCP ports that the host passes on.
    pub published: Vec<Published>,
    /// Folders of the host, by where they are mounted.
    pub mounts: Vec<(String, String)>,
    /// Names of the volumes among them.
    pub volumes: Vec<String>,
    /// The variables of its environment that the operator wants to see.
    pub variables: BTreeMap<String, String>,
    /// The little else that is read of its environment.
    pub environment: Environment,
}

impl Container {
    /// Whether it lives in another container's network, or the host's.
    pub fn joins_network(&self) -> bool {
        self.network != Network::Own
    }
}

/// Whose network a container lives in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Its own, or none.
    #[default]
    Own,
    /// The host's.
    Host,
    /// That of the container of this id.
    Of(String),
}

/// A port of the host that leads into a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// The port inside.
    pub port: u16,
    /// The host's address.
    pub address: IpAddr,
    /// The host's port.
    pub host_port: u16,
}

/// What is kept of a container's environment and command line. All else is dropped as soon as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `POSTGRES_USER`
    pub postgres_user: Option<String>,
    /// `POSTGRES_DB`
    pub postgres_database: Option<String>,
    /// `POSTGRES_PASSWORD`, with `--discovery.environment` alone.
    pub postgres_password: Option<Secret>,
    /// `REDIS_PASSWORD` or the word behind `--requirepass`, with `--discovery.environment` alone.
    pub redis_password: Option<Secret>,
}
