//! The simulation over HTTP: `GET /patients?count=N` and `GET /vehicles?count=N`, on a loopback port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use millstream_app::Produce;
use millstream_sources::{Pace, Poll};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tokio::net::TcpListener;

use crate::simulation::{Patient, Simulation, Vehicle};

/// Events per answer at most: what a client may make the server hold.
const MOST: usize = 10_000;

type Shared = Arc<Mutex<Simulation>>;

#[derive(Deserialize)]
struct Asked {
    count: Option<usize>,
}

/// Events asked of the simulator at once: so many seconds' worth of the pace,
const ANSWER_S: f64 = 0.1;
/// and at most so many.
const ANSWER_EVENTS: f64 = 1_000.0;

/// `[simulate]` of the settings.
#[derive(Debug, Deserialize)]
pub(crate) struct Simulate {
    port: u16,
    seed: u64,
    step_ms: u32,
    #[serde(deserialize_with = "time_or_now")]
    pub(crate) start: DateTime<Utc>,
}

#[allow(clippy::disallowed_methods, reason = "simulated time begins with the real one")]
fn time_or_now<'de, D: Deserializer<'de>>(text: D) -> Result<DateTime<Utc>, D::Error> {
    match String::deserialize(text)?.as_str() {
        "" => Ok(Utc::now()),
        time => time.parse().map_err(|_| {
            D::Error::custom("expected a time such as 2026-11-21T08:00:00Z, or nothing for now")
        }),
    }
}

/// Serves as `[simulate]` says until the runtime ends. Polls patients and vehicles in turn, so many at once as suits
/// `pace`.
pub(crate) async fn start(task: &Produce, pace: Pace) -> Result<Poll> {
    let Simulate { port, seed, step_ms, start } = task.settings.section("simulate")?;
    let simulation = Simulation::new(seed, start, TimeDelta::milliseconds(step_ms.into()));
    let at = serve(simulation, port).await?;
    (task.notice)(&format!("polling the app's own simulator at http://{at}"));
    let answer = match pace {
        Pace::Max => ANSWER_EVENTS,
        Pace::PerSecond(rate) => (rate * ANSWER_S).clamp(1.0, ANSWER_EVENTS).floor(),
    };
    let urls = ["patients", "vehicles"].map(|feed| format!("http://{at}/{feed}?count={answer}"));
    Ok(Poll::new(urls, Duration::ZERO, task.stop.clone())?)
}

/// Serves until the runtime ends. `port` 0: any free one. Returns where it listens.
pub async fn serve(simulation: Simulation, port: u16) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
        format!(
            "listen on 127.0.0.1:{port} for the simulator; set [simulate] port to a free port, or to 0 for any"
        )
    })?;
    let address = listener.local_addr().context("ask for the simulator's port")?;
    let routes = Router::new()
        .route("/patients", get(patients))
        .route("/vehicles", get(vehicles))
        .with_state(Arc::new(Mutex::new(simulation)));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

/// Time passes with every reading handed out.
async fn patients(State(state): State<Shared>, Query(asked): Query<Asked>) -> Json<Vec<Patient>> {
    let mut simulation = state.lock().unwrap_or_else(PoisonError::into_inner);
    Json(simulation.patients(asked.count.unwrap_or(1).min(MOST)))
}

/// Vehicles that have arrived since the last call; none yet: an empty array.
async fn vehicles(State(state): State<Shared>, Query(asked): Query<Asked>) -> Json<Vec<Vehicle>> {
    let mut simulation = state.lock().unwrap_or_else(PoisonError::into_inner);
    Json(simulation.vehicles(asked.count.unwrap_or(1).min(MOST)))
}
