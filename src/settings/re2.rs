//! Patterns as node_exporter's users write them: what RE2 takes literally and regex-lite does not take at all.
//!
//! regex-lite has no Unicode classes (`\pL`): a pattern with one is refused.

/// The same pattern in regex-lite's syntax: `\Q…\E` spelled out, braces that repeat nothing and brackets within a class escaped.
pub(super) fn translate(pattern: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(pattern.len()), pattern);
    // Where the class began, so that a `]` at its start is known as one of its characters.
    let mut class: Option<usize> = None;
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or_default();
        if let Some(quoted) = rest.strip_prefix(r"\Q").filter(|_| class.is_none()) {
            let (literal, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex_lite::escape(literal));
            rest = after;
            continue;
        }
        let mut taken = c.len_utf8();
        match (c, class) {
            ('\\', _) => {
                let escaped = tail.chars().next().map_or(0, char::len_utf8);
                taken += escaped;
                // `\x{41}`, `\p{Greek}`: these braces are no repetition.
                if let Some(braced) =
                    tail.get(escaped..).and_then(|tail| tail.strip_prefix('{')).filter(|_| tail.starts_with(['x', 'p', 'P']))
                {
                    taken += 1 + braced.find('}').map_or(0, |end| end + 1);
                }
                out.push_str(rest.get(..taken).unwrap_or_default());
            }
            ('{', None) if !is_repetition(tail) => out.push_str(r"\{"),
            ('[', None) => {
                taken += usize::from(tail.starts_with('^'));
                out.push_str(rest.get(..taken).unwrap_or_default());
                class = Some(out.len());
            }
            ('[', Some(_)) if tail.starts_with(':') && tail.contains(":]") => {
                taken += tail.find(":]").map_or(0, |end| end + 2);
                out.push_str(rest.get(..taken).unwrap_or_default());
            }
            ('[' | '&' | '~', Some(_)) => out.extend(['\\', c]),
            (']', Some(start)) if out.len() > start => {
                out.push(c);
                class = None;
            }
            _ => out.push(c),
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// Whether what follows a `{` makes it a repetition: `2}`, `2,}`, `2,3}`.
fn is_repetition(tail: &str) -> bool {
    let Some((counts, _)) = tail.split_once('}') else { return false };
    let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_lite::Regex;

    fn matches(pattern: &str, text: &str) -> bool {
        let translated = translate(pattern);
        Regex::new(&translated).unwrap_or_else(|error| panic!("{pattern} as {translated}: {error}")).is_match(text)
    }

    #[test]
    fn patterns_in_use_mean_what_they_mean_to_re2() {
        for (pattern, yes, no) in [
            (r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$", "nvme0n1p1", "nvme0n1"),
            (r"^\w+\.service$", "ssh.service", "ssh-x.service"),
            ("(?i)^ETH", "eth0", "meth0"),
            ("^[[:alpha:]]+$", "lo", "eth0"),
            ("^[[:^digit:]]+$", "lo", "eth0"),
            (r"^\Qa.b\E+$", "a.bbb", "axb"),
            (r"^\Qa{", "a{x", "a"),
            ("^a{2,3}$", "aaa", "a"),
            ("^a{2}$", "aa", "aaa"),
            ("^a{,3}$", "a{,3}", "a"),
            ("^{a}$", "{a}", "a"),
            ("^[[]$", "[", "]"),
            ("^[]a]+$", "]a", "["),
            ("^[^]a]+$", "[b", "a"),
            ("^[a&&b]+$", "a&b", "c"),
            (r"^[\]x]+$", "]x", "y"),
            (r"^\x{41}\x42\z", "AB", "AC"),
            ("(?s)^a.b$", "a\nb", "ab"),
            ("(?-s)^a.b$", "axb", "a\nb"),
            (r"a\/b\-\_", "a/b-_", "ab"),
        ] {
            assert!(matches(pattern, yes), "{pattern} does not match {yes}");
            assert!(!matches(pattern, no), "{pattern} matches {no}");
        }
    }

    #[test]
    fn unicode_classes_are_refused() {
        for pattern in [r"\pL", r"\p{Greek}", r"(?=a)", r"(a)\1"] {
            assert!(Regex::new(&translate(pattern)).is_err(), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_is_survived(text: String, syntax in r"[\[\]\\{}QEpx:^&a-c0-3,]{0,30}") {
            translate(&text);
            translate(&syntax);
        }

        #[test]
        fn plain_patterns_stay_as_they_are(text in r"[a-z0-9.|()*+?^$-]{0,30}") {
            assert_eq!(translate(&text), text);
        }
    }
}
