//! `stack-exporter healthcheck`: asks the agent that runs with the same settings whether it answers.
//!
//! It is for a container's HEALTHCHECK, as the image has neither a shell nor curl. Started with no flag of its own, where the agent is
//! process 1, it takes over the arguments of that; the container's environment it has anyway.

use std::ffi::OsString;
use std::io::{Read, Result as IoResult, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{AlertDescription, ClientConnection, Error as TlsError, StreamOwned};

use super::config::Config;
use super::{CONFIG_FILE, LISTEN, ROUTE_PREFIX, SYSTEMD, listen};
use crate::scrape::Command;
use crate::settings::{Error, Settings, Tls};

/// How long connecting and each read may take; Docker gives a check 30 seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// The command's line in the table.
pub static COMMAND: Command = Command {
    words: "healthcheck",
    help: "Ask the agent that runs with these settings whether it answers; exit 0 if it does, 1 if not.",
    text: check,
};

/// The arguments of process 1 if that is this very program: in a container, those of the agent.
pub fn arguments() -> Vec<OsString> {
    let file = |process: &str| std::fs::metadata(format!("/proc/{process}/exe")).ok().map(|file| (file.dev(), file.ino()));
    if std::process::id() == 1 || file("1").is_none() || file("1") != file("self") {
        return Vec::new();
    }
    let line = std::fs::read("/proc/1/cmdline").unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    line.split(|byte| *byte == 0).skip(1).map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

fn check(settings: &Settings) -> Result<String, Error> {
    if settings.switch(&SYSTEMD) && !settings.is_given(&LISTEN) {
        let text = format!("{}: systemd alone knows the address: give --{} as well", SYSTEMD.name, LISTEN.name);
        return Err(Error::new(text));
    }
    let config = settings.text(&CONFIG_FILE);
    let tls = !config.is_empty() && Config::open(config.into())?.tls();
    let path = format!("{}/-/healthy", settings.text(&ROUTE_PREFIX).trim_end_matches('/'));
    for address in settings.list(&LISTEN) {
        ask(&address, tls, &path).map_err(|reason| Error::negative(format!("unhealthy: {address}: {reason}")))?;
    }
    Ok("healthy\n".to_owned())
}

/// Whether the agent answers at one of its addresses.
fn ask(address: &str, tls: bool, path: &str) -> Result<(), String> {
    let mut last = "it has no address".to_owned();
    for (domain, place) in places(address).map_err(|error| error.to_string())? {
        match at(domain, &place, tls, path) {
            Ok(()) => return Ok(()),
            Err(reason) => last = reason,
        }
    }
    Err(last)
}

/// Where to connect to whoever listens on `address`.
fn places(address: &str) -> IoResult<Vec<(Domain, SockAddr)>> {
    Ok(match address.split_once("://") {
        Some(("unix", path)) => vec![(Domain::UNIX, SockAddr::unix(Path::new(path))?)],
        Some(("vsock", place)) => {
            let (context, port) = listen::vsock(place).unwrap_or((libc::VMADDR_CID_ANY, 0));
            let own = if context == libc::VMADDR_CID_ANY { libc::VMADDR_CID_LOCAL } else { context };
            vec![(Domain::VSOCK, SockAddr::vsock(own, port))]
        }
        // Whoever connects to the unspecified address, reaches this host.
        _ => {
            let places = listen::addresses(address)?.into_iter().rev();
            places.map(|place| (Domain::for_address(place), place.into())).collect()
        }
    })
}

fn at(domain: Domain, place: &SockAddr, tls: bool, path: &str) -> Result<(), String> {
    let socket = connect(domain, place).map_err(|error| error.to_string())?;
    if !tls {
        return exchange(socket, path).map_err(|error| error.to_string())?;
    }
    // It is our own certificate, whatever its name; it says nothing about health.
    let config = crate::tls::config(&Tls { insecure_skip_verify: true, ..Tls::default() })?;
    let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
    let client = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    match exchange(StreamOwned::new(client, socket), path) {
        Ok(verdict) => verdict,
        // It wants to see a certificate first, and said so: it is well.
        Err(error) if error.get_ref().and_then(|inner| inner.downcast_ref()) == Some(&WANTS_CERTIFICATE) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

const WANTS_CERTIFICATE: TlsError = TlsError::AlertReceived(AlertDescription::CertificateRequired);

fn connect(domain: Domain, place: &SockAddr) -> IoResult<Socket> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect_timeout(place, PATIENCE)?;
    Ok(socket)
}

/// Sends the request and judges the answer: `HTTP/1.1 200 OK`. A demand for a password and a full queue are answers of one who is well.
fn exchange(mut stream: impl Read + Write, path: &str) -> IoResult<Result<(), String>> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(match answer.strip_prefix(b"HTTP/1.1 ") {
        Some(b"200" | b"401" | b"429") => Ok(()),
        _ => Err(format!("it answers {:?}", String::from_utf8_lossy(&answer))),
    })
}
