//! The message bus (D-Bus): one connection that is kept, and questions over it that end in time.
//!
//! For threads that may block. It asks and never listens: between two questions nothing happens. The wire protocol is our own, as
//! two collectors call five methods: zbus, which did it before, took 0.4 MB of the image.

mod connection;
mod message;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::SockAddr;

pub use connection::{Connection, Error, get};
pub use message::{Call, Message, Value};

use super::{Fault, Roots};

/// The longest that anyone waits for an answer.
const LONGEST: Duration = Duration::from_secs(2);

/// A bus, or a service that speaks the bus' protocol on a socket of its own; connected on the first question.
#[derive(Debug, Default)]
pub struct Bus {
    /// Where it may be; the first one that is there is taken.
    places: Vec<Place>,
    is_service: bool,
    open: Option<Connection>,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Path(PathBuf),
    /// A name in the network namespace, without a file.
    Abstract(String),
}

impl Bus {
    /// The system's bus: as set, or below the host's root directory if it is only there.
    pub fn of(roots: &Roots) -> Self {
        let set: Vec<Place> = roots.bus.split(';').filter_map(place).collect();
        let below = set.iter().filter_map(|place| match place {
            Place::Path(path) => Some(Place::Path(roots.root(path))),
            Place::Abstract(_) => None,
        });
        Bus { places: set.iter().cloned().chain(below).collect(), ..Bus::default() }
    }

    /// A service's own socket.
    pub fn service(path: &Path) -> Self {
        Bus { places: vec![Place::Path(path.to_owned())], is_service: true, open: None }
    }

    /// Puts questions by way of `ask`, at most until half of the time to `deadline` is over. They are put a second time if the
    /// connection turns out to be dead; one over which no answer came in time is given up.
    pub fn ask<T>(&mut self, deadline: Option<Instant>, ask: impl Fn(&mut Connection) -> Result<T, Error>) -> Result<T, Fault> {
        let now = Instant::now();
        let left = deadline.map_or(LONGEST, |deadline| deadline.saturating_duration_since(now) / 2);
        let (until, was_open) = (now + left.min(LONGEST), self.open.is_some());
        let answer = match self.attempt(until, &ask) {
            Err(Error::Broken(_)) if was_open => self.attempt(until, &ask),
            answer => answer,
        };
        answer.map_err(|error| match error {
            Error::Absent(what) => Fault::Absent(what),
            error => Fault::Remote(error.to_string()),
        })
    }

    /// Ends the connection. systemd tells its news to whoever is connected to its own socket, and keeps them for one who does not listen.
    pub fn hang_up(&mut self) {
        self.open = None;
    }

    fn attempt<T>(&mut self, until: Instant, ask: &impl Fn(&mut Connection) -> Result<T, Error>) -> Result<T, Error> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect(until)?,
        };
        open.until = until;
        let answer = ask(&mut open);
        if !answer.as_ref().is_err_and(Error::is_final) {
            self.open = Some(open);
        }
        answer
    }

    fn connect(&self, until: Instant) -> Result<Connection, Error> {
        let is_there = |place: &&Place| match place {
            Place::Path(path) => path.exists(),
            Place::Abstract(_) => true,
        };
        let place = self.places.iter().find(is_there).ok_or_else(|| {
            let first = self.places.first().map_or("a message bus at a Unix socket".to_owned(), |place| format!("{place:?}"));
            Error::Absent(first)
        })?;
        let address = match place {
            Place::Path(path) => SockAddr::unix(path),
            Place::Abstract(name) => SockAddr::unix(format!("\0{name}")),
        };
        Connection::open(&address?, !self.is_service, until)
    }
}

/// `unix:path=/run/dbus/system_bus_socket,guid=0a1b`, `unix:abstract=name`; in values, `%2c` stands for a comma. Of another transport
/// there is nothing to be had: a system's bus is on its own machine.
fn place(address: &str) -> Option<Place> {
    let pairs = address.trim().strip_prefix("unix:")?.split(',').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find_map(|(key, value)| match key {
        "path" => Some(Place::Path(unescape(value)?.into())),
        "abstract" => Some(Place::Abstract(unescape(value)?)),
        _ => None,
    })
}

fn unescape(value: &str) -> Option<String> {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_specification_has_them() {
        let path = |path: &str| Some(Place::Path(path.into()));
        assert_eq!(place("unix:path=/run/dbus/system_bus_socket"), path("/run/dbus/system_bus_socket"));
        assert_eq!(place("unix:guid=12,path=/tmp/a%2cb%20c"), path("/tmp/a,b c"));
        assert_eq!(place("unix:abstract=/tmp/x,guid=1"), Some(Place::Abstract("/tmp/x".to_owned())));
        assert_eq!(
            [place("tcp:host=localhost,port=1"), place("unix:path=%4"), place("unix:path=%zz"), place("")],
            [const { None }; 4]
        );
    }
}
