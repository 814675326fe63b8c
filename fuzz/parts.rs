//! How an input of several files or answers is written.

/// What stands between the lines that begin with `>>> `, those lines' rest included.
pub fn split(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(input);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.windows(5).position(|window| window == b"\n>>> ");
        rest = end.and_then(|end| text.get(end + 5..));
        Some(end.map_or(text, |end| &text[..end]))
    })
}
