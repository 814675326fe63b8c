//! Connection strings in the two shapes that lib/pq reads: `postgresql://user:password@host:port/database?key=value` and
//! `host=... user=...`.
//!
//! Errors never quote a value: where a connection string is malformed, any piece of it may be part of the password.

use crate::settings::Secret;

/// Where a server is and how to sign in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dsn {
    /// Hosts (a leading slash: the directory of a socket) and ports, to be tried in this order. Never empty.
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<String>,
    pub(super) application_name: Option<String>,
    /// `-c key=value` for every key that is no connection parameter: lib/pq makes those settings of the session.
    pub(super) options: String,
    /// Connect to a socket as the system user who owns it, where we may: PostgreSQL then lets us in as `sudo -u postgres psql`.
    pub(super) as_owner: bool,
}

/// Parameters that lib/pq or libpq know and that change nothing here: TLS files, protocol details, and what every session of ours sets
/// for itself.
const IGNORED: [&str; 29] = [
    "binary_parameters",
    "client_encoding",
    "connect_timeout",
    "datestyle",
    "default_transaction_read_only",
    "disable_prepared_binary_result",
    "extra_float_digits",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbspn",
    "krbsrvname",
    "load_balance_hosts",
    "lock_timeout",
    "passfile",
    "sslcert",
    "sslcompression",
    "sslcrl",
    "sslinline",
    "sslkey",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "statement_timeout",
    "target_session_attrs",
    "tcp_user_timeout",
];

const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

impl Dsn {
    /// Reads one connection string.
    pub(super) fn parse(text: &str) -> Result<Dsn, String> {
        let mut pairs = Vec::new();
        match SCHEMES.iter().find_map(|scheme| text.trim().strip_prefix(scheme)) {
            Some(rest) => url(rest, &mut pairs)?,
            None => key_value(text, &mut pairs)?,
        }
        let mut dsn = Dsn::default();
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
        if !addresses.is_empty() {
            hosts = addresses;
        }
        hosts.retain(|host| !host.is_empty());
        if hosts.is_empty() {
            hosts.push("localhost".to_owned());
        }
        let ports: Vec<u16> = ports.iter().map(|port| number(port)).collect::<Result<_, _>>()?;
        let last = ports.last().copied().unwrap_or(5432);
        let port = |at| ports.get(at).copied().unwrap_or(last);
        dsn.hosts = hosts.into_iter().enumerate().map(|(at, host)| (host, port(at))).collect();
        Ok(dsn)
    }

    /// Reads what a request says of a server that nobody named: a connection string as above, or `host:port`. It may reach no socket.
    pub(super) fn of_stranger(text: &str) -> Result<Dsn, String> {
        let is_key = |key: &str| key.trim().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let pairs = text.split_once('=').is_some_and(|(key, _)| is_key(key));
        let whole = pairs || SCHEMES.iter().any(|scheme| text.starts_with(scheme));
        let dsn = if whole { Dsn::parse(text) } else { Dsn::parse(&format!("postgresql://{text}")) }?;
        if dsn.hosts.iter().any(|(host, _)| host.starts_with('/')) {
            return Err("it is not a TCP address".to_owned());
        }
        Ok(dsn)
    }

    /// Sets one parameter but for host and port.
    pub(super) fn set(&mut self, key: &str, value: String) -> Result<(), String> {
        match key {
            "user" => self.user = Some(value).filter(|user| !user.is_empty()),
            "password" => self.password = Some(Secret::new(value)),
            "dbname" | "database" => self.database = Some(value).filter(|name| !name.is_empty()),
            "application_name" | "fallback_application_name" => self.application_name = Some(value),
            "sslmode" => tls(&value)?,
            "options" => self.option(&value),
            "service" | "servicefile" => return Err("service files are not read; give host, user and database".to_owned()),
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

    /// `host:port` of the first host.
    pub(super) fn address(&self) -> String {
        self.hosts.first().map(|(host, port)| format!("{host}:{port}")).unwrap_or_default()
    }
}

/// Cuts a list of connection strings at its commas. A comma that does not begin another connection string belongs to the one before it: a
/// password may hold one, and so may a list of hosts.
pub(super) fn split(text: &str) -> Vec<&str> {
    let (mut list, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\'' if !escaped => quoted = !quoted,
            b',' if begins(text.get(at + 1..).unwrap_or_default()) => {
                let whole = text.get(start..at).unwrap_or_default().trim();
                let is_url = SCHEMES.iter().any(|scheme| whole.starts_with(scheme));
                if is_url || !quoted {
                    list.push(whole);
                    (start, quoted) = (at + 1, false);
                }
            }
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    list.push(text.get(start..).unwrap_or_default().trim());
    list.retain(|dsn| !dsn.is_empty());
    list
}

/// Whether a connection string begins here: a URL, or one of the keys that such a string begins with.
fn begins(text: &str) -> bool {
    let text = text.trim_start();
    let key = text.split('=').next().unwrap_or_default().trim_end();
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
        || (key.len() < text.len() && ["host", "hostaddr", "user", "port", "dbname", "password", "sslmode"].contains(&key))
}

/// `user:password@host:port,host:port/database?key=value&key=value`, behind the scheme.
fn url(text: &str, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
    let mut push = |key: &str, value: String| pairs.push((key.to_owned(), value));
    let (before, query) =
        text.split_once('?').filter(|(before, query)| before.contains('@') || !query.contains('@')).unwrap_or((text, ""));
    // The last @ of the authority ends the user part; one without @ may have been cut short by a slash in the password.
    let authority = before.split('/').next().unwrap_or_default();
    let end = authority.rfind('@').or_else(|| if authority.contains(':') { before.rfind('@') } else { None });
    let (user, rest) = match end.and_then(|end| Some((before.get(..end)?, before.get(end + 1..)?))) {
        Some((user, rest)) => (Some(user), rest),
        None => (None, before),
    };
    if let Some(user) = user {
        let (user, password) = user.split_once(':').map_or((user, None), |(user, password)| (user, Some(password)));
        push("user", decode(user)?);
        if let Some(password) = password {
            push("password", decode(password)?);
        }
    }
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    if !hosts.is_empty() {
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
                Some((address, rest)) => (address, rest.strip_prefix(':').unwrap_or_default()),
                None => host.split_once(':').unwrap_or((host, "")),
            };
            names.push(decode(name)?);
            ports.push(port.to_owned());
        }
        push("host", names.join(","));
        push("port", ports.join(","));
    }
    if !database.is_empty() {
        push("dbname", decode(database)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("a parameter of the URL has no value")?;
        push(&decode(key)?, decode(&value.replace('+', " "))?);
    }
    Ok(())
}

/// `host=db user='a b' password=a\ b`
fn key_value(text: &str, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, tail) = rest.split_once('=').ok_or("neither a postgresql:// URL nor key=value pairs")?;
        let key = key.trim();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err("neither a postgresql:// URL nor key=value pairs".to_owned());
        }
        let (value, tail) = value(tail.trim_start()).ok_or_else(|| "a quoted value does not end".to_owned())?;
        pairs.push((key.to_owned(), value));
        rest = tail.trim_start();
    }
    Ok(())
}

/// One value, quoted or not, with its backslashes resolved, and what stands behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let text = quoted.unwrap_or(text);
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted.is_some() => return Some((value, text.get(at + 1..)?)),
            c if c.is_whitespace() && quoted.is_none() => return Some((value, text.get(at..)?)),
            c => value.push(c),
        }
    }
    if quoted.is_some() { None } else { Some((value, "")) }
}

/// Resolves `%41`.
fn decode(text: &str) -> Result<String, String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit =
            || rest.next().and_then(|digit| char::from(digit).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit(), digit());
        bytes.push(
            high.zip(low).map(|(high, low)| high * 16 + low).ok_or("a % in the URL is not followed by two hexadecimal digits")?,
        );
    }
    String::from_utf8(bytes).map_err(|_| "the URL's %-escapes are not UTF-8".to_owned())
}

fn number(port: &str) -> Result<u16, String> {
    let port = port.trim();
    if port.is_empty() {
        return Ok(5432);
    }
    port.parse().map_err(|_| {
        "the port is not a number up to 65535 (special characters of a password in a URL are written %40 and so on)".to_owned()
    })
}

/// Whether a TLS mode can be served. Without TLS, `allow` and `prefer` are plain connections.
fn tls(mode: &str) -> Result<(), String> {
    match mode {
        "" | "disable" | "allow" | "prefer" => Ok(()),
        "require" | "verify-ca" | "verify-full" => {
            Err(format!("sslmode={mode} needs TLS, which this version does not speak; use sslmode=disable or prefer"))
        }
        _ => Err("sslmode is none of disable, allow, prefer, require, verify-ca, verify-full".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts, user, password, database.
    type Parts = (Vec<(String, u16)>, Option<String>, Option<String>, Option<String>);

    fn parsed(text: &str) -> Parts {
        let dsn = Dsn::parse(text).unwrap();
        (dsn.hosts, dsn.user, dsn.password.map(|password| password.reveal().to_owned()), dsn.database)
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
            ("host=db sslmode=verify-full", "verify-full needs TLS"),
            ("host=db service=secret", "service"),
            ("host=db port=secret", "port"),
        ] {
            let error = Dsn::parse(text).unwrap_err();
            assert!(error.contains(tells) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn lists_are_cut_where_a_connection_string_begins() {
        let cut = |text| split(text).len();
        assert_eq!(split("postgres://a/x, postgres://b/y"), ["postgres://a/x", "postgres://b/y"]);
        assert_eq!(split("host=a user=x,host=b user=y"), ["host=a user=x", "host=b user=y"]);
        assert_eq!(cut("postgres://me:a,b@db/x"), 1);
        assert_eq!(cut("host=a,b password=c,d user=x"), 1);
        assert_eq!(cut("host=a password='x,host=y' user=x"), 1);
        assert_eq!(cut("postgres://me:it's@db/x,postgres://b/y"), 2);
        assert_eq!(cut(""), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(postgres://)?[a-z:@/?&=%,'\\\\ \\[\\]0-9+é]{0,40}") {
            let _ = Dsn::parse(&text);
            let whole: String = split(&text).concat().chars().filter(|c| !c.is_whitespace()).collect();
            proptest::prop_assert!(whole.len() <= text.len());
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
