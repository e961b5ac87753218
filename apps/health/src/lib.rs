//! health: patients' readings and emergency vehicles' arrivals, from two HTTP feeds into the lake; readings with what a
//! table tells of the patient.
//!
//! # Layout
//! - [`pipeline`]: the page: topics, SQL and sinks, in the data's order.
//! - [`event`]: the columns of the two kinds of event, and how a feed's answer becomes records.
//! - `produce`: polls the feeds and sends.
//! - `settings`: the app's own sections of `health.toml`.
//! - [`simulation`], [`simulator`]: feeds for those who have none.

use millstream_app::{App, Feed};

pub mod event;
pub mod pipeline;
mod produce;
mod settings;
pub mod simulation;
pub mod simulator;

/// The app.
pub const APP: App = App {
    name: "health",
    about: "Patients' readings and emergency vehicles, from two HTTP feeds into the lake",
    examples: "\
Examples:
  health produce --once --rate max     10,000 made-up readings and the vehicles that follow, then exit
  health produce --rate 100            100 readings a second until Ctrl-C
  health process --until-caught-up     everything there is into the lake, then exit
  HEALTH_FEEDS__PATIENTS_URL=http://… HEALTH_FEEDS__VEHICLES_URL=http://… health produce
  health check                         the settings, and whether all can be reached
  health plan                          the way of the data",
    defaults: include_str!("../health.toml"),
    topics: pipeline::TOPICS,
    pipelines: pipeline::pipelines,
    produce: produce::produce,
    serve: None,
    feeds: |settings| {
        let urls = ["feeds.patients_url", "feeds.vehicles_url"].map(|key| settings.section(key));
        urls.into_iter().flatten().filter(|url: &String| !url.is_empty()).map(Feed::from).collect()
    },
};
