//! Messages as they go over the wire: method calls out, their answers in. By the D-Bus specification 0.42, protocol version 1.

/// The largest message that is read: systemd's list of units takes about 250 bytes a unit.
const MOST: usize = 8 << 20;

/// How deep arrays, structs and variants may lie in each other.
const DEEPEST: u8 = 16;

/// The length of what stands before a message's fields, their own length among it.
pub(super) const FIXED: usize = 16;

/// A method to call. All that is ever given to one of ours is strings.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Bus name of the service; empty where nobody is between us and the service.
    pub service: &'a str,
    /// Path of the object.
    pub path: &'a str,
    /// Interface of the method.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
    /// What it is given.
    pub args: &'a [&'a str],
}

impl Call<'_> {
    /// Appends the message.
    pub(super) fn write(&self, serial: u32, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        self.args.iter().for_each(|arg| text(arg, &mut body));
        let mut fields = Vec::new();
        let mut field = |code: u8, kind: u8, value: &str| {
            if !value.is_empty() {
                pad(&mut fields, 8);
                fields.extend([code, 1, kind, 0]);
                text(value, &mut fields);
            }
        };
        field(1, b'o', self.path);
        field(2, b's', self.interface);
        field(3, b's', self.member);
        field(6, b's', self.service);
        if !self.args.is_empty() {
            // The signature of the body is a type of its own: its length takes a byte.
            pad(&mut fields, 8);
            fields.extend([8, 1, b'g', 0, length(self.args.len()).to_le_bytes()[0]]);
            fields.extend(self.args.iter().map(|_| b's').chain([0]));
        }
        // Little-endian, a method call, no flags, version 1.
        out.extend([b'l', 1, 0, 1]);
        out.extend(length(body.len()).to_le_bytes());
        out.extend(serial.to_le_bytes());
        out.extend(length(fields.len()).to_le_bytes());
        pad(&mut fields, 8);
        out.extend(fields);
        out.extend(body);
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

/// A string: its length, itself, a zero.
fn text(text: &str, out: &mut Vec<u8>) {
    pad(out, 4);
    out.extend(length(text.len()).to_le_bytes());
    out.extend(text.as_bytes());
    out.push(0);
}

/// What came: an answer, an error, or something that we did not ask for.
#[derive(Debug)]
pub struct Message {
    bytes: Vec<u8>,
    body: usize,
    signature: String,
    /// The serial of the call that it answers.
    pub(super) answers: Option<u32>,
    /// The error's name, of an error.
    pub(super) error: Option<String>,
}

/// A value of any type, as far as we tell them apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `b`
    Flag(bool),
    /// `y`, `q`, `u`, `t`, `h`
    Number(u64),
    /// `n`, `i`, `x`, `d`: what none of our questions is answered with.
    Other,
    /// `s`, `o`, `g`
    Text(&'a str),
    /// `ay`
    Bytes(&'a [u8]),
    /// An array, a struct, or an entry of a map, which is a pair. A variant is what it holds.
    List(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// A string, path or signature.
    pub fn text(&self) -> Option<&'a str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// A number that cannot be negative.
    pub fn number(&self) -> Option<u64> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    /// A truth value.
    pub fn flag(&self) -> Option<bool> {
        if let Value::Flag(flag) = self { Some(*flag) } else { None }
    }

    /// What an array or struct holds; nothing of any other.
    pub fn items(&self) -> &[Value<'a>] {
        if let Value::List(items) = self { items } else { &[] }
    }

    /// The value of `key` in a map of strings.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.items().iter().find_map(|entry| match entry.items() {
            [name, value] if name.text() == Some(key) => Some(value),
            _ => None,
        })
    }
}

/// The length of the message that begins with `bytes`, once there are [`FIXED`] of them. Fails on what begins no message and on one
/// that is too long.
pub(super) fn measure(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let Some([order, _, _, version, ..]) = bytes.first_chunk::<FIXED>() else { return Ok(None) };
    if !matches!(order, b'l' | b'B') || *version != 1 {
        return Err("what came begins no message");
    }
    let mut reader = Reader { bytes, at: 4, is_big: *order == b'B' };
    let lengths = (reader.number(4), reader.number(4), reader.number(4));
    let (Some(body), Some(fields)) = (lengths.0, lengths.2) else { return Ok(None) };
    let length = |length: u64| usize::try_from(length).ok().filter(|length| *length <= MOST).ok_or("a message is too long");
    Ok(Some(FIXED + length(fields)?.next_multiple_of(8) + length(body)?))
}

impl Message {
    /// Reads a message that is whole, as [`measure`] has it.
    pub(super) fn read(bytes: Vec<u8>) -> Option<Self> {
        let is_big = bytes.first() == Some(&b'B');
        let kind = *bytes.get(1)?;
        let mut reader = Reader { bytes: &bytes, at: FIXED - 4, is_big };
        let (fields, _) = reader.value(b"a(yv)", DEEPEST)?;
        reader.align(8)?;
        let field = |code: u64| {
            let field = fields.items().iter().find(|field| field.items().first().and_then(Value::number) == Some(code))?;
            field.items().get(1).cloned()
        };
        let text = |code| field(code).and_then(|value| value.text()).map(str::to_owned);
        let answers = field(5).and_then(|value| value.number()).and_then(|serial| u32::try_from(serial).ok());
        // 2: it is what the method returned; 3: an error.
        let answers = answers.filter(|_| matches!(kind, 2 | 3));
        let error = (kind == 3).then(|| text(4).unwrap_or_default());
        let (body, signature) = (reader.at, text(8).unwrap_or_default());
        Some(Message { body, signature, answers, error, bytes })
    }

    /// The values that it carries; `None` where they are not what its signature says.
    pub fn body(&self) -> Option<Vec<Value<'_>>> {
        let bytes = self.bytes.get(self.body..)?;
        let mut reader = Reader { bytes, at: 0, is_big: self.bytes.first() == Some(&b'B') };
        let (mut rest, mut values) = (self.signature.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let (value, left) = reader.value(rest, DEEPEST)?;
            values.push(value);
            rest = left;
        }
        Some(values)
    }
}

/// Reads values off bytes whose first is aligned to eight.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_big: bool,
}

impl<'a> Reader<'a> {
    /// The value of the first type of `signature`, and what is left of that.
    fn value<'s>(&mut self, signature: &'s [u8], deepest: u8) -> Option<(Value<'a>, &'s [u8])> {
        let (kind, rest) = signature.split_first()?;
        let deeper = deepest.checked_sub(1)?;
        let value = match kind {
            b'y' => Value::Number(self.number(1)?),
            b'q' => Value::Number(self.number(2)?),
            b'u' | b'h' => Value::Number(self.number(4)?),
            b't' => Value::Number(self.number(8)?),
            b'b' => Value::Flag(self.number(4)? != 0),
            b'n' => self.number(2).map(|_| Value::Other)?,
            b'i' => self.number(4).map(|_| Value::Other)?,
            b'x' | b'd' => self.number(8).map(|_| Value::Other)?,
            b's' | b'o' => Value::Text(self.text(4)?),
            b'g' => Value::Text(self.text(1)?),
            b'v' => {
                let held = self.text(1)?;
                let (value, left) = self.value(held.as_bytes(), deeper)?;
                return left.is_empty().then_some((value, rest));
            }
            b'a' => return self.array(rest, deeper),
            b'(' => return self.fields(rest, b')', deeper),
            b'{' => return self.fields(rest, b'}', deeper),
            _ => return None,
        };
        Some((value, rest))
    }

    fn array<'s>(&mut self, signature: &'s [u8], deeper: u8) -> Option<(Value<'a>, &'s [u8])> {
        let length = usize::try_from(self.number(4)?).ok()?;
        let (item, rest) = signature.split_at(type_length(signature, deeper)?);
        self.align(alignment(*item.first()?))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        if item == b"y" {
            return Some((Value::Bytes(self.take(length)?), rest));
        }
        let mut items = Vec::new();
        while self.at < end {
            items.push(self.value(item, deeper)?.0);
        }
        (self.at == end).then_some((Value::List(items), rest))
    }

    fn fields<'s>(&mut self, signature: &'s [u8], close: u8, deeper: u8) -> Option<(Value<'a>, &'s [u8])> {
        self.align(8)?;
        let (mut rest, mut fields) = (signature, Vec::new());
        while *rest.first()? != close {
            let (field, left) = self.value(rest, deeper)?;
            fields.push(field);
            rest = left;
        }
        // One without a field would be read for ever where an array holds it.
        (!fields.is_empty()).then_some((Value::List(fields), rest.get(1..)?))
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.next_multiple_of(to);
        (self.at <= self.bytes.len()).then_some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// A number of so many bytes, aligned to them.
    fn number(&mut self, length: usize) -> Option<u64> {
        self.align(length)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let (bytes, is_big) = (self.take(length)?, self.is_big);
        Some(if is_big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    /// A string whose length takes so many bytes.
    fn text(&mut self, length: usize) -> Option<&'a str> {
        let length = usize::try_from(self.number(length)?).ok()?;
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.take(1)? == [0]).then_some(text)
    }
}

/// How many bytes of the signature its first type takes.
fn type_length(signature: &[u8], deepest: u8) -> Option<usize> {
    let deeper = deepest.checked_sub(1)?;
    match signature.first()? {
        b'a' => Some(1 + type_length(signature.get(1..)?, deeper)?),
        open @ (b'(' | b'{') => {
            let (close, mut at) = (if *open == b'(' { b')' } else { b'}' }, 1);
            while *signature.get(at)? != close {
                at += type_length(signature.get(at..)?, deeper)?;
            }
            Some(at + 1)
        }
        b')' | b'}' => None,
        _ => Some(1),
    }
}

fn alignment(kind: u8) -> usize {
    match kind {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes over the wire of an answer with these values; the serial of the call is 7.
    fn answer(signature: &str, body: &[u8]) -> Vec<u8> {
        let mut fields = vec![5, 1, b'u', 0, 7, 0, 0, 0, 8, 1, b'g', 0];
        fields.push(u8::try_from(signature.len()).unwrap());
        fields.extend(signature.bytes().chain([0]));
        let mut out = vec![b'l', 2, 1, 1];
        for number in [body.len(), 3, fields.len()] {
            out.extend(length(number).to_le_bytes());
        }
        pad(&mut fields, 8);
        [out, fields, body.to_vec()].concat()
    }

    #[test]
    fn a_call_is_as_the_specification_has_it() {
        let call = Call { service: "a.b", path: "/p", interface: "i.j", member: "Get", args: &["x", "yz"] };
        let mut out = Vec::new();
        call.write(258, &mut out);
        assert_eq!(measure(&out), Ok(Some(out.len())));
        let fields = b"\x01\x01o\0\x02\0\0\0/p\0\0\0\0\0\0\x02\x01s\0\x03\0\0\0i.j\0\0\0\0\0\x03\x01s\0\x03\0\0\0Get\0\0\0\0\0\
            \x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0\x08\x01g\0\x02ss\0";
        let begin = [b'l', 1, 0, 1, 15, 0, 0, 0, 2, 1, 0, 0, 72, 0, 0, 0];
        let body = b"\x01\0\0\0x\0\0\0\x02\0\0\0yz\0";
        assert_eq!(out, [&begin[..], fields, body].concat());
    }

    #[test]
    fn answers_are_read() {
        // {"Remote": <true>, "Max": <300>}, in both orders of bytes.
        let remote = b"\x06\0\0\0Remote\0\x01b\0\0\0\x01\0\0\0\0\0\0\0";
        let most = b"\x03\0\0\0Max\0\x01t\0\0\0\0\0\0\x2c\x01\0\0\0\0\0\0";
        let body = [&b"\x30\0\0\0\0\0\0\0"[..], remote, most].concat();
        let message = Message::read(answer("a{sv}", &body)).unwrap();
        assert_eq!((message.answers, &message.error), (Some(7), &None));
        let values = message.body().unwrap();
        assert_eq!(values[0].get("Remote").and_then(Value::flag), Some(true));
        assert_eq!(values[0].get("Max").and_then(Value::number), Some(300));
        assert_eq!(values[0].get("Type"), None);
        let mut reader = Reader { bytes: &[0, 0, 1, 44, 0, 0, 0, 1, b'x', 0], at: 0, is_big: true };
        assert_eq!((reader.number(4), reader.text(4)), (Some(300), Some("x")));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (signature, body) in
            [("s", &b"\x09\0\0\0x\0"[..]), ("s", b"\x01\0\0\0\xff\0"), ("a()", b"\x08\0\0\0\0\0\0\0"), ("(", b""), ("z", b"")]
        {
            assert_eq!(Message::read(answer(signature, body)).unwrap().body(), None, "{signature}");
        }
        assert!(measure(b"HTTP/1.1 400 Bad").is_err());
        assert!(measure(&[b'l', 2, 0, 1, 0, 0, 0, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert_eq!(measure(b"l\x02\0\x01"), Ok(None));
        let deep = [1, b'v', 0].repeat(100);
        assert_eq!(Message::read(answer("v", &deep)).unwrap().body(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_signature_are_harmless(signature in "[a(){}yvsogbutnixdq]{0,12}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(message) = Message::read(answer(&signature, &body)) {
                let _ = message.body();
            }
            let _ = (Message::read(body.clone()), measure(&body));
        }
    }
}
