//! Observations of the weather, into a table that keeps each city's last one, and into a backup of all.

use anyhow::{Context, Result};
use millstream_app::sql;
use millstream_config::Settings;
use millstream_engine::Pipeline;
use millstream_sinks::{Stores, lake::Format};
use millstream_topic::Topic;

use crate::event::{WeatherJson, schema};

pub const WEATHER: Topic = Topic::new("weather").keyed_by("city id").partitions(3).schema(schema);

pub const TOPICS: &[Topic] = &[WEATHER];

const TABLE_SQL: &str = "
    SELECT city, country, windspeed, temp_k, feels_like_k, pressure_hpa, humidity_pct, visibility_m,
           wind_deg, clouds_pct, description, observed_at, city_id
    FROM weather";

const BACKUP_SQL: &str = "
    SELECT observed_at, city_id, city, country, windspeed, temp_k, feels_like_k, pressure_hpa, humidity_pct,
           visibility_m, wind_deg, clouds_pct, description
    FROM weather";

pub fn pipelines(settings: &Settings, stores: &Stores) -> Result<Vec<Pipeline>> {
    let table = Pipeline::from("weather", "table", &WEATHER)
        .decode(WeatherJson)
        .sql(&sql(settings, "table", TABLE_SQL)?)
        .context("plan [sql] table")?
        .into(stores.upsert("weather", "weather", &["city"]));

    let backup = Pipeline::from("weather", "backup", &WEATHER)
        .decode(WeatherJson)
        .sql(&sql(settings, "backup", BACKUP_SQL)?)
        .context("plan [sql] backup")?
        .into(stores.files("weather_backup", Format::Csv, &[]));

    Ok(vec![table, backup])
}
