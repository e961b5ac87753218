//! The FDA's device recalls, into a table that keeps each recall's last state, and into the index that is searched.

use std::sync::Arc;

use anyhow::{Context, Result};
use millstream_app::sql;
use millstream_config::Settings;
use millstream_engine::Pipeline;
use millstream_sinks::Stores;
use millstream_topic::Topic;

use crate::event::schema;
use crate::search::RECALLS;
use crate::seed::RecallsSeed;

pub const DEVICES: Topic =
    Topic::new("devices").keyed_by("recall number").partitions(3).compacted().schema(schema);

/// How the feed stands, for pages and logs: one record, keyed `feed`. No pipeline reads it.
pub const FEED: Topic =
    Topic::new("recalls.feed").keyed_by("the word feed").partitions(1).compacted();

pub const TOPICS: &[Topic] = &[DEVICES];

/// The database, the table of the recalls, and its key.
pub const DATABASE: &str = "recalls";
pub const TABLE: &str = "enforcement";
pub const KEY: &[&str] = &["recall_number"];

const TABLE_SQL: &str = "
    SELECT recall_number, event_id, classification, status, recalling_firm, product_type, product_description,
           product_quantity, reason_for_recall, code_info, more_code_info, distribution_pattern,
           voluntary_mandated, initial_firm_notification, report_date, recall_initiation_date,
           center_classification_date, termination_date, address_1, address_2, city, state, postal_code, country
    FROM devices";

/// A year is four digits, else there is none.
pub const SEARCH_SQL: &str = "
    SELECT *, CASE WHEN recall_initiation_date ~ '^[0-9]{4}' THEN substr(recall_initiation_date, 1, 4)
                   WHEN report_date ~ '^[0-9]{4}' THEN substr(report_date, 1, 4) END AS year
    FROM devices";

pub fn pipelines(settings: &Settings, stores: &Stores) -> Result<Vec<Pipeline>> {
    let table = Pipeline::from("recalls", "table", &DEVICES)
        .sql(&sql(settings, "table", TABLE_SQL)?)
        .context("plan [sql] table")?
        .into(stores.upsert(DATABASE, TABLE, KEY));

    let search = Pipeline::from("recalls", "search", &DEVICES)
        .sql(SEARCH_SQL)
        .context("plan the index's SQL")?;
    let seed = Arc::new(RecallsSeed::new(stores, search.rows()));
    let search = search.into(stores.search(&RECALLS, Some(seed))?);

    Ok(vec![table, search])
}
