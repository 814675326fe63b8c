//! All servers that are watched now, and what is answered for one of them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::COLLECTOR;
use super::address::Address;
use super::target::Target;
use super::views::{self, Views};
use super::worker::{Manner, Server};
use crate::scrape::{Answer, Job, Part, Source, Sources, Worker};
use crate::settings::Settings;

/// The most servers that `--redis.scrape-any` lets strangers make us ask at once.
const VISITS: usize = 16;

/// The servers that are watched.
pub(super) struct Registry {
    sources: Sources,
    pub(super) manner: Manner,
    list: Mutex<Vec<Target>>,
    /// Pages with keys that a request names, and the settings of all else about keys; `None`: no request may.
    views: Option<(Views, Settings)>,
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
        Registry { sources, manner, list: Mutex::default(), views: None, any: None }
    }

    /// Lets any server be asked for by `/scrape`.
    pub(super) fn with_any(self, file: Option<PathBuf>) -> Self {
        Registry { any: Some(Any { file, visits: Arc::new(Semaphore::new(VISITS)) }), ..self }
    }

    /// Lets requests of `/scrape` name keys.
    pub(super) fn with_keys(self, settings: Settings) -> Self {
        Registry { views: Some((Views::default(), settings)), ..self }
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
        list.retain(|known| known.name != target.name);
        list.push(target.clone());
        self.forget(&target.name);
        self.sources.add(self.source(target, named_by));
    }

    /// Watches a server that was found, unless one of its name or at its address is watched already.
    pub(super) fn meet(&self, target: Target) -> bool {
        let known = {
            let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            list.iter().any(|known| known.name == target.name || known.endpoint == target.endpoint)
        };
        if !known {
            self.put(target, "topology");
        }
        !known
    }

    /// Watches a server no longer.
    pub(super) fn remove(&self, name: &str) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known.name != name);
        self.forget(name);
        self.sources.remove(Part::Redis, name);
    }

    fn forget(&self, name: &str) {
        self.views.iter().for_each(|(views, _)| views.forget(name));
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
            let named = list.iter().find(|known| known.name == text);
            let at = || list.iter().find(|known| address.as_ref().is_ok_and(|address| address.endpoint == known.endpoint));
            named.or_else(at).cloned()
        };
        let keys = views::parameters(query);
        if !keys.is_empty() {
            return match (&self.views, known) {
                (None, _) => Answer::Refused("keys are named by settings only, unless --redis.scrape-keys is set\n".to_owned()),
                (_, None) => Answer::Refused("keys are shown of configured servers only\n".to_owned()),
                (Some((views, settings)), Some(target)) => {
                    views.source(&target, keys, settings, &self.manner).map_or_else(Answer::Refused, Answer::Page)
                }
            };
        }
        if let Some(source) = known.and_then(|target| self.sources.get(Part::Redis, &target.name)) {
            return Answer::Page(source);
        }
        match &self.any {
            None => Answer::Refused(
                "no such target: only configured servers are scraped, by name or address, unless --redis.scrape-any is set\n"
                    .to_owned(),
            ),
            Some(any) => {
                let name = query.iter().find(|(key, _)| key == "tls_server_name" || key == "tls-server-name");
                self.visit(any, text, name.map(|(_, name)| name.clone())).unwrap_or_else(Answer::Refused)
            }
        }
    }

    /// The page of a server that is not watched.
    fn visit(&self, any: &Any, text: &str, tls_name: Option<String>) -> Result<Answer, String> {
        let target = Target::visited(text, any.file.as_deref(), tls_name)
            .map_err(|reason| format!("the target cannot be used: {reason}\n"))?;
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
