//! How a connection comes about: socket, TLS with libpq's fallbacks, login.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, NoTls};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::dsn::{Dsn, Host};
use super::passfile;
use super::security::Mode;
use super::wire::{Stream, Wire};
use crate::settings::Secret;
use crate::system::Held;
use crate::system::syscalls::as_user;
use crate::tls;

/// Why there is no session, in words without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: String,
    /// Whether asking again soon would hurt: the server hangs, is full, or refused the password.
    pub(super) wait: bool,
}

impl Refusal {
    pub(super) fn waiting(reason: impl Into<String>) -> Self {
        Refusal { reason: reason.into(), wait: true }
    }
}

/// A connection that is logged in, the task that drives it, and the process that listens at the socket, where it is one.
pub(super) type Connected = (Client, AbortHandle, Option<u32>);

/// How one attempt is to be made safe.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    None,
    /// If the server speaks it.
    Offered,
    Required,
}

/// What became of an attempt that failed.
struct Failure {
    refusal: Refusal,
    /// Whether it got as far as the handshake.
    encrypted: bool,
    /// Whether the server refused us before it let us in, as libpq's fallbacks ask.
    refused: bool,
}

/// Connects to `host`, reading at most `budget` bytes.
///
/// As libpq: `prefer` tries once more without TLS what failed in the handshake or was refused behind it, `allow` with TLS what was refused
/// without, and a socket is never encrypted.
pub(super) async fn connect(dsn: &Dsn, host: &Host, budget: &Arc<AtomicUsize>) -> Result<Connected, Refusal> {
    let (password, ignored) = match password(dsn, host) {
        Ok(password) => (password, None),
        Err(reason) => (None, Some(reason)),
    };
    let attempt = |encryption| attempt(dsn, host, password.as_ref(), encryption, budget);
    let mode = if host.is_socket() { Mode::Disable } else { dsn.security.mode() };
    let first = match mode {
        Mode::Disable | Mode::Allow => Encryption::None,
        Mode::Prefer => Encryption::Offered,
        Mode::Require | Mode::VerifyCa | Mode::VerifyFull => Encryption::Required,
    };
    let failure = match attempt(first).await {
        Ok(connected) => return Ok(connected),
        Err(failure) => failure,
    };
    let second = match mode {
        Mode::Prefer if failure.encrypted => Some(Encryption::None),
        Mode::Allow if failure.refused => Some(Encryption::Required),
        _ => None,
    };
    let mut refusal = failure.refusal;
    if let Some(second) = second {
        match attempt(second).await {
            Ok(connected) => return Ok(connected),
            Err(again) if again.refusal.reason != refusal.reason && (again.encrypted || second == Encryption::None) => {
                let with = if second == Encryption::None { "without TLS" } else { "with TLS" };
                refusal.reason = format!("{}; {with}: {}", refusal.reason, again.refusal.reason);
                refusal.wait |= again.refusal.wait;
            }
            Err(_) => {}
        }
    }
    if let Some(ignored) = ignored {
        refusal.reason = format!("{}; {ignored}", refusal.reason);
    }
    // A server could quote what it was sent.
    if let Some(password) = password.as_ref().map(Secret::reveal).filter(|password| !password.is_empty()) {
        refusal.reason = refusal.reason.replace(password, "***");
    }
    Err(refusal)
}

/// The password that is given, or that of libpq's file.
fn password(dsn: &Dsn, host: &Host) -> Result<Option<Secret>, String> {
    let Some(file) = dsn.passfile.as_ref().filter(|_| dsn.password.is_none()) else { return Ok(dsn.password.clone()) };
    let user = match &dsn.user {
        Some(user) => user.clone(),
        None => whoami::username().map_err(|error| error.to_string())?,
    };
    passfile::password(file, host, dsn.database.as_deref().unwrap_or(&user), &user)
}

async fn attempt(
    dsn: &Dsn,
    host: &Host,
    password: Option<&Secret>,
    encryption: Encryption,
    budget: &Arc<AtomicUsize>,
) -> Result<Connected, Failure> {
    let shown = host.shown();
    let failed = |encrypted| {
        let shown = shown.clone();
        move |reason: String| Failure {
            refusal: Refusal { reason: format!("{shown}: {reason}"), wait: encrypted },
            encrypted,
            refused: false,
        }
    };
    let (mut binding, mut encrypted, mut peer) = (None, false, None);
    let stream: Box<dyn Stream> = if host.is_socket() {
        let path = format!("{}/.s.PGSQL.{}", host.address(), host.port);
        let stream = unix(&path, dsn.as_owner).await.map_err(|error| failed(false)(error.to_string()))?;
        // 0 for a process that our namespace does not show.
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        peer = pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        Box::new(stream)
    } else {
        let mut stream = tcp(host).await.map_err(|error| failed(false)(error.to_string()))?;
        if encryption == Encryption::None || !offered(&mut stream).await.map_err(failed(false))? {
            if encryption == Encryption::Required {
                return Err(failed(false)("the server does not speak TLS, which sslmode asks for".to_owned()));
            }
            Box::new(stream)
        } else {
            let (connector, name) = greeter(dsn, host).map_err(failed(false))?;
            let stream = connector.connect(name, stream).await.map_err(|error| failed(true)(format!("TLS: {error}")))?;
            (binding, encrypted) = (tls::end_point(&stream), true);
            Box::new(stream)
        }
    };
    let wire = Wire::new(stream, binding, budget.clone());
    let (client, driver) = log_in(dsn, password, wire, encrypted).await.map_err(|error| Failure {
        refusal: refusal(&error),
        encrypted,
        refused: error.code().is_some_and(|code| !AFTER_LOGIN.contains(code)),
    })?;
    Ok((client, driver, peer))
}

/// Errors of a server that has let us in but for the rest: no such database, no right to connect, a database that takes nobody.
const AFTER_LOGIN: [SqlState; 3] =
    [SqlState::INVALID_CATALOG_NAME, SqlState::INSUFFICIENT_PRIVILEGE, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE];

/// Asks whether the server speaks TLS: SSLRequest, which is answered with one byte.
async fn offered(stream: &mut TcpStream) -> Result<bool, String> {
    let lost = |error: std::io::Error| error.to_string();
    stream.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).await.map_err(lost)?;
    match stream.read_u8().await.map_err(lost)? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        b'E' => Err("the server answers the question for TLS with an error".to_owned()),
        _ => Err("the peer does not speak PostgreSQL's protocol".to_owned()),
    }
}

/// What shakes hands, of files as they are now, and the name that the certificate is checked against: one that no certificate can have matters
/// only where it is checked.
fn greeter(dsn: &Dsn, host: &Host) -> Result<(TlsConnector, ServerName<'static>), String> {
    let named = dsn.security.server_name.as_ref().unwrap_or(&host.name);
    let name = match ServerName::try_from(named.clone()) {
        Ok(name) => name,
        Err(_) if dsn.security.mode() < Mode::VerifyFull => ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into()),
        Err(_) => return Err("the server's name is not one that a certificate can have".to_owned()),
    };
    Ok((TlsConnector::from(dsn.security.client()?), name))
}

async fn tcp(host: &Host) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host.address(), host.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to the socket at `path`, as its owner if asked to.
async fn unix(path: &str, as_owner: bool) -> std::io::Result<UnixStream> {
    let held = Held::socket(Path::new(path))?;
    let mut connecting = pin!(UnixStream::connect(held.path()));
    if as_owner {
        let owner = std::fs::metadata(held.path())?.uid();
        // connect(2), at which the server learns who we are, happens when the future is asked for the first time.
        let first = poll_fn(|context| Poll::Ready(as_user(owner, || connecting.as_mut().poll(context)))).await;
        if let Poll::Ready(connected) = first {
            return connected;
        }
    }
    connecting.await
}

async fn log_in(
    dsn: &Dsn,
    password: Option<&Secret>,
    wire: Wire,
    encrypted: bool,
) -> Result<(Client, AbortHandle), tokio_postgres::Error> {
    let mut config = config(dsn, password);
    // What the driver has to say when the connection ends, the client says as well.
    if encrypted {
        // The driver would ask the question that is answered already.
        config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        let (client, connection) = config.connect_raw(wire, Greeted).await?;
        return Ok((client, tokio::spawn(async move { _ = connection.await }).abort_handle()));
    }
    config.ssl_mode(SslMode::Disable);
    let (client, connection) = config.connect_raw(wire, NoTls).await?;
    Ok((client, tokio::spawn(async move { _ = connection.await }).abort_handle()))
}

/// The handshake is behind us.
struct Greeted;

impl TlsConnect<Wire> for Greeted {
    type Stream = Wire;
    type Error = Infallible;
    type Future = Ready<Result<Wire, Infallible>>;

    fn connect(self, wire: Wire) -> Self::Future {
        ready(Ok(wire))
    }
}

impl TlsStream for Wire {
    fn channel_binding(&self) -> ChannelBinding {
        self.binding.clone().map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

fn config(dsn: &Dsn, password: Option<&Secret>) -> Config {
    let mut config = Config::new();
    config.channel_binding(dsn.security.binding());
    config.application_name(dsn.application_name.as_deref().unwrap_or("stack-exporter"));
    if let Some(user) = &dsn.user {
        config.user(user);
    }
    if let Some(password) = password {
        config.password(password.reveal());
    }
    if let Some(database) = &dsn.database {
        config.dbname(database);
    }
    if !dsn.options.is_empty() {
        config.options(&dsn.options);
    }
    config
}

fn refusal(error: &tokio_postgres::Error) -> Refusal {
    // A server that starts or stops answers at once and means no harm.
    let passing = error.code().is_some_and(|code| *code == SqlState::CANNOT_CONNECT_NOW || *code == SqlState::ADMIN_SHUTDOWN);
    Refusal { reason: words(error), wait: !passing }
}

/// An error with its causes. The server's own text comes with its SQLSTATE.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
