//! Texts, into a table of how often each word occurs.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_config::Settings;
use millstream_engine::Pipeline;
use millstream_sinks::Stores;
use millstream_topic::Topic;

use crate::words;

/// `{"text": "…"}`.
pub const KPMG_TOPIC: Topic = Topic::new("kpmg_topic").partitions(2).schema(text);

pub const TOPICS: &[Topic] = &[KPMG_TOPIC];

fn text() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, false)]))
}

pub fn pipelines(_: &Settings, stores: &Stores) -> Result<Vec<Pipeline>> {
    let counts = Pipeline::from("wordcount", "counts", &KPMG_TOPIC)
        .transform(words::function().context("prepare the splitting into words")?)
        .into(stores.count("wordcount", "wordCount", &["word"], "count")?);

    Ok(vec![counts])
}
