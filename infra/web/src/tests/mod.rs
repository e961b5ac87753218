//! The server as a whole, from outside. Beside: what a single answer looks like, and a socket's life.

mod answers;
mod serving;

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use maud::html;

use crate::{Server, Shell, assets, error_page};

fn shell() -> Shell {
    Shell { site: "Test", nav: &[("/", "Home")], head: html! {} }
}

async fn panics() -> Response {
    panic!("a bug <b>")
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(120)).await;
    "late"
}

fn site() -> Router {
    Router::new()
        .route(
            "/",
            get(async || {
                shell().page("Home", "/", html! { h1 { "Home" } p { (".".repeat(2000)) } })
            }),
        )
        .route("/panic", get(panics))
        .route("/api/panic", get(panics))
        .route("/slow", get(slow))
        .route("/only-post", post(async || "done"))
        .route(
            "/gone",
            get(async || {
                error_page(&shell(), StatusCode::GONE, "It was <taken> away.", "Look elsewhere.")
            }),
        )
        .route(
            "/api/gone",
            get(async || {
                error_page(&shell(), StatusCode::GONE, "It was taken away.", "Look elsewhere.")
            }),
        )
        .route("/{name}", get(async || "a name"))
        .merge(assets::router())
}

fn server() -> Server {
    Server::new(site()).shell(shell())
}
