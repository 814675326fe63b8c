//! What the file's lists of database servers hold.

use std::path::PathBuf;

use super::Secret;

/// A PostgreSQL or Redis server named in the file's `postgres.targets` or `redis.targets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Value of the label `target`.
    pub name: String,
    /// Connection string or URL, without the password.
    pub address: String,
    /// User, where the address names none.
    #[serde(default)]
    pub user: Option<String>,
    /// The password itself; better a file.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Where TLS is spoken: to PostgreSQL in place of `sslmode` and its kin, to Redis at `rediss://`.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// TLS to a server, in the words of Prometheus' `tls_config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The only CA certificates to trust; the system's, if there is no file.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, where the server wants one.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have, where it is not that of the address.
    pub server_name: Option<String>,
    /// Take any certificate.
    pub insecure_skip_verify: bool,
}
