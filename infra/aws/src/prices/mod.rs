//! What AWS takes, by a dated table in the repository, and what a topology costs a month.
//!
//! # Layout
//! - `prices.toml`: each figure with its month and the page that publishes it. [`Prices`]: those of a region.
//! - [`Topology`], [`Host`]: what `terraform/topology.tf` makes. [`Usage`]: what only the user knows.
//! - [`estimate`]: one [`Item`] for each thing that is paid for.

mod estimate;
mod topology;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::AwsError;

pub use estimate::{Item, estimate};
pub use topology::{Host, REGION, Topology, Usage};

const TABLE: &str = include_str!("prices.toml");
/// What Athena bills at least for a query that scans anything.
const LEAST_SCAN: u64 = 10_000_000;
const TB: f64 = 1e12;

/// A figure of the table.
#[derive(Clone, Debug, Deserialize)]
pub struct Price {
    /// What it is the price of.
    pub unit: String,
    /// The page that has today's.
    pub published: String,
    /// The month it was last known to be so: "2025-06".
    pub known: String,
    /// So many a month cost nothing.
    #[serde(default)]
    pub free: f64,
    #[serde(flatten)]
    regions: BTreeMap<String, f64>,
}

/// The table's figures for one region.
#[derive(Clone, Debug)]
pub struct Prices {
    table: BTreeMap<String, Price>,
    region: String,
}

impl Prices {
    /// Fails for a region that the table lacks.
    pub fn of(region: &str) -> Result<Self, AwsError> {
        let table: BTreeMap<String, Price> = toml::from_str(TABLE).map_err(|error| {
            AwsError::refused(
                "read the table of prices",
                error.to_string(),
                "correct infra/aws/src/prices/prices.toml",
            )
        })?;
        let known = table.get("athena").map(|price| &price.regions);
        if !known.is_some_and(|known| known.contains_key(region)) {
            let known: Vec<_> =
                known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            return Err(AwsError::refused(
                "find prices",
                format!("the table has none of region {region}"),
                format!(
                    "name one of {}, or add its figures to infra/aws/src/prices/prices.toml",
                    known.join(", ")
                ),
            ));
        }
        Ok(Self { table, region: region.to_owned() })
    }

    /// A figure, and what it is worth.
    pub fn get(&self, name: &str) -> Result<(f64, &Price), AwsError> {
        let found =
            self.table.get(name).and_then(|price| Some((*price.regions.get(&self.region)?, price)));
        found.ok_or_else(|| {
            let kinds =
                self.table.keys().filter(|known| known.split(' ').next() == name.split(' ').next());
            AwsError::refused(
                "find prices",
                format!("the table has none of {name} in {}", self.region),
                format!(
                    "choose from {}, or add it to infra/aws/src/prices/prices.toml",
                    kinds.map(String::as_str).collect::<Vec<_>>().join(", ")
                ),
            )
        })
    }

    /// Of a query that scanned so many bytes, and the month of that figure.
    pub fn of_query(&self, scanned: u64) -> Result<(f64, &str), AwsError> {
        let (of_tb, price) = self.get("athena")?;
        let billed = if scanned == 0 { 0 } else { scanned.max(LEAST_SCAN) };
        Ok((billed as f64 / TB * of_tb, &price.known))
    }

    /// The oldest month among the figures.
    pub fn known(&self) -> &str {
        self.table.values().map(|price| price.known.as_str()).min().unwrap_or_default()
    }

    pub fn region(&self) -> &str {
        &self.region
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_regions_month_and_page() {
        let prices = Prices::of("us-east-1").unwrap();
        for (name, price) in &prices.table {
            assert_eq!(
                price.regions.keys().collect::<Vec<_>>(),
                ["eu-central-1", "eu-west-1", "us-east-1"],
                "{name}"
            );
            assert!(price.regions.values().all(|figure| (0.0..100.0).contains(figure)), "{name}");
            assert!(price.published.starts_with("https://aws.amazon.com/"), "{name}");
            let month: Vec<_> = price.known.split('-').map(str::len).collect();
            assert_eq!(month, [4, 2], "{name}: {}", price.known);
        }
    }

    #[test]
    fn a_query_costs_what_it_scans_and_something_at_least() {
        let prices = Prices::of("eu-west-1").unwrap();
        let cost = |scanned| prices.of_query(scanned).unwrap().0;
        assert!((cost(0) - 0.0).abs() < 1e-12);
        assert!((cost(1) - 0.00005).abs() < 1e-12);
        assert!((cost(2_000_000_000_000) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn what_the_table_lacks_is_named() {
        let error = Prices::of("mars-1").unwrap_err().to_string();
        assert!(error.contains("mars-1") && error.contains("eu-central-1"), "{error}");
        let error = Prices::of("eu-west-1").unwrap().get("ec2 m9.big").unwrap_err().to_string();
        assert!(error.contains("ec2 m6i.large"), "{error}");
    }
}
