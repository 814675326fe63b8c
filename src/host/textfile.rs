//! Reads `*.prom` files, in which other programs leave metrics. Emits what they hold, `node_textfile_mtime_seconds` for each
//! good file and `node_textfile_scrape_error`.
//!
//! A file with a bad line or a timestamp gives nothing: it may have been written half. It costs no other file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::glob;
use crate::exposition::{Family, Kind, Labels, ParsedFamily, ParsedSample, Samples, parse};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, Patience, System};

static MODIFIED: Family =
    Family::gauge("node_textfile_mtime_seconds", "When the text file was last written, in Unix time: st_mtime.");
static ERROR: Family =
    Family::gauge("node_textfile_scrape_error", "1 if some text file or folder could not be read or understood.");

const DIRECTORIES: Flag = Flag::list(
    "collector.textfile.directory",
    &[],
    "Folder of *.prom files to show; may hold wildcards, may be given more than once.",
);

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "textfile",
    enabled: Flag::switch("collector.textfile", true, "Metrics that other programs leave in files."),
    flags: &[DIRECTORIES],
    new: |settings| {
        let folders = settings.list(&DIRECTORIES).into_iter().filter(|folder| !folder.is_empty()).collect();
        Ok(Box::new(TextFile { folders, patience: Patience::new("textfile"), told: BTreeMap::new() }))
    },
};

/// How long a scrape waits for a folder that may lie on a dead server.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The largest file that is read.
const LIMIT: u64 = 64 * 1024 * 1024;

struct TextFile {
    folders: Vec<String>,
    patience: Patience<String, Vec<Found>>,
    /// What went wrong with which path in the last scrape: told once, until it changes.
    told: BTreeMap<String, String>,
}

/// A file or folder that was looked at.
struct Found {
    path: String,
    content: Result<Content, String>,
}

struct Content {
    text: Vec<u8>,
    modified: i64,
}

impl Collector for TextFile {
    /// Always succeeds, as node_exporter's does: alerts watch `node_textfile_scrape_error`.
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let now = Instant::now();
        let left = system.deadline.map_or(TIMEOUT, |deadline| deadline.saturating_duration_since(now) / 2);
        let answers = self.patience.ask(self.folders.clone(), now + TIMEOUT.min(left), |folder| read(folder));
        let late = |folder: &String| vec![Found { path: folder.clone(), content: Err("not read in time".to_owned()) }];
        let folders = answers.into_iter().zip(&self.folders);
        let found: Vec<Found> = folders.flat_map(|(answer, folder)| answer.unwrap_or_else(|| late(folder))).collect();

        let mut page = Page { helps: HashMap::new(), errors: BTreeMap::new() };
        for file in &found {
            if let Err(error) = page.add(file, out) {
                page.errors.insert(file.path.clone(), error);
            }
        }
        out.family(&ERROR).add([], !page.errors.is_empty());
        self.tell(page.errors);
        Ok(())
    }
}

impl TextFile {
    fn tell(&mut self, errors: BTreeMap<String, String>) {
        for (path, error) in errors.iter().filter(|(path, error)| self.told.get(*path) != Some(error)) {
            tracing::warn!(collector = "textfile", path = %path, error = %error, "text file not shown");
        }
        self.told = errors;
    }
}

/// What the files of one scrape have in common.
struct Page<'a> {
    /// The first HELP of each family.
    helps: HashMap<&'a str, Cow<'a, str>>,
    errors: BTreeMap<String, String>,
}

impl<'a> Page<'a> {
    /// Adds a file's families, if the whole file is good.
    fn add(&mut self, file: &'a Found, out: &mut Samples) -> Result<(), String> {
        let content = file.content.as_ref().map_err(Clone::clone)?;
        let families = parse(&content.text).map_err(|error| error.to_string())?;
        if let Some(family) = families.iter().find(|family| family.samples.iter().any(|sample| sample.timestamp.is_some())) {
            return Err(format!("{} has a timestamp, which would not be honoured", family.name));
        }
        out.family(&MODIFIED).add([("file", &file.path)], content.modified);
        for mut family in families {
            if family.samples.is_empty() {
                continue;
            }
            if let Some(help) = family.help.take() {
                let first = self.helps.entry(family.name).or_insert_with(|| help.clone());
                if *first != help {
                    self.errors.insert(file.path.clone(), format!("{} has another HELP in an earlier file", family.name));
                    continue;
                }
            }
            match self.helps.get(family.name) {
                Some(help) => emit(&family, help, out),
                None => emit(&family, &format!("Found in {}.", file.path), out),
            }
        }
        Ok(())
    }
}

/// Writes a family with the same labels on all of its series: those a sample lacks are empty.
fn emit(family: &ParsedFamily<'_>, help: &str, out: &mut Samples) {
    let common = |sample: &ParsedSample<'_>, name: &str| own_label(family.kind, sample.suffix) != Some(name);
    let names: BTreeSet<&str> = family
        .samples
        .iter()
        .flat_map(|sample| sample.labels.iter().map(|(name, _)| *name).filter(|name| common(sample, name)))
        .collect();
    let mut rows = out.named(family.name, help, family.kind);
    let mut labels: Vec<(&str, &str)> = Vec::new();
    for sample in &family.samples {
        let value_of = |name: &str| sample.labels.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref());
        labels.clear();
        labels.extend(names.iter().map(|name| (*name, value_of(name).unwrap_or_default())));
        labels.extend(own_label(family.kind, sample.suffix).and_then(|name| Some((name, value_of(name)?))));
        rows.line(sample.suffix, &Labels::new(), &labels, sample.value);
    }
}

/// The label that only samples of this suffix have.
fn own_label(kind: Kind, suffix: &str) -> Option<&'static str> {
    match (kind, suffix) {
        (Kind::Histogram, "_bucket") => Some("le"),
        (Kind::Summary, "") => Some("quantile"),
        _ => None,
    }
}

/// All `*.prom` files of the folders that `pattern` names. This may hang, so it runs on a thread that can be left behind.
fn read(pattern: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for folder in glob::expand(pattern) {
        match fs::read_dir(&folder) {
            Ok(entries) => {
                let paths = entries.flatten().map(|entry| entry.path());
                let mut paths: Vec<PathBuf> =
                    paths.filter(|path| path.to_str().is_some_and(|path| path.ends_with(".prom"))).collect();
                paths.sort_unstable();
                found.extend(paths.iter().filter_map(|path| Some(Found { path: shown(path), content: content(path)? })));
            }
            Err(error) => found.push(Found { path: shown(&folder), content: Err(error.to_string()) }),
        }
    }
    found
}

/// A path without `.` parts.
fn shown(path: &Path) -> String {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.collect::<PathBuf>().display().to_string()
}

/// What a file holds; `None` where it has just been removed.
fn content(path: &Path) -> Option<Result<Content, String>> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return None;
    }
    Some(read_file(path).map_err(|error| error.to_string()))
}

fn read_file(path: &Path) -> std::io::Result<Content> {
    // Asked before opening: a pipe would block there until someone writes.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    if File::open(path)?.take(LIMIT + 1).read_to_end(&mut text)? as u64 > LIMIT {
        return Err(std::io::Error::other("larger than 64 MiB"));
    }
    let age = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Content { text, modified: i64::try_from(age.as_secs()).unwrap_or(i64::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition;

    fn collect(folder: &Path) -> String {
        let folders = vec![folder.to_str().unwrap().to_owned()];
        let mut collector = TextFile { folders, patience: Patience::new("textfile"), told: BTreeMap::new() };
        let mut out = Samples::new();
        collector.collect(&mut System::default(), &mut out).unwrap();
        String::from_utf8(exposition::Page::new(vec![out]).to_vec()).unwrap()
    }

    #[test]
    fn a_bad_file_costs_itself_only() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("good.prom", "good 1\n");
        write("half.prom", "half 1\nlost 2");
        write("timed.prom", "timed 1 1441205977284\n");
        write("other.txt", "other 1\n");
        nix::sys::stat::mknod(&dir.path().join("pipe.prom"), nix::sys::stat::SFlag::S_IFIFO, nix::sys::stat::Mode::S_IRWXU, 0)
            .unwrap();
        let page = collect(dir.path());
        assert!(page.contains("\ngood 1\n") && page.contains("\nnode_textfile_scrape_error 1\n"), "{page}");
        assert!(!page.contains("half") && !page.contains("timed") && !page.contains("other"), "{page}");
        assert_eq!(page.matches("\nnode_textfile_mtime_seconds{file=").count(), 1, "{page}");
    }

    #[test]
    fn labels_are_filled_but_for_a_buckets_own() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("a.prom"),
            "# TYPE h histogram\nh_bucket{le=\"1\",b=\"x\"} 1\nh_bucket{le=\"+Inf\",a=\"y\"} 2\nh_sum{b=\"x\"} 3\n",
        )
        .unwrap();
        let page = collect(dir.path());
        for line in [r#"h_bucket{a="",b="x",le="1"} 1"#, r#"h_bucket{a="y",b="",le="+Inf"} 2"#, r#"h_sum{a="",b="x"} 3"#] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
