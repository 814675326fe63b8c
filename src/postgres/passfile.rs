//! The password file of libpq, `~/.pgpass`.
//!
//! ```text
//! # hostname:port:database:username:password
//! db.example:5432:*:monitor:s3cret\:colon
//! ```
//!
//! The first line that fits is taken. A colon or backslash in a field is written with a backslash before it; `*` fits everything.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::dsn::Host;
use crate::settings::Secret;

/// The most that is read of a file.
const LONGEST: u64 = 1024 * 1024;

/// Where servers have their sockets by default, Debian's first: for these a line says `localhost`.
const FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// The password in the file at `path`, `None` where there is no file or no line that fits. As in libpq, a file that others may read is
/// left alone, which the error says.
pub(super) fn password(path: &Path, host: &Host, database: &str, user: &str) -> Result<Option<Secret>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.is_file() {
        return Err(format!("{}: the password file is not a plain file", path.display()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!(
            "{}: the password file is left alone, since others may read it: its mode must be 0600 or less",
            path.display()
        ));
    }
    let mut text = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text)).map_err(failed)?;
    let name = if FOLDERS.contains(&host.name.as_str()) { "localhost" } else { &host.name };
    Ok(find(&String::from_utf8_lossy(&text), [name, &host.port.to_string(), database, user]))
}

/// The password of the first line that fits `wanted`: host, port, database, user.
pub(super) fn find(text: &str, wanted: [&str; 4]) -> Option<Secret> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for wanted in wanted {
            let (field, starred, behind) = field(rest)?;
            if !starred && field != wanted {
                return None;
            }
            rest = behind?;
        }
        let (password, _, _) = field(rest)?;
        Some(Secret::new(password)).filter(|password| !password.reveal().is_empty())
    })
}

/// The first field of a line without its backslashes, whether it is a lone `*`, and what stands behind its colon.
fn field(text: &str) -> Option<(String, bool, Option<&str>)> {
    let (mut field, mut chars, mut end) = (String::new(), text.char_indices(), None);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => field.extend(chars.next().map(|(_, c)| c)),
            ':' => {
                end = Some(at);
                break;
            }
            c => field.push(c),
        }
    }
    let raw = end.map_or(text, |end| text.get(..end).unwrap_or_default());
    Some((field, raw == "*", end.map(|end| text.get(end + 1..).unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        find(text, ["db", "5432", "shop:1", "me"]).map(|password| password.reveal().to_owned())
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        assert_eq!(found("db:5432:shop\\:1:me:pw"), Some("pw".to_owned()));
        assert_eq!(found("# db:5432:*:me:no\nother:*:*:*:no\n*:*:*:me:p\\:\\\\w\n*:*:*:*:late\n"), Some("p:\\w".to_owned()));
        assert_eq!(found("db:5432:*:me:p:rest"), Some("p".to_owned()), "a colon ends the password");
        assert_eq!(found("db:5432:*:me:pw\r\n"), Some("pw".to_owned()));
        for none in ["", "db:5432:shop:me:pw", "db:5433:*:me:pw", "db:5432:*:me", "db:5432:*:me:", "\\*:*:*:*:pw", "db:5432"] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn sockets_are_localhost_and_a_file_for_all_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        let host = |name: &str| Host { name: name.to_owned(), address: None, port: 5432 };
        let ask = |name: &str| password(&file, &host(name), "db", "me").map(|found| found.map(|found| found.reveal().to_owned()));
        assert_eq!(ask("localhost"), Ok(None), "no file");
        std::fs::write(&file, "localhost:5432:*:me:local\n/srv/pg:*:*:*:odd\n").unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(ask("localhost"), Ok(Some("local".to_owned())));
        assert_eq!(ask("/var/run/postgresql"), Ok(Some("local".to_owned())));
        assert_eq!(ask("/srv/pg"), Ok(Some("odd".to_owned())));
        assert_eq!(ask("db"), Ok(None));
        for mode in [0o640, 0o604, 0o644] {
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            assert!(ask("localhost").unwrap_err().contains("0600"), "{mode:o}");
        }
        assert!(password(folder.path(), &host("db"), "db", "me").unwrap_err().contains("plain file"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_escaped_comes_back(fields in proptest::array::uniform5("[^\r\n]{1,8}")) {
            let escaped = fields.each_ref().map(|field| field.replace('\\', "\\\\").replace(':', "\\:"));
            // A lone star would fit as well, and a line that begins with # is a comment.
            let line = escaped.join(":");
            let [host, port, database, user, password] = &fields;
            if !line.starts_with('#') {
                let found = find(&line, [host, port, database, user]);
                proptest::prop_assert!(found.is_some_and(|found| found.reveal() == password));
            }
        }

        #[test]
        fn any_text_is_read(text: String) {
            let _ = found(&text);
        }
    }
}
