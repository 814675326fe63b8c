//! `/sd`, `/sd/postgres`, `/sd/redis`: every database as a target of its own, for Prometheus' `http_sd_configs`.
//!
//! ```json
//! [{"targets": ["agent:9100"],
//!   "labels": {"__metrics_path__": "/probe", "__param_target": "shop-db", "instance": "shop-db", "__meta_stack_exporter_part": "postgres"}}]
//! ```
//!
//! The address is that by which the agent was asked, so whoever reaches `/sd` reaches the targets. The scheme is the job's own.

use std::sync::Arc;

use hyper::header::HOST;
use hyper::{HeaderMap, Uri};
use serde_json::{Value, json};

use crate::scrape::{Part, Sources};

/// The longest name of a host, and its port.
const LONGEST: usize = 260;

/// Which databases a path lists; `None` where it is none of these.
pub(super) fn parts(path: &str) -> Option<&'static [Part]> {
    match path {
        "/sd" => Some(&[Part::Postgres, Part::Redis]),
        "/sd/postgres" => Some(&[Part::Postgres]),
        "/sd/redis" => Some(&[Part::Redis]),
        _ => None,
    }
}

/// Where the page of one database of `part` lies.
fn page(part: Part) -> &'static str {
    match part {
        Part::Postgres => "/probe",
        _ => "/scrape",
    }
}

/// By which address a request came: HTTP/2's authority, or `Host`. `None` where there is none that could be one.
pub(super) fn address<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let named = || headers.get(HOST)?.to_str().ok();
    let address = uri.authority().map(|authority| authority.as_str()).or_else(named)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(&byte);
    (!address.is_empty() && address.len() <= LONGEST && address.bytes().all(fits)).then_some(address)
}

/// The databases of `parts` that can be asked for one by one.
pub(super) fn list(sources: &Sources, parts: &[Part], address: &str, prefix: &str) -> String {
    let served: Vec<Part> = parts.iter().copied().filter(|part| sources.route(page(*part)).is_some()).collect();
    let mut all: Vec<Arc<_>> = sources.all().into_iter().filter(|source| served.contains(&source.part)).collect();
    all.sort_by(|one, other| (one.part.name(), &one.name).cmp(&(other.part.name(), &other.name)));
    let group = |source: &Arc<crate::scrape::Source>| {
        let path = format!("{prefix}{}", page(source.part));
        let labels = json!({
            "__meta_stack_exporter_part": source.part.name(),
            "__metrics_path__": path,
            "__param_target": source.name,
            "instance": source.name,
        });
        json!({"targets": [address], "labels": labels})
    };
    Value::Array(all.iter().map(group).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_an_address_is_handed_on() {
        let host = |text: &str| HeaderMap::from_iter([(HOST, text.parse().unwrap())]);
        let plain = Uri::from_static("/sd");
        for good in ["agent", "agent:9100", "192.0.2.1:9100", "[::1]:9100", "[fe80::1%25eth0]:9100"] {
            assert_eq!(address(&plain, &host(good)), Some(good));
        }
        for bad in ["", "a b", "a/b", "a@b", "a\"b", "a,b", &"a".repeat(261)] {
            assert_eq!(address(&plain, &host(bad)), None, "{bad}");
        }
        assert_eq!(address(&plain, &HeaderMap::new()), None);
        assert_eq!(address(&Uri::from_static("https://agent:1/sd"), &host("other")), Some("agent:1"));
    }
}
