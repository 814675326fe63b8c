//! The text of connection strings: lists of them, and the parameters of each.

/// Parameters and their values.
pub(super) type Pairs = Vec<(String, String)>;

const SCHEMES: [&str; 3] = ["postgresql://", "postgres://", PGBOUNCER];

/// What a URL of PgBouncer's console begins with; such a scheme nobody else has.
const PGBOUNCER: &str = "pgbouncer://";

/// Whether a connection string is a URL.
pub(super) fn is_url(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

/// Whether it is one of a PgBouncer.
pub(super) fn is_pgbouncer(text: &str) -> bool {
    text.trim().starts_with(PGBOUNCER)
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
                if is_url(whole) || !quoted {
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
    is_url(text)
        || (key.len() < text.len() && ["host", "hostaddr", "user", "port", "dbname", "password", "sslmode"].contains(&key))
}

/// The parameters of a connection string of either shape.
pub(super) fn read(text: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    match SCHEMES.iter().find_map(|scheme| text.trim().strip_prefix(scheme)) {
        Some(rest) => url(rest, &mut pairs)?,
        None => key_value(text, &mut pairs)?,
    }
    Ok(pairs)
}

/// `user:password@host:port,host:port/database?key=value&key=value`, behind the scheme.
fn url(text: &str, pairs: &mut Pairs) -> Result<(), String> {
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
fn key_value(text: &str, pairs: &mut Pairs) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let _ = read(&text);
            let whole: String = split(&text).concat().chars().filter(|c| !c.is_whitespace()).collect();
            proptest::prop_assert!(whole.len() <= text.len());
        }
    }
}
