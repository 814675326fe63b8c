//! The operator's own queries: a file in the format of postgres_exporter's queries.yaml.
//!
//! Each query is a message of its own: one statement in one transaction that can only read, with a deadline and a cap on its rows. They
//! are asked one after the other once the collectors are done, the one that waited longest first, and what each costs is told.

mod file;
mod range;
mod rows;
mod runner;
mod statement;
mod value;

use std::path::Path;
use std::time::Duration;

use file::Query;
pub(super) use runner::Runner;

use crate::settings::{Error, Flag, Settings};

static FILE: Flag =
    Flag::text("postgres.queries", "", "File of queries of your own, in the format of postgres_exporter's queries.yaml.")
        .env("PG_EXPORTER_EXTEND_QUERY_PATH");
static OLD_FILE: Flag = Flag::text("extend.query-path", "", "See --postgres.queries.").hidden();
static TIMEOUT: Flag =
    Flag::time("postgres.queries-timeout", Duration::from_secs(2), "The longest that one query of your own may take.");
static ROWS: Flag =
    Flag::number("postgres.queries-max-rows", 1_000, "How many rows of a query of your own are shown, 10,000 at most.");

/// The flags.
pub(super) static FLAGS: [&Flag; 4] = [&FILE, &OLD_FILE, &TIMEOUT, &ROWS];

/// The name of the queries among the collectors.
pub(super) const NAME: &str = "queries";

/// The longest file.
const LONGEST: u64 = 1024 * 1024;

/// What stands in the file, and its limits.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Queries {
    list: Vec<Query>,
    /// The file's name and the hexadecimal SHA-256 of its text.
    path: String,
    hash: String,
    timeout: Duration,
    rows: usize,
}

impl Queries {
    /// Reads the file that the settings name, if they do.
    pub(super) fn read(settings: &Settings) -> Result<Queries, Error> {
        let Some((flag, path)) =
            [&FILE, &OLD_FILE].map(|flag| (flag, settings.text(flag))).into_iter().find(|(_, path)| !path.is_empty())
        else {
            return Ok(Queries::default());
        };
        let wrong = |reason: String| Error::new(format!("{}: {path}: {reason}", flag.name));
        let rows = usize::try_from(settings.number(&ROWS)).unwrap_or(usize::MAX);
        if rows == 0 || rows > 10_000 {
            return Err(Error::new(format!("{}: {rows} is not between 1 and 10000", ROWS.name)));
        }
        let text = text(Path::new(&path)).map_err(wrong)?;
        let list = file::parse(&text).map_err(wrong)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let hash = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        tracing::info!(part = "postgres", file = %path, queries = list.len(), "queries of your own");
        Ok(Queries { list, path, hash, timeout: settings.time(&TIMEOUT), rows })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Whether `text` could be such a file.
pub(super) fn check(text: &str) -> Result<(), Error> {
    file::parse(text).map(|_| ()).map_err(Error::new)
}

/// Whether the settings name a file.
pub(super) fn is_on(settings: &Settings) -> bool {
    [&FILE, &OLD_FILE].iter().any(|flag| !settings.text(flag).is_empty())
}

fn text(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > LONGEST {
        return Err(format!("{length} bytes are more than {LONGEST}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    fn read(flag: &Flag, path: &Path) -> Result<Queries, String> {
        let mut settings = Settings::default();
        settings.set(flag, Origin::CommandLine, Setting::Text(path.to_str().unwrap().into()));
        assert!(is_on(&settings));
        Queries::read(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_by_either_name_and_its_mistakes_name_it() {
        assert!(Queries::read(&Settings::default()).unwrap().is_empty() && !is_on(&Settings::default()));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "a:\n  query: SELECT 1 AS b\n  metrics: [{b: {usage: GAUGE}}]\n").unwrap();
        for flag in [&FILE, &OLD_FILE] {
            let queries = read(flag, file.path()).unwrap();
            assert_eq!((queries.list.len(), queries.hash.len()), (1, 64));
        }
        std::fs::write(&file, "a: {query: DROP TABLE x}\n").unwrap();
        let error = read(&FILE, file.path()).unwrap_err();
        assert!(error.starts_with(&format!("postgres.queries: {}: a: ", file.path().display())), "{error}");
        assert!(read(&FILE, Path::new("/does/not/exist")).unwrap_err().contains("/does/not/exist: No such file"));
    }
}
