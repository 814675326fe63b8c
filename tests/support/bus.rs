//! A message bus of its own, and on it a service that answers like systemd and systemd-logind.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::{Connection, Guid, Message, MessageStream, ObjectPath, OwnedVariant, Variant};

use super::wait_for;

/// dbus-daemon on a socket in `folder`.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    pub fn start(folder: &Path) -> Daemon {
        let (socket, config) = (folder.join("bus"), folder.join("bus.conf"));
        let _ = std::fs::remove_file(&socket);
        let text = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>",
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--config-file={}", config.display())).arg("--nofork").stderr(Stdio::null());
        let child = command.spawn().expect("this test needs dbus-daemon, of Debian's package dbus-daemon");
        // The file is there a moment before anybody listens.
        wait_for("dbus-daemon listens", Duration::from_secs(10), || UnixStream::connect(&socket).is_ok());
        Daemon { child, socket }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket.display())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Name, load state, active state.
pub type Unit = (&'static str, &'static str, &'static str);

/// What the service answers.
#[derive(Default)]
pub struct Objects {
    pub units: Vec<Unit>,
    pub seats: Vec<&'static str>,
    /// Id and seat.
    pub sessions: Vec<(&'static str, &'static str)>,
    pub properties: HashMap<(String, String), HashMap<String, OwnedVariant>>,
}

const SYSTEMD: &str = "/org/freedesktop/systemd1";
const LOGIND: &str = "/org/freedesktop/login1";

impl Objects {
    /// A property of systemd itself.
    pub fn manager(&mut self, name: &str, value: impl Into<Variant<'static>>) {
        self.put(SYSTEMD.into(), "org.freedesktop.systemd1.Manager".into(), name, value.into());
    }

    /// A property of a unit; `interface` is `Service`, `Unit`, ….
    pub fn unit(&mut self, unit: &str, interface: &str, name: &str, value: impl Into<Variant<'static>>) {
        self.put(path_of(unit), format!("org.freedesktop.systemd1.{interface}"), name, value.into());
    }

    /// A property of a session.
    pub fn session(&mut self, id: &str, name: &str, value: impl Into<Variant<'static>>) {
        self.put(format!("{LOGIND}/session/{id}"), "org.freedesktop.login1.Session".into(), name, value.into());
    }

    fn put(&mut self, path: String, interface: String, name: &str, value: Variant<'static>) {
        let value = OwnedVariant::try_from(value).unwrap();
        self.properties.entry((path, interface)).or_default().insert(name.to_owned(), value);
    }
}

/// A unit's path: what is no letter or digit stands as its code.
fn path_of(unit: &str) -> String {
    let escape = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("_{:02x}", c as u32) };
    format!("{SYSTEMD}/unit/{}", unit.chars().map(escape).collect::<String>())
}

/// The service, in a thread that ends with its connection.
pub struct Service {
    silent: Arc<AtomicBool>,
    callers: Arc<Mutex<BTreeSet<String>>>,
}

impl Service {
    /// On the bus `daemon`.
    pub fn start(daemon: &Daemon, objects: Objects) -> Service {
        let address = daemon.address();
        Service::run(objects, async move || {
            let builder = Builder::address(address.as_str()).name("org.freedesktop.systemd1");
            builder.name("org.freedesktop.login1").build().await.unwrap()
        })
    }

    /// Without a bus, for whoever connects first to `socket`. As systemd does on its private socket, it answers to no name.
    pub fn listen(socket: &Path, objects: Objects) -> Service {
        let listener = UnixListener::bind(socket).unwrap();
        Service::run(objects, async move || {
            let (stream, _) = listener.accept().unwrap();
            Builder::unix_stream(stream).server(Guid::generate()).p2p().build().await.unwrap()
        })
    }

    fn run(objects: Objects, connect: impl AsyncFnOnce() -> Connection + Send + 'static) -> Service {
        let service = Service { silent: Arc::default(), callers: Arc::default() };
        let (silent, callers) = (service.silent.clone(), service.callers.clone());
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let _ = ready.send(());
                let connection = connect().await;
                let mut messages = MessageStream::from(&connection);
                let _ = ready.send(());
                while let Some(Ok(message)) = messages.next().await {
                    if message.message_type() == Type::MethodCall && !silent.load(Ordering::Relaxed) {
                        callers.lock().unwrap().extend(message.header().sender().map(ToString::to_string));
                        answer(&connection, &message, &objects).await;
                    }
                }
            });
        });
        is_ready.recv().unwrap();
        let _ = is_ready.recv_timeout(Duration::from_secs(2));
        service
    }

    /// Whether it leaves all questions unanswered.
    pub fn be_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    /// How many connections asked so far.
    pub fn callers(&self) -> usize {
        self.callers.lock().unwrap().len()
    }
}

async fn answer(connection: &Connection, message: &Message, objects: &Objects) {
    let (header, body) = (message.header(), message.body());
    let path = |path: String| ObjectPath::try_from(path).unwrap();
    let at = header.path().unwrap().to_string();
    match header.member().unwrap().as_str() {
        "ListUnits" => {
            let line = |(name, load, state): &Unit| {
                let (name, load, state) = ((*name).to_owned(), (*load).to_owned(), (*state).to_owned());
                let unit = path(path_of(&name));
                (name, "", load, state, "", "", unit, 0u32, "", path("/".into()))
            };
            connection.reply(&header, &objects.units.iter().map(line).collect::<Vec<_>>()).await
        }
        "ListSeats" => {
            let seats: Vec<_> = objects.seats.iter().map(|seat| (*seat, path(format!("{LOGIND}/seat/{seat}")))).collect();
            connection.reply(&header, &seats).await
        }
        "ListSessions" => {
            let line =
                |(id, seat): &(&'static str, &'static str)| (*id, 0u32, "me", *seat, path(format!("{LOGIND}/session/{id}")));
            connection.reply(&header, &objects.sessions.iter().map(line).collect::<Vec<_>>()).await
        }
        "Get" => {
            let (interface, name): (String, String) = body.deserialize().unwrap();
            match objects.properties.get(&(at, interface)).and_then(|all| all.get(&name)) {
                Some(value) => connection.reply(&header, value).await,
                None => connection.reply_error(&header, "org.freedesktop.DBus.Error.UnknownProperty", &name).await,
            }
        }
        "GetAll" => {
            let interface: String = body.deserialize().unwrap();
            match objects.properties.get(&(at, interface)) {
                Some(all) => connection.reply(&header, all).await,
                None => connection.reply_error(&header, "org.freedesktop.DBus.Error.UnknownObject", &"gone").await,
            }
        }
        other => connection.reply_error(&header, "org.freedesktop.DBus.Error.UnknownMethod", &other).await,
    }
    .unwrap();
}
