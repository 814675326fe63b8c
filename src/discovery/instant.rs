//! Points in time as engines write them.

/// Seconds since 1970 of `2026-11-23T18:47:37.192840123Z` or `2026-11-23T19:47:37+01:00`; `None` for anything else, and for
/// the year 1, by which engines mean "never".
pub(super) fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let at = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(at)?;
    let [hour, minute, second] = numbers(time.split('.').next()?, ':')?;
    let fine = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fine || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse::<u16>().ok().map(i64::from));
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Seconds east of Greenwich of `Z` or `+01:00`.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let seconds = i64::from(hours.parse::<u8>().ok()?) * 3600 + i64::from(minutes.parse::<u8>().ok()?) * 60;
    Some(if zone.starts_with('-') { -seconds } else { seconds })
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year is taken to begin in March, so that the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_engines_write() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:00:00.5Z"), Some(951_825_600));
        assert_eq!(seconds("2026-11-23T18:47:37.192840123Z"), Some(1_795_459_657));
        assert_eq!(seconds("2026-11-23T19:47:37+01:00"), Some(1_795_459_657));
        for wrong in
            ["0001-01-01T00:00:00Z", "", "T", "2026-13-01T00:00:00Z", "2026-11-23", "2026-11-23T18:47:37", "a-b-cTd:e:fZ"]
        {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_will_do(text: String, near in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9:]{1,5})") {
            seconds(&text);
            seconds(&near);
        }

        #[test]
        fn days_count_up(day in 0i64..2_000_000) {
            // The inverse, by walking: each date is one day after the one before it.
            let (mut year, mut rest) = (1970, day % 14_609);
            let length = |year: i64| if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 };
            while rest >= length(year) {
                rest -= length(year);
                year += 1;
            }
            let mut month = 1;
            for days_of_month in [31, length(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                if rest < days_of_month {
                    break;
                }
                rest -= days_of_month;
                month += 1;
            }
            proptest::prop_assert_eq!(days(year, month, rest + 1), day % 14_609);
        }
    }
}
