//! Containers, as their engine describes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::check::{Check, Figure, state};
use crate::discovery::{Container, Health, State, Usages};
use crate::exposition::{Samples, from_u64};

/// What is known of a container.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub(super) container: Arc<Container>,
    /// How often it was started again in the last [`LATELY`].
    restarts: f64,
    /// Whether the kernel killed a process of it for want of memory in that time.
    killed: bool,
    /// The size of its log files in bytes.
    log: Option<f64>,
}

/// What "lately" means.
const LATELY: Duration = Duration::from_secs(3_600);

impl Subject {
    fn runs(&self) -> bool {
        self.container.state.map_or(self.container.pid.is_some(), State::is_alive)
    }

    /// Finds something in a container that runs alone.
    fn running(&self, found: bool) -> Option<Figure> {
        state(found && self.runs())
    }
}

/// Every check of a container.
pub(super) static CHECKS: [Check<Subject>; 11] = [
    Check::<Subject>::new("warning", "memory_unlimited", |subject, _| subject.running(subject.container.limits.memory.is_none()))
        .says(
            "it may take all of the host's memory, and the kernel then kills whom it likes",
            "give it a limit: docker run --memory, mem_limit, deploy.resources.limits.memory",
            "HostConfig.Memory",
        ),
    Check::<Subject>::new("info", "cpu_unlimited", |subject, _| subject.running(subject.container.limits.nano_cpus.is_none()))
        .says(
            "it may take all CPUs from the others",
            "give it a limit: docker run --cpus, cpus, deploy.resources.limits.cpus",
            "HostConfig.NanoCpus, HostConfig.CpuQuota",
        ),
    Check::<Subject>::new("info", "pids_unlimited", |subject, _| subject.running(subject.container.limits.pids.is_none())).says(
        "it may start processes until the host can start none",
        "give it a limit: docker run --pids-limit, pids_limit, deploy.resources.limits.pids",
        "HostConfig.PidsLimit",
    ),
    Check::<Subject>::new("critical", "privileged", |subject, _| subject.running(subject.container.privileged)).says(
        "whoever breaks into it has the host",
        "run it without --privileged; give it the devices and capabilities that it needs",
        "HostConfig.Privileged",
    ),
    Check::<Subject>::new("critical", "restart_loop", |subject, most| {
        let now = subject.container.state == Some(State::Restarting);
        (subject.restarts >= most || (now && subject.restarts > 0.0)).then_some(Figure::Count(subject.restarts))
    })
    .over(3.0)
    .says(
        "it ends and is started again, over and over (restarts within the hour)",
        "see docker logs, its exit code, and what it needs to start",
        "RestartCount, State.Status",
    ),
    Check::<Subject>::new("critical", "oom_killed", |subject, _| state(subject.killed)).says(
        "the kernel killed a process of it for want of memory within the hour",
        "raise its memory limit, or make the program take less",
        "State.OOMKilled, container_oom_events_total",
    ),
    Check::<Subject>::new("critical", "health_check_failing", |subject, _| {
        let ill = subject.runs() && subject.container.health == Some(Health::Unhealthy);
        ill.then_some(Figure::Count(from_u64(subject.container.failing_streak)))
    })
    .says(
        "its health check fails (times in a row)",
        "see docker inspect -f '{{json .State.Health}}' and docker logs",
        "State.Health",
    ),
    Check::<Subject>::new("info", "health_check_absent", |subject, _| {
        subject.running(!subject.container.health_check && subject.container.health.is_none_or(|it| it == Health::Unchecked))
    })
    .says(
        "nothing tells whether it works, only that it runs",
        "give it a HEALTHCHECK, or healthcheck in the compose file",
        "Config.Healthcheck",
    ),
    Check::<Subject>::new("info", "image_latest", |subject, _| {
        let image = &subject.container.image;
        (subject.runs() && is_latest(image)).then(|| Figure::Text(image.chars().take(120).collect()))
    })
    .says(
        "its image is whatever was newest when it was pulled: two hosts run two versions, and nobody can go back",
        "name a version, or a digest",
        "Config.Image",
    ),
    Check::<Subject>::new("warning", "log_unbounded", |subject, _| {
        let log = &subject.container.log;
        subject.running(log.driver == "json-file" && matches!(log.max_size.as_str(), "" | "-1"))
    })
    .says(
        "its log grows until the disk is full: json-file without max-size",
        "set max-size and max-file: --log-opt, logging.options, or log-opts in /etc/docker/daemon.json",
        "HostConfig.LogConfig",
    ),
    Check::<Subject>::new("warning", "log_large", |subject, most| subject.log.filter(|bytes| *bytes > most).map(Figure::Bytes))
        .over(1_073_741_824.0)
        .says(
            "its log file is large",
            "find what it logs so much, set max-size and max-file, and make the container anew",
            "LogPath",
        ),
];

/// `nginx`, `nginx:latest`, `registry:5000/nginx`; not `nginx:1.27`, `nginx@sha256:0a…`, `sha256:0a…` or a bare id.
fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    let is_id = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    !(name.is_empty() || name.contains('@') || is_id) && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

/// What is remembered of containers, by their ids.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<String, Past>);

#[derive(Debug)]
struct Past {
    /// When how many restarts were counted: the oldest is what was counted an hour ago.
    restarts: Vec<(Instant, f64)>,
    kills: Option<f64>,
    killed: Option<Instant>,
}

/// The most moments that are kept of one container: more than make a loop.
const MOST: usize = 32;

impl Memory {
    /// What is known of each of `containers` now, given how many of its processes were killed and how large its log is.
    pub(super) fn subjects(
        &mut self,
        containers: Vec<Arc<Container>>,
        kills: &HashMap<String, f64>,
        usages: &Usages,
        now: Instant,
    ) -> Vec<Subject> {
        self.0.retain(|id, _| containers.iter().any(|container| container.id == *id));
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let since = i64::try_from(unix.saturating_sub(LATELY.as_secs())).unwrap_or(i64::MAX);
        let subjects = containers.into_iter().filter(|container| !container.remote).map(|container| {
            let past =
                self.0.entry(container.id.clone()).or_insert_with(|| Past { restarts: Vec::new(), kills: None, killed: None });
            let restarts = container.restart_count.map_or(0.0, |count| past.restarted(from_u64(count), now));
            // Of a container that is new to us, kills count that its age makes late ones.
            let young = container.started.is_some_and(|started| started > since);
            let ended = container.oom_killed && container.finished.is_some_and(|finished| finished > since);
            past.note_kills(kills.get(&container.name).copied(), young, ended, now);
            let killed = past.killed.is_some_and(|at| now.saturating_duration_since(at) < LATELY);
            let log = usages.get(&container.id).and_then(|usage| usage.logs).map(from_u64);
            Subject { restarts, killed, log, container }
        });
        subjects.collect()
    }
}

impl Past {
    /// How often it was restarted within the hour.
    fn restarted(&mut self, count: f64, now: Instant) -> f64 {
        // A count that falls is another one: it was started by hand.
        if self.restarts.last().is_none_or(|(_, last)| *last != count) {
            if self.restarts.last().is_some_and(|(_, last)| *last > count) {
                self.restarts.clear();
            }
            if self.restarts.len() == MOST {
                self.restarts.remove(1);
            }
            self.restarts.push((now, count));
        }
        // The last that is older than the hour is where it begins.
        let old = self.restarts.iter().rposition(|(at, _)| now.saturating_duration_since(*at) >= LATELY);
        self.restarts.drain(..old.unwrap_or(0));
        self.restarts.first().map_or(0.0, |(_, first)| count - first)
    }

    fn note_kills(&mut self, kills: Option<f64>, young: bool, ended: bool, now: Instant) {
        let rose = match (kills, self.kills) {
            (Some(kills), Some(before)) => kills > before,
            (Some(kills), None) => kills > 0.0 && young,
            (None, _) => false,
        };
        self.kills = kills.or(self.kills);
        if rose || (ended && self.killed.is_none()) {
            self.killed = Some(now);
        }
    }
}

/// How many processes were killed for want of memory, by the name of their container.
pub(super) fn kills(samples: &Samples) -> HashMap<String, f64> {
    let families = samples.families().filter(|(family, _)| *family == "container_oom_events_total");
    let figures = families.flat_map(|(_, figures)| figures);
    figures.filter_map(|figure| Some((figure.label("name")?.into_owned(), figure.value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privileged_container_is_told_while_it_runs() {
        let check = CHECKS.iter().find(|check| check.advice.check == "privileged").unwrap();
        let finds = |privileged, state| {
            let container = Arc::new(Container { privileged, state: Some(state), ..Container::default() });
            (check.finds)(&Subject { container, ..Subject::default() }, 0.0)
        };
        assert_eq!(finds(true, State::Running), Some(Figure::Plain));
        assert_eq!([finds(true, State::Exited), finds(false, State::Running)], [None, None]);
    }
}
