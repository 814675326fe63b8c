//! Paths with wildcards, as shells and Go write them: `*`, `?`, `[a-z]`, `[^a-z]`, `\x`, none of which matches a slash.

use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// The existing paths that `pattern` matches, sorted; the pattern itself where it has no wildcard or nothing matches it.
pub(super) fn expand(pattern: &str) -> Vec<PathBuf> {
    let literal = Path::new(pattern);
    if !pattern.contains(['*', '?', '[', '\\']) {
        return vec![literal.to_path_buf()];
    }
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match wildcards(part) {
            Some(regex) => found.iter().flat_map(|folder| matching(folder, &regex)).collect(),
            None => found.into_iter().map(|folder| folder.join(part)).filter(|path| path.exists()).collect(),
        };
    }
    found.sort_unstable();
    if found.is_empty() { vec![literal.to_path_buf()] } else { found }
}

fn matching(folder: &Path, name: &Regex) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(here).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|found| name.is_match(found)).map(|found| folder.join(found)).collect()
}

/// One part of a pattern as a regular expression, or `None` where it has no wildcard, or none that can be understood.
fn wildcards(part: &str) -> Option<Regex> {
    if !part.contains(['*', '?', '[', '\\']) {
        return None;
    }
    let (mut regex, mut chars) = (String::from("^(?s:"), part.chars());
    while let Some(char) = chars.next() {
        match char {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => {
                let (class, rest) = chars.as_str().split_once(']')?;
                regex.extend(["[", class, "]"]);
                chars = rest.chars();
            }
            '\\' => regex.push_str(&regex_lite::escape(chars.next()?.encode_utf8(&mut [0; 4]))),
            plain => regex.push_str(&regex_lite::escape(plain.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push_str(")$");
    Regex::new(&regex).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_within_one_part() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a1/x", "a2/x", "b.1/x", "a2/y"] {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let found = |pattern: &str| {
            let paths = expand(dir.path().join(pattern).to_str().unwrap());
            paths.iter().map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("*"), ["a1", "a2", "b.1"]);
        assert_eq!(found("a?/x"), ["a1/x", "a2/x"]);
        assert_eq!(found("[^a]*/x"), ["b.1/x"]);
        assert_eq!(found("*/y"), ["a2/y"]);
        assert_eq!(found("b\\.?"), ["b.1"]);
        for as_it_stands in ["none", "none*", "a[1", "a1"] {
            assert_eq!(found(as_it_stands), [as_it_stands]);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_is_survived(part: String, wild in r"[*?\[\]^!\\a-c-]*") {
            wildcards(&part);
            wildcards(&wild);
        }
    }
}
