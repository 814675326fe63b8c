//! Where to listen: `--web.listen-address` and `--web.systemd-socket`.
//!
//! | address | what it is |
//! | --- | --- |
//! | `:9100` | every address of both families, or of IPv4 where there is no IPv6 |
//! | `host:9100`, `192.0.2.1:9100`, `[::1]:9100` | that address |
//! | `unix:///run/agent.sock` | a Unix socket of this absolute path; the umask and its folder say who may connect |
//! | `vsock://:9100` | a port that the host, or another virtual machine, can reach; `vsock://2:9100` of one context only |

use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::{LISTEN, SYSTEMD};
use crate::settings::{Error, Settings};
use crate::system::syscalls;

/// Connections that the kernel keeps for us until we take them.
const BACKLOG: i32 = 1024;

/// An open listener of any kind.
pub struct Listener {
    pub(super) socket: Socket,
    /// What to call it in the log.
    pub(super) name: String,
    /// Removes the file of a Unix socket in the end.
    pub(super) file: Option<SocketFile>,
}

impl Listener {
    fn new(socket: Socket, name: &str, file: Option<SocketFile>) -> IoResult<Self> {
        socket.set_nonblocking(true)?;
        // Where the kernel chose the port, its choice is the name.
        let name = match socket.local_addr()?.as_socket() {
            Some(address) => address.to_string(),
            None => name.to_owned(),
        };
        Ok(Listener { socket, name, file })
    }
}

/// The listeners that `settings` ask for: systemd's with `--web.systemd-socket`, or else one for each address.
pub fn bind(settings: &Settings) -> Result<Vec<Listener>, Error> {
    if settings.switch(&SYSTEMD) {
        return inherited().map_err(|error| Error::new(format!("{}: {error}", SYSTEMD.name)));
    }
    let listen = |text: &String| listen(text).map_err(|error| Error::new(format!("{} {text}: {error}", LISTEN.name)));
    settings.list(&LISTEN).iter().map(listen).collect()
}

fn listen(text: &str) -> IoResult<Listener> {
    let (socket, file): (Socket, _) = match text.split_once("://") {
        Some(("unix", path)) => {
            let (listener, file) = unix(Path::new(path))?;
            (listener.into(), Some(file))
        }
        Some(("vsock", address)) => {
            let (context, port) = vsock(address).ok_or_else(|| invalid("not an address such as vsock://:9100"))?;
            let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
            socket.bind(&SockAddr::vsock(context, port))?;
            (socket, None)
        }
        Some(_) => return Err(invalid("neither unix:// nor vsock://, nor host:port")),
        None => (TcpListener::bind(&*addresses(text)?)?.into(), None),
    };
    // The standard library has the kernel keep 128: a crowd of slow peers would have others wait a second for their SYN's repetition.
    socket.listen(BACKLOG)?;
    Listener::new(socket, text, file)
}

fn invalid(reason: &'static str) -> IoError {
    IoError::new(ErrorKind::InvalidInput, reason)
}

/// `host:port`, `[v6]:port` or `:port`, which is every address of both families (or of IPv4 where there is no IPv6).
pub(super) fn addresses(text: &str) -> IoResult<Vec<SocketAddr>> {
    match text.strip_prefix(':') {
        Some(port) => {
            let port: u16 = port.parse().map_err(|_| invalid("not a port number"))?;
            Ok(vec![SocketAddr::from(([0u16; 8], port)), SocketAddr::from(([0u8; 4], port))])
        }
        None => Ok(text.to_socket_addrs()?.collect()),
    }
}

/// Context and port of `:9100` or `2:9100`.
pub(super) fn vsock(address: &str) -> Option<(u32, u32)> {
    let (context, port) = address.split_once(':')?;
    let context = if context.is_empty() { libc::VMADDR_CID_ANY } else { context.parse().ok()? };
    Some((context, port.parse().ok()?))
}

/// A Unix socket at `path`. One that nobody listens on any more is replaced, as its listener had no time to remove it.
fn unix(path: &Path) -> IoResult<(UnixListener, SocketFile)> {
    if !path.is_absolute() {
        return Err(invalid("not an absolute path such as unix:///run/agent.sock"));
    }
    let abandoned = || {
        std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
            && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && abandoned() => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    let file = std::fs::symlink_metadata(path)?;
    Ok((listener, SocketFile { path: path.to_owned(), identity: (file.dev(), file.ino()) }))
}

/// The file of a Unix socket, removed with it, unless someone has put another in its place.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The sockets that systemd listens on for us: `LISTEN_FDS` of them if `LISTEN_PID` is this process.
fn inherited() -> IoResult<Vec<Listener>> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let count = match number("LISTEN_PID") {
        Some(pid) if pid == std::process::id() => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    };
    let mut listeners = Vec::new();
    for (index, descriptor) in syscalls::inherited_descriptors(count).into_iter().enumerate() {
        let socket = Socket::from(descriptor);
        // Such as a UDP socket of the same unit.
        if !socket.is_listener().unwrap_or(false) || socket.r#type()? != Type::STREAM {
            return Err(invalid("a socket of the unit is no stream that is listened on"));
        }
        listeners.push(Listener::new(socket, &format!("systemd's socket {index}"), None)?);
    }
    if listeners.is_empty() { Err(invalid("no socket activation file descriptors found")) } else { Ok(listeners) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vsock_addresses_have_a_port_and_maybe_a_context() {
        assert_eq!(vsock(":9100"), Some((libc::VMADDR_CID_ANY, 9100)));
        assert_eq!(vsock("2:70000"), Some((2, 70_000)));
        for wrong in ["", "9100", ":", ":x", "x:1", ":-1", "::1"] {
            assert_eq!(vsock(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_abandoned_socket_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = unix(&path).unwrap();
        assert_eq!(unix(&path).err().unwrap().kind(), ErrorKind::AddrInUse, "someone listens");
        drop((listener, file));
        assert!(!path.exists(), "it is removed in the end");
        std::fs::write(&path, "precious").unwrap();
        assert!(unix(&path).is_err() && std::fs::read(&path).unwrap() == b"precious");
        assert!(unix(Path::new("agent.sock")).is_err());
    }
}
