//! Label text: `name="value",name="value"`, escaped.

/// Bytes of the labels of a usual entity, taken at once.
const USUAL: usize = 96;

/// The label text of one entity (a container, a device, a database), rendered once and reused for all of its families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    text: Vec<u8>,
}

impl Labels {
    /// No labels yet.
    pub const fn new() -> Self {
        Labels { text: Vec::new() }
    }

    /// The labels of `pairs`, in their order.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let mut labels = Labels::new();
        for (name, value) in pairs {
            labels.push(name, value);
        }
        labels
    }

    /// Adds a label. The caller answers for the name (`[a-zA-Z_][a-zA-Z0-9_]*`, not yet used); any value will do.
    pub fn push(&mut self, name: &str, value: &str) {
        if self.text.capacity() == 0 {
            self.text.reserve(USUAL);
        }
        let separator = (!self.text.is_empty()).then_some(b',');
        push_label(&mut self.text, separator, name, value);
    }

    /// Removes all labels and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text between the braces.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

/// Appends `name="value"` behind `separator`, which the caller knows: asking the text for its last byte right after writing it stalls.
#[inline]
pub(super) fn push_label(out: &mut Vec<u8>, separator: Option<u8>, name: &str, value: &str) {
    // Room for all of it at once, so that the pieces are copied without a look at the capacity each time.
    out.reserve(name.len() + value.len() + 4);
    out.extend(separator);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape(out, value.as_bytes());
    out.push(b'"');
}

/// Appends a label value with backslash, quote and newline escaped, as the format asks.
#[inline]
fn escape(out: &mut Vec<u8>, value: &[u8]) {
    if needs_escape(value) {
        escape_special(out, value);
    } else {
        out.extend_from_slice(value);
    }
}

/// Whether a value holds one of the three characters: eight bytes at a time, since values are too short for a vector search to pay.
#[inline]
fn needs_escape(value: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    // A byte of `word ^ pattern` is zero where the character stands; the borrow then sets that byte's high bit.
    let holds = |word: u64, byte: u8| {
        let zero_where = word ^ (ONES * u64::from(byte));
        zero_where.wrapping_sub(ONES) & !zero_where & (ONES << 7)
    };
    let special = |bytes: &[u8; 8]| {
        let word = u64::from_ne_bytes(*bytes);
        holds(word, b'"') | holds(word, b'\\') | holds(word, b'\n')
    };
    match value.last_chunk::<8>() {
        // No early exit: nearly every value is plain, and so the compiler takes two words at a time.
        Some(last) => value.as_chunks::<8>().0.iter().fold(special(last), |found, word| found | special(word)) != 0,
        None => value.iter().any(|byte| matches!(byte, b'"' | b'\\' | b'\n')),
    }
}

#[cold]
fn escape_special(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_character_is_seen_wherever_it_stands() {
        for length in 0..40 {
            let plain = vec![b'x'; length];
            assert!(!needs_escape(&plain));
            for (at, special) in (0..length).flat_map(|at| [(at, b'"'), (at, b'\\'), (at, b'\n')]) {
                let mut value = plain.clone();
                value[at] = special;
                assert!(needs_escape(&value), "{length} {at} {special}");
            }
        }
        assert!(!needs_escape("ünïcödé \u{80}\u{7f}\u{1}\u{b}\t!#[]".as_bytes()));
    }

    #[test]
    fn values_are_escaped() {
        let labels = Labels::of(&[("a", "plain"), ("b", "q\"b\\n\nend"), ("c", "")]);
        assert_eq!(labels.as_bytes(), br#"a="plain",b="q\"b\\n\nend",c="""#);
    }
}
