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
    // An engine answers HTTP/1.0 without chunks, and closes.
    stream.write_all(format!("GET /images/{id}/json HTTP/1.0\r\nHost: docker\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer).await.ok()?;
    parse(&answer)
}

/// `HTTP/1.0 200 OK`, headers, an empty line, `{"Config":{"Labels":{"key":"value"}}}`
fn parse(answer: &[u8]) -> Option<HashMap<String, String>> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    let image: Image = serde_json::from_slice(answer.get(end + 4..)?).ok()?;
    Some(image.config.and_then(|config| config.labels).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

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
