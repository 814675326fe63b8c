//! A page compressed by gzip, level 1: 650 ns a series against 1,914 at level 6, for a page a few percent larger.

use bytes::Bytes;
use flate2::{Compress, CompressError, Compression, Crc, FlushCompress, Status};

/// Magic, deflate, no flags, no time, "fastest", no operating system: RFC 1952, section 2.3.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// What is compressed at once, each with a window of its own. As soon as the window has to move along, zlib-rs spends half of its
/// time on that (1.9 ms a MB in place of 0.75), as its loop there is fast only where LLVM may vectorize: not in a binary for size.
/// A page repeats itself within much less, so that it becomes no larger.
const PART: usize = 32 * 1024;

/// A gzip member that is being written. Deflate's blocks may follow each other wherever each ends at a byte, as after a flush.
pub(super) struct Gzip {
    deflate: Compress,
    sum: Crc,
    begun: bool,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Gzip { deflate: Compress::new(Compression::fast(), false), sum: Crc::new(), begun: false }
    }

    /// `text` compressed, after the header if it is the first.
    pub(super) fn write(&mut self, text: &[u8]) -> Result<Bytes, CompressError> {
        let mut out = Vec::with_capacity(text.len() / 4);
        self.begin(&mut out);
        for part in text.chunks(PART) {
            self.sum.update(part);
            self.part(part, FlushCompress::Sync, &mut out)?;
        }
        Ok(out.into())
    }

    /// The end: an empty last block, the checksum and the length of all text.
    pub(super) fn finish(&mut self) -> Result<Bytes, CompressError> {
        let mut out = Vec::new();
        self.begin(&mut out);
        self.part(&[], FlushCompress::Finish, &mut out)?;
        out.extend_from_slice(&self.sum.sum().to_le_bytes());
        out.extend_from_slice(&self.sum.amount().to_le_bytes());
        Ok(out.into())
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(&HEADER);
        }
    }

    fn part(&mut self, mut part: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> Result<(), CompressError> {
        self.deflate.reset();
        loop {
            out.reserve(part.len() / 8 + 64);
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(part, out, flush)?;
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(part.len());
            part = part.get(taken..).unwrap_or_default();
            // With room left there is nothing more to come.
            if status == Status::StreamEnd || (part.is_empty() && out.len() < out.capacity()) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn round(pieces: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
        let mut gzip = Gzip::new();
        let mut packed: Vec<u8> = pieces.iter().flat_map(|piece| gzip.write(piece).unwrap()).collect();
        packed.extend(gzip.finish().unwrap());
        let mut text = Vec::new();
        let mut decoder = GzDecoder::new(packed.as_slice());
        decoder.read_to_end(&mut text).unwrap();
        assert!(decoder.into_inner().is_empty(), "one member, and nothing after it");
        (packed, text)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), 1..400usize), 0..4)
        ) {
            let pieces: Vec<Vec<u8>> = pieces.into_iter().map(|(bytes, times)| bytes.repeat(times)).collect();
            prop_assert_eq!(round(&pieces).1, pieces.concat());
        }
    }

    #[test]
    fn nothing_is_a_member_too() {
        assert!(round(&[]).1.is_empty());
    }

    /// Bytes without any pattern grow by an eighth at most.
    #[test]
    fn what_cannot_be_compressed_comes_through() {
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..200_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
            .collect();
        let (packed, text) = round(std::slice::from_ref(&noise));
        assert!(text == noise && packed.len() < noise.len() * 9 / 8 + 100, "{}", packed.len());
    }
}
