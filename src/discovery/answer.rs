//! What is read of the engine's answers. All else is passed over, and what is missing or null stays empty.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

/// `/version`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    pub(super) version: Option<String>,
}

/// One of `/containers/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Summary {
    pub(super) id: Option<String>,
    pub(super) names: Option<Vec<String>>,
    pub(super) state: Option<String>,
    /// In seconds since 1970.
    pub(super) created: Option<i64>,
}

/// One line of `/events`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event {
    pub(super) action: Option<String>,
    pub(super) actor: Option<Actor>,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub(super) time: Option<i64>,
}

/// Whom an event befell.
#[derive(Debug, Deserialize)]
pub(super) struct Actor {
    #[serde(rename = "ID")]
    pub(super) id: Option<String>,
    #[serde(rename = "Attributes")]
    pub(super) attributes: Option<HashMap<String, String>>,
}

/// `/images/<id>/json`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Image {
    pub(super) config: Option<ImageConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageConfig {
    pub(super) labels: Option<HashMap<String, String>>,
}

/// `/containers/<id>/json`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspection {
    pub(super) name: Option<String>,
    /// The image's id, or its name.
    pub(super) image: Option<String>,
    pub(super) created: Option<String>,
    pub(super) state: Option<State>,
    pub(super) restart_count: Option<i64>,
    pub(super) log_path: Option<String>,
    /// A file in the container's own folder, or in that of the container whose network it joins.
    pub(super) hostname_path: Option<String>,
    /// As before.
    pub(super) resolv_conf_path: Option<String>,
    /// The name of what keeps its files.
    pub(super) driver: Option<String>,
    pub(super) graph_driver: Option<Graph>,
    pub(super) config: Option<Config>,
    pub(super) host_config: Option<HostConfig>,
    pub(super) mounts: Option<Vec<Mount>>,
    pub(super) network_settings: Option<NetworkSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) status: Option<String>,
    pub(super) pid: Option<i64>,
    pub(super) exit_code: Option<i64>,
    #[serde(rename = "OOMKilled")]
    pub(super) oom_killed: Option<bool>,
    pub(super) started_at: Option<String>,
    pub(super) finished_at: Option<String>,
    pub(super) health: Option<Health>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Health {
    /// `none`, `starting`, `healthy`, `unhealthy`; nothing from an engine that was never told to check.
    pub(super) status: Option<String>,
    pub(super) failing_streak: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HealthCheck {
    pub(super) test: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Graph {
    pub(super) name: Option<String>,
    pub(super) data: Option<HashMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config {
    pub(super) healthcheck: Option<HealthCheck>,
    pub(super) image: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) env: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    /// `{"5432/tcp": {}}`
    pub(super) exposed_ports: Option<HashMap<String, serde::de::IgnoredAny>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    pub(super) network_mode: Option<String>,
    pub(super) restart_policy: Option<RestartPolicy>,
    pub(super) privileged: Option<bool>,
    pub(super) memory: Option<i64>,
    pub(super) memory_reservation: Option<i64>,
    pub(super) memory_swap: Option<i64>,
    pub(super) nano_cpus: Option<i64>,
    pub(super) cpu_quota: Option<i64>,
    pub(super) cpu_period: Option<i64>,
    pub(super) cpu_shares: Option<i64>,
    pub(super) pids_limit: Option<i64>,
    pub(super) log_config: Option<LogConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RestartPolicy {
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct LogConfig {
    #[serde(rename = "Type")]
    pub(super) kind: Option<String>,
    #[serde(rename = "Config")]
    pub(super) config: Option<HashMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Mount {
    /// Of a volume.
    pub(super) name: Option<String>,
    pub(super) source: Option<String>,
    pub(super) destination: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    pub(super) networks: Option<HashMap<String, Endpoint>>,
    /// `{"5432/tcp": [{"HostIp": "0.0.0.0", "HostPort": "15432"}]}`
    pub(super) ports: Option<HashMap<String, Option<Vec<Binding>>>>,
}

/// A network that a container is in.
#[derive(Debug, Deserialize)]
pub(super) struct Endpoint {
    #[serde(rename = "IPAddress")]
    pub(super) address: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    pub(super) address_v6: Option<String>,
    #[serde(rename = "Aliases")]
    pub(super) aliases: Option<Vec<String>>,
    #[serde(rename = "DNSNames")]
    pub(super) dns_names: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Binding {
    pub(super) host_ip: Option<String>,
    pub(super) host_port: Option<String>,
}

/// `/info`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Info {
    pub(super) name: Option<String>,
    pub(super) swarm: Option<Swarm>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Swarm {
    /// Empty outside of any.
    #[serde(rename = "NodeID")]
    pub(super) node_id: Option<String>,
    pub(super) control_available: Option<bool>,
}

/// One of `/images/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageSummary {
    pub(super) id: Option<String>,
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) size: Option<i64>,
}

/// `/volumes`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) volumes: Option<Vec<Volume>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Volume {
    pub(super) name: Option<String>,
    pub(super) driver: Option<String>,
    pub(super) mountpoint: Option<String>,
}

/// One of `/services?status=true`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Service {
    #[serde(rename = "ID")]
    pub(super) id: Option<String>,
    pub(super) spec: Option<ServiceSpec>,
    pub(super) service_status: Option<ServiceStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServiceSpec {
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServiceStatus {
    pub(super) running_tasks: Option<u64>,
    pub(super) desired_tasks: Option<u64>,
}
