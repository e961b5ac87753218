//! The pipelines: a topic, and SQL of two versions that make the same rows in other directories. Planned once.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_engine::{Draft, Pipeline, Target};
use millstream_topic::{Cleanup, Topic};

use crate::schedule::{Kind, Schedule};

pub const EVENTS: Topic = Topic::new("events").keyed_by("id").schema(schema);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("n", DataType::Int64, false),
    ]))
}

/// What is filtered: see the oracle.
const SQL: [[&str; 2]; 3] = [
    [
        "SELECT id, n, CAST(n % 3 AS VARCHAR) AS part FROM events WHERE n % 7 <> 5",
        "SELECT id, n, 'b' || CAST(n % 2 AS VARCHAR) AS part FROM events WHERE n % 7 <> 5",
    ],
    [
        "SELECT id, n FROM events WHERE n % 7 <> 5",
        "SELECT id, n + 0 AS n FROM events WHERE n % 7 <> 5",
    ],
    ["SELECT id, n % 5 AS units FROM events WHERE n % 7 <> 5"; 2],
];

fn draft(kind: Kind, other_code: bool) -> Draft {
    static DRAFTS: OnceLock<Vec<[Draft; 2]>> = OnceLock::new();
    let plan =
        |sql: &str| Pipeline::from("sim", "rows", &EVENTS).sql(sql).expect("the SQL is row-wise");
    let drafts = DRAFTS.get_or_init(|| SQL.iter().map(|sqls| sqls.map(plan)).collect());
    let index = match kind {
        Kind::LakeCsv | Kind::LakeParquet | Kind::Append => 0,
        Kind::Upsert => 1,
        Kind::Count => 2,
    };
    drafts[index][usize::from(other_code)].clone()
}

/// The schedule's topic.
pub fn topic(schedule: &Schedule) -> Topic {
    let cleanup = if schedule.compacted { Cleanup::Compact } else { Cleanup::Delete };
    Topic { cleanup, partitions: schedule.partitions, ..EVENTS.clone() }
}

pub fn pipeline(schedule: &Schedule, other_code: bool, target: Arc<dyn Target>) -> Pipeline {
    let mut pipeline = draft(schedule.kind, other_code).into(target).roll(schedule.roll);
    pipeline.topic = topic(schedule);
    pipeline
}
