//! All servers that are watched now, and what is answered for one of them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::COLLECTOR;
use super::address::{Address, Endpoint};
use super::target::Target;
use super::worker::{Manner, Server};
use crate::scrape::{Answer, Job, Part, Source, Sources, Worker};

/// The most servers that `--redis.scrape-any` lets strangers make us ask at once.
const VISITS: usize = 16;

/// The servers that are watched.
pub(super) struct Registry {
    sources: Sources,
    pub(super) manner: Manner,
    list: Mutex<Vec<(String, Endpoint)>>,
    /// Who may be asked beside them; `None`: nobody.
    any: Option<Any>,
}

/// `--redis.scrape-any`
struct Any {
    /// The password file, of which a JSON map holds passwords for such servers.
    file: Option<PathBuf>,
    visits: Arc<Semaphore>,
}

impl Registry {
    pub(super) fn new(sources: Sources, manner: Manner) -> Self {
        Registry { sources, manner, list: Mutex::default(), any: None }
    }

    /// Lets any server be asked for by `/scrape`.
    pub(super) fn with_any(self, file: Option<PathBuf>) -> Self {
        Registry { any: Some(Any { file, visits: Arc::new(Semaphore::new(VISITS)) }), ..self }
    }

    /// Runs `task` for as long as servers are watched at all.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.sources.spawn(task);
    }

    /// Watches a server that the operator named.
    pub(super) fn add(&self, target: Target) {
        self.put(target, "settings");
    }

    fn put(&self, target: Target, named_by: &'static str) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|(name, _)| *name != target.name);
        list.push((target.name.clone(), target.endpoint.clone()));
        self.sources.add(self.source(target, named_by));
    }

    /// Watches a server that was found, unless one of its name or at its address is watched already.
    pub(super) fn meet(&self, target: Target) -> bool {
        let known = {
            let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            list.iter().any(|(name, endpoint)| *name == target.name || *endpoint == target.endpoint)
        };
        if !known {
            self.put(target, "topology");
        }
        !known
    }

    /// Watches a server no longer.
    pub(super) fn remove(&self, name: &str) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| known != name);
        self.sources.remove(Part::Redis, name);
    }

    fn source(&self, target: Target, named_by: &'static str) -> Source {
        let (name, labels) = (target.name.clone(), target.labels.clone());
        let address = target.endpoint.to_string();
        let server = Server::new(target, self.manner.clone());
        let advised = server.advised();
        Source::task(Part::Redis, &name, vec![COLLECTOR], server).with_labels(labels).at(address, named_by).with_advice(advised)
    }

    /// `/scrape?target=<name or address>`
    pub(super) fn scrape(&self, query: &[(String, String)]) -> Answer {
        let text = query.iter().find(|(key, _)| key == "target").map(|(_, text)| text.trim()).unwrap_or_default();
        if text.is_empty() {
            return Answer::Refused("the parameter target is missing: the name or the address of a server\n".to_owned());
        }
        let address = Address::parse(text);
        let known = {
            let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            let named = list.iter().find(|(name, _)| name == text);
            let at = || list.iter().find(|(_, endpoint)| address.as_ref().is_ok_and(|address| address.endpoint == *endpoint));
            named.or_else(at).map(|(name, _)| name.clone())
        };
        if let Some(source) = known.and_then(|name| self.sources.get(Part::Redis, &name)) {
            return Answer::Page(source);
        }
        match &self.any {
            None => Answer::Refused(
                "no such target: only configured servers are scraped, by name or address, unless --redis.scrape-any is set\n"
                    .to_owned(),
            ),
            Some(any) => self.visit(any, text).unwrap_or_else(Answer::Refused),
        }
    }

    /// The page of a server that is not watched.
    fn visit(&self, any: &Any, text: &str) -> Result<Answer, String> {
        let target =
            Target::visited(text, any.file.as_deref()).map_err(|reason| format!("the target cannot be used: {reason}\n"))?;
        let place = any.visits.clone().try_acquire_owned();
        let place =
            place.map_err(|_| format!("{VISITS} servers that are not configured are being scraped, try again later\n"))?;
        let name = target.name.clone();
        let visit = Visit { server: Server::new(target, self.manner.clone()), _place: place };
        Ok(Answer::Page(Arc::new(Source::task(Part::Redis, &name, vec![COLLECTOR], visit))))
    }
}

/// A server that is asked once. It ends, and gives its place back, with its source.
struct Visit {
    server: Server,
    _place: OwnedSemaphorePermit,
}

impl Worker for Visit {
    async fn collect(&mut self, job: &Job) {
        self.server.collect(job).await;
    }

    fn reset(&mut self) {
        self.server.reset();
    }
}
