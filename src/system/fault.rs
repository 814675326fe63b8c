//! What can go wrong while collecting, by what it means.

use std::io;
use std::path::{Path, PathBuf};

/// Why a collector could not deliver all it stands for. Its text reaches the log and `stack_exporter_collector_last_error_info`, so it must
/// never hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The kernel, the hardware or the server has no such thing: not an error, but nothing to show either.
    #[error("not there: {0}")]
    Absent(String),
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Bytes were not in the shape that the parser knows.
    #[error("cannot parse {what}: {detail}")]
    Parse {
        /// File or reply.
        what: String,
        /// What was expected, or the line that was not understood (at most a few dozen bytes of it).
        detail: String,
    },
    /// Sockets of ours answer for another network namespace than the host's, and there is no file to ask instead.
    #[error("{0} would be those of the agent's own network namespace: give it the host's (network_mode: host)")]
    Foreign(&'static str),
    /// A server or a daemon answered with an error, or not at all.
    #[error("{0}")]
    Remote(String),
    /// Not done when the scrape's time was over.
    #[error("not done within the scrape's time")]
    Late,
    /// Still busy with an earlier scrape that ran out of time.
    #[error("still busy with an earlier scrape")]
    Busy,
    /// The target cannot be reached at all, which the collector that stands for it tells, once for all.
    #[error("the target is down")]
    Down,
    /// The collector's code panicked: a bug of ours.
    #[error("panicked: {0}")]
    Panic(String),
}

impl Fault {
    /// A read error, as [`Fault::Absent`] where the file is merely not there.
    pub fn read(path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref();
        if super::file::is_absent(&source) {
            Fault::Absent(path.display().to_string())
        } else {
            Fault::Read { path: path.to_path_buf(), source }
        }
    }

    /// A parse error of `what`, quoting the start of the text that was not understood.
    pub fn parse(what: impl Into<String>, text: &[u8]) -> Self {
        let start = text.get(..80).unwrap_or(text);
        Fault::Parse { what: what.into(), detail: format!("{:?}", String::from_utf8_lossy(start)) }
    }

    /// Whether this only says that there is nothing to collect.
    pub fn is_absence(&self) -> bool {
        matches!(self, Fault::Absent(_))
    }
}
