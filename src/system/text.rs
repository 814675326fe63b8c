//! Cutting kernel text: on bytes, without allocating, total on any input.

use std::borrow::Cow;

/// The lines of a text, without their newlines and without an empty last one.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// The fields of a line: what stands between runs of blanks and tabs.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

/// A whole number: digits only, after an optional minus for signed types. `None` on anything else, overflow included.
pub fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field.trim_ascii()).ok()?.parse().ok()
}

/// A hexadecimal number, without `0x`.
pub fn hex(field: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(field.trim_ascii()).ok()?, 16).ok()
}

/// `key<separator>value` split at the first separator, both trimmed.
pub fn pair(line: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, line)?;
    Some((line.get(..at)?.trim_ascii(), line.get(at + 1..)?.trim_ascii()))
}

/// Text for a label: as it stands where it is UTF-8 (nearly always), else with replacement characters, since the
/// exposition must be UTF-8.
pub fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    // The lossy way looks at every character even where all of them are fine.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts() {
        assert_eq!(lines(b"a\n\nb\n").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(fields(b"  a\tb  c").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert_eq!(number::<u64>(b" 42 "), Some(42));
        assert_eq!(number::<u64>(b"18446744073709551616"), None);
        assert_eq!(number::<u64>(b""), None);
        assert_eq!(hex(b"ff"), Some(255));
        assert_eq!(pair(b"key:  v:1", b':'), Some((&b"key"[..], &b"v:1"[..])));
        assert_eq!(pair(b"no", b':'), None);
    }
}
