//! Connection strings in the two shapes that lib/pq reads: `postgresql://user:password@host:port/database?key=value` and
//! `host=... user=...`.
//!
//! Errors never quote a value: where a connection string is malformed, any piece of it may be part of the password.

use std::net::IpAddr;
use std::path::PathBuf;

use super::pairs::{self, Pairs, is_url};
use super::security::Security;
use super::surroundings::Surroundings;
use crate::settings::Secret;

/// One place where a server may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// Its name, which a certificate is for; a leading slash: the directory of a socket.
    pub(super) name: String,
    /// Its address, where that is not to be looked up.
    pub(super) address: Option<String>,
    pub(super) port: u16,
}

impl Host {
    pub(super) fn new(name: impl Into<String>, port: u16) -> Self {
        Host { name: name.into(), address: None, port }
    }

    /// Where to connect.
    pub(super) fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.name)
    }

    pub(super) fn is_socket(&self) -> bool {
        self.address().starts_with('/')
    }

    /// `host:port`
    pub(super) fn shown(&self) -> String {
        format!("{}:{}", self.address(), self.port)
    }
}

/// Where a server is and how to sign in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dsn {
    /// To be tried in this order. Never empty.
    pub(super) hosts: Vec<Host>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<String>,
    pub(super) application_name: Option<String>,
    /// `-c key=value` for every key that is no connection parameter: lib/pq makes those settings of the session.
    pub(super) options: String,
    /// Connect to a socket as the system user who owns it, where we may: PostgreSQL then lets us in as `sudo -u postgres psql`.
    pub(super) as_owner: bool,
    pub(super) security: Security,
    /// libpq's file of passwords, for where none is given.
    pub(super) passfile: Option<PathBuf>,
    /// Whether it was said in part by a service.
    pub(super) names_service: bool,
    /// Whether it leads to a PgBouncer's console, and so to no server.
    pub(super) pgbouncer: bool,
}

/// Parameters that lib/pq or libpq know and that change nothing here: protocol details, and what every session of ours sets for itself.
const IGNORED: [&str; 20] = [
    "binary_parameters",
    "client_encoding",
    "connect_timeout",
    "datestyle",
    "default_transaction_read_only",
    "disable_prepared_binary_result",
    "extra_float_digits",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbspn",
    "krbsrvname",
    "load_balance_hosts",
    "lock_timeout",
    "sslcompression",
    "sslpassword",
    "statement_timeout",
    "tcp_user_timeout",
];

/// The database that is PgBouncer's console.
const CONSOLE: &str = "pgbouncer";

impl Dsn {
    /// Reads one connection string by itself.
    pub(super) fn parse(text: &str) -> Result<Dsn, String> {
        Dsn::of(pairs::read(text)?, pairs::is_pgbouncer(text))
    }

    /// Reads one connection string, with what libpq adds to it.
    pub(super) fn parse_in(surroundings: &Surroundings<'_>, text: &str) -> Result<Dsn, String> {
        Dsn::read(surroundings, text, pairs::is_pgbouncer(text))
    }

    /// The same of a PgBouncer, whatever the string begins with.
    pub(super) fn parse_pgbouncer(surroundings: &Surroundings<'_>, text: &str) -> Result<Dsn, String> {
        Dsn::read(surroundings, text, true)
    }

    fn read(surroundings: &Surroundings<'_>, text: &str, pgbouncer: bool) -> Result<Dsn, String> {
        let mut pairs = pairs::read(text)?;
        let named = |(key, _): &(String, String)| matches!(key.as_str(), "dbname" | "database" | "service");
        if pgbouncer && !pairs.iter().any(named) {
            pairs.push(("dbname".to_owned(), CONSOLE.to_owned()));
        }
        surroundings.complete(&mut pairs)?;
        let mut dsn = Dsn::of(pairs, pgbouncer)?;
        dsn.security.folder = surroundings.folder();
        Ok(dsn)
    }

    fn of(pairs: Pairs, pgbouncer: bool) -> Result<Dsn, String> {
        let port = if pgbouncer { 6432 } else { 5432 };
        let mut dsn = Dsn { pgbouncer, database: pgbouncer.then(|| CONSOLE.to_owned()), ..Dsn::default() };
        let (mut hosts, mut addresses, mut ports) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in pairs {
            let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
            match key.as_str() {
                "host" => hosts = list(),
                "hostaddr" => addresses = list(),
                "port" => ports = list(),
                _ => dsn.set(&key, value)?,
            }
        }
        hosts.retain(|host| !host.is_empty());
        if hosts.is_empty() {
            hosts = std::mem::take(&mut addresses);
        }
        if !addresses.is_empty() && addresses.len() != hosts.len() {
            return Err("host and hostaddr are not equally many".to_owned());
        }
        if hosts.is_empty() {
            hosts.push("localhost".to_owned());
        }
        let ports: Vec<u16> = ports.iter().map(|text| number(text, port)).collect::<Result<_, _>>()?;
        let last = ports.last().copied().unwrap_or(port);
        dsn.hosts = hosts
            .into_iter()
            .enumerate()
            .map(|(at, name)| Host {
                name,
                address: addresses.get(at).filter(|address| !address.is_empty()).cloned(),
                port: ports.get(at).copied().unwrap_or(last),
            })
            .collect();
        Ok(dsn)
    }

    /// Reads what a request says of a server that nobody named: a connection string as above, or `host:port`. It may reach no socket and no
    /// file.
    pub(super) fn of_stranger(text: &str) -> Result<Dsn, String> {
        let is_key = |key: &str| key.trim().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let pairs = text.split_once('=').is_some_and(|(key, _)| is_key(key));
        let whole = pairs || is_url(text);
        let dsn = if whole { Dsn::parse(text) } else { Dsn::parse(&format!("postgresql://{text}")) }?;
        if dsn.hosts.iter().any(Host::is_socket) {
            return Err("it is not a TCP address".to_owned());
        }
        if dsn.names_service || dsn.passfile.is_some() || dsn.security.names_files() {
            return Err("it names a file of this machine".to_owned());
        }
        Ok(dsn)
    }

    /// Sets one parameter but for host and port.
    pub(super) fn set(&mut self, key: &str, value: String) -> Result<(), String> {
        if self.security.set(key, &value)? {
            return Ok(());
        }
        match key {
            "user" => self.user = Some(value).filter(|user| !user.is_empty()),
            "password" => self.password = Some(Secret::new(value)),
            "dbname" | "database" => self.database = Some(value).filter(|name| !name.is_empty()),
            "application_name" | "fallback_application_name" => self.application_name = Some(value),
            "passfile" => self.passfile = Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty()),
            "options" => self.option(&value),
            // Its parameters are among the others already.
            "service" | "servicefile" => self.names_service = true,
            "target_session_attrs" if !matches!(value.as_str(), "" | "any") => {
                return Err("target_session_attrs is not supported: name the server that is meant".to_owned());
            }
            "target_session_attrs" => {}
            known if IGNORED.contains(&known) => {}
            other
                if other.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')) && !other.is_empty() =>
            {
                let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
                self.option(&format!("-c {other}={value}"));
            }
            _ => return Err("a parameter's name is not made of letters, digits and underscores".to_owned()),
        }
        Ok(())
    }

    fn option(&mut self, option: &str) {
        if !self.options.is_empty() {
            self.options.push(' ');
        }
        self.options.push_str(option);
    }

    /// Whether all its hosts are on this machine: sockets, or addresses that lead nowhere else.
    pub(super) fn is_here(&self) -> bool {
        let loops = |host: &str| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        !self.hosts.is_empty() && self.hosts.iter().all(|host| host.is_socket() || loops(host.address()))
    }

    /// `host:port` of the first host.
    pub(super) fn address(&self) -> String {
        self.hosts.first().map(Host::shown).unwrap_or_default()
    }
}

fn number(port: &str, usual: u16) -> Result<u16, String> {
    let port = port.trim();
    if port.is_empty() {
        return Ok(usual);
    }
    port.parse().map_err(|_| {
        "the port is not a number up to 65535 (special characters of a password in a URL are written %40 and so on)".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts, user, password, database.
    type Parts = (Vec<(String, u16)>, Option<String>, Option<String>, Option<String>);

    fn parsed(text: &str) -> Parts {
        let dsn = Dsn::parse(text).unwrap();
        let hosts = dsn.hosts.iter().map(|host| (host.address().to_owned(), host.port)).collect();
        (hosts, dsn.user, dsn.password.map(|password| password.reveal().to_owned()), dsn.database)
    }

    fn full(host: &str, port: u16, password: &str) -> Parts {
        (vec![(host.into(), port)], Some("me".into()), Some(password.into()), Some("shop".into()))
    }

    #[test]
    fn both_shapes_mean_the_same() {
        assert_eq!(parsed("postgresql://me:pw@db:6432/shop?sslmode=disable"), full("db", 6432, "pw"));
        assert_eq!(parsed("postgres://me:p%40%2Fw@db/shop"), full("db", 5432, "p@/w"));
        assert_eq!(parsed("postgres://me:p@w@db/shop"), full("db", 5432, "p@w"));
        assert_eq!(parsed("postgres://me:p/w@db/shop"), full("db", 5432, "p/w"));
        assert_eq!(parsed("postgres://me:p?w@db/shop"), full("db", 5432, "p?w"));
        assert_eq!(parsed("postgresql://me:pw@[::1]:6432/shop"), full("::1", 6432, "pw"));
        assert_eq!(parsed("host=db port=6432 user=me password=pw dbname=shop sslmode=prefer"), full("db", 6432, "pw"));
        assert_eq!(parsed(r"host = db user=me password='a\'b \\c' dbname=shop"), full("db", 5432, r"a'b \c"));
        assert_eq!(parsed(r"user=me password=a\ b dbname=shop host=/run/pg"), full("/run/pg", 5432, "a b"));
        assert_eq!(parsed("postgresql:///shop?host=/run/pg&user=me&password=a+b"), full("/run/pg", 5432, "a b"));
        assert_eq!(parsed(""), (vec![("localhost".into(), 5432)], None, None, None));
        let two = [("a".to_owned(), 1), ("b".to_owned(), 5432)];
        assert_eq!(parsed("postgres://a:1,b/x").0, two);
        assert_eq!(parsed("host=a,b port=1,5432").0, two);
    }

    #[test]
    fn a_pgbouncer_has_a_scheme_and_a_port_of_its_own() {
        let dsn = Dsn::parse("pgbouncer://me:pw@pool").unwrap();
        assert_eq!((dsn.pgbouncer, dsn.address().as_str(), dsn.database.as_deref()), (true, "pool:6432", Some("pgbouncer")));
        let dsn = Dsn::parse("pgbouncer://pool:7000/console").unwrap();
        assert_eq!((dsn.address().as_str(), dsn.database.as_deref()), ("pool:7000", Some("console")));
        let surroundings = Surroundings { variable: &|name| (name == "PGDATABASE").then(|| "shop".to_owned()) };
        let dsn = Dsn::parse_pgbouncer(&surroundings, "host=pool user=stats").unwrap();
        assert_eq!((dsn.pgbouncer, dsn.address().as_str(), dsn.database.as_deref()), (true, "pool:6432", Some("pgbouncer")));
        assert!(!Dsn::parse("postgres://pool/pgbouncer").unwrap().pgbouncer);
    }

    #[test]
    fn an_address_is_connected_to_and_the_name_is_checked() {
        let dsn = Dsn::parse("host=a,b hostaddr=10.0.0.1,10.0.0.2 port=1 passfile=/run/p service=x").unwrap();
        let host = |name: &str, address: &str| Host { name: name.into(), address: Some(address.into()), port: 1 };
        assert_eq!(dsn.hosts, [host("a", "10.0.0.1"), host("b", "10.0.0.2")]);
        assert_eq!(Dsn::parse("hostaddr=10.0.0.1").unwrap().hosts, [Host::new("10.0.0.1", 5432)]);
    }

    #[test]
    fn a_stranger_reaches_no_file() {
        for text in
            ["db", "db:1/x", "db/x?sslmode=require", "postgres://me@db/x", "host=db sslrootcert=system sslmode=verify-full"]
        {
            assert!(Dsn::of_stranger(text).is_ok(), "{text}");
        }
        for text in [
            "host=/tmp",
            "host=db hostaddr=/tmp",
            "host=db passfile=/x",
            "host=db service=x",
            "db?sslkey=/x",
            "db?sslrootcert=/x",
        ] {
            assert!(Dsn::of_stranger(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_keys_are_session_settings() {
        let dsn = Dsn::parse("postgres://db/x?search_path=a, b&statement_timeout=5&application_name=me").unwrap();
        assert_eq!((dsn.options.as_str(), dsn.application_name.as_deref()), ("-c search_path=a,\\ b", Some("me")));
    }

    #[test]
    fn mistakes_are_told_without_the_password() {
        for (text, tells) in [
            ("postgres://me:secret:6432", "port"),
            ("postgres://me:sec%ret@db/x", "%"),
            ("host=db password='secret", "end"),
            ("secret", "neither"),
            ("host=db secret", "neither"),
            ("host=db sslmode=secret", "sslmode"),
            ("host=db channel_binding=secret", "channel_binding"),
            ("host=db sslcrl=secret", "sslcrl"),
            ("host=a,b hostaddr=10.0.0.1", "hostaddr"),
            ("host=db target_session_attrs=secret", "target_session_attrs"),
            ("host=db port=secret", "port"),
        ] {
            let error = Dsn::parse(text).unwrap_err();
            assert!(error.contains(tells) && !error.contains("secret"), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(postgres://)?[a-z:@/?&=%,'\\\\ \\[\\]0-9+é]{0,40}") {
            let _ = Dsn::parse(&text);
            let _ = Dsn::of_stranger(&text);
        }

        #[test]
        fn quoted_values_come_back(password: String) {
            let quoted = password.replace('\\', "\\\\").replace('\'', "\\'");
            let dsn = Dsn::parse(&format!("user=me password='{quoted}' dbname=shop")).unwrap();
            proptest::prop_assert!(dsn.password.unwrap().reveal() == password);
        }

        #[test]
        fn escaped_passwords_come_back(password: String) {
            let escaped: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let dsn = Dsn::parse(&format!("postgres://me:{escaped}@db/shop")).unwrap();
            proptest::prop_assert!(dsn.password.unwrap().reveal() == password);
        }
    }
}
