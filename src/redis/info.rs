//! The text of INFO: cut into fields, by name and never by position or version.

/// The answer to INFO as its fields, in the server's order.
#[derive(Debug, Default)]
pub(super) struct Info<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Info<'a> {
    /// Cuts a text into its fields.
    pub(super) fn parse(text: &'a str) -> Self {
        Info { fields: fields(text).collect() }
    }

    /// Whether a text has any field at all: if not, it is no answer to INFO.
    pub(super) fn is(text: &str) -> bool {
        fields(text).next().is_some()
    }

    /// All fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().copied()
    }

    /// The value of one field.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.fields().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// The fields whose names begin with `prefix`, by the rest of their names.
    pub(super) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
    }

    /// The fields named `prefix` and a number, such as `db0` and `slave1`: not `db0_distrib_…`, not `master_host`.
    pub(super) fn numbered(&self, prefix: &str) -> impl Iterator<Item = (u32, &'a str)> {
        self.with_prefix(prefix).filter_map(|(rest, value)| {
            let digits = rest.bytes().all(|byte| byte.is_ascii_digit());
            Some((rest.parse().ok().filter(|_| digits)?, value))
        })
    }
}

/// ```text
/// # Clients
/// connected_clients:9
/// ```
/// Section headings, empty lines and lines without a colon are skipped. Lines end in CRLF.
fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = Lines(text).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| split(line, b':')).map(|(name, value)| (name, value.trim_end()))
}

/// The names of the sections of a text: `# Clients`.
pub(super) fn sections(text: &str) -> impl Iterator<Item = &str> {
    Lines(text).filter_map(|line| line.strip_prefix("# ")).map(str::trim_end)
}

/// The lines of a text, cut with memchr: INFO is most of what a scrape reads.
struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (line, rest) = split(self.0, b'\n').unwrap_or((self.0, ""));
        let more = !self.0.is_empty();
        self.0 = rest;
        more.then_some(line)
    }
}

/// As `str::split_once`, for an ASCII character.
fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(at, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The value of `name` in a list `keys=3,expires=0`.
pub(super) fn item<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    items(list).find(|(item, _)| *item == name).map(|(_, value)| value)
}

/// The values of `names` in a list `calls=4,usec=312`, which is gone through once.
pub(super) fn some_items<'a, const N: usize>(list: &'a str, names: [&str; N]) -> [Option<&'a str>; N] {
    let mut values = [None; N];
    for (item, value) in items(list) {
        if let Some((_, place)) = names.iter().zip(&mut values).find(|(name, place)| **name == item && place.is_none()) {
            *place = Some(value);
        }
    }
    values
}

/// The pairs of a list `keys=3,expires=0`; what is no pair is skipped.
pub(super) fn items(list: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(list);
    let pairs = std::iter::from_fn(move || {
        let list = rest?;
        let (pair, more) = split(list, b',').map_or((list, None), |(pair, more)| (pair, Some(more)));
        rest = more;
        Some(pair)
    });
    pairs.filter_map(|pair| split(pair, b'='))
}

/// The number that a field holds. States count as redis_exporter counts them: `ok` 1, `err` and `fail` 0.
pub(super) fn number(value: &str) -> Option<f64> {
    match value {
        "ok" | "true" => Some(1.0),
        "err" | "fail" | "false" => Some(0.0),
        _ => value.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Server\r\nredis_version:7.0.15\r\nexecutable:/usr/bin/a:b\r\nconfig_file:\r\n\r\n# Keyspace\r\n\
        db0:keys=3,expires=1,avg_ttl=10,subexpiry=0\r\ndb11:keys=1\r\n# Keysizes\r\ndb0_distrib_lists_items:32=1\r\ndb+1:keys=9\r\nnonsense\r\n";

    #[test]
    fn fields_are_found_by_name() {
        let info = Info::parse(TEXT);
        assert_eq!(info.get("redis_version"), Some("7.0.15"));
        assert_eq!(info.get("executable"), Some("/usr/bin/a:b"));
        assert_eq!(info.get("config_file"), Some(""));
        assert_eq!(info.get("nonsense"), None);
        assert_eq!(info.numbered("db").collect::<Vec<_>>(), [(0, "keys=3,expires=1,avg_ttl=10,subexpiry=0"), (11, "keys=1")]);
        assert!(Info::is(TEXT) && !Info::is("<html>") && !Info::is(""));
    }

    #[test]
    fn lists_are_read_by_name() {
        let list = "keys=3,odd,expires=1";
        assert_eq!(item(list, "expires"), Some("1"));
        assert_eq!(item(list, "odd"), None);
    }

    #[test]
    fn numbers_and_states() {
        assert_eq!(number("-1"), Some(-1.0));
        assert_eq!(number("0.002856"), Some(0.002_856));
        assert_eq!((number("ok"), number("err"), number("fail")), (Some(1.0), Some(0.0), Some(0.0)));
        assert_eq!(number("noeviction"), None);
        assert_eq!(number(""), None);
    }
}
