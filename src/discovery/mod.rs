//! Databases in containers are found by themselves.
//!
//! The [`Directory`] holds what the [`engines`] tell of their containers ([`docker`], [`inspection`]); `containers` takes names from it. For each
//! product there is a [`Kind`]: which containers are one, what their labels wish for and where they could be reached is a [`Wish`].
//! A part [follows](Found::follow) the wishes of its kind: it tries to reach each server, and makes a target of it once that works or if the
//! operator asked for it. What was found and what is missing is told on the page ([`told`]).

mod answer;
mod container;
mod containerd;
mod cri;
mod directory;
mod docker;
mod engine;
mod engines;
mod envelope;
mod facts;
mod follow;
#[cfg(fuzzing)]
mod fuzzing;
mod grpc;
mod holdings;
mod inspection;
mod instant;
mod kind;
mod name;
mod nameless;
mod oci;
mod proto;
mod secret;
mod streams;
mod told;
mod transport;
mod usage;
mod wish;

pub use container::{Container, Environment, Network, Published};
pub use directory::{Counts, Directory, Engine, Stock};
pub use engine::Product;
pub use facts::{Health, Limits, Log, State, Storage};
pub use follow::{Finder, Found};
#[cfg(fuzzing)]
pub(crate) use fuzzing::tell;
pub use holdings::{Holdings, Image, Node, Service, Volume};
pub use kind::{Kind, POSTGRES, REDIS};
pub use nameless::Nameless;
pub use streams::{Figures, Streams};
pub use told::{Met, Missing};
pub use usage::{Extent, Usage, Usages};
pub use wish::{Place, Wish};

use std::sync::{Arc, OnceLock};

use crate::exposition::Samples;
use crate::settings::{Error, Flag, Settings};
use crate::system::Tasks;
use told::Told;

static SECRETS: Flag = Flag::text(
    "discovery.secrets",
    "/run/secrets",
    "Folder of the password files that labels of containers may name, such as stack-exporter.postgres.password-file.",
);
static ENVIRONMENT: Flag = Flag::switch(
    "discovery.environment",
    false,
    "Take passwords of found databases from their containers' settings: POSTGRES_PASSWORD, REDIS_PASSWORD, --requirepass.",
);

static VARIABLES: Flag = Flag::list(
    "containers.env",
    &[],
    "Variable of a container's environment to show as `container_env_*`, by its exact name; none by default, since they may hold secrets.",
);

/// The flags of what is found by itself.
pub fn flags() -> impl Iterator<Item = &'static Flag> {
    engine::FLAGS.into_iter().chain(engines::FLAGS).chain([&SECRETS, &ENVIRONMENT, &VARIABLES])
}

/// The engines' containers and what was found in them. Cheap to clone; the engines are asked from the first call of
/// [`directory`](Self::directory) on.
#[derive(Clone, Default)]
pub struct Discovery {
    directory: Arc<OnceLock<Option<Directory>>>,
    told: Told,
    nameless: nameless::Seen,
    usages: Usages,
    tasks: Tasks,
}

impl Discovery {
    /// The containers of the engines, `None` where there is to be no engine. To be called inside the runtime.
    pub fn directory(&self, settings: &Settings) -> Result<Option<Directory>, Error> {
        let wanted = engines::Wanted::of(settings, settings.switch(&ENVIRONMENT))?;
        let directory = self.directory.get_or_init(|| {
            let variables = settings.list(&VARIABLES);
            let variables = variables.iter().flat_map(|names| names.split(',')).map(|name| name.trim().to_owned());
            let (wanted, directory) = (wanted?, Directory::keeping(variables.filter(|name| !name.is_empty()).collect()));
            let places = wanted.look();
            for (product, address) in &places {
                directory.shelf(*product, address.to_string());
            }
            self.tasks.spawn(engines::watch(wanted, directory.clone(), places));
            Some(directory)
        });
        Ok(directory.clone())
    }

    /// What runs for as long as there is something to be found.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Tells of a server of `part` that was found on this host, outside of any container.
    pub fn meet_local(&self, part: &'static str, target: &str) {
        self.told.set(part, target, told::State { how: "local", missing: None });
    }

    /// Tells of it no longer.
    pub fn forget_local(&self, part: &'static str, target: &str) {
        self.told.remove(part, target);
    }

    /// What was found of all parts, and what is missing.
    pub fn met(&self) -> Vec<Met> {
        self.told.all()
    }

    /// All containers that the engines tell of.
    pub fn containers(&self) -> Vec<Arc<Container>> {
        self.directory.get().and_then(Option::as_ref).map_or_else(Vec::new, Directory::all)
    }

    /// The container on this machine in which the server called `target` was found, where no label calls it otherwise.
    pub fn held(&self, target: &str) -> Option<Arc<Container>> {
        let containers = self.containers();
        containers.into_iter().find(|container| !container.remote && name::plain(None, container) == target)
    }

    /// How the engines do that are asked.
    pub fn engines(&self) -> Vec<Engine> {
        self.directory.get().and_then(Option::as_ref).map_or_else(Vec::new, Directory::engines)
    }

    /// Notes the cgroups that are a container's and have no name.
    pub fn note_nameless<'a>(&self, cgroups: impl Iterator<Item = &'a str>) {
        self.nameless.set(cgroups);
    }

    /// The cgroups that were noted last.
    pub fn nameless(&self) -> Nameless {
        self.nameless.get()
    }

    /// What the containers take on disk.
    pub fn usages(&self) -> &Usages {
        &self.usages
    }

    /// Writes what was found of the parts that are `shown`.
    pub fn emit(&self, shown: impl Fn(&str) -> bool, out: &mut Samples) {
        self.told.emit(shown, out);
    }
}
