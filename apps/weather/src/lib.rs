//! weather: OpenWeather's observations into a table of the last ones and a CSV backup of all.
//!
//! # Layout
//! - [`pipeline`]: the page: topic, SQL and sinks, in the data's order.
//! - [`event`]: the two shapes of a record, read into one schema.
//! - [`produce`]: polls the API and sends what is new.
//! - [`stand_in`]: a server that answers like OpenWeather's, for those without a key.

use millstream_app::App;

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
};
