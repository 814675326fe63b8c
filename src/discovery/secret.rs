//! Which password file a label means.

use std::path::{Component, Path, PathBuf};

/// The file below `folder` that `text` names, by itself or with the folder before it. The label chooses a name in the operator's folder, and no
/// path that leads out of it.
pub(super) fn file(folder: &Path, text: &str) -> Option<PathBuf> {
    let inside = Path::new(text).strip_prefix(folder).unwrap_or(Path::new(text));
    let plain = |part: Component<'_>| matches!(part, Component::Normal(name) if name.len() <= 255);
    let fine = !inside.as_os_str().is_empty()
        && !folder.as_os_str().is_empty()
        && text.len() <= 1024
        && !text.contains(char::is_control)
        && inside.components().all(plain);
    fine.then(|| folder.join(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out() {
        let file = |text: &str| file(Path::new("/run/secrets"), text).map(|path| path.display().to_string());
        for (text, path) in [("pw", "/run/secrets/pw"), ("/run/secrets/pw", "/run/secrets/pw"), ("a/b", "/run/secrets/a/b")] {
            assert_eq!(file(text).as_deref(), Some(path));
        }
        let long = "x".repeat(100_000);
        for text in [
            "",
            "/",
            ".",
            "..",
            "../pw",
            "a/../../pw",
            "/etc/shadow",
            "/run/secrets",
            "/run/secrets/../x",
            "/run/secretsx",
            "a\nb",
            "a\0b",
            &long,
        ] {
            assert_eq!(file(text), None, "{text:?}");
        }
        assert_eq!(super::file(Path::new(""), "pw"), None);
    }
}
