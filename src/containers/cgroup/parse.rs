//! The shapes that files of both versions share.

use super::stats::Device;
use crate::system::text::{lines, number};

/// Lines of a key and a number.
pub(super) fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|line| {
        let at = memchr::memchr(b' ', line)?;
        Some((line.get(..at)?, number(line.get(at + 1..)?)?))
    })
}

/// `67108864`, or `max` where there is no limit: 0, as cAdvisor says it.
pub(super) fn maximum(text: &[u8]) -> Option<u64> {
    if text.trim_ascii() == b"max" { Some(0) } else { number(text) }
}

/// `254:16`
pub(super) fn device(field: &[u8]) -> Option<Device> {
    let at = memchr::memchr(b':', field)?;
    Some(Device { major: number(field.get(..at)?)?, minor: number(field.get(at + 1..)?)? })
}
