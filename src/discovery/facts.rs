//! What an engine tells of a container beside its name, in plain types: how it does, what it may use, where its output goes.

/// What a container is doing, in Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Made, and never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Ended, and about to be started again by its restart policy.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended.
    Exited,
    /// Could not be removed.
    Dead,
}

impl State {
    /// All of them.
    pub const ALL: [State; 7] =
        [State::Created, State::Running, State::Paused, State::Restarting, State::Removing, State::Exited, State::Dead];

    /// Docker's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Running => "running",
            State::Paused => "paused",
            State::Restarting => "restarting",
            State::Removing => "removing",
            State::Exited => "exited",
            State::Dead => "dead",
        }
    }

    /// The state of that word, also in those that only Podman uses.
    pub(super) fn of(word: &str) -> Option<State> {
        match word {
            "configured" | "initialized" => Some(State::Created),
            "stopping" => Some(State::Running),
            "stopped" => Some(State::Exited),
            _ => State::ALL.into_iter().find(|state| state.word() == word),
        }
    }

    /// Whether it has a cgroup and processes.
    pub const fn is_alive(self) -> bool {
        matches!(self, State::Running | State::Paused)
    }
}

/// What a container's health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// There is no health check.
    Unchecked,
    /// None has been passed yet, and it is early.
    Starting,
    /// The last check was passed.
    Healthy,
    /// Too many checks failed, one after the other.
    Unhealthy,
}

impl Health {
    /// All of them.
    pub const ALL: [Health; 4] = [Health::Unchecked, Health::Starting, Health::Healthy, Health::Unhealthy];

    /// Docker's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Health::Unchecked => "none",
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        }
    }

    /// The health of that word.
    pub(super) fn of(word: &str) -> Option<Health> {
        Health::ALL.into_iter().find(|health| health.word() == word)
    }
}

/// What a container may use, as its engine was told. `None`: no limit, or the engine does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Memory that is meant to be kept, in bytes.
    pub memory_reservation: Option<u64>,
    /// Memory and swap together, in bytes; -1 for swap without limit.
    pub memory_swap: Option<i64>,
    /// CPUs in billionths: from `--cpus`, or a quota divided by its period.
    pub nano_cpus: Option<u64>,
    /// Weight among siblings, where it is not the usual one.
    pub cpu_shares: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// Where a container's output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// `json-file`, `local`, `journald` ...
    pub driver: String,
    /// The option `max-size` as it is written: `10m`. Empty: the log grows without end, unless the driver has a limit of its own.
    pub max_size: String,
    /// The option `max-file`.
    pub max_file: String,
    /// The file, by the host's paths; empty where there is none.
    pub path: String,
}

/// Where a container's files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// `overlay2`, `btrfs`, or `overlayfs` of containerd's image store.
    pub driver: String,
    /// The folder of what the container wrote, by the host's paths; `None` where the engine does not tell.
    pub upper: Option<String>,
    /// The folder of what the engine keeps for this container alone, such as logs; `None` where the engine does not tell.
    pub folder: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood() {
        for state in State::ALL {
            assert_eq!(State::of(state.word()), Some(state));
        }
        for health in Health::ALL {
            assert_eq!(Health::of(health.word()), Some(health));
        }
        assert_eq!(
            [State::of("stopped"), State::of("configured"), State::of("")],
            [Some(State::Exited), Some(State::Created), None]
        );
        assert_eq!(Health::of(""), None);
    }
}
