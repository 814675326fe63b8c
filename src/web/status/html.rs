//! HTML that cannot be broken into: all that is not a part of the program is escaped.

use std::fmt::Write;

/// The most characters of one text: a table cell for a person, not a log.
const LONGEST: usize = 400;

/// A page being written.
#[derive(Default)]
pub(super) struct Html(String);

/// A cell of a table: its class, which a style sheet knows, and its text.
pub(super) struct Cell(&'static str, String);

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Cell("", text.into())
    }

    /// A number, which stands at the right.
    pub(super) fn number(text: impl Into<String>) -> Self {
        Cell("number", text.into())
    }

    /// A state, by a word and a colour.
    pub(super) fn state(word: &str) -> Self {
        let class = match word {
            "ok" | "up" => "state ok",
            "failed" | "failing" | "down" | "critical" => "state bad",
            "warning" | "skipped" => "state warn",
            _ => "state",
        };
        Cell(class, word.to_owned())
    }
}

impl Html {
    /// What the program itself says.
    pub(super) fn raw(&mut self, text: &'static str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    /// What comes from anywhere: escaped, bounded, and without what would change how the text around it is read.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for (at, char) in text.chars().enumerate() {
            if at == LONGEST {
                self.0.push('…');
                break;
            }
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Embeddings, overrides and isolates of writing direction.
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.0.push('\u{fffd}'),
                char if char.is_control() => self.0.push('\u{fffd}'),
                char => self.0.push(char),
            }
        }
        self
    }

    /// A link below our own root: `path` begins with a slash.
    pub(super) fn link(&mut self, path: &str, text: &str) -> &mut Self {
        self.raw("<a href=\"").text(path).raw("\">").text(text).raw("</a>")
    }

    /// A heading of the second level that names its section.
    pub(super) fn section(&mut self, id: &'static str, title: &'static str) -> &mut Self {
        self.raw("<section>\n<h2 id=\"").raw(id).raw("\">").raw(title).raw("</h2>\n")
    }

    /// A table that scrolls by itself where it is wider than the screen, by keyboard too. `name` is what it is called by.
    pub(super) fn table(&mut self, name: &str, head: &[&'static str], rows: impl IntoIterator<Item = Vec<Cell>>) -> &mut Self {
        self.raw("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"").text(name).raw("\"><table><thead><tr>");
        for title in head {
            self.raw("<th scope=\"col\">").raw(title).raw("</th>");
        }
        self.raw("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.raw("<tr>");
            for (at, Cell(class, text)) in row.iter().enumerate() {
                // The first cell names the row.
                self.raw(if at == 0 { "<th scope=\"row\"><span class=\"" } else { "<td><span class=\"" }).raw(class).raw("\">");
                self.text(text).raw(if at == 0 { "</span></th>" } else { "</span></td>" });
            }
            self.raw("</tr>\n");
        }
        self.raw("</tbody></table></div>\n")
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// `3 d 4 h`, `12 s`, `1.2 ms`: the two largest units at most.
pub(super) fn time(seconds: f64) -> String {
    if seconds < 1.0 {
        return if seconds < 0.001 { format!("{:.0} µs", seconds * 1e6) } else { format!("{:.1} ms", seconds * 1e3) };
    }
    let units = [(86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")];
    let (mut rest, mut text, mut shown) = (seconds, String::new(), 0);
    for (size, unit) in units {
        let count = (rest / size).floor();
        if shown < 2 && (count > 0.0 || shown > 0) {
            rest -= count * size;
            shown += 1;
            let blank = if shown > 1 { " " } else { "" };
            // Writing into a String cannot fail.
            let _ = write!(text, "{blank}{count:.0} {unit}");
        }
    }
    text
}

/// `12.3 MiB`
pub(super) fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let (mut value, mut unit) = (bytes, "B");
    for next in units.into_iter().skip(1) {
        if value >= 1024.0 {
            (value, unit) = (value / 1024.0, next);
        }
    }
    if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        let mut html = Html::default();
        html.link("/\" onclick=\"x", "<script>'&\u{202e}\0");
        assert_eq!(html.finish(), "<a href=\"/&quot; onclick=&quot;x\">&lt;script&gt;&#39;&amp;\u{fffd}\u{fffd}</a>");
        let mut html = Html::default();
        html.text(&"ä".repeat(1000));
        assert_eq!(html.finish().chars().count(), LONGEST + 1);
    }

    #[test]
    fn figures_are_short() {
        for (seconds, text) in [
            (0.0, "0 µs"),
            (0.000_25, "250 µs"),
            (0.0123, "12.3 ms"),
            (1.9, "1 s"),
            (75.0, "1 min 15 s"),
            (3600.0, "1 h 0 min"),
            (200_000.0, "2 d 7 h"),
        ] {
            assert_eq!(time(seconds), text);
        }
        for (count, text) in [(12.0, "12 B"), (2048.0, "2.0 KiB"), (12_900_000.0, "12.3 MiB"), (5e12, "4656.6 GiB")] {
            assert_eq!(bytes(count), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_escaped(text: String) {
            let mut html = Html::default();
            html.text(&text);
            proptest::prop_assert!(!html.finish().contains(['<', '>', '"', '\'']));
        }
    }
}
