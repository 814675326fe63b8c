//! gRPC's messages in a stream of bytes, each behind a head of five: `00 00000002 "ab"`, not compressed and two bytes long.

use bytes::{Bytes, BytesMut};

use super::transport::{LONGEST, Refusal};

/// A message in its envelope.
pub(super) fn seal(message: &[u8]) -> Result<Bytes, Refusal> {
    let length = u32::try_from(message.len()).map_err(|_| Refusal::Nonsense)?;
    Ok([&[0][..], &length.to_be_bytes(), message].concat().into())
}

/// What has come of messages that were not taken yet, in whatever pieces.
#[derive(Debug, Default)]
pub(super) struct Envelopes {
    buffer: BytesMut,
}

impl Envelopes {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message; `None` until all of it has come. A compressed one was never asked for, and one that is too long is not waited for.
    pub(super) fn take(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<5>() else { return Ok(None) };
        let [0, length @ ..] = *head else { return Err(Refusal::Nonsense) };
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| Refusal::TooLong)?;
        if length > LONGEST {
            return Err(Refusal::TooLong);
        }
        if rest.len() < length {
            return Ok(None);
        }
        let mut message = self.buffer.split_to(5 + length);
        Ok(Some(message.split_off(5).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages that `bytes` bring in pieces of this size, and how it ended.
    fn taken(bytes: &[u8], piece: usize) -> (Vec<Bytes>, Option<String>) {
        let (mut envelopes, mut messages) = (Envelopes::default(), Vec::new());
        for bytes in bytes.chunks(piece) {
            envelopes.push(bytes);
            loop {
                match envelopes.take() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(refusal) => return (messages, Some(refusal.to_string())),
                }
            }
        }
        (messages, None)
    }

    #[test]
    fn messages_come_in_any_pieces() {
        assert_eq!(&seal(b"ab").unwrap()[..], b"\0\0\0\0\x02ab");
        let bytes = [seal(b"ab").unwrap(), seal(b"").unwrap(), seal(&[7; 300]).unwrap()].concat();
        let all = vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from(vec![7; 300])];
        for piece in 1..=bytes.len() {
            assert_eq!(taken(&bytes, piece), (all.clone(), None));
        }
        assert_eq!(taken(&bytes[..bytes.len() - 1], 1), (all[..2].to_vec(), None), "the last one is cut off");
    }

    #[test]
    fn what_no_answer_should_be_is_refused_at_its_head() {
        for (bytes, reason) in [
            (&b"\x01\0\0\0\x02ab"[..], "answer not understood"),
            (b"HTTP/1.1 400 Bad Request", "answer not understood"),
            (b"\0\xff\xff\xff\xff", "the answer is longer than 64 MiB"),
            (b"\0\x04\0\0\x01", "the answer is longer than 64 MiB"),
        ] {
            assert_eq!(taken(bytes, 5), (Vec::new(), Some(reason.to_owned())), "{bytes:?}");
        }
        assert_eq!(taken(b"\0\x04\0\0\0", 5), (Vec::new(), None), "as long as may be");
    }
}
