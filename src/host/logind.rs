//! Asks `org.freedesktop.login1` for the seats and sessions of the machine: who is logged in, how. Emits `node_logind_sessions` for
//! every combination there could be, so that a session that ends leaves a 0 behind.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::bus::{Call, Connection, Error, Message, Value};
use crate::system::{Fault, System};

static SESSIONS: Family = Family::gauge("node_logind_sessions", "Sessions that logind knows: ListSessions, by seat and kind.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "logind",
    enabled: Flag::switch("collector.logind", false, "Sessions of logged-in users, asked of systemd-logind."),
    flags: &[],
    new: |_| Ok(Box::new(Logind)),
};

const SERVICE: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

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

fn ask(connection: &mut Connection) -> Result<(Vec<String>, Vec<Session>), Error> {
    let list = |member| Call { service: SERVICE, path: PATH, interface: MANAGER, member, args: &[] };
    let reply = connection.call(&list("ListSeats"))?;
    let body = reply.body().unwrap_or_default();
    let seats = body.iter().flat_map(Value::items).filter_map(|seat| seat.items().first()?.text());
    // A session from afar has no seat.
    let seats = seats.map(str::to_owned).chain([String::new()]).collect();
    let reply = connection.call(&list("ListSessions"))?;
    let body = reply.body().unwrap_or_default();
    let listed: Vec<_> = body.iter().flat_map(Value::items).filter_map(|line| listed(line.items())).collect();
    let interface = "org.freedesktop.DBus.Properties";
    let args = &["org.freedesktop.login1.Session"];
    let calls: Vec<_> =
        listed.iter().map(|(_, path)| Call { service: SERVICE, path, interface, member: "GetAll", args }).collect();
    let answers = connection.calls(&calls)?;
    // One that has ended since it was listed has no properties.
    let sessions = listed.iter().zip(&answers).filter_map(|((seat, _), answer)| session(seat, answer.as_ref().ok()?));
    Ok((seats, sessions.collect()))
}

/// Seat and path of `(id, user's number, user, seat, path)`.
fn listed<'a>(line: &[Value<'a>]) -> Option<(&'a str, &'a str)> {
    let [_, _, _, seat, path] = line else { return None };
    Some((seat.text()?, path.text()?))
}

/// A session as its properties tell.
fn session(seat: &str, answer: &Message) -> Option<Session> {
    let body = answer.body()?;
    let all = body.first()?;
    let (kind, class) = (all.get("Type")?.text()?, all.get("Class")?.text()?);
    let is_remote = all.get("Remote")?.flag()?;
    Some(Session { seat: seat.to_owned(), is_remote, kind: known(&TYPES, kind), class: known(&CLASSES, class) })
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
