//! The labels that an image brings with it, to tell them from those that the operator wrote.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The most that is read of an answer.
const LIMIT: u64 = 4 * 1024 * 1024;

#[derive(serde::Deserialize)]
struct Image {
    #[serde(rename = "Config")]
    config: Option<Config>,
}

#[derive(serde::Deserialize)]
struct Config {
    #[serde(rename = "Labels")]
    labels: Option<HashMap<String, String>>,
}

/// The labels of the image of this id, or `None` if the engine does not tell.
///
/// Asked by hand: of the whole answer, which the client would read, one field is needed.
pub(super) async fn labels(socket: &str, id: &str) -> Option<HashMap<String, String>> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':') {
        return None;
    }
    let mut stream = UnixStream::connect(socket).await.ok()?;
    // An engine answers HTTP/1.0 without chunks, and closes; what stands between us and it may leave the connection open.
    stream.write_all(format!("GET /images/{id}/json HTTP/1.0\r\nHost: docker\r\n\r\n").as_bytes()).await.ok()?;
    let (mut answer, mut stream) = (Vec::new(), stream.take(LIMIT));
    while stream.read_buf(&mut answer).await.ok()? > 0 && !is_whole(&answer) {}
    parse(&answer)
}

/// `HTTP/1.0 200 OK`, headers, an empty line, the body.
fn cut(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    Some((std::str::from_utf8(answer.get(..end)?).ok()?, answer.get(end + 4..)?))
}

/// Whether the body is as long as `Content-Length: 42` says, where it is said.
fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = cut(answer) else { return false };
    let length =
        head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, length)| length.trim().parse::<usize>().ok()).is_some_and(|length| body.len() >= length)
}

/// `{"Config":{"Labels":{"key":"value"}}}`
fn parse(answer: &[u8]) -> Option<HashMap<String, String>> {
    let (head, body) = cut(answer)?;
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    let image: Image = serde_json::from_slice(body).ok()?;
    Some(image.config.and_then(|config| config.labels).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_it_says() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        for (text, whole) in
            [("", false), (head, false), (&format!("{head}{{"), false), (&format!("{head}{{}}"), true), ("a\r\n\r\nb", false)]
        {
            assert_eq!(is_whole(text.as_bytes()), whole, "{text:?}");
        }
    }

    #[test]
    fn only_a_whole_answer_is_one() {
        let labels = parse(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"Config\":{\"Labels\":{\"a\":\"b\"},\"User\":\"\"}}").unwrap();
        assert_eq!(labels, HashMap::from([("a".to_owned(), "b".to_owned())]));
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n{\"Config\":null}").unwrap().is_empty());
        for none in [
            &b""[..],
            b"HTTP/1.0 404 x\r\n\r\n{}",
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\n{\"Config\":{\"Labels\":3}}",
        ] {
            assert!(parse(none).is_none());
        }
    }
}
