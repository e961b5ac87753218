//! The simulation over HTTP: `GET /patients?count=N` and `GET /vehicles?count=N`, on a loopback port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::event::{Patient, Vehicle};
use crate::simulation::Simulation;

/// Events per answer at most: what a client may make the server hold.
const MOST: usize = 10_000;

type Shared = Arc<Mutex<Simulation>>;

#[derive(Deserialize)]
struct Asked {
    count: Option<usize>,
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
