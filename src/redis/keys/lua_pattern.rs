//! Patterns of Lua's string library, in which redis_exporter's users write groups of keys. Matched here, so that no script has to
//! run on the server.

/// Most single steps that one key may take; a pattern that goes back and forth without end matches nothing.
const STEPS: u32 = 20_000;

/// The longest pattern, and the most captures, as in Lua.
const LENGTH: usize = 512;
const CAPTURES: usize = 32;

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set([u64; 4]);

impl Set {
    fn of(holds: impl Fn(u8) -> bool) -> Self {
        let mut set = Set::default();
        for byte in (0..=u8::MAX).filter(|&byte| holds(byte)) {
            if let Some(word) = set.0.get_mut(usize::from(byte >> 6)) {
                *word |= 1 << (byte & 63);
            }
        }
        set
    }

    fn holds(self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Once,
    /// `?`
    Maybe,
    /// `*` and `+`: as many as possible, at least this many.
    Most(usize),
    /// `-`: as few as possible.
    Least,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    One(Set, Repeat),
    /// `(`
    Open,
    /// `()`: captures where it is.
    Here,
    /// `)`
    Close,
    /// `%b()`
    Balanced(u8, u8),
    /// `%f[set]`: between a byte outside of the set and one in it.
    Frontier(Set),
    /// `%1`
    Again(usize),
    /// `$` at the end
    End,
}

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    anchored: bool,
    items: Vec<Item>,
}

#[derive(Clone, Copy, Debug)]
enum Capture {
    Open(usize),
    Closed(usize, usize),
    Here(usize),
}

impl Pattern {
    /// `^(.*):%d+$`
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LENGTH {
            return Err("the pattern is too long");
        }
        let (anchored, mut rest) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
        let (mut items, mut open, mut captures) = (Vec::new(), Vec::new(), 0);
        while let Some(c) = rest.as_bytes().first().copied() {
            let bytes = rest.as_bytes();
            let (item, taken) = match (c, bytes.get(1).copied()) {
                (b'(', next) => {
                    captures += 1;
                    if captures > CAPTURES {
                        return Err("too many captures");
                    }
                    if next == Some(b')') {
                        (Item::Here, 2)
                    } else {
                        open.push(captures);
                        (Item::Open, 1)
                    }
                }
                (b')', _) => {
                    open.pop().ok_or("a closing bracket without an opening one")?;
                    (Item::Close, 1)
                }
                (b'$', None) => (Item::End, 1),
                (b'%', Some(b'b')) => match (bytes.get(2), bytes.get(3)) {
                    (Some(&left), Some(&right)) => (Item::Balanced(left, right), 4),
                    _ => return Err("%b needs two characters"),
                },
                (b'%', Some(b'f')) => {
                    let behind = bytes.get(2..).filter(|behind| behind.first() == Some(&b'[')).ok_or("%f needs a set")?;
                    let (set, taken) = single(behind)?;
                    (Item::Frontier(set), 2 + taken)
                }
                (b'%', Some(digit @ b'0'..=b'9')) => {
                    let number = usize::from(digit - b'0');
                    if number == 0 || number > captures || open.contains(&number) {
                        return Err("it refers to a capture that is not there");
                    }
                    (Item::Again(number - 1), 2)
                }
                _ => {
                    let (set, taken) = single(bytes)?;
                    let repeat = match bytes.get(taken) {
                        Some(b'?') => Repeat::Maybe,
                        Some(b'*') => Repeat::Most(0),
                        Some(b'+') => Repeat::Most(1),
                        Some(b'-') => Repeat::Least,
                        _ => Repeat::Once,
                    };
                    (Item::One(set, repeat), taken + usize::from(repeat != Repeat::Once))
                }
            };
            items.push(item);
            // Bytes of one character may fall apart here, as in Lua; text that is not ASCII is taken byte by byte.
            match rest.get(taken..) {
                Some(tail) => rest = tail,
                None => return Err("characters outside of ASCII are not supported"),
            }
        }
        if open.is_empty() { Ok(Pattern { anchored, items }) } else { Err("an opening bracket without a closing one") }
    }

    /// All captures of the first match in `text`, joined; `None` where it does not match.
    pub(super) fn captured(&self, text: &[u8]) -> Option<Vec<u8>> {
        let last = if self.anchored { 0 } else { text.len() };
        let mut matcher = Matcher { items: &self.items, text, captures: Vec::new(), steps: STEPS };
        (0..=last).find(|&start| {
            matcher.captures.clear();
            matcher.matches(0, start)
        })?;
        let mut joined = Vec::new();
        for capture in &matcher.captures {
            match *capture {
                Capture::Closed(start, end) => joined.extend_from_slice(text.get(start..end).unwrap_or_default()),
                Capture::Here(at) => joined.extend_from_slice((at + 1).to_string().as_bytes()),
                Capture::Open(_) => {}
            }
        }
        Some(joined)
    }
}

/// The set at the start of `bytes`, `.`, `%a`, `[%w_]` or a character, and its length.
fn single(bytes: &[u8]) -> Result<(Set, usize), &'static str> {
    match bytes {
        [b'.', ..] => Ok((Set::of(|_| true), 1)),
        [b'%', class, ..] => Ok((class_of(*class), 2)),
        [b'%'] => Err("it ends with %"),
        [b'[', rest @ ..] => {
            let (negated, mut rest, mut taken) = match rest {
                [b'^', rest @ ..] => (true, rest, 2),
                _ => (false, rest, 1),
            };
            let (mut set, mut first) = (Set::default(), true);
            loop {
                let (part, length) = match rest {
                    [] => return Err("a set without an end"),
                    [b']', ..] if !first => break,
                    [b'%', class, ..] => (class_of(*class), 2),
                    [low, b'-', high, ..] if *high != b']' => (Set::of(|byte| (*low..=*high).contains(&byte)), 3),
                    [byte, ..] => (Set::of(|other| other == *byte), 1),
                };
                let before = set;
                set = Set::of(|byte| before.holds(byte) || part.holds(byte));
                (rest, taken, first) = (rest.get(length..).unwrap_or_default(), taken + length, false);
            }
            Ok((Set::of(|byte| set.holds(byte) != negated), taken + 1))
        }
        [byte, ..] => Ok((Set::of(|other| other == *byte), 1)),
        [] => Err("it is empty"),
    }
}

/// `%a` and its like; for what is no class, the character itself.
fn class_of(class: u8) -> Set {
    let holds: fn(&u8) -> bool = match class.to_ascii_lowercase() {
        b'a' => u8::is_ascii_alphabetic,
        b'c' => u8::is_ascii_control,
        b'd' => u8::is_ascii_digit,
        b'l' => u8::is_ascii_lowercase,
        b'p' => u8::is_ascii_punctuation,
        b's' => |byte| byte.is_ascii_whitespace() || *byte == 0x0b,
        b'u' => u8::is_ascii_uppercase,
        b'w' => u8::is_ascii_alphanumeric,
        b'x' => u8::is_ascii_hexdigit,
        b'z' => |byte| *byte == 0,
        _ => return Set::of(|byte| byte == class),
    };
    Set::of(|byte| holds(&byte) != class.is_ascii_uppercase())
}

struct Matcher<'a> {
    items: &'a [Item],
    text: &'a [u8],
    captures: Vec<Capture>,
    steps: u32,
}

impl Matcher<'_> {
    /// Whether the items from `item` on match the text from `at` on. As deep as the pattern is long.
    fn matches(&mut self, item: usize, at: usize) -> bool {
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 {
            return false;
        }
        let Some(&this) = self.items.get(item) else { return true };
        let one = |set: Set, at: usize| self.text.get(at).is_some_and(|&byte| set.holds(byte));
        match this {
            Item::End => at == self.text.len(),
            Item::One(set, Repeat::Once) => one(set, at) && self.matches(item + 1, at + 1),
            Item::One(set, Repeat::Maybe) => one(set, at) && self.retry(item + 1, at + 1) || self.matches(item + 1, at),
            Item::One(set, Repeat::Most(least)) => {
                let most = self.text.get(at..).unwrap_or_default().iter().take_while(|&&byte| set.holds(byte)).count();
                (least..=most).rev().any(|count| self.retry(item + 1, at + count))
            }
            Item::One(set, Repeat::Least) => {
                let most = self.text.get(at..).unwrap_or_default().iter().take_while(|&&byte| set.holds(byte)).count();
                (0..=most).any(|count| self.retry(item + 1, at + count))
            }
            Item::Open => self.with(Capture::Open(at), item, at),
            Item::Here => self.with(Capture::Here(at), item, at),
            Item::Close => self.close(item, at),
            Item::Frontier(set) => {
                let before = at.checked_sub(1).and_then(|at| self.text.get(at)).copied().unwrap_or(0);
                let behind = self.text.get(at).copied().unwrap_or(0);
                !set.holds(before) && set.holds(behind) && self.matches(item + 1, at)
            }
            Item::Balanced(left, right) => self.balanced(left, right, at).is_some_and(|end| self.matches(item + 1, end)),
            Item::Again(number) => {
                let Some(&Capture::Closed(start, end)) = self.captures.get(number) else { return false };
                let text = self.text;
                let said = text.get(start..end).unwrap_or_default();
                text.get(at..).is_some_and(|rest| rest.starts_with(said)) && self.matches(item + 1, at + said.len())
            }
        }
    }

    /// As [`matches`](Self::matches), leaving the captures as they were if it fails.
    fn retry(&mut self, item: usize, at: usize) -> bool {
        let before = self.captures.clone();
        self.matches(item, at) || {
            self.captures = before;
            false
        }
    }

    fn with(&mut self, capture: Capture, item: usize, at: usize) -> bool {
        self.captures.push(capture);
        self.matches(item + 1, at)
    }

    fn close(&mut self, item: usize, at: usize) -> bool {
        if let Some(capture) = self.captures.iter_mut().rev().find(|capture| matches!(capture, Capture::Open(_)))
            && let Capture::Open(start) = *capture
        {
            *capture = Capture::Closed(start, at);
        }
        self.matches(item + 1, at)
    }

    /// Where the bracketed text that begins at `at` ends.
    fn balanced(&self, left: u8, right: u8, at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?;
        let mut depth = usize::from(*rest.first()? == left).checked_sub(1)?;
        for (place, &byte) in rest.iter().enumerate().skip(1) {
            if byte == right {
                match depth.checked_sub(1) {
                    Some(less) => depth = less,
                    None => return Some(at + place + 1),
                }
            } else if byte == left {
                depth += 1;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, text: &str) -> Option<String> {
        Pattern::parse(pattern).unwrap().captured(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn as_luas_string_find() {
        for (pattern, text, joined) in [
            ("^(.*):[^:]+$", "user:session:17", Some("user:session")),
            ("^(.-):", "user:session:17", Some("user")),
            ("^(%a+)_(%d+)$", "abc_12", Some("abc12")),
            ("^(%a+)_(%d+)$", "abc_x", None),
            ("queue", "a:queue:b", Some("")),
            ("()queue", "a:queue", Some("3")),
            ("(%b())", "f(a(b)c)d", Some("(a(b)c)")),
            ("(%w)%1", "abccd", Some("c")),
            ("%f[%d](%d+)", "ab123", Some("123")),
            ("([]%-]+)x", "a]-x", Some("]-")),
            ("^([A-Fa-f]*)", "beefy", Some("beef")),
            ("^(a?)a$", "a", Some("")),
            ("^([%w_]+)%.", "my_key.1", Some("my_key")),
            ("^$", "", Some("")),
            ("a%", "a", None),
        ] {
            match Pattern::parse(pattern) {
                Ok(_) => assert_eq!(captured(pattern, text).as_deref(), joined, "{pattern} on {text}"),
                Err(_) => assert_eq!(joined, None, "{pattern}"),
            }
        }
        for wrong in ["(a", "a)", "[a", "%", "%b(", "%1", "(%1)", "%fa"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn going_back_and_forth_ends() {
        let pattern = Pattern::parse(&format!("^{}b$", ".*".repeat(20))).unwrap();
        assert_eq!(pattern.captured(&[b'a'; 2_000]), None);
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_meets_any_text(pattern in "[a-c%()\\[\\]*+?^$.bfd1-]{0,12}", text in "[a-d()]{0,20}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let _ = pattern.captured(text.as_bytes());
            }
        }
    }
}
