//! The app's own sections of `health.toml`.

use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, de::Error};

/// Outside of these a reading is out of range.
#[derive(Debug, Deserialize)]
pub struct Thresholds {
    /// Beats per minute.
    pub heart_rate_low: u16,
    pub heart_rate_high: u16,
    /// Percent.
    #[serde(deserialize_with = "percent")]
    pub oxygen_low: f64,
}

/// URLs in place of the simulator's.
#[derive(Debug, Deserialize)]
pub struct Feeds {
    pub patients_url: String,
    pub vehicles_url: String,
    pub every_s: NonZeroU32,
}

/// Keeps infinity and NaN out of the SQL text.
fn percent<'de, D: Deserializer<'de>>(number: D) -> Result<f64, D::Error> {
    let percent = f64::deserialize(number)?;
    let is_one = (0.0..=100.0).contains(&percent);
    is_one.then_some(percent).ok_or_else(|| D::Error::custom("expected a percentage, 0 to 100"))
}

#[cfg(test)]
mod tests {
    use millstream_config::Settings;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::simulator::Simulate;

    fn settings(environment: &[(&str, &str)]) -> Settings {
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load("health", crate::APP.defaults, None, environment).expect("settings")
    }

    fn problem<T: DeserializeOwned>(section: &str, name: &str, value: &str) -> String {
        let read = settings(&[(name, value)]).section::<T>(section);
        read.err().map(|problems| problems.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_defaults_are_good() {
        let settings = settings(&[]);
        settings.section::<Thresholds>("thresholds").expect("thresholds");
        settings.section::<Feeds>("feeds").expect("feeds");
        let simulate: Simulate = settings.section("simulate").expect("simulate");
        assert!(simulate.start.timestamp() > 1_700_000_000, "{}", simulate.start);
    }

    #[test]
    fn problems_name_the_key_and_what_was_expected() {
        let heart_rate =
            problem::<Thresholds>("thresholds", "HEALTH_THRESHOLDS__HEART_RATE_LOW", "-1");
        assert!(heart_rate.contains("thresholds.heart_rate_low = -1: expected"), "{heart_rate}");
        for not_percent in ["NaN", "inf", "-1", "100.5"] {
            let oxygen =
                problem::<Thresholds>("thresholds", "HEALTH_THRESHOLDS__OXYGEN_LOW", not_percent);
            assert!(oxygen.contains("thresholds.oxygen_low = "), "{oxygen}");
            assert!(oxygen.contains("expected a percentage"), "{oxygen}");
        }
        let every = problem::<Feeds>("feeds", "HEALTH_FEEDS__EVERY_S", "0");
        assert!(every.contains("feeds.every_s = 0") && every.contains("above 0"), "{every}");
        let start = problem::<Simulate>("simulate", "HEALTH_SIMULATE__START", "today");
        assert!(
            start.contains("simulate.start = \"today\"") && start.contains("a time"),
            "{start}"
        );
    }
}
