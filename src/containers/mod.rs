//! `container_*` and `machine_*`: cgroups, in place of cAdvisor.
//!
//! The numbers come from the kernel ([`cgroup`], [`network`], [`disk`]), the names from the engine (the
//! [`Directory`](crate::discovery::Directory)): a scrape reads the one and looks up the other, and never waits for an engine. A cgroup without a name is
//! shown by its path.

mod beyond;
mod cgroup;
mod collector;
mod devices;
mod disk;
mod emit;
mod engines;
mod families;
#[cfg(fuzzing)]
mod fuzzing;
mod identity;
mod labels;
mod machine;
mod network;
mod ooms;
mod processes;
mod sets;
mod spec;
mod streamed;
mod topology;

#[cfg(fuzzing)]
pub use self::fuzzing::page_of_any_engine;

use self::collector::{Containers, Show};
use self::disk::{Disk, Task};
use self::labels::Choice;
use self::processes::Processes;
use self::sets::{Set, Sets};
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

const NAME: &str = "containers";

static COMPAT: Flag =
    Flag::text("containers.compat", "", "cadvisor: show 0, as cAdvisor does, where the kernel has no such number for a cgroup.");

const NO_MEMORY: &str = "container_memory_* and container_spec_memory_* are missing: the kernel runs without the memory controller; start it \
    with cgroup_enable=memory (on a Raspberry Pi in cmdline.txt, with cgroup_memory=1)";

fn flags() -> Vec<&'static Flag> {
    [&labels::FLAGS[..], &sets::FLAGS, &disk::FLAGS, &[&COMPAT]].concat()
}

fn collectors(_settings: &Settings) -> Vec<(&'static str, bool)> {
    vec![(NAME, true)]
}

fn start(settings: &Settings, sources: &Sources) -> Result<(), Error> {
    let zeros = match settings.text(&COMPAT).as_str() {
        "" => false,
        "cadvisor" => true,
        other => return Err(Error::new(format!("--containers.compat knows cadvisor, not {other:?}"))),
    };
    let show = Show { sets: Sets::of(settings)?, zeros };
    let thread_error = |error| Error::new(format!("cannot start a thread: {error}"));
    let processes = Processes::start(Roots::of(settings).proc, show.sets).map_err(thread_error)?;
    if cgroup::lacks_memory(&Roots::of(settings)) {
        sources.warn(Part::Containers, "memory", NO_MEMORY.to_owned());
    }
    let directory = sources.discovery().directory(settings)?;
    let disk = Disk::new(sources.discovery().usages().clone());
    if let Some(task) = Task::new(disk.clone(), directory.clone(), settings).filter(|_| show.sets.has(Set::Disk)) {
        sources.spawn(task.run());
    }
    let mut collector = Containers::new(directory, sources.discovery().clone(), disk, Choice::of(settings), show, processes);
    let (mut system, mut scratch) = (System::new(Roots::of(settings)), Samples::new());
    let thread = Source::thread(Part::Containers, NAME, vec![NAME], move |job| {
        system.begin(job.deadline());
        job.run(NAME, &mut scratch, |out| collector.collect(&mut system, out));
    });
    sources.add(thread.map_err(thread_error)?);
    Ok(())
}
