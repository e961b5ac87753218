//! weather: OpenWeather's observations into a table of the last ones and a CSV backup of all.
//!
//! # Layout
//! - [`pipeline`]: the page: topic, SQL and sinks, in the data's order.
//! - [`event`]: the two shapes of a record, read into one schema.
//! - [`produce`]: polls the API and sends what is new.
//! - [`stand_in`]: a server that answers like OpenWeather's, for those without a key.

use millstream_app::{App, Feed};
use millstream_config::Settings;

pub mod event;
pub mod pipeline;
pub mod produce;
pub mod stand_in;

/// The app.
pub const APP: App = App {
    name: "weather",
    about: "Current weather of some cities, into a table and a CSV backup",
    examples: "\
Examples:
  weather produce --once                     one round over the cities, then exit
  OPENWEATHER_API_KEY=… weather produce      OpenWeather's own weather until Ctrl-C
  weather produce --rate max --limit 1000    1,000 made-up observations, fast
  weather process --until-caught-up          everything there is into table and backup, then exit
  weather check                              the settings, and whether all can be reached
  weather plan                               the way of the data",
    defaults: include_str!("../weather.toml"),
    topics: pipeline::TOPICS,
    pipelines: pipeline::pipelines,
    produce: produce::produce,
    serve: None,
    feeds,
};

/// The first city's weather, if there is a key to ask with; without one the stand-in server is polled.
fn feeds(settings: &Settings) -> Vec<Feed> {
    let key = produce::key(std::env::var(produce::KEY).unwrap_or_default());
    let Some(key) = key.ok().filter(|key| !key.is_empty()) else { return Vec::new() };
    let base = settings.section::<String>("poll.base_url");
    let cities = settings.section::<Vec<u32>>("poll.cities").unwrap_or_default();
    let url = base.ok().zip(cities.first()).map(|(base, city)| {
        let base = base.trim_end_matches('/');
        format!("{base}/data/2.5/weather?id={city}&appid={}", key.expose())
    });
    url.map(Feed::from).into_iter().collect()
}
