//! What a request says: filters, time, encodings.

use std::time::Duration;

use hyper::header::{ACCEPT_ENCODING, HOST};
use hyper::{HeaderMap, Request, Version};

/// What is wrong with a request that hyper lets pass and Go's servers do not, in their words: whoever stands between might
/// read another host in it than we do (RFC 9112, 3.2).
pub(super) fn fault<B>(request: &Request<B>) -> Option<&'static str> {
    match request.headers().get_all(HOST).iter().count() {
        0 if request.version() == Version::HTTP_11 => Some("400 Bad Request: missing required Host header\n"),
        0 | 1 => None,
        _ => Some("400 Bad Request: too many Host headers\n"),
    }
}

/// The `collect[]` and `exclude[]` of a query string, in the order given.
pub(super) fn filters(query: &str) -> (Vec<String>, Vec<String>) {
    let (mut collect, mut exclude) = (Vec::new(), Vec::new());
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "collect[]" => collect.push(value.into_owned()),
            "exclude[]" => exclude.push(value.into_owned()),
            _ => {}
        }
    }
    (collect, exclude)
}

/// All pairs of a query string.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

/// How long this scrape may take: the scraper's own limit less the margin, but never more than `longest`.
pub(super) fn time(headers: &HeaderMap, longest: Duration, margin: Duration) -> Duration {
    let limit = headers
        .get("x-prometheus-scrape-timeout-seconds")
        .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|limit| !limit.is_zero());
    match limit {
        // Where the margin would take all or most of it, half must do.
        Some(limit) => limit.saturating_sub(margin).max(limit / 2).min(longest),
        None => longest,
    }
}

/// Whether the peer takes gzip: named, or `*`, and not with `q=0`.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for header in headers.get_all(ACCEPT_ENCODING) {
        for offer in header.to_str().unwrap_or_default().split(',') {
            let mut parts = offer.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default();
            let refused = parts.any(|part| part.strip_prefix("q=").and_then(|q| q.parse::<f64>().ok()) == Some(0.0));
            if coding.eq_ignore_ascii_case("gzip") {
                return !refused;
            }
            if coding == "*" {
                any = Some(!refused);
            }
        }
    }
    any.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(hyper::header::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn the_time_is_the_smaller_of_both_limits() {
        let time = |value| {
            time(&headers("x-prometheus-scrape-timeout-seconds", value), Duration::from_secs(10), Duration::from_millis(250))
                .as_millis()
        };
        assert_eq!(time("5"), 4750);
        assert_eq!(time("0.2"), 100);
        assert_eq!(time("60"), 10_000);
        for odd in ["0", "-1", "NaN", "inf", "x", "1e300"] {
            assert_eq!(time(odd), 10_000, "{odd}");
        }
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (value, takes) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("*", true),
            ("identity", false),
            ("*;q=0", false),
        ] {
            assert_eq!(takes_gzip(&headers("accept-encoding", value)), takes, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn queries_are_decoded() {
        let (collect, exclude) = filters("collect%5B%5D=cpu&collect[]=a%20b&exclude[]=stat&x=y&&=");
        assert_eq!((collect, exclude), (vec!["cpu".into(), "a b".into()], vec!["stat".into()]));
    }
}
