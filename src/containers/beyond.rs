//! What cAdvisor never had: how every container does that the engine tells of, whether or not it runs.
//!
//! The series of a container have the labels of its others, also when it has ended: its cgroup's path is remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::families::OOMS;
use super::labels::Choice;
use super::ooms::{Live, Ooms};
use crate::discovery::{Container, Health, Network, State};
use crate::exposition::{Family, Labels, Samples};

static INFO: Family = Family::gauge(
    "container_info",
    "1, with what else identifies a container as labels: container_id, image_id, restart_policy, privileged.",
);
static STATE: Family =
    Family::gauge("container_state", "1 for the state that the container is in, 0 for the others: State.Status of the engine.");
static RESTARTS: Family = Family::gauge(
    "container_restart_count",
    "How often the restart policy started the container again: RestartCount of the engine, 0 after a start by hand.",
);
static EXIT_CODE: Family = Family::gauge(
    "container_exit_code",
    "With which code the container last ended: State.ExitCode of the engine, or its event die.",
);
static FINISHED: Family =
    Family::gauge("container_finish_time_seconds", "When the container last ended: State.FinishedAt of the engine.");
static HEALTH_STATUS: Family = Family::gauge(
    "container_health_status",
    "1 for what the health check says, 0 for the others; none alone where there is no check: State.Health of the engine.",
);
static FAILING_STREAK: Family = Family::gauge(
    "container_health_failing_streak",
    "Health checks that failed since the last one that was passed: State.Health.FailingStreak of the engine.",
);
static LOG_ROTATION: Family = Family::gauge(
    "container_log_rotation_info",
    "1, with the log's driver, max_size and max_file as labels: HostConfig.LogConfig of the engine; what is not set is left out.",
);

/// A container and the labels of its series.
#[derive(Debug)]
struct Shown {
    container: Arc<Container>,
    /// The path of its cgroup; of one that has none a guess, until it is seen.
    cgroup: String,
    labels: Labels,
    info: Labels,
    log: Labels,
    ooms: u64,
    /// When it was last learned.
    round: u64,
}

/// What a series of one family says of a container.
type Number = fn(&Shown) -> Option<i64>;

/// All containers of the engine.
#[derive(Debug, Default)]
pub(super) struct Beyond {
    shown: BTreeMap<String, Shown>,
    ooms: Ooms,
    round: u64,
}

/// A cgroup that is a container: its path and what the kernel counts.
pub(super) type Cgroups<'a> = HashMap<&'a str, (&'a str, Live)>;

impl Beyond {
    /// Takes in what the engine tells now, and which containers have a cgroup, by id.
    pub(super) fn learn(&mut self, all: Vec<Arc<Container>>, cgroups: &Cgroups<'_>, choice: &Choice) {
        self.ooms.begin();
        self.round += 1;
        for container in all {
            let (path, live) = cgroups.get(container.id.as_str()).map_or((None, None), |(path, live)| (Some(*path), Some(*live)));
            let ooms = self.ooms.learn(&container, live);
            let known = self.shown.get_mut(&container.id);
            let same = |known: &Shown| Arc::ptr_eq(&known.container, &container) && path.is_none_or(|path| known.cgroup == path);
            match known {
                Some(known) if same(known) => (known.ooms, known.round) = (ooms, self.round),
                known => {
                    let cgroup = path.map(str::to_owned).or_else(|| Some(std::mem::take(&mut known?.cgroup)));
                    let cgroup = cgroup.unwrap_or_else(|| guess(&container, cgroups));
                    let shown = Shown { ooms, round: self.round, ..Shown::new(container, cgroup, choice) };
                    self.shown.insert(shown.container.id.clone(), shown);
                }
            }
        }
        let round = self.round;
        self.shown.retain(|_, shown| shown.round == round);
        self.ooms.end();
    }

    /// Whether this container's series are written here.
    pub(super) fn shows(&self, id: &str) -> bool {
        self.shown.contains_key(id)
    }

    /// The path of this container's cgroup, or what it would be.
    pub(super) fn path(&self, id: &str) -> Option<&str> {
        Some(&self.shown.get(id)?.cgroup)
    }

    /// All containers, and the labels of their series.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Container, &Labels)> {
        self.shown.values().map(|shown| (&*shown.container, &shown.labels))
    }

    /// Writes what is told of each container.
    pub(super) fn emit(&self, out: &mut Samples) {
        self.numbers(out);
        self.states(out);
        for (family, labels) in [(&INFO, (|shown| &shown.info) as fn(&Shown) -> &Labels), (&LOG_ROTATION, |shown| &shown.log)] {
            let mut rows = out.family(family);
            for labels in self.shown.values().map(labels).filter(|labels| !labels.is_empty()) {
                rows.add_to(labels, [], 1u8);
            }
        }
    }

    fn numbers(&self, out: &mut Samples) {
        let numbers: [(&Family, Number); 5] = [
            (&RESTARTS, |shown| i64::try_from(shown.container.restart_count?).ok()),
            (&EXIT_CODE, |shown| shown.container.exit_code),
            (&FINISHED, |shown| shown.container.finished),
            (&FAILING_STREAK, |shown| {
                shown.container.health.filter(|health| *health != Health::Unchecked)?;
                i64::try_from(shown.container.failing_streak).ok()
            }),
            (&OOMS, |shown| i64::try_from(shown.ooms).ok()),
        ];
        for (family, number) in numbers {
            let mut rows = out.family(family);
            for shown in self.shown.values() {
                if let Some(number) = number(shown) {
                    rows.add_to(&shown.labels, [], number);
                }
            }
        }
    }

    fn states(&self, out: &mut Samples) {
        let mut rows = out.family(&STATE);
        for shown in self.shown.values() {
            let Some(now) = shown.container.state else { continue };
            for state in State::ALL {
                rows.add_to(&shown.labels, [("state", state.word())], state == now);
            }
        }
        let mut rows = out.family(&HEALTH_STATUS);
        for shown in self.shown.values() {
            let Some(now) = shown.container.health else { continue };
            for health in Health::ALL.into_iter().filter(|health| now != Health::Unchecked || *health == now) {
                rows.add_to(&shown.labels, [("status", health.word())], health == now);
            }
        }
    }
}

/// Where the cgroup of a container would be that has none: where its engine says, beside that of the container whose network it has, as
/// in a pod, or where that of any other one is.
fn guess(container: &Container, cgroups: &Cgroups<'_>) -> String {
    let id = container.id.as_str();
    if id.starts_with('/') {
        return id.to_owned();
    }
    let holder = match &container.network {
        Network::Of(holder) => cgroups.get_key_value(holder.as_str()),
        Network::Own | Network::Host => None,
    };
    let sample = holder.or_else(|| cgroups.iter().filter(|(id, _)| !id.starts_with('/')).min_by_key(|(id, _)| **id));
    sample.map_or_else(|| format!("/docker/{id}"), |(other, (path, _))| path.replace(other, id))
}

impl Shown {
    fn new(container: Arc<Container>, cgroup: String, choice: &Choice) -> Self {
        let labels = choice.render(&cgroup, Some(&container));
        let with = |pairs: &[(&str, &str)]| {
            let mut all = labels.clone();
            pairs.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| all.push(name, value));
            all
        };
        let info = with(&[
            ("container_id", &container.id),
            ("image_id", &container.image_id),
            ("restart_policy", &container.restart_policy),
            ("privileged", if container.privileged { "true" } else { "false" }),
        ]);
        let rotation = &container.log;
        let log = if rotation.driver.is_empty() {
            Labels::new()
        } else {
            with(&[("driver", &rotation.driver), ("max_size", &rotation.max_size), ("max_file", &rotation.max_file)])
        };
        Shown { container, cgroup, labels, info, log, ooms: 0, round: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_was_never_seen_is_where_its_like_are() {
        let live = Live { cgroup: (0, 1), kills: None };
        let cgroups: Cgroups<'_> =
            [("0a", "/docker/0a"), ("5a", "/kubepods/pod6e1c/5a")].map(|(id, path)| (id, (path, live))).into();
        let guessed = |id: &str, network, cgroups| guess(&Container { id: id.into(), network, ..Container::default() }, cgroups);
        assert_eq!(guessed("7f", Network::Of("5a".into()), &cgroups), "/kubepods/pod6e1c/7f");
        assert_eq!(guessed("7f", Network::Of("gone".into()), &cgroups), "/docker/7f");
        assert_eq!(guessed("7f", Network::Own, &cgroups), "/docker/7f");
        let none = Cgroups::new();
        assert_eq!(guessed("7f", Network::Host, &none), "/docker/7f");
        assert_eq!(guessed("/default/web", Network::Own, &cgroups), "/default/web");
    }
}
