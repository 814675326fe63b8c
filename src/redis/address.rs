//! Where a Redis server is: the forms of address that redis_exporter takes, as one small type.

use std::fmt;
use std::path::PathBuf;

use crate::settings::Secret;

/// The port of an address that names none.
const PORT: u16 = 6379;

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Host name or IP address (without brackets), and port.
    Tcp(String, u16),
    /// The same, spoken to by TLS.
    Tls(String, u16),
    /// Path of a socket.
    Unix(PathBuf),
}

impl Endpoint {
    fn scheme(&self) -> &'static str {
        match self {
            Endpoint::Tcp(..) => "redis",
            Endpoint::Tls(..) => "rediss",
            Endpoint::Unix(_) => "unix",
        }
    }

    /// What `holds` says of its host and port; of a socket, that is its folder.
    pub(super) fn is_held(&self, holds: impl Fn(&str, u16) -> bool) -> bool {
        match self {
            Endpoint::Tcp(host, port) | Endpoint::Tls(host, port) => holds(host, *port),
            Endpoint::Unix(path) => path.parent().and_then(|folder| folder.to_str()).is_some_and(|folder| holds(folder, 0)),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(host, port) | Endpoint::Tls(host, port) if host.contains(':') => {
                write!(f, "{}://[{host}]:{port}", self.scheme())
            }
            Endpoint::Tcp(host, port) | Endpoint::Tls(host, port) => write!(f, "{}://{host}:{port}", self.scheme()),
            Endpoint::Unix(path) => write!(f, "{}://{}", self.scheme(), path.display()),
        }
    }
}

/// An address as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) endpoint: Endpoint,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

/// Why a text is no address we can use. Holds nothing of the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("the scheme is none of redis://, rediss://, valkey://, valkeys:// and unix://")]
    Scheme,
    #[error("one address is wanted; several servers go into the file, under redis.targets")]
    Several,
    #[error("it names no host")]
    Host,
    #[error("the port is not a number between 1 and 65535")]
    Port,
    #[error("the database behind the slash is not a number")]
    Database,
    #[error("the user or the password holds a % that is not followed by two hexadecimal digits")]
    Percent,
    #[error("a unix socket needs an absolute path")]
    Path,
}

impl Address {
    /// `redis://[[user]:password@]host[:port][/database]`, `valkey://…`, `rediss://…` and `valkeys://…` for TLS, `unix:///path`, `/path`, `host[:port]`.
    ///
    /// The database is checked and otherwise ignored: what we ask a server does not depend on it.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or((if text.starts_with('/') { "unix" } else { "redis" }, text));
        match scheme {
            "redis" | "valkey" => Address::tcp(rest, Endpoint::Tcp),
            "rediss" | "valkeys" => Address::tcp(rest, Endpoint::Tls),
            "unix" => {
                let (user, password, path) = credentials(rest)?;
                let path = path.split_once('?').map_or(path, |(path, _)| path);
                if !path.starts_with('/') {
                    return Err(Wrong::Path);
                }
                Ok(Address { endpoint: Endpoint::Unix(path.into()), user, password })
            }
            _ => Err(Wrong::Scheme),
        }
    }

    fn tcp(rest: &str, endpoint: fn(String, u16) -> Endpoint) -> Result<Self, Wrong> {
        let (user, password, rest) = credentials(rest)?;
        if rest.contains(',') {
            return Err(Wrong::Several);
        }
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        if !database.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Wrong::Database);
        }
        let (host, port) = match place.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(Wrong::Port)?)),
            // More than one colon and no brackets: a bare IPv6 address.
            None if place.matches(':').count() > 1 => (place, None),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None | Some("") => PORT,
            Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or(Wrong::Port)?,
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(Wrong::Host);
        }
        Ok(Address { endpoint: endpoint(host.to_owned(), port), user, password })
    }
}

/// Splits `[[user][:password]@]rest`. A password may hold an unescaped `@`; a host cannot.
fn credentials(rest: &str) -> Result<(Option<String>, Option<Secret>, &str), Wrong> {
    let Some((credentials, place)) = rest.rsplit_once('@') else { return Ok((None, None, rest)) };
    let (user, password) = credentials.split_once(':').map_or((credentials, None), |(user, password)| (user, Some(password)));
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    let password = password.map(decoded).transpose()?.filter(|password| !password.is_empty()).map(Secret::new);
    Ok((user, password, place))
}

/// `%40` and its like undone.
pub(super) fn decoded(text: &str) -> Result<String, Wrong> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or(Wrong::Percent)?;
        let code = crate::system::text::hex(digits).and_then(|code| u8::try_from(code).ok());
        bytes.push(code.filter(|_| digits.iter().all(u8::is_ascii_hexdigit)).ok_or(Wrong::Percent)?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| Wrong::Percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> (String, u16) {
        match Address::parse(text).unwrap().endpoint {
            Endpoint::Tcp(host, port) | Endpoint::Tls(host, port) => (host, port),
            Endpoint::Unix(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn all_forms_of_redis_exporter() {
        assert_eq!(tcp("redis://localhost:6379"), ("localhost".into(), 6379));
        assert_eq!(tcp("valkey://cache"), ("cache".into(), 6379));
        assert_eq!(tcp("cache:7000"), ("cache".into(), 7000));
        assert_eq!(tcp("redis://cache:7000/3"), ("cache".into(), 7000));
        assert_eq!(tcp("[::1]:7000"), ("::1".into(), 7000));
        assert_eq!(tcp("::1"), ("::1".into(), 6379));
        for text in ["unix:///run/redis.sock", "/run/redis.sock", "unix:///run/redis.sock?db=1"] {
            assert_eq!(Address::parse(text).unwrap().endpoint, Endpoint::Unix("/run/redis.sock".into()));
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let address = Address::parse("redis://app:p%40ss:w%2Frd@cache:1/0").unwrap();
        assert_eq!((address.user.as_deref(), address.password.unwrap().reveal()), (Some("app"), "p@ss:w/rd"));
        let address = Address::parse("redis://:secret@cache").unwrap();
        assert_eq!((address.user, address.password.unwrap().reveal()), (None, "secret"));
        assert_eq!(Address::parse("redis://app@cache").unwrap().user.as_deref(), Some("app"));
    }

    #[test]
    fn what_is_no_address() {
        for (text, wrong) in [
            ("http://cache", Wrong::Scheme),
            ("redis://a:1,redis://b:1", Wrong::Several),
            ("redis://", Wrong::Host),
            (":6379", Wrong::Host),
            ("cache:port", Wrong::Port),
            ("cache:0", Wrong::Port),
            ("cache:65536", Wrong::Port),
            ("redis://cache/first", Wrong::Database),
            ("redis://:%zz@cache", Wrong::Percent),
            ("redis://:%+1@cache", Wrong::Percent),
            ("unix://run/redis.sock", Wrong::Path),
        ] {
            assert_eq!(Address::parse(text), Err(wrong), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_address_or_none(text: String) {
            let _ = Address::parse(&text);
        }

        #[test]
        fn an_endpoint_reads_back(host in "[a-z0-9.-]{1,20}", port in 1u16.., tls: bool) {
            let endpoint = if tls { Endpoint::Tls(host, port) } else { Endpoint::Tcp(host, port) };
            proptest::prop_assert_eq!(Address::parse(&endpoint.to_string()).unwrap().endpoint, endpoint);
        }
    }
}
