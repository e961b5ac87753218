//! The two shapes of a weather record, read into one schema.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::DateTime;
use millstream_engine::{Decoded, Decoder, Json};
use serde_json::{Value, json};

/// Columns of a decoded record. Units are the API's own: kelvin, m/s, hPa, metres, degrees.
pub fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        text("city", false),
        text("country", true),
        number("windspeed"),
        number("temp_k"),
        number("feels_like_k"),
        number("pressure_hpa"),
        number("humidity_pct"),
        number("visibility_m"),
        number("wind_deg"),
        number("clouds_pct"),
        text("description", true),
        Field::new("observed_at", utc, true),
        Field::new("city_id", DataType::Int64, true),
    ]))
}

/// Reads OpenWeather's JSON (one row), and the older split form `{"columns":[…],"data":[[…],…]}` (a row per
/// row of `data`, of which city, country and wind speed are known).
#[derive(Clone, Copy, Debug)]
pub struct WeatherJson;

impl Decoder for WeatherJson {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn id(&self) -> String {
        "weather 1".to_owned()
    }

    fn decode(&self, values: &[&[u8]]) -> Result<Decoded, String> {
        let (mut rows, mut origin) = (vec![], vec![]);
        for (index, value) in values.iter().enumerate() {
            let json: Value = serde_json::from_slice(value).map_err(|error| error.to_string())?;
            match json.get("columns") {
                Some(columns) => rows.extend(split(columns, &json["data"])?),
                None => rows.push(report(&json)?),
            }
            origin.resize(rows.len(), index as u32);
        }
        let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
        let rows: Vec<&[u8]> = rows.iter().map(String::as_bytes).collect();
        // Types are its business.
        Ok(Decoded { batch: Json::new(schema()).decode(&rows)?.batch, origin })
    }
}

/// A row of OpenWeather's JSON. Stations lack this and that, but each has a name and a time.
fn report(json: &Value) -> Result<Value, String> {
    let (main, wind) = (&json["main"], &json["wind"]);
    let dt = json["dt"].as_i64().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    Ok(json!({
        "city": city(&json["name"])?,
        "country": json["sys"]["country"],
        "windspeed": wind["speed"],
        "temp_k": main["temp"],
        "feels_like_k": main["feels_like"],
        "pressure_hpa": main["pressure"],
        "humidity_pct": main["humidity"],
        "visibility_m": json["visibility"],
        "wind_deg": wind["deg"],
        "clouds_pct": json["clouds"]["all"],
        "description": json["weather"][0]["description"],
        "observed_at": dt.ok_or("`dt` is missing, or is no time in Unix seconds")?.to_rfc3339(),
        "city_id": json["id"],
    }))
}

/// The rows of pandas' split form. Columns may come in any order and case.
fn split(columns: &Value, data: &Value) -> Result<Vec<Value>, String> {
    let columns = columns.as_array().ok_or("`columns` is not an array")?;
    let is = |column: &Value, name| column.as_str().is_some_and(|c| c.eq_ignore_ascii_case(name));
    let place = |name| columns.iter().position(|column| is(column, name));
    let name = place("Name").ok_or("column `Name` is missing")?;
    let (country, windspeed) = (place("Country"), place("windSpeed"));
    let rows = data.as_array().ok_or("`data` is not an array")?.iter().map(|cells| {
        if cells.as_array().map(Vec::len) != Some(columns.len()) {
            return Err(format!("a row of `data` doesn't have {} cells", columns.len()));
        }
        let cell = |place: Option<usize>| place.map(|place| &cells[place]);
        let city = city(&cells[name])?;
        Ok(json!({ "city": city, "country": cell(country), "windspeed": cell(windspeed) }))
    });
    rows.collect()
}

fn city(name: &Value) -> Result<&str, &'static str> {
    let name = name.as_str().filter(|name| !name.trim().is_empty());
    name.ok_or("the city's name is missing, empty or no text")
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, Int64Type, TimestampMillisecondType};

    use super::*;

    const CHICAGO: &str = r#"{"coord":{"lon":-87.65,"lat":41.85},"weather":[{"id":804,"main":"Clouds","description":"overcast clouds","icon":"04d"}],
        "base":"stations","main":{"temp":280.32,"feels_like":277.1,"pressure":1012,"humidity":81,"temp_min":279.15,"temp_max":281.15},
        "visibility":10000,"wind":{"speed":3.1,"deg":80,"gust":6.2},"clouds":{"all":90},"dt":1588791600,
        "sys":{"type":1,"id":5091,"country":"US","sunrise":1588761037,"sunset":1588812875},"timezone":-18000,"id":4887398,"name":"Chicago","cod":200}"#;

    /// The rows of a value as JSON; nulls are left out.
    fn rows(value: &str) -> Value {
        let batch = WeatherJson.decode(&[value.as_bytes()]).expect(value).batch;
        let mut writer = arrow::json::ArrayWriter::new(vec![]);
        writer.write(&batch).and_then(|()| writer.finish()).expect("JSON");
        let text = writer.into_inner();
        if text.is_empty() { json!([]) } else { serde_json::from_slice(&text).expect("JSON") }
    }

    #[test]
    fn reads_openweather() {
        let expected = json!([{
            "city": "Chicago", "country": "US", "windspeed": 3.1, "temp_k": 280.32, "feels_like_k": 277.1,
            "pressure_hpa": 1012.0, "humidity_pct": 81.0, "visibility_m": 10_000.0, "wind_deg": 80.0,
            "clouds_pct": 90.0, "description": "overcast clouds", "observed_at": "2020-05-06T19:00:00Z",
            "city_id": 4_887_398
        }]);
        assert_eq!(rows(CHICAGO), expected);
    }

    #[test]
    fn a_station_may_lack_all_but_name_and_time() {
        let expected = json!([{"city": "Oslo", "observed_at": "1970-01-01T00:00:01Z"}]);
        assert_eq!(rows(r#"{"name":"Oslo","dt":1}"#), expected);
    }

    #[test]
    fn reads_the_split_form() {
        let original =
            r#"{"columns":["Name","Country","windSpeed"],"data":[["Chicago","US",3.1]]}"#;
        let expected = json!([{"city": "Chicago", "country": "US", "windspeed": 3.1}]);
        assert_eq!(rows(original), expected);
        let other = r#"{"index":[0,1],"columns":["WINDSPEED","humidity","name"],
            "data":[[4,81,"Miami"],[null,{},"Oslo"]]}"#;
        assert_eq!(rows(other), json!([{"city": "Miami", "windspeed": 4.0}, {"city": "Oslo"}]));
        assert_eq!(rows(r#"{"columns":["Name"],"data":[]}"#), json!([]));
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, words) in [
            ("{", "EOF"),
            ("[]", "the city's name is missing"),
            (r#"{"dt":1}"#, "the city's name is missing"),
            (r#"{"name":7,"dt":1}"#, "the city's name is missing, empty or no text"),
            (r#"{"name":" ","dt":1}"#, "the city's name is missing, empty or no text"),
            (r#"{"cod":401,"message":"Invalid API key"}"#, "the city's name is missing"),
            (r#"{"name":"Oslo"}"#, "`dt` is missing"),
            (r#"{"name":"Oslo","dt":9223372036854775807}"#, "is no time"),
            (
                r#"{"name":"Oslo","dt":1,"wind":{"speed":"3"}}"#,
                "field `windspeed`: invalid type: string",
            ),
            (r#"{"columns":["Country"],"data":[["US"]]}"#, "column `Name` is missing"),
            (r#"{"columns":"Name","data":[["US"]]}"#, "`columns` is not an array"),
            (r#"{"columns":["Name"],"data":[["a"],[null]]}"#, "the city's name is missing"),
            (r#"{"columns":["Name"],"data":[["a","b"]]}"#, "doesn't have 1 cells"),
            (r#"{"columns":["Name"],"data":["a"]}"#, "doesn't have 1 cells"),
            (r#"{"columns":["Name","windSpeed"],"data":[["a","3.1"]]}"#, "field `windspeed`"),
            (r#"{"columns":["Name"]}"#, "`data` is not an array"),
        ] {
            let error = WeatherJson.decode(&[value.as_bytes()]).expect_err(value);
            assert!(error.contains(words), "{value}: {error}");
        }
    }

    #[test]
    fn rows_know_the_value_they_came_from() {
        let two = r#"{"columns":["Name"],"data":[["a"],["b"]]}"#;
        let none = r#"{"columns":["Name"],"data":[]}"#;
        let values = [two, none, CHICAGO].map(str::as_bytes);
        let Decoded { batch, origin } = WeatherJson.decode(&values).expect("all are good");
        assert_eq!(origin, [0, 0, 2]);
        assert_eq!(batch.schema(), schema());
        let column = |name: &str| batch.column_by_name(name).expect(name).clone();
        assert_eq!(
            column("city").as_string::<i32>().iter().flatten().collect::<Vec<_>>(),
            ["a", "b", "Chicago"]
        );
        let observed_at = column("observed_at");
        assert!(observed_at.is_null(0));
        assert_eq!(
            observed_at.as_primitive::<TimestampMillisecondType>().value(2),
            1_588_791_600_000
        );
        assert_eq!(column("city_id").as_primitive::<Int64Type>().value(2), 4_887_398);
        assert!(
            (column("temp_k").as_primitive::<Float64Type>().value(2) - 280.32).abs() < f64::EPSILON
        );
        assert_eq!(WeatherJson.decode(&[none.as_bytes()]).expect("no rows").batch.num_rows(), 0);
    }

    #[test]
    fn one_bad_value_fails_the_call() {
        assert!(WeatherJson.decode(&[CHICAGO.as_bytes(), b"{}"]).is_err());
    }
}
