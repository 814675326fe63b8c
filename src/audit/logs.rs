//! How large the log files of containers are: looked at between scrapes, since a file system may hang.

use std::collections::HashMap;
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

async fn follow(logs: Logs, directory: Directory, roots: Roots) {
    let mut changes = directory.changes();
    loop {
        let (directory, roots) = (directory.clone(), roots.clone());
        // A file system that hangs holds this one look, and the sizes stay as they were.
        if let Ok(sizes) = tokio::task::spawn_blocking(move || sizes(&directory, &roots)).await {
            *logs.0.lock().unwrap_or_else(PoisonError::into_inner) = sizes;
        }
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
