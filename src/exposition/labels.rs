//! Label text: `name="value",name="value"`, escaped.

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
        push_label(&mut self.text, name, value);
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

/// Appends `name="value"`, after a comma where a label stands before it.
pub(super) fn push_label(out: &mut Vec<u8>, name: &str, value: &str) {
    if !matches!(out.last(), None | Some(b'{' | b',')) {
        out.push(b',');
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape(out, value.as_bytes());
    out.push(b'"');
}

/// Appends a label value with backslash, quote and newline escaped, as the format asks.
fn escape(out: &mut Vec<u8>, mut value: &[u8]) {
    while let Some(at) = memchr::memchr3(b'\\', b'"', b'\n', value) {
        let (plain, rest) = value.split_at(at);
        out.extend_from_slice(plain);
        let mut rest = rest.iter();
        match rest.next() {
            Some(b'\n') => out.extend_from_slice(b"\\n"),
            Some(&byte) => out.extend_from_slice(&[b'\\', byte]),
            None => {}
        }
        value = rest.as_slice();
    }
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        let labels = Labels::of(&[("a", "plain"), ("b", "q\"b\\n\nend"), ("c", "")]);
        assert_eq!(labels.as_bytes(), br#"a="plain",b="q\"b\\n\nend",c="""#);
    }
}
