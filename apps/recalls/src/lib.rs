//! recalls: the FDA's device recalls, into a table, a search index, and pages to find them on.
//!
//! # Layout
//! - [`pipeline`]: the page: topics, SQL and sinks, in the data's order.
//! - [`event`]: a record of the feed, and its canonical form.
//! - [`produce`], [`refresh`], [`turn`]: when a refresh is due, and that there is one at a time.
//! - [`round`]: what it does: [`feed`] → [`snapshot`] → [`changes`] → topic; [`refused`]: what is no recall.
//! - [`feed_state`]: how the feed is, on a topic of its own for whoever shows it.
//! - [`search`], [`seed`]: the search index, and what a new one is filled with.
//! - [`serve`]: the pages.
//! - [`simulation`], [`stand_in`]: a feed for those without network.

use millstream_app::{App, Feed};
use millstream_config::Settings;

pub mod changes;
pub mod event;
pub mod feed;
pub mod feed_state;
pub mod pipeline;
pub mod produce;
pub mod refresh;
pub mod refused;
pub mod round;
pub mod search;
pub mod seed;
pub mod serve;
pub mod simulation;
pub mod snapshot;
pub mod stand_in;
pub mod turn;

/// The app.
pub const APP: App = App {
    name: "recalls",
    about: "The FDA's device recalls, into a table, a search index, and pages to find them on",
    examples: "\
Examples:
  recalls produce --once                 one refresh from openFDA (made-up records without network), then exit
  recalls produce                        a refresh each hour until Ctrl-C
  recalls produce --once --file F.zip    from a file in place of the network
  recalls process                        into table and search index until Ctrl-C
  recalls serve                          the pages, at http://127.0.0.1:8080/
  recalls check                          the settings, and whether all can be reached
  recalls plan                           the way of the data",
    defaults: include_str!("../recalls.toml"),
    topics: pipeline::TOPICS,
    pipelines: pipeline::pipelines,
    produce: produce::produce,
    serve: Some(serve::serve),
    feeds,
};

/// The FDA's server, unless a file stands in its place.
fn feeds(settings: &Settings) -> Vec<Feed> {
    let section = settings.section::<feed::FeedSection>("feed").ok();
    let section = section.filter(|section| !section.is_file());
    let feed = section.map(|section| {
        let generates = section.when_unreachable == feed::WhenUnreachable::Generate;
        let instead = "without it, recalls are made up as long as there are no real ones";
        Feed { url: section.url, instead: generates.then_some(instead) }
    });
    feed.into_iter().collect()
}
