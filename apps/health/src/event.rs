//! The columns of the two kinds of event and of the patients' demographics, and how an answer of a feed becomes records.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_topic::Outgoing;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Columns of `patient_data`. A device may lack a sensor, but a reading has an id, a patient and a time.
pub fn patient_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("patient_id", DataType::Utf8, false),
        Field::new("heart_rate", DataType::Int64, true),
        Field::new("oxygen_saturation", DataType::Float64, true),
        Field::new("vo2_max", DataType::Float64, true),
        location(),
        Field::new("emergency_alert", DataType::Boolean, true),
        time("timestamp", false),
    ]))
}

/// Columns of `emergency_vehicle_data`.
pub fn vehicle_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("vehicle_id", DataType::Utf8, false),
        Field::new("vehicle_type", DataType::Utf8, true),
        Field::new("vehicle_capacity", DataType::Utf8, true),
        location(),
        Field::new("patient_id", DataType::Utf8, false),
        time("dispatch_time", true),
        time("timestamp", false),
    ]))
}

/// Columns of the table of patients.
pub fn demographics_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("patient_id", DataType::Utf8, false),
        Field::new("birth_year", DataType::Int64, true),
        Field::new("sex", DataType::Utf8, true),
        Field::new("conditions", DataType::Utf8, true),
    ]))
}

fn time(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), nullable)
}

fn location() -> Field {
    let degrees = |name| Field::new(name, DataType::Float64, true);
    Field::new_struct("location", vec![degrees("latitude"), degrees("longitude")], true)
}

/// Records of a feed's answer: one JSON object or an array of them, each sent on as it is and keyed by its
/// `patient_id`. An event without one goes on unkeyed, for the pipeline to dead-letter where it can be seen.
pub fn records(answer: &[u8]) -> Result<Vec<Outgoing>> {
    let events: Vec<&RawValue> = if answer.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(answer)
    } else {
        serde_json::from_slice(answer).map(|event| vec![event])
    }
    .context("read the feed's answer as a JSON object or an array of them")?;
    Ok(events.into_iter().map(|event| record(event.get())).collect())
}

fn record(event: &str) -> Outgoing {
    #[derive(Deserialize)]
    struct Keyed {
        patient_id: String,
    }
    let key = serde_json::from_str::<Keyed>(event).ok().map(|keyed| keyed.patient_id.into());
    Outgoing { key, value: Some(event.to_owned().into()), ..Outgoing::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_and_values(answer: &str) -> Vec<(Option<String>, String)> {
        let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let records = records(answer.as_bytes()).expect(answer);
        let pair = |record: &Outgoing| {
            (record.key.as_ref().map(text), text(record.value.as_ref().expect("a value")))
        };
        records.iter().map(pair).collect()
    }

    #[test]
    fn an_answer_is_one_object_or_an_array() {
        let one = r#"{"patient_id":"IOS-1", "x": 1.50}"#;
        assert_eq!(keys_and_values(one), [(Some("IOS-1".to_owned()), one.to_owned())]);
        let two = keys_and_values(r#" [{"patient_id":"a\"b"},{"patient_id":"c"}]"#);
        assert_eq!(two[0], (Some("a\"b".to_owned()), r#"{"patient_id":"a\"b"}"#.to_owned()));
        assert_eq!(two[1].0.as_deref(), Some("c"));
        assert!(keys_and_values("[]").is_empty());
    }

    #[test]
    fn an_event_without_a_patient_goes_on_unkeyed() {
        for event in ["{}", r#"{"patient_id":7}"#, "3"] {
            assert_eq!(keys_and_values(&format!("[{event}]")), [(None, event.to_owned())]);
        }
    }

    #[test]
    fn an_answer_that_is_not_json_is_an_error() {
        for answer in ["", "<html>", "[{}"] {
            let error = format!("{:#}", records(answer.as_bytes()).expect_err(answer));
            assert!(error.contains("read the feed's answer"), "{error}");
        }
    }
}
