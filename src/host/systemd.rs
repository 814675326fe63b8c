//! Asks `org.freedesktop.systemd1` over the message bus: the state of the system, its units, sockets and timers. Emits `node_systemd_*`.
//!
//! `node_systemd_units` counts all units; the rest shows those that are loaded and pass the two patterns, which stand for whole names.

use std::collections::BTreeMap;

use super::filter::{Filter, Pair};
use super::systemd_units::{self, Answer, Manager, Question, Unit};
use crate::exposition::{Family, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Bus, Fault, Roots, System};

static VERSION: Family =
    Family::gauge("node_systemd_version", "systemd's version as a number, and as it stands in the label: Version.");
static VIRTUALIZATION: Family =
    Family::gauge("node_systemd_virtualization_info", "What the machine runs in, as systemd sees it: Virtualization; 1.");
static RUNNING: Family =
    Family::gauge("node_systemd_system_running", "1 if the state of the whole system is running: SystemState.");
static UNITS: Family = Family::gauge("node_systemd_units", "Units in each state, whether shown or not: ListUnits.");
static STATE: Family = Family::gauge("node_systemd_unit_state", "1 for the state that the unit is in: ActiveState of ListUnits.");
static STARTED: Family = Family::gauge(
    "node_systemd_unit_start_time_seconds",
    "When the unit became active, in Unix time; 0 if it is not: ActiveEnterTimestamp.",
);

/// What is asked of which units. A property that a version of systemd lacks is not shown.
static TIMERS: Question = Question {
    interface: "org.freedesktop.systemd1.Timer",
    property: "LastTriggerUSec",
    family: &Family::gauge(
        "node_systemd_timer_last_trigger_seconds",
        "When the timer last ran out, in Unix time: LastTriggerUSec.",
    ),
};
static SOCKETS: [Question; 3] = [
    Question {
        interface: "org.freedesktop.systemd1.Socket",
        property: "NAccepted",
        family: &Family::counter(
            "node_systemd_socket_accepted_connections_total",
            "Connections that the socket took: NAccepted.",
        ),
    },
    Question {
        interface: "org.freedesktop.systemd1.Socket",
        property: "NConnections",
        family: &Family::gauge("node_systemd_socket_current_connections", "Connections open now: NConnections."),
    },
    Question {
        interface: "org.freedesktop.systemd1.Socket",
        property: "NRefused",
        // A gauge in node_exporter, whatever its name says.
        family: &Family::gauge("node_systemd_socket_refused_connections_total", "Connections turned away: NRefused."),
    },
];
static RESTARTS: Question = Question {
    interface: "org.freedesktop.systemd1.Service",
    property: "NRestarts",
    family: &Family::counter("node_systemd_service_restart_total", "Restarts of the service by systemd itself: NRestarts."),
};
static TASKS: [Question; 2] = [
    Question {
        interface: "org.freedesktop.systemd1.Service",
        property: "TasksCurrent",
        family: &Family::gauge("node_systemd_unit_tasks_current", "Tasks of the service now: TasksCurrent."),
    },
    Question {
        interface: "org.freedesktop.systemd1.Service",
        property: "TasksMax",
        family: &Family::gauge("node_systemd_unit_tasks_max", "The most tasks that the service may have: TasksMax."),
    },
];
static START_TIMES: Question =
    Question { interface: "org.freedesktop.systemd1.Unit", property: "ActiveEnterTimestamp", family: &STARTED };
static SERVICE_TYPE: Question = Question { interface: "org.freedesktop.systemd1.Service", property: "Type", family: &STATE };
static MOUNT_TYPE: Question = Question { interface: "org.freedesktop.systemd1.Mount", property: "Type", family: &STATE };

const OLD_INCLUDE: Flag = Flag::text("collector.systemd.unit-whitelist", "", "Old name of unit-include.").hidden();
const OLD_EXCLUDE: Flag = Flag::text("collector.systemd.unit-blacklist", "", "Old name of unit-exclude.").hidden();
const NAMES: Pair = Pair {
    old_include: Some(OLD_INCLUDE),
    old_exclude: Some(OLD_EXCLUDE),
    ..Pair::new(
        Flag::text("collector.systemd.unit-include", ".+", "Only units whose whole name matches this pattern."),
        Flag::text(
            "collector.systemd.unit-exclude",
            r".+\.(automount|device|mount|scope|slice)",
            "No unit whose whole name matches this pattern.",
        ),
    )
};
const WITH_TASKS: Flag = Flag::switch("collector.systemd.enable-task-metrics", false, "Also show how many tasks services have.");
const WITH_RESTARTS: Flag = Flag::switch("collector.systemd.enable-restarts-metrics", false, "Also count restarts of services.");
const WITH_START_TIMES: Flag =
    Flag::switch("collector.systemd.enable-start-time-metrics", false, "Also show when units became active.");
const PRIVATE: Flag =
    Flag::switch("collector.systemd.private", false, "Ask on systemd's own socket, for root only, instead of the bus.").hidden();

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "systemd",
    enabled: Flag::switch("collector.systemd", false, "Units of systemd, asked over the message bus."),
    flags: &[NAMES.include, NAMES.exclude, OLD_INCLUDE, OLD_EXCLUDE, WITH_TASKS, WITH_RESTARTS, WITH_START_TIMES, PRIVATE],
    new: |settings| Ok(Box::new(Systemd::new(settings)?)),
};

/// The states that are shown as a metric each; a unit may be in another, such as `reloading`.
const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];

struct Systemd {
    names: Filter,
    tasks: bool,
    restarts: bool,
    start_times: bool,
    private: Option<Bus>,
}

impl Systemd {
    fn new(settings: &Settings) -> Result<Self, Error> {
        let private = settings.switch(&PRIVATE).then(|| Bus::service(&Roots::of(settings).root("/run/systemd/private")));
        Ok(Systemd {
            names: NAMES.both_whole(settings)?,
            tasks: settings.switch(&WITH_TASKS),
            restarts: settings.switch(&WITH_RESTARTS),
            start_times: settings.switch(&WITH_START_TIMES),
            private,
        })
    }

    /// What to ask of one unit.
    fn questions(&self, unit: &Unit) -> impl Iterator<Item = &'static Question> + use<> {
        let of_kind: Vec<&'static Question> = match unit.name.rsplit_once('.').map(|(_, kind)| kind) {
            Some("service") => {
                let restarts = self.restarts.then_some(&RESTARTS);
                let tasks = TASKS.iter().filter(|_| self.tasks);
                std::iter::once(&SERVICE_TYPE).chain(restarts).chain(tasks).collect()
            }
            Some("mount") => vec![&MOUNT_TYPE],
            Some("socket") => SOCKETS.iter().collect(),
            Some("timer") => vec![&TIMERS],
            _ => Vec::new(),
        };
        of_kind.into_iter().chain((self.start_times && unit.state == "active").then_some(&START_TIMES))
    }
}

impl Collector for Systemd {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let bus = self.private.as_mut().unwrap_or(&mut system.bus);
        let manager = bus.ask(system.deadline, systemd_units::manager)?;
        emit_manager(&manager, out);
        let mut counts: BTreeMap<&str, u64> = STATES.into_iter().map(|state| (state, 0)).collect();
        for unit in &manager.units {
            *counts.entry(&unit.state).or_default() += 1;
        }
        for (state, count) in counts {
            out.family(&UNITS).add([("state", state)], count);
        }
        let shown: Vec<&Unit> = manager.units.iter().filter(|unit| unit.is_loaded && self.names.passes(&unit.name)).collect();
        let questions: Vec<(&Unit, &Question)> =
            shown.iter().flat_map(|unit| self.questions(unit).map(|question| (*unit, question))).collect();
        let bus = self.private.as_mut().unwrap_or(&mut system.bus);
        let answers = bus.ask(system.deadline, |connection| systemd_units::ask(connection, &questions));
        self.private.as_mut().into_iter().for_each(Bus::hang_up);
        let answers = answers?;
        let mut types: BTreeMap<&str, &str> = BTreeMap::new();
        for ((unit, question), answer) in questions.iter().zip(&answers) {
            match answer {
                Some(Answer::Text(text)) => drop(types.insert(&unit.name, text)),
                Some(Answer::Number(number)) => emit_number(unit, question, *number, out),
                None => {}
            }
        }
        for unit in shown {
            let kind = types.get(unit.name.as_str()).copied().unwrap_or_default();
            for state in STATES {
                out.family(&STATE).add([("name", &*unit.name), ("state", state), ("type", kind)], unit.state == state);
            }
            if self.start_times && unit.state != "active" {
                out.family(&STARTED).add([("name", &*unit.name)], 0u8);
            }
        }
        manager.state.map_or_else(|| Err(Fault::Remote("systemd does not tell its SystemState".to_owned())), |_| Ok(()))
    }
}

fn emit_manager(manager: &Manager, out: &mut Samples) {
    // A version without a number is as good as none, label and all.
    let version = manager.version.as_deref().and_then(|text| Some((version(text)?, text)));
    let (number, text) = version.unwrap_or_default();
    out.family(&VERSION).add([("version", text)], number);
    let virtualization = match manager.virtualization.as_deref() {
        None => "unknown",
        Some("") => "none",
        Some(name) => name,
    };
    out.family(&VIRTUALIZATION).add([("virtualization_type", virtualization)], 1u8);
    if let Some(state) = &manager.state {
        out.family(&RUNNING).add([], state == "running");
    }
}

fn emit_number(unit: &Unit, question: &'static Question, number: u64, out: &mut Samples) {
    let name = [("name", &*unit.name)];
    if question.family.name.ends_with("_seconds") {
        out.family(question.family).add(name, from_u64(number) / 1e6);
    } else if number != u64::MAX {
        // All ones stand for "not counted" or "no limit".
        out.family(question.family).add(name, number);
    }
}

/// The number in a version such as `252.30-1~deb12u2`: three digits or more, and a fraction.
fn version(text: &str) -> Option<f64> {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut rest = text;
    loop {
        rest = rest.get(rest.find(is_digit)?..)?;
        let digits = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
        let (whole, tail) = rest.split_at(digits);
        if digits >= 3 {
            let fraction = tail.strip_prefix('.').map_or("", |tail| tail.split(|c| !is_digit(c)).next().unwrap_or_default());
            return format!("{whole}.{fraction}0").parse().ok();
        }
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        let known = [("252.30-1~deb12u2", 252.3), ("v255", 255.0), ("257.9-1", 257.9), ("5 of 249 (249.11)", 249.0)];
        for (text, number) in known {
            assert_eq!(version(text), Some(number), "{text}");
        }
        for none in ["", "44", "dev", "12.345x"] {
            assert_eq!(version(none).filter(|_| none != "12.345x"), None, "{none}");
        }
    }

    #[test]
    fn names_are_matched_whole() {
        let mut filter = NAMES.both_whole(&Settings::default()).unwrap();
        assert!(filter.passes("ssh.service") && !filter.passes("home.mount") && filter.passes("home.mount.service"));
        assert!(!filter.passes(""));
    }

    proptest::proptest! {
        #[test]
        fn any_version_is_survived(text: String, digits in "[0-9.]{0,400}") {
            version(&text);
            version(&digits);
        }
    }
}
