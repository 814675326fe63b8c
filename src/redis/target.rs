//! One server to watch: where it is, what it is called, and how to log in.

use std::path::{Path, PathBuf};

use crate::discovery::{Place, Wish};
use crate::exposition::Labels;
use crate::settings::{self, Error, Secret, Settings, Tls, mask};

use super::address::{Address, Endpoint};
use super::{ADDR, PASSWORD, PASSWORD_FILE, USER, tls, topology};

/// A server to watch.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Name of its source: the value of the label, or the address where there is no label.
    pub(super) name: String,
    /// `target="…"`, or none for the one that redis_exporter's own settings give.
    pub(super) labels: Labels,
    pub(super) endpoint: Endpoint,
    pub(super) tls: Tls,
    /// Whose host's files tell of it.
    pub(super) side: Side,
    user: Option<String>,
    password: Password,
}

/// Where a server runs, seen from us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    /// On another machine, for all we know.
    Elsewhere,
    /// On the host whose files we read.
    Host,
    /// In a container on that host, which may use so many bytes of memory.
    Container(Option<u64>),
}

impl Side {
    fn of(endpoint: &Endpoint) -> Self {
        let is_here = match endpoint {
            Endpoint::Unix(_) => true,
            Endpoint::Tcp(host, _) | Endpoint::Tls(host, _) => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        };
        if is_here { Side::Host } else { Side::Elsewhere }
    }
}

#[derive(Clone, Debug)]
enum Password {
    None,
    Given(Secret),
    /// A file, and under which names the server may stand in it.
    File(PathBuf, Vec<String>),
    /// As before, but a file that is no map holds nothing for the server.
    Map(PathBuf, Vec<String>),
}

impl Target {
    /// A server found by itself. It gets no credentials: those are only for servers that the operator named.
    pub(super) fn found(endpoint: Endpoint) -> Self {
        let name = topology::name(&endpoint);
        let labels = Labels::of(&[("target", &name)]);
        let side = Side::of(&endpoint);
        Target { name, labels, endpoint, tls: Tls::default(), side, user: None, password: Password::None }
    }

    /// A server in a container, with the credentials that its labels name.
    pub(super) fn contained(wish: &Wish, place: &Place) -> Self {
        let tls = wish.tls.as_deref().is_some_and(|word| matches!(word, "true" | "1" | "yes" | "on" | "require"));
        let endpoint = if tls { Endpoint::Tls } else { Endpoint::Tcp }(place.host.clone(), place.port);
        let password = match (&wish.password_file, &wish.password) {
            (Some(file), _) => Password::File(file.clone(), keys(&endpoint.to_string(), &endpoint, wish.user.as_deref())),
            (None, Some(secret)) => Password::Given(secret.clone()),
            (None, None) => Password::None,
        };
        let labels = Labels::of(&[("target", &wish.name)]);
        let side = if wish.here { Side::Container(wish.memory) } else { Side::Elsewhere };
        Target { name: wish.name.clone(), labels, side, user: wish.user.clone(), password, ..Target::found(endpoint) }
    }

    /// Another server of the same cluster: the same credentials are good for it, and it speaks TLS if this one does.
    pub(super) fn member(&self, endpoint: Endpoint) -> Self {
        let endpoint = match (&self.endpoint, endpoint) {
            (Endpoint::Tls(..), Endpoint::Tcp(host, port)) => Endpoint::Tls(host, port),
            (_, endpoint) => endpoint,
        };
        let (tls, user, password) = (self.tls.clone(), self.user.clone(), self.password.clone());
        Target { tls, user, password, ..Target::found(endpoint) }
    }

    /// A server that a Sentinel watches, with the credentials that the operator set for those.
    pub(super) fn watched(endpoint: Endpoint, user: Option<&str>, file: Option<&Path>) -> Self {
        let password = file.map_or(Password::None, |file| {
            let keys = keys(&endpoint.to_string(), &endpoint, user);
            Password::File(file.to_owned(), keys)
        });
        Target { user: user.map(str::to_owned), password, ..Target::found(endpoint) }
    }

    /// A server that a request names and the operator did not. A password in the address is left out, and of the password file
    /// only a JSON map is used, which binds each password to one address.
    pub(super) fn visited(text: &str, file: Option<&Path>, tls_name: Option<String>) -> Result<Self, String> {
        let Address { endpoint, user, .. } = Address::parse(text).map_err(|wrong| wrong.to_string())?;
        if matches!(endpoint, Endpoint::Unix(_)) {
            return Err("it is not a TCP address".to_owned());
        }
        let password = file.map_or(Password::None, |file| {
            let keys = keys(&endpoint.to_string(), &endpoint, user.as_deref());
            Password::Map(file.to_owned(), keys)
        });
        let tls = Tls { server_name: tls_name, ..Tls::default() };
        Ok(Target { user, password, tls, labels: Labels::new(), ..Target::found(endpoint) })
    }

    /// The server of `--redis.addr` and its companions; `None` if the address is empty.
    pub(super) fn given(settings: &Settings) -> Result<Option<Self>, Error> {
        let text = settings.text(&ADDR);
        if text.is_empty() {
            return Ok(None);
        }
        let filled = |flag| Some(settings.text(flag)).filter(|text| !text.is_empty());
        let target = settings::Target {
            name: text.clone(),
            address: text,
            user: filled(&USER),
            password: filled(&PASSWORD).map(Secret::new),
            password_file: filled(&PASSWORD_FILE).map(PathBuf::from),
            tls: Some(tls::given(settings)),
        };
        let target = Target::of(&target, Labels::new()).map_err(|reason| Error::new(format!("redis.addr: {reason}")))?;
        Ok(Some(Target { name: target.endpoint.to_string(), ..target }))
    }

    /// A server of the file's list.
    pub(super) fn listed(target: &settings::Target) -> Result<Self, Error> {
        let labels = Labels::of(&[("target", &target.name)]);
        Target::of(target, labels).map_err(|reason| Error::new(format!("redis.targets: {:?}: {reason}", target.name)))
    }

    fn of(target: &settings::Target, labels: Labels) -> Result<Self, String> {
        let address =
            Address::parse(&target.address).map_err(|wrong| format!("{:?} cannot be used: {wrong}", mask(&target.address)))?;
        let user = address.user.or_else(|| target.user.clone());
        let password = match (address.password.or_else(|| target.password.clone()), &target.password_file) {
            (Some(secret), _) => Password::Given(secret),
            (None, Some(file)) => Password::File(file.clone(), keys(&target.address, &address.endpoint, user.as_deref())),
            (None, None) => Password::None,
        };
        let tls = target.tls.clone().unwrap_or_default();
        if let Endpoint::Tls(..) = address.endpoint {
            crate::tls::config(&tls)?;
        } else if target.tls.as_ref().is_some_and(|tls| *tls != Tls::default()) && !labels.is_empty() {
            return Err("there are settings of TLS, but TLS is spoken to rediss:// and valkeys:// only".to_owned());
        }
        let side = Side::of(&address.endpoint);
        let target = Target { name: target.name.clone(), labels, endpoint: address.endpoint, tls, side, user, password };
        target.credentials()?;
        Ok(target)
    }

    /// User and password as they are now: a file is read again at each connection, so that a password can be changed in it.
    pub(super) fn credentials(&self) -> Result<Option<(Option<&str>, Secret)>, String> {
        let secret = match &self.password {
            Password::None => None,
            Password::Given(secret) => Some(secret.clone()),
            Password::File(path, keys) | Password::Map(path, keys) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("cannot read the password file {}: {error}", path.display()))?;
                if matches!(self.password, Password::Map(..)) && !is_map(&text) {
                    return Ok(None);
                }
                from_file(&text, keys).map_err(|reason| format!("the password file {} {reason}", path.display()))?
            }
        };
        Ok(secret.map(|secret| (self.user.as_deref(), secret)))
    }
}

/// Whether a password file is redis_exporter's.
fn is_map(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// The first line of a password file; or, where it is redis_exporter's JSON map from URL to password, the entry under one of `keys`.
pub(super) fn from_file(text: &str, keys: &[String]) -> Result<Option<Secret>, &'static str> {
    if !is_map(text) {
        return Ok(text.lines().next().filter(|line| !line.is_empty()).map(Secret::new));
    }
    let map: std::collections::HashMap<String, String> = serde_json::from_str(text).map_err(|_| "is not a JSON map of texts")?;
    Ok(keys.iter().find_map(|key| map.get(key)).filter(|password| !password.is_empty()).map(Secret::new))
}

/// The names under which redis_exporter's password file may hold a server: its address as written, with the user put in, and as
/// `redis://user@host:port`.
fn keys(written: &str, endpoint: &Endpoint, user: Option<&str>) -> Vec<String> {
    let plain = endpoint.to_string();
    let mut keys = vec![written.to_owned(), plain.clone()];
    if let Some(user) = user {
        for address in [written, &plain] {
            keys.extend(address.split_once("://").map(|(scheme, rest)| format!("{scheme}://{user}@{rest}")));
        }
        keys.rotate_left(2);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_password_file() {
        let keys = keys("redis://cache:6379", &Endpoint::Tcp("cache".into(), 6379), Some("mon"));
        let read = |text: &str| from_file(text, &keys).unwrap().map(|secret| secret.reveal().to_owned());
        assert_eq!(read("s3cret\n").as_deref(), Some("s3cret"));
        assert_eq!(read(""), None);
        assert_eq!(read(r#"{"redis://cache:6379": "a", "redis://mon@cache:6379": "b"}"#).as_deref(), Some("b"));
        assert_eq!(read(r#"{"redis://cache:6379": "a"}"#).as_deref(), Some("a"));
        assert_eq!(read(r#"{"redis://other:6379": "a"}"#), None);
        assert!(from_file("{nonsense", &keys).is_err());
    }

    #[test]
    fn a_wrong_target_is_told_without_its_password() {
        let target = settings::Target { name: "cache".into(), address: "redis://:hunter2@cache:x".into(), ..Default::default() };
        let error = Target::listed(&target).unwrap_err().to_string();
        assert!(error.contains("\"cache\"") && error.contains("port") && !error.contains("hunter2"), "{error}");
    }
}
