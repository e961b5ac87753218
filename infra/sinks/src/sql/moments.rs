//! Dates and timestamps as ISO 8601 text, in UTC and with a fixed number of digits, so that text order is time
//! order. Moments outside of the years 0 to 9999 stand there as the plain number: a record from the year
//! 300000 is wrong, but it must not stop a partition.

use arrow::datatypes::TimeUnit;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};

const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;
const SECONDS: &str = "%Y-%m-%dT%H:%M:%S";

/// Days since the epoch as `2024-02-29`.
pub(crate) fn date_text(days: i32) -> String {
    let date = i64::from(days).checked_mul(86_400).and_then(|s| DateTime::from_timestamp(s, 0));
    match date.map(|moment| moment.date_naive()).filter(|date| YEARS.contains(&date.year())) {
        Some(date) => format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
        None => days.to_string(),
    }
}

/// The other way round; `None`: it is no date.
pub(crate) fn date_days(text: &str) -> Option<i32> {
    if let Ok(days) = text.parse() {
        return Some(days);
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// `2024-02-29T12:00:00.123`, with a `Z` where the type has a time zone: the moment is the same in each.
pub(crate) fn timestamp_text(value: i64, unit: TimeUnit, zoned: bool) -> String {
    let (per_second, digits) = scale(unit);
    let moment = DateTime::from_timestamp(value.div_euclid(per_second), 0);
    let Some(moment) = moment.filter(|moment| YEARS.contains(&moment.year())) else {
        return value.to_string();
    };
    let mut text = moment.format(SECONDS).to_string();
    if digits > 0 {
        text += &format!(".{:0digits$}", value.rem_euclid(per_second));
    }
    if zoned {
        text.push('Z');
    }
    text
}

/// The other way round; `None`: it is no timestamp, or has more digits than the unit.
pub(crate) fn timestamp_value(text: &str, unit: TimeUnit) -> Option<i64> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let (per_second, digits) = scale(unit);
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = NaiveDateTime::parse_from_str(seconds, SECONDS).ok()?.and_utc().timestamp();
    if fraction.len() > digits {
        return None;
    }
    let fraction: i64 = format!("0{fraction:0<digits$}").parse().ok()?;
    // The first second of 64 bits of nanoseconds begins before they do.
    let value = i128::from(seconds) * i128::from(per_second) + i128::from(fraction);
    i64::try_from(value).ok()
}

/// Units per second and the digits they take.
fn scale(unit: TimeUnit) -> (i64, usize) {
    match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_like_iso_8601() {
        assert_eq!(date_text(0), "1970-01-01");
        assert_eq!(date_text(19_782), "2024-02-29");
        assert_eq!(date_text(-719_162), "0001-01-01");
        let noon = 1_709_208_000_123;
        assert_eq!(timestamp_text(noon, TimeUnit::Millisecond, true), "2024-02-29T12:00:00.123Z");
        assert_eq!(timestamp_text(-1, TimeUnit::Microsecond, false), "1969-12-31T23:59:59.999999");
        assert_eq!(timestamp_text(5, TimeUnit::Second, true), "1970-01-01T00:00:05Z");
    }

    #[test]
    fn the_first_and_last_moments_come_back() {
        let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond];
        for unit in units.into_iter().chain([TimeUnit::Nanosecond]) {
            for value in [i64::MIN, i64::MIN + 1, i64::MAX] {
                let text = timestamp_text(value, unit, true);
                assert_eq!(timestamp_value(&text, unit), Some(value), "{text}");
            }
        }
    }

    #[test]
    fn what_a_person_typed_is_read_too() {
        assert_eq!(timestamp_value("1970-01-01T00:00:01.5Z", TimeUnit::Millisecond), Some(1_500));
        assert_eq!(
            timestamp_value("1970-01-01T00:00:01", TimeUnit::Nanosecond),
            Some(1_000_000_000)
        );
        assert_eq!(timestamp_value("1970-01-01T00:00:01.1234Z", TimeUnit::Millisecond), None);
        assert_eq!(timestamp_value("yesterday", TimeUnit::Millisecond), None);
        assert_eq!(date_days("2024-02-30"), None);
    }

    proptest! {
        #[test]
        fn every_date_comes_back(days: i32) {
            prop_assert_eq!(date_days(&date_text(days)), Some(days));
        }

        #[test]
        fn every_timestamp_comes_back(value: i64, zoned: bool) {
            for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
                prop_assert_eq!(timestamp_value(&timestamp_text(value, unit, zoned), unit), Some(value));
            }
        }

        #[test]
        fn text_order_is_time_order(a in 0..4_102_444_800_000_i64, b in 0..4_102_444_800_000_i64) {
            let text = |value| timestamp_text(value, TimeUnit::Millisecond, true);
            prop_assert_eq!(text(a).cmp(&text(b)), a.cmp(&b));
        }
    }
}
