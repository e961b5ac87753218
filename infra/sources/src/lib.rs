//! Sources turn the outside into records of a topic.
//!
//! # Layout
//! - [`Outlet`]: the way into a topic: collects records, keeps the pace, tries again.
//! - [`Poll`]: JSON by HTTP GET, round after round.
//! - [`FileReplay`]: the lines of a text, or the records of a JSON file, in order.
//! - [`ZipFeed`]: a zipped JSON feed, downloaded when it changed, and read record by record.
//! - [`TextLines`]: a text cut into lines, and long lines between words.
//! - [`generate`]: made-up records.
//! - [`probe`]: does a URL answer?
//! - [`SourceError`]: what went wrong, and whose turn it is.
//!
//! A source that runs until it is stopped:
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # use millstream_topic::{Backend, Outgoing, Topic, memory::Memory};
//! # use millstream_sources::{Outlet, Pace, Poll, SourceError};
//! # use tokio_util::sync::CancellationToken;
//! # async fn example(topics: Arc<dyn Backend>, topic: &Topic) -> Result<(), SourceError> {
//! let stop = CancellationToken::new();
//! let mut outlet = Outlet::open(topics, topic, Pace::Max, stop.clone(), |_sent| {}).await?;
//! let mut poll = Poll::new(["http://127.0.0.1:8080/patients"], Duration::from_secs(1), stop)?;
//! while let Some(answer) = poll.next().await? {
//!     if outlet.send(Outgoing::keyed("IOS-1", answer.body)).await?.is_break() {
//!         break;
//!     }
//! }
//! outlet.flush().await
//! # }
//! ```

mod backoff;
mod call_budget;
mod error;
mod file_replay;
mod generator;
mod http_poll;
mod json_records;
mod masking;
mod outlet;
mod pace;
mod probe;
mod retry_after;
mod text_lines;
mod zip_feed;

pub use error::SourceError;
pub use file_replay::{Entry, FileReplay, Format};
pub use generator::{generate, seeded};
pub use http_poll::{Answer, Poll};
pub use masking::masked;
pub use outlet::Outlet;
pub use pace::Pace;
pub use probe::probe;
pub use text_lines::{PIECE_BYTES, TextLines};
pub use zip_feed::{FeedFile, Fetched, Limits, Meta, Progress, Records, Seen, ZipFeed};
