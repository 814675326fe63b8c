//! Databases in containers are found by themselves.
//!
//! The [`Directory`] holds what the engine tells of its containers ([`docker`], [`inspection`]); `containers` takes names from it. For each
//! product there is a [`Kind`]: which containers are one, what their labels wish for and where they could be reached is a [`Wish`].
//! A part [follows](Found::follow) the wishes of its kind: it tries to reach each server, and makes a target of it once that works or if the
//! operator asked for it. What was found and what is missing is told on the page ([`told`]).

mod container;
mod directory;
mod docker;
mod follow;
mod image;
mod inspection;
mod instant;
mod kind;
mod name;
mod secret;
mod told;
mod wish;

pub use container::{Container, Environment, Health, Network, Published};
pub use directory::{Directory, Engine};
pub use follow::{Finder, Found};
pub use kind::{Kind, POSTGRES, REDIS};
pub use told::Missing;
pub use wish::{Place, Wish};

use std::sync::{Arc, OnceLock};

use crate::exposition::Samples;
use crate::settings::{Error, Flag, Settings};
use told::{State, Told};

static DOCKER: Flag = Flag::text(
    "docker",
    "unix:///var/run/docker.sock",
    "Socket of the container engine that knows names, images and labels; empty for none.",
)
.env("DOCKER_HOST");
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

/// The flags of what is found by itself.
pub static FLAGS: [&Flag; 3] = [&DOCKER, &SECRETS, &ENVIRONMENT];

/// The engine's containers and what was found in them. Cheap to clone; the engine is asked from the first call of
/// [`directory`](Self::directory) on.
#[derive(Clone, Default)]
pub struct Discovery {
    directory: Arc<OnceLock<Option<Directory>>>,
    told: Told,
}

impl Discovery {
    /// The containers of the engine, `None` where there is to be no engine. To be called inside the runtime.
    pub fn directory(&self, settings: &Settings) -> Result<Option<Directory>, Error> {
        let socket = socket(&settings.text(&DOCKER))?;
        let directory = self.directory.get_or_init(|| {
            let directory = Directory::default();
            tokio::spawn(docker::watch(socket?, directory.clone(), settings.switch(&ENVIRONMENT)));
            Some(directory)
        });
        Ok(directory.clone())
    }

    /// Tells of a server of `part` that was found on this host, outside of any container.
    pub fn meet_local(&self, part: &'static str, target: &str) {
        self.told.set(part, target, State { how: "local", missing: None });
    }

    /// Tells of it no longer.
    pub fn forget_local(&self, part: &'static str, target: &str) {
        self.told.remove(part, target);
    }

    /// Writes what was found of the parts that are `shown`.
    pub fn emit(&self, shown: impl Fn(&str) -> bool, out: &mut Samples) {
        self.told.emit(shown, out);
    }
}

/// The path of the engine's socket, or `None` where there is to be no engine.
fn socket(text: &str) -> Result<Option<String>, Error> {
    match text.strip_prefix("unix://").unwrap_or(text) {
        "" => Ok(None),
        path if path.starts_with('/') => Ok(Some(path.to_owned())),
        _ => Err(Error::new(format!("docker: {text:?} is not a socket such as unix:///var/run/docker.sock"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_are_engines() {
        assert_eq!(socket("unix:///run/docker.sock").unwrap().as_deref(), Some("/run/docker.sock"));
        assert_eq!(socket("/run/docker.sock").unwrap().as_deref(), Some("/run/docker.sock"));
        assert_eq!(socket("").unwrap(), None);
        for wrong in ["tcp://127.0.0.1:2375", "docker.sock", "ssh://host"] {
            assert!(socket(wrong).unwrap_err().to_string().contains(wrong));
        }
    }
}
