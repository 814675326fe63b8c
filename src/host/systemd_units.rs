//! The questions to `org.freedesktop.systemd1`, and its answers as plain values.

use crate::exposition::Family;
use crate::system::bus::{Call, Connection, Error, Message, Value, get};

const SERVICE: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// What systemd tells of itself, and its units.
#[derive(Debug)]
pub(super) struct Manager {
    pub(super) version: Option<String>,
    pub(super) virtualization: Option<String>,
    pub(super) state: Option<String>,
    pub(super) units: Vec<Unit>,
}

/// A line of ListUnits.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) is_loaded: bool,
    path: String,
}

/// A property that some kind of unit has.
pub(super) struct Question {
    pub(super) interface: &'static str,
    pub(super) property: &'static str,
    /// Where its answer is shown.
    pub(super) family: &'static Family,
}

/// What a property may be.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Text(String),
    Number(u64),
}

impl Answer {
    fn text(self) -> Option<String> {
        if let Answer::Text(text) = self { Some(text) } else { None }
    }

    fn of(message: &Message) -> Option<Self> {
        match message.body()?.first()? {
            Value::Text(text) => Some(Answer::Text((*text).to_owned())),
            value => value.number().map(Answer::Number),
        }
    }
}

/// Asks for systemd's own properties and the list of units.
pub(super) fn manager(connection: &mut Connection) -> Result<Manager, Error> {
    let list = Call { service: SERVICE, path: PATH, interface: MANAGER, member: "ListUnits", args: &[] };
    let reply = connection.call(&list)?;
    let body = reply.body().unwrap_or_default();
    let lines = body.first().map(Value::items).unwrap_or_default();
    let mut text = |name| {
        let answer = connection.property(SERVICE, PATH, MANAGER, name)?;
        Ok::<_, Error>(answer.as_ref().and_then(Answer::of).and_then(Answer::text))
    };
    Ok(Manager {
        version: text("Version")?,
        virtualization: text("Virtualization")?,
        state: text("SystemState")?,
        units: lines.iter().filter_map(|line| unit(line.items())).collect(),
    })
}

/// `(name, description, load state, active state, sub state, followed unit, path, job, job's type, job's path)`
fn unit(line: &[Value<'_>]) -> Option<Unit> {
    let [name, _, load, state, _, _, path, ..] = line else { return None };
    let owned = |value: &Value<'_>| value.text().map(str::to_owned);
    Some(Unit { name: owned(name)?, state: owned(state)?, is_loaded: load.text() == Some("loaded"), path: owned(path)? })
}

/// The answers in the order of the questions: `None` where a unit has gone since it was listed.
pub(super) fn ask(connection: &mut Connection, questions: &[(&Unit, &'static Question)]) -> Result<Vec<Option<Answer>>, Error> {
    let names: Vec<_> = questions.iter().map(|(_, question)| [question.interface, question.property]).collect();
    let calls: Vec<_> = questions.iter().zip(&names).map(|((unit, _), names)| get(SERVICE, &unit.path, names)).collect();
    Ok(connection.calls(&calls)?.iter().map(|answer| Answer::of(answer.as_ref().ok()?)).collect())
}
