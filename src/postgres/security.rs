//! TLS to a server, in libpq's words: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `channel_binding`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_postgres::config::ChannelBinding;
use tokio_rustls::rustls::ClientConfig;

use crate::settings;
use crate::tls::{self, Trust};

/// `sslmode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// Never.
    Disable,
    /// Where the server refuses us without.
    Allow,
    /// Where the server speaks it; without where it then refuses us.
    Prefer,
    /// Always, with anyone; where a CA file is given, as `verify-ca`.
    Require,
    /// With those whose certificate a CA of the file has issued.
    VerifyCa,
    /// The same, for the name that the server is asked by.
    VerifyFull,
}

impl Mode {
    fn read(text: &str) -> Result<Self, String> {
        Ok(match text {
            "disable" => Mode::Disable,
            "allow" => Mode::Allow,
            "prefer" => Mode::Prefer,
            "require" => Mode::Require,
            "verify-ca" => Mode::VerifyCa,
            "verify-full" => Mode::VerifyFull,
            _ => return Err("sslmode is none of disable, allow, prefer, require, verify-ca, verify-full".to_owned()),
        })
    }
}

/// Whom to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Roots {
    /// `sslrootcert=system`
    System,
    File(PathBuf),
}

/// How a connection is made safe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Security {
    mode: Option<Mode>,
    binding: Option<ChannelBinding>,
    roots: Option<Roots>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    /// The name that the certificate must have, where it is not that of the host.
    pub(super) server_name: Option<String>,
    without_sni: bool,
    /// `~/.postgresql`, where libpq looks for what nobody named.
    pub(super) folder: Option<PathBuf>,
}

impl Security {
    pub(super) fn of_mode(mode: Mode) -> Self {
        Security { mode: Some(mode), ..Security::default() }
    }

    /// In the words of the settings' file.
    pub(super) fn of(tls: &settings::Tls) -> Self {
        Security {
            mode: Some(if tls.insecure_skip_verify { Mode::Require } else { Mode::VerifyFull }),
            roots: if tls.insecure_skip_verify { None } else { Some(tls.ca_file.clone().map_or(Roots::System, Roots::File)) },
            cert: tls.cert_file.clone(),
            key: tls.key_file.clone(),
            server_name: tls.server_name.clone().filter(|name| !name.is_empty()),
            ..Security::default()
        }
    }

    /// Takes one parameter of a connection string; false where it is none of these.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        let path = || Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty());
        match key {
            "sslmode" if value.is_empty() => self.mode = None,
            "sslmode" => self.mode = Some(Mode::read(value)?),
            "sslrootcert" if value == "system" => self.roots = Some(Roots::System),
            "sslrootcert" => self.roots = path().map(Roots::File),
            "sslcert" => self.cert = path(),
            "sslkey" => self.key = path(),
            "sslsni" => self.without_sni = value == "0",
            "channel_binding" => {
                self.binding = match value {
                    "disable" => Some(ChannelBinding::Disable),
                    "prefer" | "" => None,
                    "require" => Some(ChannelBinding::Require),
                    _ => return Err("channel_binding is none of disable, prefer, require".to_owned()),
                }
            }
            // What would make the connection safer, or another one, must not be passed over.
            "sslcrl"
            | "sslcrldir"
            | "ssl_min_protocol_version"
            | "ssl_max_protocol_version"
            | "sslcertmode"
            | "require_auth"
            | "requirepeer"
                if !value.is_empty() =>
            {
                return Err(format!("{key} is not supported"));
            }
            "sslnegotiation" if !matches!(value, "" | "postgres") => {
                return Err("sslnegotiation=direct is not supported".to_owned());
            }
            "sslinline" if value == "true" => return Err("sslinline=true is not supported: certificates are files".to_owned()),
            "gssencmode" if value == "require" => return Err("gssencmode=require is not supported".to_owned()),
            "sslcrl"
            | "sslcrldir"
            | "ssl_min_protocol_version"
            | "ssl_max_protocol_version"
            | "sslcertmode"
            | "require_auth"
            | "requirepeer"
            | "sslnegotiation"
            | "sslinline"
            | "gssencmode" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What was asked for, or libpq's default.
    pub(super) fn mode(&self) -> Mode {
        let default = if self.roots == Some(Roots::System) { Mode::VerifyFull } else { Mode::Prefer };
        self.mode.unwrap_or(default)
    }

    /// Whether the login is tied to the server's certificate.
    pub(super) fn binding(&self) -> ChannelBinding {
        self.binding.unwrap_or(ChannelBinding::Prefer)
    }

    /// Whether any file is named.
    pub(super) fn names_files(&self) -> bool {
        matches!(self.roots, Some(Roots::File(_))) || self.cert.is_some() || self.key.is_some()
    }

    /// What shakes hands, of files as they are now. Unlike libpq's, a file that is named and cannot be used never means less security.
    pub(super) fn client(&self) -> Result<Arc<ClientConfig>, String> {
        let mode = self.mode();
        let usual = |name: &str| self.folder.as_ref().map(|folder| folder.join(name)).filter(|path| path.exists());
        let roots = match &self.roots {
            Some(Roots::File(file)) => Some(file.clone()),
            Some(Roots::System) if mode < Mode::VerifyFull => {
                return Err("sslrootcert=system is for sslmode=verify-full alone".to_owned());
            }
            Some(Roots::System) => None,
            None => usual("root.crt"),
        };
        let named = mode == Mode::VerifyFull;
        let trust = match (&roots, &self.roots) {
            (Some(file), _) => Trust::Issued { roots: Some(file), named },
            (None, Some(Roots::System)) => Trust::Issued { roots: None, named },
            (None, _) if mode < Mode::VerifyCa => Trust::Anyone,
            (None, _) => {
                return Err("sslmode verify-ca and verify-full take a CA file: sslrootcert, ~/.postgresql/root.crt, or sslrootcert=system".to_owned());
            }
        };
        let cert = self.cert.clone().or_else(|| usual("postgresql.crt"));
        // A key without its certificate is of no use to libpq either.
        let key = cert.as_ref().and_then(|_| self.key.clone().or_else(|| usual("postgresql.key")));
        key.as_deref().map_or(Ok(()), private)?;
        let mut client = tls::client(trust, cert.as_deref(), key.as_deref())?;
        client.enable_sni = !self.without_sni;
        Ok(Arc::new(client))
    }

    /// Checks what can be checked before there is a server.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.mode() == Mode::Disable { Ok(()) } else { self.client().map(drop) }
    }
}

/// libpq's rule for keys: nobody else may read them, or root's own group alone.
fn private(key: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.is_file() && metadata.mode() & others == 0 {
        return Ok(());
    }
    Err(format!(
        "{}: the key is not a file that others cannot read: its mode must be 0600 or less, or 0640 where it is root's",
        key.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security(pairs: &[(&str, &str)]) -> Result<Security, String> {
        let mut security = Security::default();
        for (key, value) in pairs {
            assert!(security.set(key, value)?, "{key}");
        }
        Ok(security)
    }

    #[test]
    fn modes_are_libpqs() {
        let mode = |pairs: &[(&str, &str)]| security(pairs).unwrap().mode();
        assert_eq!(mode(&[]), Mode::Prefer);
        assert_eq!(mode(&[("sslmode", "verify-ca")]), Mode::VerifyCa);
        assert_eq!(mode(&[("sslrootcert", "system")]), Mode::VerifyFull);
        assert!(security(&[("sslmode", "sometimes")]).is_err() && security(&[("channel_binding", "maybe")]).is_err());
        assert!(!Security::default().set("host", "x").unwrap());
    }

    #[test]
    fn what_is_not_there_is_told_and_nothing_is_passed_over() {
        let wrong = |pairs: &[(&str, &str)]| security(pairs).and_then(|security| security.check()).unwrap_err();
        assert!(wrong(&[("sslmode", "verify-full")]).contains("sslrootcert"));
        assert!(wrong(&[("sslmode", "require"), ("sslrootcert", "system")]).contains("verify-full"));
        assert!(wrong(&[("sslrootcert", "/does/not/exist")]).starts_with("/does/not/exist"));
        assert!(wrong(&[("sslcert", "/does/not/exist")]).contains("two files"));
        for key in ["sslcrl", "sslcrldir", "ssl_min_protocol_version", "require_auth", "requirepeer", "sslcertmode"] {
            assert!(wrong(&[(key, "x")]).starts_with(key));
            assert!(security(&[(key, "")]).is_ok());
        }
        assert!(security(&[("sslmode", "disable"), ("sslrootcert", "/does/not/exist")]).unwrap().check().is_ok());
        assert!(security(&[]).unwrap().check().is_ok());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "").unwrap();
        let root = std::fs::metadata(&key).unwrap().uid() == 0;
        for (mode, fits) in [(0o600, true), (0o400, true), (0o640, root), (0o660, false), (0o644, false), (0o604, false)] {
            std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(private(&key).is_ok(), fits, "{mode:o}");
        }
        assert!(private(folder.path()).is_err());
    }
}
