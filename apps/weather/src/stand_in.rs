//! Answers in the shape of OpenWeather's current-weather API, on a loopback port: for those without a key.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use chrono::Utc;
use millstream_app::Produce;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::produce::KEY;

/// The chance that a poll finds nothing new: the last observation again, with its `dt`.
const NOTHING_NEW: f64 = 0.1;

/// Cities: id, name, country, latitude, longitude, offset from UTC in seconds, mean temperature in kelvin.
const CITIES: [(i64, &str, &str, f64, f64, i32, f64); 6] = [
    (4_887_398, "Chicago", "US", 41.85, -87.65, -21_600, 283.0),
    (4_164_138, "Miami", "US", 25.7743, -80.1937, -18_000, 298.0),
    (5_391_959, "San Francisco", "US", 37.7749, -122.4194, -28_800, 288.0),
    (2_643_743, "London", "GB", 51.5085, -0.1257, 0, 284.0),
    (2_950_159, "Berlin", "DE", 52.5244, 13.4105, 3_600, 283.0),
    (1_850_144, "Tokyo", "JP", 35.6895, 139.6917, 32_400, 289.0),
];

/// The sky over every city. Same seed and requests: same weather.
#[derive(Debug)]
pub struct Sky {
    rng: StdRng,
    start: i64,
    step_s: i64,
    cities: HashMap<i64, City>,
}

#[derive(Clone, Debug)]
struct City {
    dt: i64,
    temp: f64,
    pressure: f64,
    humidity: f64,
    wind: f64,
    deg: f64,
    clouds: f64,
}

#[derive(Deserialize)]
struct Asked {
    id: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    port: u16,
    seed: u64,
    step_s: NonZeroU32,
}

/// Serves as `[stand_in]` says until the runtime ends, and says that there is no key. Returns the base URL.
#[allow(clippy::disallowed_methods, reason = "the made-up weather begins with the real time")]
pub async fn start(task: &Produce) -> Result<String> {
    let Settings { port, seed, step_s } = task.settings.section("stand_in")?;
    let sky = Sky::new(seed, Utc::now().timestamp(), step_s.get().into());
    let base = format!("http://{}", serve(sky, port).await?);
    (task.notice)(&format!(
        "{KEY} is not set: polling the app's own stand-in server at {base}, whose weather is made up"
    ));
    Ok(base)
}

/// Serves until the runtime ends. `port` 0: any free one. Returns where it listens.
pub async fn serve(sky: Sky, port: u16) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
        format!(
            "listen on 127.0.0.1:{port} for the stand-in server; set [stand_in] port to a free port, or to 0 for any"
        )
    })?;
    let address = listener.local_addr().context("ask for the stand-in server's port")?;
    let routes = Router::new()
        .route("/data/2.5/weather", get(weather))
        .with_state(Arc::new(Mutex::new(sky)));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

async fn weather(
    State(sky): State<Arc<Mutex<Sky>>>,
    Query(asked): Query<Asked>,
) -> (StatusCode, Json<Value>) {
    let Some(id) = asked.id.and_then(|id| id.parse().ok()) else {
        return (StatusCode::BAD_REQUEST, Json(json!({"cod": "400", "message": "wrong city ID"})));
    };
    match sky.lock().unwrap_or_else(PoisonError::into_inner).observe(id) {
        Some(observation) => (StatusCode::OK, Json(observation)),
        None => (StatusCode::NOT_FOUND, Json(json!({"cod": "404", "message": "city not found"}))),
    }
}

impl Sky {
    /// `start`: Unix seconds of the first observations; `step_s`: seconds to each next one.
    pub fn new(seed: u64, start: i64, step_s: i64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), start, step_s, cities: HashMap::new() }
    }

    /// What the API would answer; `None`: no such city.
    fn observe(&mut self, id: i64) -> Option<Value> {
        let known = CITIES.iter().find(|city| city.0 == id)?;
        let Self { rng, start, step_s, cities } = self;
        let city = cities.entry(id).or_insert_with(|| City::new(*start - *step_s, known.6));
        if city.dt < *start || !rng.random_bool(NOTHING_NEW) {
            city.drift(*step_s, known.6, rng);
        }
        let &(id, name, country, lat, lon, timezone, _) = known;
        let day = city.dt - city.dt.rem_euclid(86_400);
        let (condition, main, description) = city.sky();
        Some(json!({
            "coord": {"lon": lon, "lat": lat},
            "weather": [{"id": condition, "main": main, "description": description, "icon": "04d"}],
            "base": "stations",
            "main": {
                "temp": hundredths(city.temp), "feels_like": hundredths(city.temp - 0.3 * city.wind),
                "pressure": city.pressure.round() as i64, "humidity": city.humidity.round() as i64,
                "temp_min": hundredths(city.temp - 1.2), "temp_max": hundredths(city.temp + 1.2)
            },
            "visibility": 10_000,
            "wind": {
                "speed": hundredths(city.wind), "deg": city.deg.round() as i64,
                "gust": hundredths(1.6 * city.wind)
            },
            "clouds": {"all": city.clouds.round() as i64},
            "dt": city.dt,
            "sys": {"type": 1, "id": 5_091, "country": country, "sunrise": day + 21_600, "sunset": day + 64_800},
            "timezone": timezone, "id": id, "name": name, "cod": 200
        }))
    }
}

impl City {
    fn new(dt: i64, temp: f64) -> Self {
        Self { dt, temp, pressure: 1_014.0, humidity: 65.0, wind: 4.0, deg: 220.0, clouds: 40.0 }
    }

    /// A step later: a little more or less of everything.
    fn drift(&mut self, step_s: i64, mean_temp: f64, rng: &mut StdRng) {
        let mut walk = |value: &mut f64, chance: f64, low: f64, high: f64| {
            *value = (*value + rng.random_range(-chance..chance)).clamp(low, high);
        };
        walk(&mut self.temp, 0.4, mean_temp - 15.0, mean_temp + 15.0);
        walk(&mut self.pressure, 0.6, 980.0, 1_040.0);
        walk(&mut self.humidity, 2.0, 20.0, 100.0);
        walk(&mut self.wind, 0.5, 0.0, 25.0);
        walk(&mut self.deg, 12.0, 0.0, 359.0);
        walk(&mut self.clouds, 6.0, 0.0, 100.0);
        self.dt += step_s;
    }

    fn sky(&self) -> (u32, &'static str, &'static str) {
        match self.clouds {
            ..11.0 => (800, "Clear", "clear sky"),
            ..25.0 => (801, "Clouds", "few clouds"),
            ..51.0 => (802, "Clouds", "scattered clouds"),
            ..85.0 => (803, "Clouds", "broken clouds"),
            _ => (804, "Clouds", "overcast clouds"),
        }
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHICAGO: i64 = 4_887_398;
    const START: i64 = 1_795_219_200;

    /// The shape of an answer: its keys, down to the types of the values.
    fn shape(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect()
            }
            Value::Array(items) => items.iter().map(shape).collect(),
            Value::Number(_) => json!("number"),
            Value::String(_) => json!("text"),
            other => other.clone(),
        }
    }

    #[test]
    fn answers_have_openweathers_shape() {
        let real = json!({
            "coord":{"lon":-87.65,"lat":41.85},
            "weather":[{"id":804,"main":"Clouds","description":"overcast clouds","icon":"04d"}],
            "base":"stations",
            "main":{"temp":280.32,"feels_like":277.1,"pressure":1012,"humidity":81,"temp_min":279.15,"temp_max":281.15},
            "visibility":10000,"wind":{"speed":3.1,"deg":80,"gust":6.2},"clouds":{"all":90},"dt":1588791600,
            "sys":{"type":1,"id":5091,"country":"US","sunrise":1588761037,"sunset":1588812875},
            "timezone":-18000,"id":4887398,"name":"Chicago","cod":200
        });
        let ours = Sky::new(1, START, 600).observe(CHICAGO).expect("Chicago");
        assert_eq!(shape(&ours), shape(&real));
    }

    #[test]
    fn time_goes_on_by_the_step_and_sometimes_not_at_all() {
        let mut sky = Sky::new(1, START, 600);
        let times: Vec<i64> = (0..1_000)
            .map(|_| sky.observe(CHICAGO).expect("Chicago")["dt"].as_i64().expect("dt"))
            .collect();
        assert_eq!(times[0], START);
        let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| [0, 600].contains(step)));
        let same = steps.iter().filter(|step| **step == 0).count();
        assert!((50..200).contains(&same), "{same} of 1,000 are the same again");
    }

    #[test]
    fn an_observation_told_twice_is_the_same_in_all() {
        let mut sky = Sky::new(2, START, 600);
        let all: Vec<Value> = (0..200).map(|_| sky.observe(CHICAGO).expect("Chicago")).collect();
        let same = all.windows(2).filter(|pair| pair[0]["dt"] == pair[1]["dt"]);
        assert!(same.inspect(|pair| assert_eq!(pair[0], pair[1])).count() > 0);
    }

    #[test]
    fn the_weather_is_plausible_and_drifts() {
        let mut sky = Sky::new(3, START, 600);
        let temperature =
            |observation: &Value| observation["main"]["temp"].as_f64().expect("a temperature");
        let all: Vec<Value> = (0..2_000).map(|_| sky.observe(CHICAGO).expect("Chicago")).collect();
        for observation in &all {
            assert!((260.0..310.0).contains(&temperature(observation)), "{observation}");
            assert!(
                (0.0..=25.0).contains(&observation["wind"]["speed"].as_f64().expect("wind")),
                "{observation}"
            );
            assert!(
                (0..=100).contains(&observation["main"]["humidity"].as_i64().expect("humidity")),
                "{observation}"
            );
        }
        assert!(
            all.windows(2).all(|pair| (temperature(&pair[0]) - temperature(&pair[1])).abs() < 0.5)
        );
    }

    #[test]
    fn the_seed_decides_and_unknown_cities_are_not_found() {
        let observe = |seed| Sky::new(seed, START, 600).observe(CHICAGO);
        assert_eq!(observe(4), observe(4));
        assert_ne!(observe(4), observe(5));
        assert_eq!(Sky::new(1, START, 600).observe(1), None);
    }

    #[tokio::test]
    async fn a_port_in_use_names_the_key() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = taken.local_addr().expect("its address").port();
        let error =
            format!("{:#}", serve(Sky::new(1, START, 600), port).await.expect_err("in use"));
        assert!(error.contains("[stand_in] port") && error.contains(&port.to_string()), "{error}");
    }
}
