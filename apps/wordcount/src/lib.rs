//! wordcount: how often each word occurs in a text, exactly.
//!
//! # Layout
//! - [`pipeline`]: the page: topic, words, sink, in the data's order.
//! - [`event`]: how a line of text or a record of JSON becomes events.
//! - [`words`]: what a word is, and how many there are.
//! - `produce`: sends a file, over and over.

use millstream_app::App;

pub mod event;
pub mod pipeline;
mod produce;
pub mod words;

/// The app.
pub const APP: App = App {
    name: "wordcount",
    about: "How often each word occurs in a text, counted exactly",
    examples: "\
Examples:
  wordcount produce                                     the bundled poems, over and over, until Ctrl-C
  wordcount produce --once --rate max --file book.txt   a text of yours, once, as fast as it goes
  wordcount process --until-caught-up                   count what is there, then exit
  wordcount check                                       the settings, and whether all can be reached
  wordcount plan                                        the way of the data",
    defaults: include_str!("../wordcount.toml"),
    topics: pipeline::TOPICS,
    pipelines: pipeline::pipelines,
    produce: produce::produce,
    serve: None,
    feeds: |_| Vec::new(),
};
