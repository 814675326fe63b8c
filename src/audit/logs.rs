//! How large the log files of containers are: looked at between scrapes, since a file system may hang.

use std::collections::HashMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::discovery::Directory;
use crate::scrape::Sources;
use crate::settings::{Error, Settings};
use crate::system::Roots;

/// How often all files are looked at, and how soon after containers came or went.
const EVERY: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(1);

/// The sizes in bytes by the containers' ids. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Logs(Arc<Mutex<HashMap<String, u64>>>);

impl Logs {
    /// Sizes that are kept up to date for as long as there are sources.
    pub(super) fn watch(settings: &Settings, sources: &Sources) -> Result<Self, Error> {
        let logs = Logs::default();
        if let Some(directory) = sources.discovery().directory(settings)? {
            sources.spawn(follow(logs.clone(), directory, Roots::of(settings)));
        }
        Ok(logs)
    }

    /// The sizes as they were seen last.
    pub(super) fn sizes(&self) -> HashMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Has the files looked at. The thread that does so may hang with their file system: then the sizes stay as they were.
async fn follow(logs: Logs, directory: Directory, roots: Roots) {
    let mut changes = directory.changes();
    let (orders, ordered) = sync_channel(1);
    let look = move || {
        while ordered.recv().is_ok() {
            let sizes = sizes(&directory, &roots);
            *logs.0.lock().unwrap_or_else(PoisonError::into_inner) = sizes;
        }
    };
    if let Err(error) = std::thread::Builder::new().name("logs".to_owned()).stack_size(256 * 1024).spawn(look) {
        return tracing::warn!(%error, "no thread to look at the sizes of log files: the audit does without");
    }
    loop {
        // Full while an earlier look is still under way.
        let _ = orders.try_send(());
        sleep(SOON).await;
        let _ = timeout(EVERY, changes.changed()).await;
    }
}

fn sizes(directory: &Directory, roots: &Roots) -> HashMap<String, u64> {
    let local = directory.all().into_iter().filter(|container| !container.remote && container.log.path.starts_with('/'));
    local
        .filter_map(|container| Some((container.id.clone(), std::fs::metadata(roots.root(&container.log.path)).ok()?.len())))
        .collect()
}
