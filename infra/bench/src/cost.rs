//! What events cost at AWS's list prices, by what they took.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Of `millstream cost`, whose page says where each figure is from. The crate that reads it brings AWS's SDK, which would
/// have to be built in optimised form for these two figures.
const TABLE: &str = include_str!("../../aws/src/prices/prices.toml");
const HOST: &str = "ec2 m6i.large";
const CORES_OF_HOST: f64 = 2.0;
const REGION: &str = "us-east-1";

/// Dollars, without tax, on demand.
#[derive(Clone, Debug)]
pub struct Prices {
    /// Of a core for a second.
    core_second: f64,
    /// Of 10⁹ bytes in S3 for a month.
    stored_gb_month: f64,
    /// The month they were last known to be so.
    pub known: String,
}

#[derive(Deserialize)]
struct Price {
    known: String,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

impl Prices {
    pub fn read() -> Result<Self> {
        let table: BTreeMap<String, Price> = toml::from_str(TABLE).context("read the prices")?;
        let of = |name: &str| {
            let price = table.get(name).with_context(|| format!("find the price of {name}"))?;
            let dollars = price.rest.get(REGION).and_then(toml::Value::as_float);
            let dollars = dollars.with_context(|| format!("find {name} in {REGION}"))?;
            Ok::<_, anyhow::Error>((dollars, price.known.clone()))
        };
        let ((hour, known), (stored_gb_month, _)) = (of(HOST)?, of("s3 standard")?);
        Ok(Self { core_second: hour / 3600.0 / CORES_OF_HOST, stored_gb_month, known })
    }

    /// Of 10⁹ events, where 10⁶ take so many seconds of a core.
    pub fn of_processors(&self, seconds_per_million: f64) -> f64 {
        seconds_per_million * 1e3 * self.core_second
    }

    /// Of 10⁹ events, of which `events` take so many 10⁶ bytes, for a month in S3.
    pub fn of_storage(&self, megabytes: f64, events: u64) -> f64 {
        megabytes / 1e3 / events as f64 * 1e9 * self.stored_gb_month
    }

    /// What the figures are of.
    pub fn about() -> String {
        format!("{HOST} in {REGION}, both cores busy")
    }
}
