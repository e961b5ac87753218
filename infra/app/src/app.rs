use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use futures::future::BoxFuture;
use millstream_config::Settings;
use millstream_engine::Pipeline;
use millstream_sinks::Stores;
use millstream_topic::{Backend, Topic};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// An app as a value: what differs between apps, and nothing else. The verbs are the same for all.
#[derive(Clone, Copy, Debug)]
pub struct App {
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Commands to copy, for the end of `--help`.
    pub examples: &'static str,
    /// The text of `<app>.toml`: every setting with its default. A key that isn't in it is a typo.
    pub defaults: &'static str,
    /// The topics its producer writes.
    pub topics: &'static [Topic],
    /// Settings checked beyond their types, without I/O: problems go to `Settings::problem`.
    pub pipelines: fn(&Settings, &Stores) -> Result<Vec<Pipeline>>,
    /// Turns the outside into records until stopped, or once through.
    pub produce: fn(Produce) -> BoxFuture<'static, Result<()>>,
    /// Its pages for people, if it has any: served until stopped.
    pub serve: Option<ServePages>,
    /// What its producer would ask with these settings; `check` sees whether it answers.
    pub feeds: fn(&Settings) -> Vec<Feed>,
}

/// Serves an app's pages until stopped.
pub type ServePages = fn(Serve) -> BoxFuture<'static, Result<()>>;

/// A URL that a producer asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub url: String,
    /// What the producer does where nobody answers ("recalls are made up"); `None`: nothing, so that it has to.
    pub instead: Option<&'static str>,
}

impl From<String> for Feed {
    fn from(url: String) -> Self {
        Self { url, instead: None }
    }
}

/// What a producer is given.
#[derive(Clone, Debug)]
pub struct Produce {
    pub settings: Settings,
    pub topics: Arc<dyn Backend>,
    /// For producers that keep a copy of what they read.
    pub stores: Stores,
    pub options: ProduceOptions,
    /// Cancelled on Ctrl-C and SIGTERM: send what is in hand, then return.
    pub stop: CancellationToken,
    /// Counts records that are durable in their topics.
    pub sent: Sent,
    /// Lines for the person who started it ("no key: polling the stand-in server").
    pub notice: fn(&str),
}

/// What an app's pages are given.
#[derive(Debug)]
pub struct Serve {
    pub settings: Settings,
    pub topics: Arc<dyn Backend>,
    pub stores: Stores,
    /// Bound already: who is told the address may open it at once.
    pub listener: TcpListener,
    /// Cancelled on Ctrl-C and SIGTERM.
    pub stop: CancellationToken,
    /// Lines for the person who started it.
    pub notice: fn(&str),
}

/// The command line of `produce`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ProduceOptions {
    /// Go through the input once (file: to its end; generators and polls: one round), then exit
    #[arg(long)]
    pub once: bool,
    /// Records per second, or `max`
    #[arg(long, value_name = "N|max")]
    pub rate: Option<Rate>,
    /// Read this file in place of the usual input
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub file: Option<PathBuf>,
    /// Poll this URL in place of the usual one
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Stop after so many records
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// How fast to produce.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    PerSecond(f64),
    Max,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(Self::PerSecond(rate)),
            _ => Err("expected a number of records per second above 0, or `max`".to_owned()),
        }
    }
}

/// A shared count of records sent, and what is being done meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    records: Arc<AtomicU64>,
    doing: Arc<Mutex<String>>,
}

impl Sent {
    pub fn add(&self, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Says what is being done, for the producer's line on a terminal ("downloading 3.1 of 40.2 MB").
    pub fn says(&self, doing: impl Into<String>) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing.into();
    }

    /// What was said last; empty: nothing.
    pub fn said(&self) -> String {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
