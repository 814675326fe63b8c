//! The settings that tell what a server does when something goes wrong. None of them is a secret.

/// All that is kept of CONFIG GET here, by the names of today and of servers before 5.0.
const NAMES: [&str; 17] = [
    "appendfsync",
    "appendonly",
    "client-output-buffer-limit",
    "latency-monitor-threshold",
    "maxclients",
    "maxmemory",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "min-slaves-max-lag",
    "min-slaves-to-write",
    "protected-mode",
    "replica-read-only",
    "save",
    "slave-read-only",
    "slowlog-log-slower-than",
    "stop-writes-on-bgsave-error",
    "tcp-backlog",
];

/// Settings by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Kept(Vec<(&'static str, String)>);

impl Kept {
    /// Keeps a setting, if it is one of ours.
    pub(in super::super) fn add(&mut self, name: &str, value: &str) {
        if let Some(known) = NAMES.iter().find(|known| **known == name) {
            self.0.push((known, value.to_owned()));
        }
    }

    /// The value of a setting.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The number that a setting is.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.parse().ok()
    }
}
