//! How the engines do, and what they have beside containers.

use super::disk::Disk;
use crate::discovery::{Engine, State, Stock};
use crate::exposition::{Family, Labels, Samples};

static UP: Family = Family::gauge("container_engine_up", "1 if the container engine answers.");
static ERROR: Family = Family::gauge(
    "container_engine_last_error_info",
    "Why the container engine could not tell all, as the label reason; gone when it can.",
);
static STREAMED: Family = Family::gauge(
    "container_engine_stats_streams",
    "Containers whose figures come from their engine's stats API, since their cgroups are out of sight.",
);
static CONTAINERS: Family =
    Family::gauge("docker_containers", "Containers of the engine by state, also those that are too many to be shown.");
static IMAGE_SIZE: Family = Family::gauge(
    "docker_image_size_bytes",
    "Size of an image with the layers that it shares with others: Size of the engine's /images/json, asked for every 5 minutes.",
);
static VOLUME_SIZE: Family = Family::gauge(
    "docker_volume_size_bytes",
    "What a volume takes on disk, in blocks, measured every --containers.disk-interval; another host's volume has no size here.",
);
static REPLICAS: Family = Family::gauge(
    "docker_swarm_service_replicas",
    "Tasks of a Swarm's service, as a manager tells: those that run, and those that there should be.",
);
static NODE: Family = Family::gauge(
    "docker_swarm_node_info",
    "1, with the engine's id and name as a node of a Swarm; the id also in the label by which the node's containers can be joined.",
);

/// Writes whether each engine answers, and why not.
pub(super) fn emit(engines: &[Engine], out: &mut Samples) {
    for engine in engines {
        let (address, name) = (("address", engine.address.as_str()), ("engine", engine.product.word()));
        out.family(&UP).add([address, name], engine.up);
        if let Some(reason) = &engine.last_error {
            out.family(&ERROR).add([address, name, ("reason", reason)], 1u8);
        }
    }
}

/// Writes how many containers' figures come from their engine.
pub(super) fn emit_streamed(count: usize, out: &mut Samples) {
    out.family(&STREAMED).add([], count);
}

/// Writes what each engine has that answers now, and by Docker's API.
pub(super) fn emit_stocks(stocks: &[Stock], disk: &Disk, out: &mut Samples) {
    let is_told = |stock: &&Stock| stock.engine.up && stock.engine.product.speaks_docker();
    for stock in stocks.iter().filter(is_told) {
        let engine = &stock.engine;
        let labels = Labels::of(&[("address", &engine.address), ("engine", engine.product.word())]);
        let mut rows = out.family(&CONTAINERS);
        for (state, count) in State::ALL.iter().zip(stock.containers) {
            rows.add_to(&labels, [("state", state.word())], count);
        }
        let held = &stock.holdings;
        let mut rows = out.family(&IMAGE_SIZE);
        for image in &held.images {
            let id = ("image_id", image.id.as_str());
            if image.name.is_empty() {
                rows.add_to(&labels, [id], image.size);
            } else {
                rows.add_to(&labels, [("image", &image.name), id], image.size);
            }
        }
        let mut rows = out.family(&VOLUME_SIZE);
        for volume in &held.volumes {
            if let Some(bytes) = volume.path.as_ref().and_then(|path| disk.volume(path)) {
                rows.add_to(&labels, [("driver", &volume.driver), ("volume", &volume.name)], bytes);
            }
        }
        let mut rows = out.family(&REPLICAS);
        for service in &held.services {
            let (id, name) = (("service_id", service.id.as_str()), ("service_name", service.name.as_str()));
            for (kind, count) in [("desired", service.desired), ("running", service.running)] {
                rows.add_to(&labels, [id, name, ("kind", kind)], count);
            }
        }
        if let Some(node) = &held.node {
            let role = if node.is_manager { "manager" } else { "worker" };
            let join = ("container_label_com_docker_swarm_node_id", node.id.as_str());
            out.family(&NODE).add_to(&labels, [join, ("node_id", &node.id), ("node_name", &node.name), ("role", role)], 1u8);
        }
    }
}
