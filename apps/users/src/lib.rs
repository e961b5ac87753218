//! users: made-up registrations, into a table of who is registered.
//!
//! # Layout
//! - [`pipeline`]: the page: topic, SQL and sink, in the data's order.
//! - [`event`]: a user as one text, and back.
//! - [`people`]: made-up users.
//! - `produce`: sends them.

use millstream_app::App;

pub mod event;
pub mod people;
pub mod pipeline;
mod produce;

/// The app.
pub const APP: App = App {
    name: "users",
    about: "Registered users (made up), into a table of name, address and year",
    examples: "\
Examples:
  users produce                       1,000 users a second until Ctrl-C
  users produce --once --rate max     10,000 users as fast as it goes, then exit
  USERS_GENERATE__SEED=7 users produce --once    the same 10,000 again whenever you like
  users process --until-caught-up     all of them into the table, then exit
  users check                         the settings, and whether all can be reached
  users plan                          the way of the data",
    defaults: include_str!("../users.toml"),
    topics: pipeline::TOPICS,
    pipelines: pipeline::pipelines,
    produce: produce::produce,
    serve: None,
    feeds: |_| Vec::new(),
};
