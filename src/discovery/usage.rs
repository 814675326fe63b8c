//! What containers take on disk: measured by the part that shows it, told here to whoever wants to know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A folder and all below it on the same file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Blocks that are taken, in bytes: a file with holes counts what is there, one with several names counts once.
    pub bytes: u64,
    /// Files and folders, its own included.
    pub inodes: u64,
}

/// What one container takes on disk, and when that was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What it wrote itself; `None` where its files are not kept apart from its image's.
    pub layer: Option<Extent>,
    /// What the engine keeps for it beside: its folder with logs and settings.
    pub folder: Extent,
    /// The lengths of its log files, rotated ones included; `None` where there is no file.
    pub logs: Option<u64>,
    /// The file system that its layer lies on: device and size in bytes.
    pub file_system: Option<(String, u64)>,
    /// In seconds since 1970.
    pub measured: u64,
}

/// The latest of each container, by its id. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Usages(Arc<Mutex<HashMap<String, Arc<Usage>>>>);

impl Usages {
    /// What was measured last of the container of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Usage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Puts in what was measured, in place of earlier figures.
    pub fn put(&self, id: String, usage: Usage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(usage));
    }

    /// Forgets all containers but those whose id is to be kept.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| keep(id));
    }
}
