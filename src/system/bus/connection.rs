//! A connection to a bus, or to a service that speaks its language on a socket of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::message::{Call, Message, Value, measure};

/// So many questions are on their way at once: enough to hide the way there and back, too few to fill a service's queue.
const AT_ONCE: usize = 32;

/// The longest line of the greeting.
const LONGEST: usize = 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such bus, or nobody of that name on it.
    #[error("{0} is not there")]
    Absent(String),
    /// The service refused: the error's name, and its words.
    #[error("{0}: {1}")]
    Refused(String, String),
    /// Nothing came in time.
    #[error("no answer over the message bus in time")]
    Late,
    /// The connection is of no use any more.
    #[error("message bus: {0}")]
    Broken(String),
}

impl Error {
    /// Whether the connection can be used no more.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Error::Late | Error::Broken(_))
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Late,
            _ => Error::Broken(error.to_string()),
        }
    }
}

/// Where questions are put.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    /// Of the last call.
    serial: u32,
    received: Vec<u8>,
    /// When whoever asks gives up.
    pub(super) until: Instant,
}

impl Connection {
    /// Connects and logs in as the user that we are; on a bus, also takes a place there.
    pub(super) fn open(address: &SockAddr, is_bus: bool, until: Instant) -> Result<Self, Error> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.connect_timeout(address, left(until)?)?;
        let mut connection =
            Connection { stream: UnixStream::from(std::os::fd::OwnedFd::from(socket)), serial: 0, received: Vec::new(), until };
        // The name is the number of the user, in digits that are written as hexadecimal codes.
        let user: String = nix::unistd::geteuid().to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        connection.send(format!("\0AUTH EXTERNAL {user}\r\n").as_bytes())?;
        // `OK 1234deadbeef`, or `REJECTED EXTERNAL`
        let line = connection.line()?;
        if !line.starts_with(b"OK ") {
            return Err(Error::Broken("the bus does not let us in".to_owned()));
        }
        connection.send(b"BEGIN\r\n")?;
        if is_bus {
            let bus = "org.freedesktop.DBus";
            connection.call(&Call { service: bus, path: "/org/freedesktop/DBus", interface: bus, member: "Hello", args: &[] })?;
        }
        Ok(connection)
    }

    /// Calls one method.
    pub fn call(&mut self, call: &Call<'_>) -> Result<Message, Error> {
        let answer = self.calls(std::slice::from_ref(call))?.pop();
        answer.unwrap_or_else(|| Err(Error::Broken("no answer".to_owned())))
    }

    /// Calls methods, some at once; the answers are in the order of the calls. Fails once the connection does.
    pub fn calls(&mut self, calls: &[Call<'_>]) -> Result<Vec<Result<Message, Error>>, Error> {
        let (mut answers, mut out) = (Vec::with_capacity(calls.len()), Vec::new());
        for calls in calls.chunks(AT_ONCE) {
            out.clear();
            // Serials are any numbers but 0.
            let first = self.serial.checked_add(1).filter(|first| *first < u32::MAX / 2).unwrap_or(1);
            for (call, serial) in calls.iter().zip(first..) {
                call.write(serial, &mut out);
                self.serial = serial;
            }
            self.send(&out)?;
            let mut got: Vec<Option<Message>> = calls.iter().map(|_| None).collect();
            while got.iter().any(Option::is_none) {
                let message = self.message()?;
                // What answers nothing is news that every connection is sent, such as its own name.
                let at = message.answers.and_then(|serial| usize::try_from(serial.checked_sub(first)?).ok());
                if let Some(place) = at.and_then(|at| got.get_mut(at)) {
                    *place = Some(message);
                }
            }
            answers.extend(got.into_iter().flatten().map(refused));
        }
        Ok(answers)
    }

    /// A property of an object: its only value, in a message; `None` where it has none of that name, or is gone by now.
    pub fn property(&mut self, service: &str, path: &str, interface: &str, name: &str) -> Result<Option<Message>, Error> {
        match self.call(&get(service, path, &[interface, name])) {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.is_final() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        Ok(self.stream.write_all(bytes)?)
    }

    /// Waits for more bytes.
    fn receive(&mut self) -> Result<(), Error> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(Error::Broken("the other side has ended the connection".to_owned())),
            length => {
                self.received.extend_from_slice(buffer.get(..length).unwrap_or_default());
                Ok(())
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                return Ok(self.received.drain(..end + 2).take(end).collect());
            }
            if self.received.len() > LONGEST {
                return Err(Error::Broken("it is no bus that answers".to_owned()));
            }
            self.receive()?;
        }
    }

    fn message(&mut self) -> Result<Message, Error> {
        loop {
            let length = measure(&self.received).map_err(|wrong| Error::Broken(wrong.to_owned()))?;
            if let Some(length) = length.filter(|length| *length <= self.received.len()) {
                let rest = self.received.split_off(length);
                let message = Message::read(std::mem::replace(&mut self.received, rest));
                return message.ok_or_else(|| Error::Broken("a message makes no sense".to_owned()));
            }
            self.receive()?;
        }
    }
}

/// The question for a property.
pub fn get<'a>(service: &'a str, path: &'a str, interface_and_name: &'a [&'a str; 2]) -> Call<'a> {
    Call { service, path, interface: "org.freedesktop.DBus.Properties", member: "Get", args: interface_and_name }
}

/// Tells an error apart from an answer.
fn refused(message: Message) -> Result<Message, Error> {
    let Some(name) = message.error.clone() else { return Ok(message) };
    let words = message.body().and_then(|values| values.first().and_then(Value::text)).unwrap_or_default().to_owned();
    Err(match name.strip_prefix("org.freedesktop.DBus.Error.") {
        Some("ServiceUnknown" | "NameHasNoOwner") => Error::Absent(words),
        _ => Error::Refused(name, words),
    })
}

fn left(until: Instant) -> Result<Duration, Error> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Error::Late) } else { Ok(left) }
}
