//! Protocol buffers, as far as engines are asked with them: fields of a message one by one, and messages of texts.
//!
//! Own code of a screen, since the messages need a dozen fields and the image has a limit: what is generated from the engines' descriptions would
//! weigh more than all else that speaks to them.

use super::transport::Refusal;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// `int64`, `uint32`, `bool`, an `enum`.
    Number(u64),
    /// `string`, `bytes`, a message, an entry of a map.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A text; what is no UTF-8 is replaced, what is no text is empty.
    pub(super) fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => &[],
        }
    }

    pub(super) fn number(self) -> u64 {
        match self {
            Value::Number(number) => number,
            Value::Bytes(_) => 0,
        }
    }
}

/// Calls `read` with the number and the value of every field of `message`, in its order; fields of fixed length are passed over.
pub(super) fn fields<'a>(
    mut message: &'a [u8],
    mut read: impl FnMut(u64, Value<'a>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let fixed = match key & 7 {
            0 => {
                read(key >> 3, Value::Number(varint(&mut message)?))?;
                continue;
            }
            2 => {
                let length = usize::try_from(varint(&mut message)?).map_err(|_| Refusal::Nonsense)?;
                read(key >> 3, Value::Bytes(take(&mut message, length)?))?;
                continue;
            }
            1 => 8,
            5 => 4,
            _ => return Err(Refusal::Nonsense),
        };
        take(&mut message, fixed)?;
    }
    Ok(())
}

/// The value of the last field of this number, as the rules of the format want it.
pub(super) fn field(message: &[u8], number: u64) -> Result<Option<Value<'_>>, Refusal> {
    let mut found = None;
    fields(message, |at, value| {
        if at == number {
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Calls `read` with every message of the field 1: that is where lists have theirs.
pub(super) fn items<'a>(list: &'a [u8], mut read: impl FnMut(&'a [u8]) -> Result<(), Refusal>) -> Result<(), Refusal> {
    fields(list, |number, value| if number == 1 { read(value.bytes()) } else { Ok(()) })
}

/// An entry of a `map<string, _>`.
pub(super) fn entry(message: &[u8]) -> Result<(String, Value<'_>), Refusal> {
    let key = field(message, 1)?.map_or_else(String::new, Value::text);
    Ok((key, field(message, 2)?.unwrap_or(Value::Bytes(&[]))))
}

/// A message whose fields are texts.
pub(super) fn message(texts: &[(u8, &str)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, text) in texts {
        message.push(number << 3 | 2);
        let mut length = text.len();
        while length > 0x7f {
            message.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap_or(0));
        message.extend_from_slice(text.as_bytes());
    }
    message
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refusal> {
    let (taken, rest) = message.split_at_checked(length).ok_or(Refusal::Nonsense)?;
    *message = rest;
    Ok(taken)
}

fn varint(message: &mut &[u8]) -> Result<u64, Refusal> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take(message, 1)? else { return Err(Refusal::Nonsense) };
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Refusal::Nonsense)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_field_by_field() {
        // 1: "ab", 2: 300, 3: fixed 64, 4: fixed 32, 1: "c"
        let bytes = b"\x0a\x02ab\x10\xac\x02\x19\0\0\0\0\0\0\0\0\x25\0\0\0\0\x0a\x01c";
        let mut found = Vec::new();
        fields(bytes, |number, value| {
            found.push((number, value));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [(1, Value::Bytes(b"ab")), (2, Value::Number(300)), (1, Value::Bytes(b"c"))]);
        assert_eq!(field(bytes, 1).unwrap().unwrap().text(), "c");
        assert_eq!(field(bytes, 9).unwrap(), None);
        for wrong in
            [&b"\x0a\x05ab"[..], b"\x0a", b"\x0b", b"\x10\xff", &[0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]]
        {
            assert!(fields(wrong, |_, _| Ok(())).is_err(), "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(bytes: Vec<u8>) {
            _ = fields(&bytes, |_, value| {
                _ = (value.text(), value.number());
                Ok(())
            });
            _ = entry(&bytes);
        }

        #[test]
        fn what_is_written_is_read(one: String, long in ".{100,400}") {
            let bytes = message(&[(1, &one), (2, &long)]);
            proptest::prop_assert_eq!(entry(&bytes).unwrap().0, one);
            proptest::prop_assert_eq!(entry(&bytes).unwrap().1.text(), long);
        }
    }
}
