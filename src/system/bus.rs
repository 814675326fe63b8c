//! The message bus (D-Bus): one connection that is kept, and questions over it that end in time.
//!
//! For threads that may block. The connection's runtime runs only while a question is under way; between two of them nothing happens.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};
use tokio::time::timeout_at;
use zbus::address::transport::{Transport, Unix, UnixSocket};
use zbus::connection::Builder;
use zbus::{Address, Connection, OwnedVariant, fdo};

use super::{Fault, Roots};

/// The longest that anyone waits for an answer.
const LONGEST: Duration = Duration::from_secs(2);

/// A bus, or a service that speaks the bus' protocol on a socket of its own; connected on the first question.
#[derive(Debug, Default)]
pub struct Bus {
    /// Where it may be; the first one that is there is taken.
    addresses: Vec<Address>,
    is_service: bool,
    open: Option<Open>,
}

/// Dropped in this order: what is left of the connection's tasks ends with the runtime.
#[derive(Debug)]
struct Open {
    connection: Connection,
    runtime: Runtime,
}

impl Bus {
    /// The system's bus: as set, or below the host's root directory if it is only there.
    pub fn of(roots: &Roots) -> Self {
        // An address that cannot be read is as good as none.
        let set: Vec<Address> = roots.bus.split(';').filter_map(|address| Address::try_from(address).ok()).collect();
        let below = set.iter().filter_map(|address| Some(at(&roots.root(socket(address)?))));
        Bus { addresses: set.iter().cloned().chain(below).collect(), ..Bus::default() }
    }

    /// A service's own socket.
    pub fn service(path: &Path) -> Self {
        Bus { addresses: vec![at(path)], is_service: true, open: None }
    }

    /// Puts questions by way of `ask`, at most until half of the time to `deadline` is over. They are put a second time if the
    /// connection turns out to be dead; one over which no answer came in time is given up.
    pub fn ask<T>(&mut self, deadline: Option<Instant>, ask: impl AsyncFn(&Connection) -> zbus::Result<T>) -> Result<T, Fault> {
        let now = Instant::now();
        let left = deadline.map_or(LONGEST, |deadline| deadline.saturating_duration_since(now) / 2);
        let (until, was_open) = (now + left.min(LONGEST), self.open.is_some());
        let answer = match self.attempt(until, &ask) {
            Err(error) if was_open && is_broken(&error) && !is_late(&error) => self.attempt(until, &ask),
            answer => answer,
        };
        answer.map_err(fault)
    }

    fn attempt<T>(&mut self, until: Instant, ask: &impl AsyncFn(&Connection) -> zbus::Result<T>) -> zbus::Result<T> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.connect(until)?,
        };
        let answer = open.runtime.block_on(async { in_time(until, ask(&open.connection)).await });
        if !answer.as_ref().is_err_and(is_broken) {
            self.open = Some(open);
        }
        answer
    }

    fn connect(&self, until: Instant) -> zbus::Result<Open> {
        let is_there = |address: &&Address| socket(address).is_none_or(Path::exists);
        let address = self.addresses.iter().find(is_there).ok_or_else(|| {
            let first = self.addresses.first().map_or("no address".to_owned(), ToString::to_string);
            zbus::Error::from(fdo::Error::ServiceUnknown(first))
        })?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let builder = Builder::address(address.clone());
        let builder = if self.is_service { builder.p2p() } else { builder };
        let connection = runtime.block_on(async { in_time(until, builder.build()).await })?;
        Ok(Open { connection, runtime })
    }
}

async fn in_time<T>(until: Instant, work: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
    let late = || zbus::Error::from(std::io::Error::from(ErrorKind::TimedOut));
    timeout_at(until.into(), work).await.unwrap_or_else(|_| Err(late()))
}

fn at(path: &Path) -> Address {
    Address::from(Transport::Unix(Unix::new(UnixSocket::File(path.into()))))
}

fn socket(address: &Address) -> Option<&Path> {
    match address.transport() {
        Transport::Unix(unix) => match unix.path() {
            UnixSocket::File(path) => Some(path.as_ref()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the connection is of no use any more: any error but one that a service answered.
pub fn is_broken(error: &zbus::Error) -> bool {
    !matches!(error, zbus::Error::MethodError(..) | zbus::Error::FDO(_))
}

fn is_late(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::InputOutput(error) if error.kind() == ErrorKind::TimedOut)
}

fn fault(error: zbus::Error) -> Fault {
    match &error {
        zbus::Error::FDO(answer) => match &**answer {
            fdo::Error::ServiceUnknown(what) | fdo::Error::NameHasNoOwner(what) => Fault::Absent(what.clone()),
            other => Fault::Remote(other.to_string()),
        },
        error if is_late(error) => Fault::Remote("no answer over the message bus in time".to_owned()),
        error => Fault::Remote(format!("message bus: {error}")),
    }
}

/// A property of an object, or `None` where it has none of that name or type, or is gone by now.
pub async fn property<T: TryFrom<OwnedVariant>>(
    connection: &Connection,
    service: &str,
    path: &str,
    interface: &str,
    name: &str,
) -> zbus::Result<Option<T>> {
    let properties = Some("org.freedesktop.DBus.Properties");
    match connection.call_method(Some(service), path, properties, "Get", &(interface, name)).await {
        Ok(reply) => Ok(reply.body().deserialize::<OwnedVariant>().ok().and_then(|value| T::try_from(value).ok())),
        Err(error) if is_broken(&error) => Err(error),
        Err(_) => Ok(None),
    }
}
