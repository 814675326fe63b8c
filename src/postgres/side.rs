//! Where a server runs, as far as this machine can tell: here, in a container here, or somewhere else.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::dsn::Dsn;
use super::processes::Processes;
use crate::discovery::Container;
use crate::exposition::from_u64;
use crate::scrape::Sources;
use crate::system::{Roots, host_memory, memory_limit};

/// How long what is known of memory holds.
const HOLDS: Duration = Duration::from_secs(60);

/// One server's side.
pub(super) struct Side {
    roots: Roots,
    sources: Sources,
    /// What the target is called, by which its container is known.
    name: String,
    /// Whether it is asked by a socket, or at an address that leads nowhere else.
    is_here: bool,
    memory: Option<(Instant, Option<f64>)>,
    pub(super) processes: Arc<Processes>,
}

impl Side {
    pub(super) fn of(dsn: &Dsn, name: &str, roots: &Roots, sources: &Sources) -> Self {
        let (processes, is_here) = (Arc::new(Processes::new(roots)), dsn.is_here());
        Side { roots: roots.clone(), sources: sources.clone(), name: name.to_owned(), is_here, memory: None, processes }
    }

    /// The memory that the server may use in bytes, its postmaster being the process `postmaster`: its container's limit, or that of
    /// its cgroup, and no more than the host has; `None` for a server elsewhere.
    pub(super) fn memory(&mut self, postmaster: Option<u32>) -> Option<f64> {
        if let Some((_, memory)) = self.memory.filter(|(at, _)| at.elapsed() < HOLDS) {
            return memory;
        }
        let container = self.container();
        let memory = (container.is_some() || self.is_here).then(|| {
            let limit = match (&container, postmaster) {
                (Some(container), _) => container.limits.memory.map(from_u64),
                (None, Some(pid)) => memory_limit(&self.roots, &self.roots.proc(pid.to_string())),
                (None, None) => None,
            };
            limit.into_iter().chain(host_memory(&self.roots)).reduce(f64::min)
        });
        self.memory = Some((Instant::now(), memory.flatten()));
        memory.flatten()
    }

    /// Has memory looked at again: what is at the other end may be another server.
    pub(super) fn forget(&mut self) {
        self.memory = None;
    }

    /// The process of the server's postmaster, or above it, where it is on this machine; `peer` listens at the socket that it is asked by.
    pub(super) fn postmaster(&self, peer: Option<u32>) -> Option<u32> {
        self.container().and_then(|container| container.pid).or(peer)
    }

    fn container(&self) -> Option<Arc<Container>> {
        self.sources.discovery().held(&self.name)
    }
}
