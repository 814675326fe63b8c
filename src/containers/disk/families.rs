//! The series of what was measured on disk.

use std::sync::Arc;

use super::Disk;
use crate::discovery::Usage;
use crate::exposition::{Family, Labels, Samples};

static USAGE: Family = Family::gauge(
    "container_fs_usage_bytes",
    "Bytes taken on disk: a container's layer and its engine's folder for it, logs included; of the host each file system's used space.",
);
static LIMIT: Family = Family::gauge(
    "container_fs_limit_bytes",
    "Size of the file system that the container's layer lies on: statfs; of the host each file system's.",
);
static INODES: Family = Family::gauge(
    "container_fs_inodes_total",
    "Files and folders in the container's layer; of the host the inodes of each file system: f_files of statfs.",
);
static INODES_FREE: Family =
    Family::gauge("container_fs_inodes_free", "Free inodes of each file system of the host: f_ffree of statfs.");
static LAYER: Family = Family::gauge(
    "container_writable_layer_size_bytes",
    "What the container wrote over its image, in blocks on disk: the upper folder of its overlay.",
);
static LOGS: Family =
    Family::gauge("container_log_size_bytes", "Lengths of the container's log files, those that were rotated away included.");
static MEASURED: Family = Family::gauge(
    "container_disk_measured_time_seconds",
    "When the container's sizes on disk were measured last: by --containers.disk-interval.",
);
static STUCK: Family = Family::gauge(
    "container_disk_stuck_walks",
    "Folders and file systems that do not answer, so that their figures are old ones or missing.",
);

/// A figure of a container, where it is known.
type OfUsage = fn(&Usage) -> Option<u64>;

/// What goes with labels.
pub(in crate::containers) type Measured<'a> = (&'a Labels, Arc<Usage>);

impl Disk {
    /// What was measured last of the container of this id.
    pub(in crate::containers) fn usage(&self, id: &str) -> Option<Arc<Usage>> {
        self.usages.get(id)
    }

    /// Writes cAdvisor's families of the host, if it is there, and of the containers that run; `zeros`: what is not known is 0.
    pub(in crate::containers) fn emit(&self, host: Option<&Labels>, containers: &[Measured<'_>], zeros: bool, out: &mut Samples) {
        let shared = self.shared();
        let systems = || host.into_iter().flat_map(|labels| shared.file_systems.iter().map(move |system| (labels, system)));
        type Figure = (fn(&super::FileSystem) -> u64, OfUsage);
        let used = |usage: &Usage| Some(usage.layer?.bytes.saturating_add(usage.folder.bytes));
        let figures: [(&Family, Figure); 4] = [
            (&USAGE, (|system| system.used, used)),
            (&LIMIT, (|system| system.size, |usage| usage.file_system.as_ref().map(|(_, size)| *size))),
            (&INODES, (|system| system.inodes, |usage| Some(usage.layer?.inodes))),
            (&INODES_FREE, (|system| system.inodes_free, if zeros { |_| Some(0) } else { |_| None })),
        ];
        for (family, (of_system, of_container)) in figures {
            let mut rows = out.family(family);
            for (labels, system) in systems() {
                rows.add_to(labels, [("device", &system.device)], of_system(system));
            }
            for (labels, usage) in containers {
                let device = usage.layer.and(usage.file_system.as_ref());
                if let (Some((device, _)), Some(value)) = (device, of_container(usage)) {
                    rows.add_to(labels, [("device", device)], value);
                }
            }
        }
        out.family(&STUCK).add([], shared.stuck);
    }
}

/// Writes what cAdvisor never had, also of containers that have ended.
pub(in crate::containers) fn beyond(containers: &[Measured<'_>], out: &mut Samples) {
    let figures: [(&Family, OfUsage); 3] =
        [(&LAYER, |usage| Some(usage.layer?.bytes)), (&LOGS, |usage| usage.logs), (&MEASURED, |usage| Some(usage.measured))];
    for (family, figure) in figures {
        let mut rows = out.family(family);
        for (labels, usage) in containers {
            if let Some(value) = figure(usage) {
                rows.add_to(labels, [], value);
            }
        }
    }
}
