//! RESP2, the language of Redis: commands out, replies in.
//!
//! A reply is found whole before any of it is read, so that what a server claims of its length costs nothing, and then cut out of the
//! bytes that came, without copying: INFO is most of what a scrape reads.

use bytes::{Buf, Bytes};

use crate::settings::Secret;

/// The deepest list in a list that any server sends is 4 (LATENCY HISTOGRAM, XINFO STREAM).
const DEPTH: usize = 16;

/// Commands as they are sent: `*2\r\n$4\r\nINFO\r\n$3\r\nALL\r\n`
#[derive(Clone, Debug, Default)]
pub(super) struct Cmd {
    words: usize,
    bytes: Vec<u8>,
}

impl Cmd {
    /// A command of these words.
    pub(super) fn of(words: &[&[u8]]) -> Self {
        let mut command = Cmd::default();
        command.args(words);
        command
    }

    /// AUTH.
    pub(super) fn login(user: Option<&str>, password: &Secret) -> Self {
        let mut command = Cmd::of(&[b"AUTH"]);
        command.args(user.as_slice()).arg(password.reveal());
        command
    }

    /// One word more.
    pub(super) fn arg(&mut self, word: impl AsRef<[u8]>) -> &mut Self {
        let (word, mut length) = (word.as_ref(), itoa::Buffer::new());
        self.words += 1;
        self.bytes.push(b'$');
        for part in [length.format(word.len()).as_bytes(), b"\r\n", word, b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
        self
    }

    /// Some words more.
    pub(super) fn args<W: AsRef<[u8]>>(&mut self, words: &[W]) -> &mut Self {
        for word in words {
            self.arg(word);
        }
        self
    }

    /// Appends the command to a request.
    pub(super) fn write(&self, request: &mut Vec<u8>) {
        request.push(b'*');
        request.extend_from_slice(itoa::Buffer::new().format(self.words).as_bytes());
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&self.bytes);
    }
}

/// A reply, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// `$-1`, `*-1`
    Nil,
    /// `:42`
    Int(i64),
    /// `$4\r\nINFO`: any bytes.
    Bulk(Bytes),
    /// `+OK`: a word of the server.
    Simple(Bytes),
    /// `-ERR no such key`: the server refuses.
    Error(Bytes),
    /// `*2` and two replies.
    Array(Vec<Value>),
}

impl Value {
    /// Cuts the first reply out of `bytes`; `None` if they do not begin with a whole one.
    pub(super) fn take(bytes: &mut Bytes) -> Option<Self> {
        let length = match Finder::new(1).find(bytes) {
            Ok(Found::All(length)) => length,
            _ => return None,
        };
        cut(&mut bytes.split_to(length), 0)
    }
}

/// What is known of the end of some replies.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All are there, and end here.
    All(usize),
    /// They are at least so long.
    More(usize),
}

/// What came is no RESP2.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotResp;

/// Looks for the end of some replies while they come in, looking at each byte once.
#[derive(Debug)]
pub(super) struct Finder {
    /// Where the next part begins.
    at: usize,
    /// Up to here there is no end of its line.
    searched: usize,
    /// Parts to come, of the replies and of each list that we are in.
    left: Vec<usize>,
}

impl Finder {
    /// For so many replies.
    pub(super) fn new(replies: usize) -> Self {
        Finder { at: 0, searched: 0, left: vec![replies] }
    }

    /// Goes on in `bytes`, which are those of the last call and what came since.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Found, NotResp> {
        loop {
            while self.left.last() == Some(&0) {
                self.left.pop();
            }
            let Some(left) = self.left.last_mut() else { return Ok(Found::All(self.at)) };
            let Some(end) = bytes.get(self.searched..).and_then(|rest| memchr::memchr(b'\n', rest)) else {
                self.searched = bytes.len().max(self.searched);
                return Ok(Found::More(bytes.len() + 1));
            };
            let next = self.searched + end + 1;
            let line = bytes.get(self.at..next).and_then(|line| line.strip_suffix(b"\r\n")).ok_or(NotResp)?;
            let (end, list) = match Line::of(line).ok_or(NotResp)? {
                Line::Bulk(length) => {
                    let end = next.checked_add(length).and_then(|end| end.checked_add(2)).ok_or(NotResp)?;
                    match bytes.get(end - 2..end) {
                        Some(b"\r\n") => (end, None),
                        Some(_) => return Err(NotResp),
                        None => return Ok(Found::More(end)),
                    }
                }
                Line::List(length) => (next, Some(length)),
                Line::Nil | Line::Int(_) | Line::Simple | Line::Error => (next, None),
            };
            *left -= 1;
            self.left.extend(list);
            if self.left.len() > DEPTH {
                return Err(NotResp);
            }
            (self.at, self.searched) = (end, end);
        }
    }
}

/// The line that a part begins with, and for most kinds is.
enum Line {
    Nil,
    Int(i64),
    Simple,
    Error,
    /// So many bytes follow.
    Bulk(usize),
    /// So many parts follow.
    List(usize),
}

impl Line {
    fn of(line: &[u8]) -> Option<Self> {
        let (kind, rest) = line.split_first()?;
        let number = || std::str::from_utf8(rest).ok()?.parse::<i64>().ok();
        Some(match kind {
            b'+' => Line::Simple,
            b'-' => Line::Error,
            b':' => Line::Int(number()?),
            b'$' | b'*' if rest == b"-1" => Line::Nil,
            b'$' => Line::Bulk(number()?.try_into().ok()?),
            b'*' => Line::List(number()?.try_into().ok()?),
            _ => return None,
        })
    }
}

/// Cuts a reply out of bytes in which [`Finder`] has found it whole.
fn cut(bytes: &mut Bytes, depth: usize) -> Option<Value> {
    let end = memchr::memchr(b'\n', bytes).filter(|end| *end > 0 && depth < DEPTH)?;
    let mut line = bytes.split_to(end + 1);
    line.truncate(end - 1);
    Some(match Line::of(&line)? {
        Line::Nil => Value::Nil,
        Line::Int(number) => Value::Int(number),
        Line::Simple => Value::Simple(line.slice(1..)),
        Line::Error => Value::Error(line.slice(1..)),
        Line::Bulk(length) if bytes.len() >= length + 2 => {
            let bulk = bytes.split_to(length);
            bytes.advance(2);
            Value::Bulk(bulk)
        }
        // Each part is 3 bytes at least: nothing is set aside for more than there is.
        Line::List(length) if bytes.len() >= length.saturating_mul(3) => {
            let mut list = Vec::with_capacity(length);
            for _ in 0..length {
                list.push(cut(bytes, depth + 1)?);
            }
            Value::Array(list)
        }
        Line::Bulk(_) | Line::List(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_command_as_it_is_sent() {
        let mut request = Vec::new();
        Cmd::of(&[b"LATENCY", b"HISTOGRAM"]).arg("config|get").arg(b"").write(&mut request);
        assert_eq!(request, b"*4\r\n$7\r\nLATENCY\r\n$9\r\nHISTOGRAM\r\n$10\r\nconfig|get\r\n$0\r\n\r\n");
    }

    #[test]
    fn all_kinds_of_replies() {
        let mut bytes = text("*6\r\n+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*1\r\n*0\r\n:1\r\n");
        let list = Value::Array(vec![Value::Array(Vec::new())]);
        let parts = [
            Value::Simple(text("OK")),
            Value::Error(text("ERR no")),
            Value::Int(-7),
            Value::Bulk(text("a\r\n")),
            Value::Nil,
            list,
        ];
        assert_eq!(Value::take(&mut bytes), Some(Value::Array(parts.to_vec())));
        assert_eq!((Value::take(&mut bytes), Value::take(&mut bytes)), (Some(Value::Int(1)), None));
    }

    #[test]
    fn what_is_no_reply() {
        for wrong in
            ["x\r\n", "\r\n", "+OK\n", "$-2\r\n", "$1\r\nabc", "*-2\r\n", ":\r\n", ":1x\r\n", "$99999999999999999999\r\n"]
        {
            assert_eq!(Finder::new(1).find(wrong.as_bytes()), Err(NotResp), "{wrong:?}");
        }
        assert_eq!(Finder::new(1).find("*1\r\n".repeat(DEPTH).as_bytes()), Err(NotResp));
        assert_eq!(Finder::new(1).find(b"$1000000000\r\n"), Ok(Found::More(1_000_000_015)), "known before it comes");
        assert_eq!(Finder::new(1).find(b"*1000000000\r\n:1\r\n"), Ok(Found::More(18)));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            any::<Vec<u8>>().prop_map(|bytes| Value::Bulk(bytes.into())),
            "[^\r\n]{0,9}".prop_map(|text| Value::Simple(text.into())),
            "[^\r\n]{0,9}".prop_map(|text| Value::Error(text.into())),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| proptest::collection::vec(inner, 0..8).prop_map(Value::Array))
    }

    fn written(value: &Value, out: &mut Vec<u8>) {
        let mut line = |mark: &str, text: &[u8]| out.extend([mark.as_bytes(), text, b"\r\n"].concat());
        match value {
            Value::Nil => line("$-1", b""),
            Value::Int(number) => line(":", number.to_string().as_bytes()),
            Value::Simple(text) => line("+", text),
            Value::Error(text) => line("-", text),
            Value::Bulk(bytes) => {
                line("$", bytes.len().to_string().as_bytes());
                line("", bytes);
            }
            Value::Array(list) => {
                line("*", list.len().to_string().as_bytes());
                list.iter().for_each(|value| written(value, out));
            }
        }
    }

    proptest! {
        #[test]
        fn replies_are_found_whole_however_they_come(values in proptest::collection::vec(value(), 1..5), step in 1usize..40) {
            let mut bytes = Vec::new();
            values.iter().for_each(|value| written(value, &mut bytes));
            let mut finder = Finder::new(values.len());
            for end in (0..bytes.len()).step_by(step) {
                prop_assert!(matches!(finder.find(&bytes[..end]), Ok(Found::More(more)) if more > end && more <= bytes.len()));
            }
            prop_assert_eq!(finder.find(&bytes), Ok(Found::All(bytes.len())));
            let mut bytes = Bytes::from(bytes);
            for value in values {
                prop_assert_eq!(Value::take(&mut bytes), Some(value));
            }
        }

        #[test]
        fn any_bytes_are_replies_or_none(bytes: Vec<u8>) {
            let _ = Value::take(&mut bytes.into());
        }
    }
}
