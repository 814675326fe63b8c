//! Whether a text is one statement that only reads.
//!
//! That it only reads the server sees to: its transaction can do nothing else. A second statement behind a semicolon could end that transaction,
//! so it has to be seen here, and where two servers could disagree on where a quote ends, nothing is taken.

/// The statement in `text` without the semicolon at its end, or why it is none.
pub(super) fn one(text: &str) -> Result<&str, String> {
    let mut text = text.trim();
    while let Some(shorter) = text.strip_suffix(';') {
        text = shorter.trim_end();
    }
    if text.contains('\0') {
        return Err("the query holds a NUL".to_owned());
    }
    let inner = text.contains(';');
    // Whether a backslash ends a quote depends on standard_conforming_strings.
    if inner && text.contains('\\') {
        return Err("a query with a semicolon inside must have no backslash".to_owned());
    }
    let mut first = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\'' | '"' => quoted(rest, c)?,
            '$' => dollar(rest)?,
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest)?,
            ';' => return Err("the query holds more than one statement".to_owned()),
            c if c.is_alphanumeric() || c == '_' => {
                let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
                first = first.or(rest.get(..word));
                word
            }
            c => c.len_utf8(),
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    let first = first.unwrap_or_default().to_ascii_uppercase();
    if ["SELECT", "WITH", "VALUES", "TABLE", "SHOW"].contains(&first.as_str()) {
        Ok(text)
    } else {
        Err("the query does not begin with SELECT, WITH, VALUES, TABLE or SHOW".to_owned())
    }
}

/// The length of `'...'` or `"..."`; a doubled quote inside begins the next one, which comes to the same.
fn quoted(text: &str, quote: char) -> Result<usize, String> {
    let inner = text.get(1..).unwrap_or_default();
    let bytes = inner.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == '\'' => at += 2,
            byte if char::from(*byte) == quote => return Ok(at + 2),
            _ => at += 1,
        }
    }
    Err(format!("a {quote} is not closed"))
}

/// The length of `$tag$...$tag$`, or of a dollar sign that begins none.
fn dollar(text: &str) -> Result<usize, String> {
    let inner = text.get(1..).unwrap_or_default();
    let Some(end) = inner.find(|c: char| !(c.is_alphanumeric() || c == '_')) else { return Ok(1) };
    if !inner.get(end..).is_some_and(|rest| rest.starts_with('$')) || inner.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(1);
    }
    let tag = text.get(..end + 2).unwrap_or_default();
    let body = text.get(tag.len()..).unwrap_or_default();
    body.find(tag).map(|at| at + 2 * tag.len()).ok_or_else(|| "a dollar quote is not closed".to_owned())
}

/// The length of `/* ... */`, which may hold others.
fn comment(text: &str) -> Result<usize, String> {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth.saturating_sub(1), at + 2);
            if depth == 0 {
                return Ok(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Err("a comment is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_that_reads() {
        assert_eq!(one(" SELECT 1 ;\n;\n"), Ok("SELECT 1"));
        for text in [
            "-- why; so\nselect 'a;b', \"c;d\", $$e;f$$, $x$ $$;$$ $x$ /* g; /* h; */ */ -- i",
            "(SELECT 1) UNION SELECT 2",
            "WITH a AS (SELECT 1) TABLE a",
            "VALUES (1)",
            "SHOW max_connections",
            "SELECT E'\\'', 'it''s', a$b FROM t WHERE x ~ '\\d' AND y = $1",
        ] {
            assert_eq!(one(text), Ok(text), "{text}");
        }
    }

    #[test]
    fn what_could_end_the_transaction_is_refused() {
        for text in [
            "SELECT 1; COMMIT; DROP TABLE x",
            "COMMIT",
            "BEGIN",
            "",
            ";",
            "-- only a remark",
            "SET transaction_read_only = off",
            "DELETE FROM x",
            // With standard_conforming_strings the quote ends before the semicolon, without it behind.
            "SELECT '\\'; COMMIT; --'",
            "SELECT '",
            "SELECT \"",
            "SELECT $$;",
            "SELECT $a$ $b$",
            "SELECT /* /* */ ;",
            "SELECT 1 \0",
            "SELECT 1 /**/;/**/ SELECT 2",
            "SELECT $1;COMMIT;SELECT $1",
        ] {
            assert!(one(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_will_do(text: String, sql in "[a;'\"$/*\\\\ -]{0,24}") {
            let _ = one(&text);
            if let Ok(taken) = one(&format!("SELECT {sql}")) {
                // Outside of quotes and comments there is no semicolon; without either there is none at all.
                proptest::prop_assert!(!taken.contains(';') || taken.contains(['\'', '"', '$', '/', '-']));
            }
        }
    }
}
