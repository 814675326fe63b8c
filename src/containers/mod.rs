//! `container_*` and `machine_*`: cgroups, in place of cAdvisor.
//!
//! The numbers come from the kernel ([`cgroup`], [`network`]), the names from the engine ([`docker`], through the
//! [`Directory`]): a scrape reads the one and looks up the other, and never waits for an engine. A cgroup without a name is
//! shown by its path.

mod cgroup;
mod collector;
mod devices;
mod directory;
mod docker;
mod families;
mod identity;
mod instant;
mod labels;
mod machine;
mod network;

pub use self::directory::{Container, Directory, Engine, Health};

use self::collector::Containers;
use self::labels::Choice;
use crate::exposition::Samples;
use crate::scrape::{Collector, Module, Part, Source, Sources};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Roots, System};

/// This part's line in the table of parts.
pub static MODULE: Module = Module {
    part: Part::Containers,
    enabled: Flag::switch("containers", true, "Collect `container_*` and `machine_*`."),
    flags,
    collectors,
    commands: &[],
    start,
};

static DOCKER: Flag = Flag::text(
    "docker",
    "unix:///var/run/docker.sock",
    "Socket of the container engine that knows names, images and labels; empty for none.",
)
.env("DOCKER_HOST");

const NAME: &str = "containers";

fn flags() -> Vec<&'static Flag> {
    std::iter::once(&DOCKER).chain(labels::FLAGS).collect()
}

fn collectors(_settings: &Settings) -> Vec<(&'static str, bool)> {
    vec![(NAME, true)]
}

fn start(settings: &Settings, sources: &Sources) -> Result<(), Error> {
    let directory = socket(&settings.text(&DOCKER))?.map(|socket| {
        let directory = Directory::default();
        tokio::spawn(docker::watch(socket, directory.clone()));
        directory
    });
    let mut collector = Containers::new(directory, Choice::of(settings));
    let (mut system, mut scratch) = (System::new(Roots::of(settings)), Samples::new());
    let thread = Source::thread(Part::Containers, NAME, vec![NAME], move |job| {
        system.begin(job.deadline());
        job.run(NAME, &mut scratch, |out| collector.collect(&mut system, out));
    });
    sources.add(thread.map_err(|error| Error::new(format!("cannot start a thread: {error}")))?);
    Ok(())
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
