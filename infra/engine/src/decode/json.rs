use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};

use super::column::Column;
use super::{Decoded, Decoder};

/// One JSON object a value, one row an object. Types are taken at their word: a number in quotes, or a
/// fraction where a whole number belongs, is an error and not a guess. Fields the schema doesn't name are
/// passed over; a field that is missing is null where the schema allows it.
///
/// Columns may be `Utf8`, `Int32`, `Int64`, `Float64`, `Boolean`, `Date32` ("2026-11-21"), `Timestamp`
/// in milliseconds (ISO 8601), and structs and lists of these.
#[derive(Clone, Debug)]
pub struct Json {
    schema: SchemaRef,
}

impl Json {
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema }
    }
}

impl Decoder for Json {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn id(&self) -> String {
        format!("json 1 {:?}", self.schema)
    }

    fn decode(&self, values: &[&[u8]]) -> Result<Decoded, String> {
        let mut fields = Fields::new(&self.schema, values.len())?;
        for value in values {
            // Checked as a whole that is quicker than text by text; what is bad is told by where it stands.
            let read = match simdutf8::basic::from_utf8(value) {
                Ok(text) => read(serde_json::Deserializer::from_str(text), &mut fields),
                Err(_) => read(serde_json::Deserializer::from_slice(value), &mut fields),
            };
            read.map_err(|error| error.to_string())?;
        }
        let columns = fields.columns.into_iter().map(Column::finish).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| error.to_string())?;
        Ok(Decoded::one_to_one(batch))
    }
}

/// Reads the one object of a value into the next row.
fn read<'de, R: serde_json::de::Read<'de>>(
    mut json: serde_json::Deserializer<R>,
    fields: &mut Fields,
) -> Result<(), serde_json::Error> {
    RowSeed(fields).deserialize(&mut json)?;
    json.end()
}

/// The columns of an object, filled row by row.
pub(super) struct Fields {
    names: Vec<String>,
    nullable: Vec<bool>,
    columns: Vec<Column>,
    /// Which columns the row at hand has filled.
    filled: Vec<bool>,
}

impl Fields {
    pub(super) fn new(schema: &SchemaRef, rows: usize) -> Result<Self, String> {
        Self::of(schema.fields(), rows)
    }

    pub(super) fn of(fields: &arrow::datatypes::Fields, rows: usize) -> Result<Self, String> {
        Ok(Self {
            names: fields.iter().map(|field| field.name().clone()).collect(),
            nullable: fields.iter().map(|field| field.is_nullable()).collect(),
            columns: fields
                .iter()
                .map(|field| Column::new(field, rows))
                .collect::<Result<_, _>>()?,
            filled: vec![false; fields.len()],
        })
    }

    pub(super) fn into_columns(self) -> Vec<Column> {
        self.columns
    }

    /// A row of nulls, for an absent struct.
    pub(super) fn append_null(&mut self) {
        self.columns.iter_mut().for_each(Column::append_null);
    }

    fn close_row<E: Error>(&mut self) -> Result<(), E> {
        for index in 0..self.columns.len() {
            if std::mem::take(&mut self.filled[index]) {
                continue;
            }
            if !self.nullable[index] {
                return Err(E::custom(format!("field `{}` is missing", self.names[index])));
            }
            self.columns[index].append_null();
        }
        Ok(())
    }
}

/// Reads one object into the next row.
pub(super) struct RowSeed<'a>(pub(super) &'a mut Fields);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.0;
        fields.filled.fill(false);
        let mut expected = 0;
        while let Some(found) = map.next_key_seed(NameSeed { names: &fields.names, expected })? {
            let Some(index) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            expected = index + 1;
            let name = &fields.names[index];
            if std::mem::replace(&mut fields.filled[index], true) {
                return Err(A::Error::custom(format!("field `{name}` is there twice")));
            }
            let seed = fields.columns[index].seed(fields.nullable[index]);
            map.next_value_seed(seed)
                .map_err(|error| A::Error::custom(format!("field `{name}`: {error}")))?;
        }
        fields.close_row()
    }
}

/// Finds a field's index by its name, without keeping the name.
struct NameSeed<'a> {
    names: &'a [String],
    /// Most objects have their fields in the schema's order: which one comes next then.
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        if self.names.get(self.expected).is_some_and(|known| known == name) {
            return Ok(Some(self.expected));
        }
        Ok(self.names.iter().position(|known| known == name))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray};
    use arrow::datatypes::TimestampMillisecondType;
    use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimeUnit};

    use super::*;

    fn decoder() -> Json {
        let place = DataType::Struct(
            vec![
                Field::new("lat", DataType::Float64, false),
                Field::new("lon", DataType::Float64, true),
            ]
            .into(),
        );
        let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        Json::new(Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("n", DataType::Int64, true),
            Field::new("x", DataType::Float64, true),
            Field::new("ok", DataType::Boolean, true),
            Field::new("at", utc, true),
            Field::new("place", place, true),
            Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
        ])))
    }

    fn error(value: &str) -> String {
        decoder().decode(&[value.as_bytes()]).expect_err(value)
    }

    #[test]
    fn reads_every_type() {
        let full = r#"{"n":-3,"id":"ä\n","x":2,"ok":true,"at":"2026-11-21T01:02:03.004Z",
            "other":{"deep":[1]},"place":{"lat":51.5,"lon":null},"tags":["a",null]}"#;
        let bare = r#"{"id":""}"#;
        let rows = decoder().decode(&[full.as_bytes(), bare.as_bytes()]).expect("both are good");
        assert_eq!(rows.origin, [0, 1]);
        let column = |name: &str| rows.batch.column_by_name(name).expect(name).clone();
        assert_eq!(column("id").as_string::<i32>().value(0), "ä\n");
        assert_eq!(column("n").as_primitive::<Int64Type>().value(0), -3);
        assert!((column("x").as_primitive::<Float64Type>().value(0) - 2.0).abs() < f64::EPSILON);
        assert_eq!(
            column("at").as_primitive::<TimestampMillisecondType>().value(0),
            1_795_222_923_004
        );
        let place = column("place");
        let lat = place.as_struct().column(0).clone();
        assert!((lat.as_primitive::<Float64Type>().value(0) - 51.5).abs() < f64::EPSILON);
        assert_eq!(column("tags").as_list::<i32>().value(0).len(), 2);
        for name in ["n", "x", "ok", "at", "place", "tags"] {
            assert!(column(name).is_null(1), "{name} of the bare record");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, words) in [
            ("{", "EOF"),
            ("[1]", "expected an object"),
            (r#"{"id":"a"} {"id":"b"}"#, "trailing characters"),
            (r#"{"n":1}"#, "field `id` is missing"),
            (r#"{"id":null}"#, "field `id`: null isn't allowed"),
            (r#"{"id":7}"#, "field `id`: invalid type: integer `7`, expected a string"),
            (r#"{"id":"a","id":"b"}"#, "field `id` is there twice"),
            (r#"{"id":"a","n":1.5}"#, "field `n`: invalid type: floating point `1.5`"),
            (r#"{"id":"a","n":"1"}"#, "field `n`: invalid type: string \"1\""),
            (r#"{"id":"a","n":9223372036854775808}"#, "field `n`"),
            (r#"{"id":"a","at":"yesterday"}"#, "field `at`: \"yesterday\" is not a date and time"),
            (r#"{"id":"a","place":{"lon":1}}"#, "field `place`: field `lat` is missing"),
        ] {
            let found = error(value);
            assert!(found.contains(words), "{value}: {found}");
        }
    }

    #[test]
    fn refuses_bad_utf8_and_deep_nesting() {
        let bad = b"{\"id\":\"\xff\"}";
        assert!(decoder().decode(&[bad]).expect_err("bad UTF-8").contains("unicode"));
        let deep = format!(r#"{{"id":"a","tags":{}"#, "[".repeat(100_000));
        assert!(error(&deep).contains("field `tags`"));
        let passed_over = format!(r#"{{"id":"a","other":{}"#, "[".repeat(100_000));
        assert!(error(&passed_over).contains("EOF"), "no stack is used for what is passed over");
    }

    #[test]
    fn two_halves_do_not_make_a_whole() {
        let halves: [&[u8]; 2] = [br#"{"id":"#, br#""a"}"#];
        assert!(decoder().decode(&halves).is_err());
    }
}
