//! `--web.config.file`: TLS, users, headers and rate limit in the format of Prometheus' exporter-toolkit.
//!
//! Nobody reloads it: before each request and each handshake it is seen whether the file, or one that it names, has changed, which
//! costs a stat of each. A file that has become wrong refuses every request and handshake until it is right again. The one exception
//! is a certificate without its key, as there is for a moment whenever both are replaced: the last pair that fitted is still offered.

mod clients;
mod file;
mod files;
mod sans;
mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::{HeaderName, HeaderValue};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::settings::{Error, Secret};
pub(super) use file::RateLimit;
use files::Files;
pub use sans::of as subject_alternative_names;

/// The file, kept up to date.
pub(super) struct Config {
    path: PathBuf,
    fixed: Fixed,
    state: Mutex<State>,
}

/// What stays as it was at the start.
#[derive(Clone, PartialEq, Eq)]
struct Fixed {
    tls: bool,
    http2: bool,
    rate: Option<RateLimit>,
}

/// What the file says now.
pub(super) struct Current {
    /// What to shake hands with, where TLS is on.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// For every response.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Names and bcrypt hashes; empty: no one needs a password.
    pub(super) users: BTreeMap<String, Secret>,
}

struct State {
    /// `None` while the file is wrong.
    current: Option<Arc<Current>>,
    pair: Option<Arc<CertifiedKey>>,
    files: Files,
    /// What was logged last, so that it is logged once.
    complaint: String,
}

/// Whether `text` could be the file, but for those that it names, which lie `beside` it.
pub fn check(text: &str, beside: &Path) -> Result<(), Error> {
    file::check(text, beside).map(drop).map_err(Error::new)
}

/// One reading of the file.
struct Reading {
    fixed: Fixed,
    current: Current,
    pair: Option<Arc<CertifiedKey>>,
    /// What is wrong with it, though it can be used.
    complaint: String,
}

impl Config {
    /// Reads the file for the first time: whatever is wrong with it is an error.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let mut files = Files::default();
        let wrong = |error| Error::new(format!("{}: {error}", path.display()));
        let Reading { fixed, current, pair, .. } = read(&path, &mut files, None).map_err(wrong)?;
        let state = State { current: Some(Arc::new(current)), pair, files, complaint: String::new() };
        Ok(Config { path, fixed, state: Mutex::new(state) })
    }

    /// Whether connections begin with a handshake.
    pub(super) fn tls(&self) -> bool {
        self.fixed.tls
    }

    pub(super) fn rate(&self) -> Option<RateLimit> {
        self.fixed.rate
    }

    /// What the file says now; `None` while it is wrong.
    pub(super) fn current(&self) -> Option<Arc<Current>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.files.unchanged() {
            self.read_again(&mut state);
        }
        state.current.clone()
    }

    fn read_again(&self, state: &mut State) {
        let mut files = Files::default();
        let reading = read(&self.path, &mut files, state.pair.as_ref()).and_then(|reading| self.as_started(reading));
        state.files = files;
        let complaint = match reading {
            Ok(reading) => {
                (state.current, state.pair) = (Some(Arc::new(reading.current)), reading.pair);
                reading.complaint
            }
            Err(error) => {
                state.current = None;
                format!("every request is refused: {error}")
            }
        };
        if complaint != state.complaint {
            let file = self.path.display();
            match complaint.as_str() {
                "" => tracing::info!(%file, "the web configuration is in order again"),
                complaint => tracing::error!(%file, error = complaint, "the web configuration is wrong"),
            }
            state.complaint = complaint;
        }
    }

    /// The reading, unless it would need another start.
    fn as_started(&self, mut reading: Reading) -> Result<Reading, String> {
        if reading.fixed.tls != self.fixed.tls {
            let (now, then) = if reading.fixed.tls { ("with", "without") } else { ("without", "with") };
            return Err(format!("it is {now} TLS now, but the agent was started {then}"));
        }
        if reading.fixed != self.fixed && reading.complaint.is_empty() {
            "http2 and rate_limit change at the next start only".clone_into(&mut reading.complaint);
        }
        Ok(reading)
    }
}

/// Reads the file and those that it names. Where its certificate and key do not fit each other, `kept` takes their place.
fn read(path: &Path, files: &mut Files, kept: Option<&Arc<CertifiedKey>>) -> Result<Reading, String> {
    let text = files.read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
    let checked = file::check(&text, path.parent().unwrap_or(Path::new("")))?;
    let fixed = Fixed { tls: checked.tls.is_some(), http2: checked.http2, rate: checked.rate };
    let mut current = Current { tls: None, headers: checked.headers, users: checked.users };
    let Some(plan) = checked.tls else { return Ok(Reading { fixed, current, pair: None, complaint: String::new() }) };
    let mut read = |path: &Path| files.read(path);
    let wrong = |error| format!("tls_server_config: {error}");
    let (pair, complaint) = match (plan.pair(&mut read), kept) {
        (Ok(pair), _) => (pair, String::new()),
        (Err(error), Some(kept)) => (kept.clone(), format!("the last certificate that fitted stays in use: {}", wrong(error))),
        (Err(error), None) => return Err(wrong(error)),
    };
    current.tls = Some(Arc::new(plan.server_config(pair.clone(), checked.http2, &mut read).map_err(wrong)?));
    Ok(Reading { fixed, current, pair: Some(pair), complaint })
}
