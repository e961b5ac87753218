use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// A server that asks for more is asked again after an hour all the same.
const LONGEST: Duration = Duration::from_secs(3_600);

/// How long the server asks us to wait: seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(text).ok()?;
            (until.with_timezone(&Utc) - Utc::now()).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        assert_eq!(waits("7"), Some(Duration::from_secs(7)));
        assert_eq!(waits("999999"), Some(LONGEST));
        assert_eq!(waits("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let soon = (Utc::now() + Duration::from_secs(60)).format("%a, %d %b %Y %H:%M:%S GMT");
        let wait = waits(&soon.to_string()).unwrap().as_secs();
        assert!((57..=60).contains(&wait), "{wait}");
        assert_eq!(waits("soon"), None);
    }
}
