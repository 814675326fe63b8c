//! Asks `org.freedesktop.login1` for the seats and sessions of the machine: who is logged in, how. Emits `node_logind_sessions` for
//! every combination there could be, so that a session that ends leaves a 0 behind.

use std::collections::HashMap;

use zbus::{Connection, ObjectPath, OwnedVariant};

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, bus};

static SESSIONS: Family = Family::gauge("node_logind_sessions", "Sessions that logind knows: ListSessions, by seat and kind.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "logind",
    enabled: Flag::switch("collector.logind", false, "Sessions of logged-in users, asked of systemd-logind."),
    flags: &[],
    new: |_| Ok(Box::new(Logind)),
};

const SERVICE: Option<&str> = Some("org.freedesktop.login1");
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: Option<&str> = Some("org.freedesktop.login1.Manager");

/// What is of no known kind counts as the first one.
const TYPES: [&str; 7] = ["other", "unspecified", "tty", "x11", "wayland", "mir", "web"];
const CLASSES: [&str; 5] = ["other", "user", "greeter", "lock-screen", "background"];

struct Logind;

impl Collector for Logind {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let (seats, sessions) = system.bus.ask(system.deadline, ask)?;
        emit(&seats, &sessions, out);
        Ok(())
    }
}

/// How somebody is logged in.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Session {
    seat: String,
    is_remote: bool,
    kind: &'static str,
    class: &'static str,
}

async fn ask(connection: &Connection) -> zbus::Result<(Vec<String>, Vec<Session>)> {
    let seats = connection.call_method(SERVICE, PATH, MANAGER, "ListSeats", &()).await?;
    let body = seats.body();
    let seats: Vec<(String, ObjectPath<'_>)> = body.deserialize()?;
    // A session from afar has no seat.
    let seats = seats.into_iter().map(|(seat, _)| seat).chain([String::new()]).collect();
    let reply = connection.call_method(SERVICE, PATH, MANAGER, "ListSessions", &()).await?;
    let body = reply.body();
    let listed: Vec<(&str, u32, &str, &str, ObjectPath<'_>)> = body.deserialize()?;
    let mut sessions = Vec::with_capacity(listed.len());
    for (_, _, _, seat, path) in &listed {
        sessions.extend(session(connection, seat, path).await?);
    }
    Ok((seats, sessions))
}

/// A session as its properties tell; `None` for one that has ended meanwhile.
async fn session(connection: &Connection, seat: &str, path: &ObjectPath<'_>) -> zbus::Result<Option<Session>> {
    let (properties, of_session) = (Some("org.freedesktop.DBus.Properties"), &("org.freedesktop.login1.Session"));
    let reply = match connection.call_method(SERVICE, path, properties, "GetAll", of_session).await {
        Err(error) if bus::is_broken(&error) => return Err(error),
        Err(_) => return Ok(None),
        Ok(reply) => reply,
    };
    let mut all: HashMap<String, OwnedVariant> = reply.body().deserialize()?;
    let mut text = |name: &str| all.remove(name).and_then(|value| String::try_from(value).ok());
    let (kind, class) = (text("Type"), text("Class"));
    let remote = all.remove("Remote").and_then(|value| bool::try_from(value).ok());
    let (Some(kind), Some(class), Some(is_remote)) = (kind, class, remote) else { return Ok(None) };
    Ok(Some(Session { seat: seat.to_owned(), is_remote, kind: known(&TYPES, &kind), class: known(&CLASSES, &class) }))
}

fn known(names: &[&'static str], name: &str) -> &'static str {
    names.iter().find(|known| **known == name).or(names.first()).copied().unwrap_or_default()
}

fn emit(seats: &[String], sessions: &[Session], out: &mut Samples) {
    let mut family = out.family(&SESSIONS);
    for class in CLASSES {
        for is_remote in [false, true] {
            for seat in seats {
                for kind in TYPES {
                    let alike = |session: &&Session| {
                        (session.class, session.kind, session.is_remote, &session.seat) == (class, kind, is_remote, seat)
                    };
                    let remote = if is_remote { "true" } else { "false" };
                    let labels = [("class", class), ("remote", remote), ("seat", seat.as_str()), ("type", kind)];
                    family.add(labels, sessions.iter().filter(alike).count() as u64);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_other() {
        assert_eq!((known(&TYPES, "tty"), known(&TYPES, "quantum"), known(&CLASSES, "")), ("tty", "other", "other"));
    }
}
