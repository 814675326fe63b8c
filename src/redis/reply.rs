//! Replies of the server as plain text, numbers and lists.

use std::borrow::Cow;

use super::resp::Value;
use crate::system::text;

/// The text of a reply; `None` where it is no text.
pub(super) fn text(reply: &Value) -> Option<Cow<'_, str>> {
    match reply {
        Value::Bulk(bytes) | Value::Simple(bytes) => Some(text::utf8(bytes)),
        _ => None,
    }
}

/// The whole number in a reply, which may stand in a text.
pub(super) fn integer(reply: &Value) -> Option<i64> {
    match reply {
        Value::Int(number) => Some(*number),
        other => text(other)?.trim().parse().ok(),
    }
}

/// The elements of a list; none where it is no list.
pub(super) fn list(reply: &Value) -> &[Value] {
    match reply {
        Value::Array(list) => list,
        _ => &[],
    }
}

/// The pairs of a flat list `[key, value, key, value]`.
pub(super) fn pairs(reply: &Value) -> impl Iterator<Item = (Cow<'_, str>, &Value)> {
    list(reply).chunks_exact(2).filter_map(|pair| match pair {
        [key, value] => Some((text(key)?, value)),
        _ => None,
    })
}

/// The start of a server's words, for a label: what it says of its protected mode has 1,000 characters.
pub(super) fn short(words: &str) -> &str {
    words.char_indices().nth(200).and_then(|(end, _)| words.get(..end)).unwrap_or(words)
}

/// What the server said when it refused: its error as one line, without what it may quote of our command (the password of AUTH,
/// on a server that does not know AUTH).
pub(super) fn refusal(reply: &Value) -> Option<String> {
    let Value::Error(words) = reply else { return None };
    let words = text::utf8(words);
    let words = words.split_once(", with args beginning with").map_or(&*words, |(before, _)| before);
    Some(words.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(bytes: &'static [u8]) -> Value {
        Value::take(&mut bytes::Bytes::from_static(bytes)).unwrap()
    }

    #[test]
    fn a_refusal_does_not_quote_the_command() {
        let quoting = reply(b"-ERR unknown command 'AUTH', with args beginning with: 'hunter2' \r\n");
        assert_eq!(refusal(&quoting).unwrap(), "ERR unknown command 'AUTH'");
        assert_eq!(refusal(&reply(b"-NOAUTH Authentication required.\r\n")).unwrap(), "NOAUTH Authentication required.");
        assert_eq!(refusal(&reply(b"+OK\r\n")), None);
        assert_eq!((short("ERR no"), short(&"ü".repeat(1_000))), ("ERR no", &*"ü".repeat(200)));
    }

    #[test]
    fn lists_and_numbers() {
        let reply = reply(b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n$2\r\n-2\r\n");
        let pairs: Vec<_> = pairs(&reply).map(|(key, value)| (key.into_owned(), integer(value))).collect();
        assert_eq!(pairs, [("a".into(), Some(1)), ("b".into(), Some(-2))]);
        assert!(list(&Value::Nil).is_empty());
    }
}
