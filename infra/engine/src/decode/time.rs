//! The one way of writing a time that nearly all events have, read without looking for the others.

/// Milliseconds since 1970 of `2026-11-21T01:02:03Z` or `2026-11-21T01:02:03.004Z` (ISO 8601, UTC). `None`: it is written otherwise,
/// or no such time.
pub(super) fn utc_millis(text: &str) -> Option<i64> {
    let (&head, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let millis = match rest {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] if digits.len() == 3 => number(digits)?,
        _ => return None,
    };
    let [.., b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', _, _] = head else {
        return None;
    };
    let (year, month, day) = (number(&head[..4])?, number(&head[5..7])?, number(&head[8..10])?);
    let (hour, minute, second) =
        (number(&head[11..13])?, number(&head[14..16])?, number(&head[17..])?);
    let is_time = hour < 24 && minute < 60 && second < 60;
    if !is_time || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1000 + millis)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
    })
}

fn days_of(year: i64, month: i64) -> i64 {
    let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leaps => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant's `days_from_civil` (chrono-Compatible Low-Level Date Algorithms), for years from 0: years begin in March, so that
/// a leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use arrow::compute::kernels::cast_utils::string_to_datetime;
    use chrono::Utc;
    use proptest::prelude::*;

    use super::*;

    fn by_arrow(text: &str) -> Option<i64> {
        string_to_datetime(&Utc, text).ok().map(|time| time.timestamp_millis())
    }

    #[test]
    fn first_and_last_days_are_right() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2026-11-21T01:02:03.004Z", 1_795_222_923_004),
        ] {
            assert_eq!(utc_millis(text), Some(millis), "{text}");
            assert_eq!(by_arrow(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_such_time_is_left_to_others() {
        for text in [
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T00:60:00Z",
            "2026-11-21T00:00:60Z",
            "2026-11-21T00:00:00",
            "2026-11-21T00:00:00+01:00",
            "2026-11-21T00:00:00.1Z",
            "2026-11-21T00:00:00.12345Z",
            "2026-11-21 00:00:00Z",
            "+026-11-21T00:00:00Z",
            "2026-11-21T00:00:0\u{661}Z",
            "",
        ] {
            assert_eq!(utc_millis(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn says_what_arrow_says(
            text in r"[0-9]{4}-(0[0-9]|1[0-3])-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{3})?Z",
        ) {
            if let Some(millis) = utc_millis(&text) {
                prop_assert_eq!(by_arrow(&text), Some(millis));
            }
        }
    }
}
