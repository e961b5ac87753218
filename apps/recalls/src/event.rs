//! A recall: the feed's fields, all text, in one order and one way of writing, so that equal records are equal bytes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

/// The feed's fields, in the order of every value, table and snapshot. The first one is the key.
pub const FIELDS: [&str; 24] = [
    "recall_number",
    "event_id",
    "classification",
    "status",
    "recalling_firm",
    "product_type",
    "product_description",
    "product_quantity",
    "reason_for_recall",
    "code_info",
    "more_code_info",
    "distribution_pattern",
    "voluntary_mandated",
    "initial_firm_notification",
    "report_date",
    "recall_initiation_date",
    "center_classification_date",
    "termination_date",
    "address_1",
    "address_2",
    "city",
    "state",
    "postal_code",
    "country",
];

/// Columns of a decoded record.
pub fn schema() -> SchemaRef {
    let field = |(at, name): (usize, &&str)| Field::new(*name, DataType::Utf8, at > 0);
    Arc::new(Schema::new(FIELDS.iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// The values of one recall, in the order of [`FIELDS`]; absent is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recall(pub Vec<Option<String>>);

impl Recall {
    /// Takes what [`FIELDS`] names of a record of the feed and drops the rest. A value that isn't text becomes
    /// its JSON; an empty text is as good as none, so that snapshots need not tell them apart. The error says
    /// why the record is none.
    pub fn from_feed(record: Value) -> Result<Self, &'static str> {
        let Value::Object(mut record) = record else { return Err("it is no JSON object") };
        let mut fields: Vec<_> = FIELDS.iter().map(|name| text(&mut record, name)).collect();
        let number = fields[0].as_deref().map(str::trim).filter(|number| !number.is_empty());
        fields[0] = Some(number.ok_or("it has no recall_number")?.to_owned());
        Ok(Self(fields))
    }

    pub fn number(&self) -> &str {
        self.0.first().and_then(Option::as_deref).unwrap_or_default()
    }

    /// A row of a snapshot, as the CSV reader gives it.
    pub fn from_csv(row: &csv::StringRecord) -> Self {
        Self(row.iter().map(|text| Some(text.to_owned()).filter(|text| !text.is_empty())).collect())
    }

    /// A row of a snapshot.
    pub fn as_csv(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|value| value.as_deref().unwrap_or_default())
    }

    /// The record's value in the topic: one JSON object, all fields, in order.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

fn text(record: &mut Map<String, Value>, name: &str) -> Option<String> {
    match record.remove(name)? {
        Value::Null => None,
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}

impl Serialize for Recall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(FIELDS.len()))?;
        for (name, value) in FIELDS.iter().zip(&self.0) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_records_are_equal_bytes_whatever_their_order_and_extras() {
        let one = json!({"recall_number": " Z-0056-2013 ", "status": "Ongoing", "event_id": 62_000,
            "openfda": {"k": [1]}, "city": null, "state": "", "code_info": "a\r\n\"b\"\t\u{1f600}"});
        let text = r#"{"code_info":"a\r\n\"b\"\t\ud83d\ude00","event_id":"62000","status":"Ongoing","recall_number":"Z-0056-2013"}"#;
        let other = serde_json::from_str(text).expect("JSON");
        let one = Recall::from_feed(one).expect("a recall");
        let other = Recall::from_feed(other).expect("a recall");
        assert_eq!(one.number(), "Z-0056-2013");
        let bytes = one.to_json().expect("JSON");
        assert_eq!(bytes, other.to_json().expect("JSON"));
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(text.starts_with(
            r#"{"recall_number":"Z-0056-2013","event_id":"62000","classification":null,"#
        ));
        assert!(text.contains(r#""code_info":"a\r\n\"b\"\t😀""#), "{text}");
        let names: Map<String, Value> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(names.len(), FIELDS.len());
    }

    #[test]
    fn what_has_no_number_is_no_recall() {
        for record in [json!({}), json!({"recall_number": null}), json!({"recall_number": " \n"})] {
            let why = Recall::from_feed(record).expect_err("no number");
            assert!(why.contains("recall_number"), "{why}");
        }
        for record in [json!([]), json!("x"), json!(null)] {
            assert!(Recall::from_feed(record).expect_err("no object").contains("object"));
        }
    }
}
