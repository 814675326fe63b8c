//! `/probe?target=<name>&auth_module=<name>`: the page of one server, as postgres_exporter's.
//!
//! A server that the agent watches is asked through the session that is kept; with a module's user, and for servers that nobody named, the
//! session is as short as the request.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::dsn::Dsn;
use super::modules::{self, Modules};
use super::registry::{Registry, Watched};
use super::targets;
use crate::scrape::{Answer, Job, Part, Worker};
use crate::settings::{Error, Flag, Settings};

static ANY: Flag = Flag::switch(
    "postgres.probe-any",
    false,
    "Let /probe ask any server, not only those watched: whoever reaches this program can then make it connect anywhere, with the passwords of --postgres.auth-modules.",
);

pub(super) static FLAGS: [&Flag; 2] = [&ANY, &modules::FLAG];

/// The most sessions that requests may have open beside those that are kept.
const VISITS: usize = 16;

/// What answers.
struct Probe {
    registry: Arc<Registry>,
    modules: Modules,
    /// `--postgres.probe-any`
    any: bool,
    settings: Settings,
    visits: Arc<Semaphore>,
}

/// Answers `/probe` for the servers of `registry`.
pub(super) fn serve(settings: &Settings, registry: Arc<Registry>) -> Result<(), Error> {
    let sources = registry.sources.clone();
    let (any, settings, modules) = (settings.switch(&ANY), settings.clone(), Modules::read(settings)?);
    let probe = Probe { registry, modules, any, settings, visits: Arc::new(Semaphore::new(VISITS)) };
    sources.serve("/probe", Arc::new(move |query| std::future::ready(probe.answer(&query).unwrap_or_else(refused)).boxed()));
    Ok(())
}

fn refused(reason: String) -> Answer {
    Answer::Refused(reason + "\n")
}

impl Probe {
    fn answer(&self, query: &[(String, String)]) -> Result<Answer, String> {
        let parameter = |name: &str| {
            let value = query.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
            value.filter(|value| !value.is_empty())
        };
        let text = parameter("target").ok_or("the parameter target is missing: the name of a server")?;
        let module = match parameter("auth_module") {
            Some(name) => {
                Some(self.modules.get(name).ok_or("no auth module has this name in the file of --postgres.auth-modules")?)
            }
            None => None,
        };
        let known = self.registry.find(text);
        if let (Some((name, _)), None) = (&known, module) {
            return self.registry.sources.get(Part::Postgres, name).map(Answer::Page).ok_or_else(|| "no such target".to_owned());
        }
        let mut access = match known {
            Some((_, access)) => access,
            None if self.any => {
                let dsn = Dsn::of_stranger(text).map_err(|reason| format!("the target cannot be used: {reason}"))?;
                targets::timed(dsn, None, &self.settings)
            }
            None => {
                return Err(
                    "no such target: only servers that are watched are asked, unless --postgres.probe-any is set".to_owned()
                );
            }
        };
        module.map_or(Ok(()), |module| module.apply(&mut access))?;
        let place = self.visits.clone().try_acquire_owned();
        let place = place.map_err(|_| format!("{VISITS} requests like this one are being answered, try again later"))?;
        Ok(Answer::Page(Arc::new(self.registry.visit(access, |target| Visit { target, _place: place }))))
    }
}

/// A server that is asked once. It ends, and gives its place back, with its source.
struct Visit {
    target: Watched,
    _place: OwnedSemaphorePermit,
}

impl Worker for Visit {
    async fn collect(&mut self, job: &Job) {
        self.target.collect(job).await;
    }

    fn reset(&mut self) {
        self.target.reset();
    }
}
