//! Which container engines there are, where they listen, and the settings that name Docker's, in the words of the docker command.

use std::path::PathBuf;

use crate::settings::{Error, Flag, Settings, Tls};

static DOCKER: Flag = Flag::text(
    "docker",
    "unix:///var/run/docker.sock",
    "Container engine that knows names, images and labels, as unix:///path or tcp://host:port; empty for none.",
)
.env("DOCKER_HOST");
static TLS_VERIFY: Flag =
    Flag::text("docker.tls-verify", "", "Not empty: ask an engine at tcp:// over TLS.").env("DOCKER_TLS_VERIFY");
static CERT_PATH: Flag = Flag::text(
    "docker.cert-path",
    "",
    "Folder with ca.pem, and with cert.pem and key.pem where the engine wants to know who asks; read for each connection.",
)
.env("DOCKER_CERT_PATH");

/// The flags of the engine.
pub(super) static FLAGS: [&Flag; 3] = [&DOCKER, &TLS_VERIFY, &CERT_PATH];

/// Which software an engine is. A container that two of them know goes by what the former tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Docker, or what speaks its API.
    Docker,
    /// Podman, by the API that it shares with Docker.
    Podman,
    /// CRI-O, or whatever serves Kubernetes' runtime API.
    Crio,
    /// containerd, whoever drives it: nerdctl, ctr, Kubernetes.
    Containerd,
}

impl Product {
    /// All of them.
    pub(super) const ALL: [Product; 4] = [Product::Docker, Product::Podman, Product::Crio, Product::Containerd];

    /// Whether it is asked by Docker's API.
    pub const fn speaks_docker(self) -> bool {
        matches!(self, Product::Docker | Product::Podman)
    }

    /// Its name in settings and labels.
    pub const fn word(self) -> &'static str {
        match self {
            Product::Docker => "docker",
            Product::Podman => "podman",
            Product::Crio => "cri-o",
            Product::Containerd => "containerd",
        }
    }
}

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// `unix:///var/run/docker.sock`, or the path alone.
    Unix(PathBuf),
    /// `tcp://proxy:2375`.
    Tcp {
        /// A name or an IP address.
        host: String,
        port: u16,
        /// Whom to trust, where the engine is asked over TLS.
        tls: Option<Tls>,
    },
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

impl Address {
    /// Reads `unix:///path`, a path, or `tcp://host:port` of the flag `name`; `None` where there is to be none.
    pub(super) fn read(name: &str, text: &str, tls: impl FnOnce() -> Result<Option<Tls>, Error>) -> Result<Option<Self>, Error> {
        let wrong = || {
            Error::new(format!("{name}: {text:?} is neither a socket such as unix:///var/run/docker.sock nor tcp://host:port"))
        };
        if let Some(place) = text.strip_prefix("tcp://") {
            let (host, port) = place.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let port = port.parse().map_err(|_| wrong())?;
            if host.is_empty() || host.contains(['/', '@']) {
                return Err(wrong());
            }
            return Ok(Some(Address::Tcp { host: host.to_owned(), port, tls: tls()? }));
        }
        match text.strip_prefix("unix://").unwrap_or(text) {
            "" => Ok(None),
            path if path.starts_with('/') => Ok(Some(Address::Unix(path.into()))),
            _ => Err(wrong()),
        }
    }

    /// Whether who listens there is surely on this host.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Address::Unix(_) => true,
            Address::Tcp { host, .. } => host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        }
    }
}

/// Where Docker listens, or `None` where it is not to be asked; and whether that was said, or is only usual.
pub(super) fn docker(settings: &Settings) -> Result<(Option<Address>, bool), Error> {
    let address = Address::read(DOCKER.name, &settings.text(&DOCKER), || tls(settings))?;
    Ok((address, settings.is_given(&DOCKER)))
}

/// Docker's own names for its files; the two for a client are used where they are.
fn tls(settings: &Settings) -> Result<Option<Tls>, Error> {
    if settings.text(&TLS_VERIFY).is_empty() {
        return Ok(None);
    }
    let folder = PathBuf::from(settings.text(&CERT_PATH));
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
    let tls = Tls { ca_file: file("ca.pem"), cert_file: file("cert.pem"), key_file: file("key.pem"), ..Tls::default() };
    crate::tls::config(&tls).map_err(|reason| Error::new(format!("{}: {reason}", CERT_PATH.name)))?;
    Ok(Some(tls))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    #[test]
    fn engines_listen_on_sockets_and_ports() {
        let engine = |text: &str| {
            let mut settings = Settings::default();
            settings.set(&DOCKER, Origin::Environment, Setting::Text(text.to_owned()));
            docker(&settings).map(|(address, _)| address.map(|address| address.to_string()))
        };
        for (text, address) in [
            ("unix:///run/docker.sock", "unix:///run/docker.sock"),
            ("/run/docker.sock", "unix:///run/docker.sock"),
            ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
            ("tcp://proxy:2375/", "tcp://proxy:2375"),
            ("tcp://[::1]:2375", "tcp://::1:2375"),
        ] {
            assert_eq!(engine(text).unwrap().as_deref(), Some(address), "{text}");
        }
        assert_eq!(engine("").unwrap(), None);
        for wrong in ["tcp://127.0.0.1", "tcp://:2375", "tcp://me@host:1", "docker.sock", "ssh://host", "http://host:1"] {
            assert!(engine(wrong).unwrap_err().to_string().contains(wrong), "{wrong}");
        }
    }
}
