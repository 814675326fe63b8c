//! What a cell's text is worth. The simple protocol gives texts alone, so a type shows in its text.

/// The number in `text`: a number, a boolean as the server writes it, or a date as a Unix time in whole seconds.
pub(super) fn number(text: &str) -> Option<f64> {
    match text.trim() {
        "t" => Some(1.0),
        "f" => Some(0.0),
        text => text.parse().ok().or_else(|| timestamp(text)),
    }
}

/// `2026-11-24 04:30:00.25+01`, `2026-11-24 04:30:00`, `2026-11-24`; without a zone it is read as UTC.
fn timestamp(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    let mut fields = date.split('-').map(digits);
    let (year, month, day) = (fields.next()??, fields.next()??, fields.next()??);
    if fields.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, zone) = time.split_at(time.find(['+', '-']).unwrap_or(time.len()));
    let offset = match zone.split_at_checked(1) {
        Some(("+", zone)) => -clock_seconds(zone)?,
        Some((_, zone)) => clock_seconds(zone)?,
        None => 0,
    };
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let seconds = days(year, month, day) * 86_400 + clock_seconds(clock)? + offset;
    Some(crate::exposition::from_i64(seconds))
}

/// `04`, `04:30` or `04:30:00` in seconds.
fn clock_seconds(text: &str) -> Option<i64> {
    let mut fields = text.split(':').map(digits);
    let (hours, minutes, seconds) = (fields.next()??, fields.next().unwrap_or(Some(0))?, fields.next().unwrap_or(Some(0))?);
    (fields.next().is_none() && hours <= 24 && minutes < 60 && seconds <= 60).then_some(hours * 3_600 + minutes * 60 + seconds)
}

/// A few digits and nothing else.
fn digits(text: &str) -> Option<i64> {
    ((1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: years begin in March, so that the leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A duration as Go writes it (`1m30s`) in milliseconds; `-1` is none, and not a number.
pub(super) fn milliseconds(text: &str) -> Option<f64> {
    if text == "-1" {
        return Some(f64::NAN);
    }
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |text| (-1.0, text));
    crate::settings::time(text).map(|time| sign * time.as_secs_f64() * 1_000.0)
}

/// The numbers of an array, `{1,2.5,5}`.
pub(super) fn array(text: &str) -> Option<Vec<f64>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner.split(',').map(|item| item.trim_matches('"').parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_numbers() {
        for (text, value) in [
            ("42", Some(42.0)),
            (" 1.5e3 ", Some(1_500.0)),
            ("t", Some(1.0)),
            ("f", Some(0.0)),
            ("2026-11-24 04:30:00.75+00", Some(1_795_494_600.0)),
            ("2026-11-24 05:30:00+01", Some(1_795_494_600.0)),
            ("2026-11-23 23:00:00-05:30", Some(1_795_494_600.0)),
            ("2026-11-24 04:30:00", Some(1_795_494_600.0)),
            ("2000-02-29", Some(951_782_400.0)),
            ("1969-12-31 23:59:59", Some(-1.0)),
            ("0044-03-15 12:00:00 BC", None),
            ("1 day 02:00:00", None),
            ("2026-13-01", None),
            ("2026-11-24 04:30:00+", None),
            ("", None),
            ("yes", None),
        ] {
            assert_eq!(number(text), value, "{text:?}");
        }
        assert_eq!(number("Infinity"), Some(f64::INFINITY));
    }

    #[test]
    fn durations_and_arrays() {
        assert_eq!((milliseconds("1m30s"), milliseconds("-250ms"), milliseconds("x")), (Some(90_000.0), Some(-250.0), None));
        assert!(milliseconds("-1").unwrap().is_nan());
        assert_eq!(array("{1,2.5,\"5\"}"), Some(vec![1.0, 2.5, 5.0]));
        assert_eq!((array("{}"), array("1,2"), array("{a}")), (Some(vec![]), None, None));
    }

    proptest::proptest! {
        #[test]
        fn any_text_will_do(text: String, odd in "[0-9:+. -]{0,30}") {
            for text in [text, odd] {
                let _ = (number(&text), milliseconds(&text), array(&text));
            }
        }
    }
}
