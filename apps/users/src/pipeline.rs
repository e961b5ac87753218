//! Registered users, into a table whose key is the whole user: equal names are different people.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_app::sql;
use millstream_config::Settings;
use millstream_engine::Pipeline;
use millstream_sinks::Stores;
use millstream_topic::Topic;

use crate::event::UserText;

/// `name$address$year`, see [`crate::event`].
pub const REGISTERED_USER: Topic =
    Topic::new("registered_user_2").keyed_by("name").partitions(4).schema(user);

pub const TOPICS: &[Topic] = &[REGISTERED_USER];

/// `date` is the year, as text.
pub fn user() -> SchemaRef {
    let columns = ["name", "address", "date"];
    Arc::new(Schema::new(columns.map(|name| Field::new(name, DataType::Utf8, false)).to_vec()))
}

const DETAILS_SQL: &str = "SELECT name, address, date FROM registered_user_2";

pub fn pipelines(settings: &Settings, stores: &Stores) -> Result<Vec<Pipeline>> {
    let details = Pipeline::from("users", "details", &REGISTERED_USER)
        .decode(UserText)
        .sql(&sql(settings, "details", DETAILS_SQL)?)
        .context("plan [sql] details")?
        .into(stores.upsert("my_keyspace", "user_details_5", &["name", "address", "date"]));

    Ok(vec![details])
}
