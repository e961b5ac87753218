//! What the pages are made with: a small server with safe defaults, one stylesheet, live fragments, charts.
//! It knows nothing of streams: every site of the project stands on it.
//!
//! # Layout
//! - [`bind`], [`Server`], [`serve`]: a router on a socket, wrapped in what every site needs: headers, limits,
//!   timeouts, useful error pages.
//! - [`Shell`], [`error_page`]: the frame around every page.
//! - [`parts`]: badges, notices, tables and other small pieces, as functions that make markup.
//! - [`words`]: numbers, sizes and times as people read them.
//! - [`assets`]: the stylesheets and the script, and the way to serve an app's own. What `live.js` makes of
//!   `data-live`, `data-refresh`, `data-suggest` and `data-copy` is said at its beginning.
//! - [`chart`]: charts as SVG for the page, and the same as PNG.
//! - [`sse`]: server-sent events out of a watch channel.
//! - [`csv`]: exports that a spreadsheet can't be tricked with.
//!
//! ```
//! use axum::{Router, routing::get};
//! use maud::html;
//! use millstream_web::{Server, Shell, assets};
//!
//! let shell = Shell { site: "Recalls", nav: &[("/", "Search")], head: html! {} };
//! let home = { let shell = shell.clone(); move || async move { shell.page("Search", "/", html! { h1 { "Search" } }) } };
//! let router = Router::new().route("/", get(home)).merge(assets::router());
//! let server = Server::new(router).shell(shell);
//! # drop(server);
//! ```

pub mod assets;
pub mod chart;
mod connections;
pub mod csv;
mod error;
mod explain;
mod guard;
mod headers;
pub mod parts;
mod server;
mod shell;
pub mod sse;
#[cfg(test)]
mod tests;
pub mod words;

pub use error::WebError;
pub use explain::wants_json;
pub use server::{Server, bind, serve};
pub use shell::{Shell, error_page};
