//! The text of `--web.config.file`, checked: everything that can be said about it without reading the files it names.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::tls::Plan;
use crate::settings::{Secret, time};

/// What the file says.
pub(super) struct Checked {
    /// TLS as it is to be spoken, where any field of `tls_server_config` is set.
    pub(super) tls: Option<Plan>,
    pub(super) http2: bool,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Names and bcrypt hashes.
    pub(super) users: BTreeMap<String, Secret>,
    pub(super) rate: Option<RateLimit>,
}

/// One request every `interval`, and `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) struct RateLimit {
    pub(in crate::web) interval: Duration,
    pub(in crate::web) burst: u32,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping")]
struct Raw {
    tls_server_config: Option<RawTls>,
    http_server_config: Option<RawHttp>,
    basic_auth_users: Option<BTreeMap<String, Option<Secret>>>,
    rate_limit: Option<RawRate>,
}

/// `tls_server_config`, field by field.
#[derive(Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTls {
    pub(super) cert: Option<Secret>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key: Option<Secret>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) client_ca: Option<Secret>,
    pub(super) client_ca_file: Option<PathBuf>,
    pub(super) client_auth_type: Option<String>,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
    pub(super) cipher_suites: Option<Vec<String>>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
    pub(super) curve_preferences: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHttp {
    http2: Option<bool>,
    headers: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRate {
    interval: Option<Interval>,
    burst: Option<u32>,
}

/// `1s`, or a bare number, which Go takes for nanoseconds.
struct Interval(Duration);

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Interval;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 1s")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Interval, E> {
                time(text).map(Interval).ok_or_else(|| E::custom("not a time such as 1s"))
            }

            fn visit_u64<E: serde::de::Error>(self, nanoseconds: u64) -> Result<Interval, E> {
                Ok(Interval(Duration::from_nanos(nanoseconds)))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Checks the file's `text`; paths in it are relative to the folder `beside`. An error is one line without a secret.
pub(super) fn check(text: &str, beside: &Path) -> Result<Checked, String> {
    let raw = parse(text)?;
    let tls = raw.tls_server_config.filter(|tls| *tls != RawTls::default());
    let tls = tls.map(|tls| Plan::new(tls, beside).map_err(|error| format!("tls_server_config: {error}"))).transpose()?;
    let http = raw.http_server_config.unwrap_or_default();
    let mut headers = Vec::new();
    for (name, value) in http.headers.unwrap_or_default() {
        let value = value.unwrap_or_default();
        let name = header(&name, &value).map_err(|error| format!("http_server_config: headers: {error}"))?;
        let wrong = || format!("http_server_config: headers: the value of {name:?} cannot stand in a header");
        // "Unset if blank."
        if !value.is_empty() {
            headers.push((HeaderName::from_static(name), value.parse().map_err(|_| wrong())?));
        }
    }
    let mut users = BTreeMap::new();
    for (name, hash) in raw.basic_auth_users.unwrap_or_default() {
        let hash = hash.unwrap_or_else(|| Secret::new(""));
        // The reason could quote the hash, or a password that was put in its place.
        let parts = hash.reveal().parse::<bcrypt::HashParts>();
        if !parts.is_ok_and(|parts| (4..=31).contains(&parts.get_cost())) {
            return Err(format!("basic_auth_users: {name:?}: not a bcrypt hash"));
        }
        users.insert(name, hash);
    }
    let rate = raw.rate_limit.unwrap_or_default();
    let interval = rate.interval.map_or(Duration::ZERO, |interval| interval.0);
    let burst = rate.burst.unwrap_or(0);
    if !interval.is_zero() && burst == 0 {
        return Err("rate_limit: an interval without a burst of at least 1 would refuse every request".to_owned());
    }
    let rate = (!interval.is_zero()).then_some(RateLimit { interval, burst });
    Ok(Checked { tls, http2: http.http2.unwrap_or(true), headers, users, rate })
}

fn parse(text: &str) -> Result<Raw, String> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Raw::default());
    }
    // As a value first: that notices keys given twice, in mappings of any keys too.
    let value: yaml_serde::Value = yaml_serde::from_str(text).map_err(|error| without_values(&error.to_string()))?;
    if value.is_null() {
        return Ok(Raw::default());
    }
    yaml_serde::from_str(text).map_err(|error| without_values(&error.to_string()))
}

/// A parser's message without the value that it found in the wrong place, which may be a key, a hash or a password.
fn without_values(message: &str) -> String {
    let message = message.replace('\n', " ");
    let Some((before, found)) = message.split_once("invalid type: ") else { return message };
    let Some((value, wanted)) = found.rsplit_once(", expected ") else { return before.to_owned() };
    let kind = value.split(' ').next().unwrap_or_default();
    format!("{before}invalid type: {kind}, expected {wanted}")
}

/// The five headers that may be set, and what some of them may be set to.
const HEADERS: [(&str, &str, &[&str]); 5] = [
    ("Content-Security-Policy", "content-security-policy", &[]),
    ("Strict-Transport-Security", "strict-transport-security", &[]),
    ("X-Content-Type-Options", "x-content-type-options", &["nosniff"]),
    ("X-Frame-Options", "x-frame-options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", "x-xss-protection", &[]),
];

/// A header's name as HTTP/2 has it, if it may be set to `value`.
fn header(name: &str, value: &str) -> Result<&'static str, String> {
    let Some((_, lower, values)) = HEADERS.iter().find(|(known, ..)| *known == name) else {
        return Err(format!("{name:?} cannot be set"));
    };
    if !value.is_empty() && !values.is_empty() && !values.contains(&value) {
        return Err(format!("{name} is {}, not {value:?}", values.join(" or ")));
    }
    Ok(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_quotes_what_may_be_a_secret() {
        for text in [
            "basic_auth_users: s3cret",
            "tls_server_config: s3cret",
            "http_server_config: {http2: s3cret}",
            "http_server_config: {http2: 's3cret\", expected '}",
            "http_server_config: {http2: '\", expected s3cret'}",
            "basic_auth_users: {alice: s3cret}",
            "basic_auth_users: 0x53c3e7",
            "basic_auth_users: 5489639",
            "http_server_config: {http2: 5489639.0}",
            "basic_auth_users: {alice: [s3cret]}",
            "rate_limit: {interval: s3cret}",
            "rate_limit: {burst: s3cret}",
            "s3cret",
            "[s3cret]",
            "tls_server_config: {client_allowed_sans: s3cret}",
        ] {
            let error = check(text, Path::new("/")).err().expect(text);
            assert!(!error.contains("s3cret") && !error.contains("5489639") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn sections_may_be_empty() {
        for text in
            ["", "# nothing\n", "---\n", "{}", "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n"]
        {
            let checked = check(text, Path::new("/")).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert!(checked.tls.is_none() && checked.http2 && checked.users.is_empty() && checked.rate.is_none());
        }
    }

    #[test]
    fn rate_limits_are_read_as_go_does() {
        let rate = |text: &str| check(&format!("rate_limit: {text}"), Path::new("/")).map(|checked| checked.rate);
        assert_eq!(rate("{interval: 1m30s, burst: 5}").unwrap(), Some(RateLimit { interval: Duration::from_secs(90), burst: 5 }));
        assert_eq!(rate("{interval: 1000000, burst: 1}").unwrap().unwrap().interval, Duration::from_millis(1));
        assert_eq!(rate("{interval: 0, burst: 5}").unwrap(), None);
        assert!(rate("{interval: 1s}").is_err() && rate("{interval: -1s, burst: 1}").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = check(&text, Path::new("/"));
        }
    }
}
