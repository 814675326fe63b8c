//! The questions to `org.freedesktop.systemd1`, and its answers as plain values.

use futures_util::{StreamExt, TryStreamExt, stream};
use zbus::{Connection, ObjectPath, OwnedVariant};

use crate::exposition::Family;
use crate::system::bus::property;

const SERVICE: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// So many questions are on their way at once: enough to hide the way there and back, too few to fill systemd's queue.
const AT_ONCE: usize = 32;

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

impl TryFrom<OwnedVariant> for Answer {
    type Error = zbus::Error;

    fn try_from(value: OwnedVariant) -> Result<Self, Self::Error> {
        let number = value.try_clone()?;
        let number = u64::try_from(number.try_clone()?).or_else(|_| u32::try_from(number).map(u64::from));
        number.map(Answer::Number).or_else(|_| String::try_from(value).map(Answer::Text))
    }
}

/// `(name, description, load state, active state, sub state, followed unit, path, job, job's type, job's path)`
type Line<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str, ObjectPath<'a>, u32, &'a str, ObjectPath<'a>);

/// Asks for systemd's own properties and the list of units.
pub(super) async fn manager(connection: &Connection) -> zbus::Result<Manager> {
    let reply = connection.call_method(Some(SERVICE), PATH, Some(MANAGER), "ListUnits", &()).await?;
    let body = reply.body();
    let lines: Vec<Line<'_>> = body.deserialize()?;
    let unit = |(name, _, load, state, _, _, path, _, _, _): Line<'_>| Unit {
        name: name.to_owned(),
        state: state.to_owned(),
        is_loaded: load == "loaded",
        path: path.as_str().to_owned(),
    };
    let text = async |name| property::<String>(connection, SERVICE, PATH, MANAGER, name).await;
    Ok(Manager {
        units: lines.into_iter().map(unit).collect(),
        version: text("Version").await?,
        virtualization: text("Virtualization").await?,
        state: text("SystemState").await?,
    })
}

/// The answers in the order of the questions: `None` where a unit has gone since it was listed.
pub(super) async fn ask(connection: &Connection, questions: &[(&Unit, &'static Question)]) -> zbus::Result<Vec<Option<Answer>>> {
    let one = |(unit, question): &(&Unit, &'static Question)| {
        let (path, question) = (unit.path.clone(), *question);
        async move { property(connection, SERVICE, &path, question.interface, question.property).await }
    };
    stream::iter(questions.iter().map(one)).buffered(AT_ONCE).try_collect().await
}
