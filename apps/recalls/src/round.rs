//! One round: the feed → a snapshot → what it changes → the topic.

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use chrono::Utc;
use millstream_sources::{FeedFile, Meta, Outlet, Seen, SourceError, ZipFeed};
use millstream_topic::{Outgoing, TopicInfo};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::changes::{Changes, Comparison, Live, MADE_UP};
use crate::event::Recall;
use crate::feed::{self, WhenUnreachable};
use crate::feed_state::{Phase, Teller};
use crate::pipeline::DEVICES;
use crate::refresh::Inner;
use crate::refused::Refused;
use crate::snapshot::{self, Sent, Spool, rewound};
use crate::stand_in;

/// Records between two tellings.
const STEP: u64 = 200;

/// How a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The feed is what it was.
    Unchanged,
    /// The topic agrees with the feed, after so many records.
    Sent { new: u64, changed: u64, gone: u64 },
    /// Somebody else refreshed, or goes on doing so.
    SomebodyElse,
    /// Stopped, or at its limit, before everything was sent.
    Stopped,
}

pub(crate) struct Round<'a> {
    pub of: &'a Inner,
    pub teller: &'a Teller,
    pub stop: &'a CancellationToken,
}

/// A feed that isn't what was seen before.
struct Got {
    file: FeedFile,
    seen: Seen,
    source: String,
    made_up: bool,
}

/// What came of reading it.
struct Compared {
    rows: File,
    changes: Changes,
    meta: Meta,
    passed_over: u64,
    /// Where the topic's partitions ended before anything was sent.
    ends: Vec<i64>,
}

impl Round<'_> {
    pub async fn run(&self) -> Result<Ended> {
        let devices = self.of.topics.ensure(&DEVICES).await.context("make the recalls' topic")?;
        let Some(got) = self.get(&devices).await? else {
            self.teller.change(|state| {
                (state.checked_at, state.refreshed_at) = (Some(Utc::now()), Some(Utc::now()));
                (state.new, state.changed, state.gone, state.trouble) = (0, 0, 0, None);
            });
            return Ok(Ended::Unchanged);
        };
        let Got { file, seen, source, made_up } = got;
        let Compared { rows, changes, meta, passed_over, ends } =
            self.compare(file, made_up).await?;
        let kept = rows.try_clone().context("keep the snapshot")?;
        let path = self.of.snapshots.write(kept, Utc::now()).await?;
        self.teller.change(|state| {
            // What is told must hold if this ends half-way.
            state.made_up |= made_up;
            state.source = source;
            (state.etag, state.last_modified, state.devices_id) = (None, None, None);
            state.devices_ends.clear();
        });
        if !self.send(rows, &changes, made_up).await? {
            return Ok(Ended::Stopped);
        }
        let sent = Sent { devices_id: devices.id.clone(), rows: changes.total };
        self.of.snapshots.complete(&path, &sent, self.of.feed.keep_snapshots).await?;
        let devices_ends = self.ends_after(&ends, changes.count()).await?;
        let (new, changed, gone) = (changes.new, changes.changed, changes.gone.len() as u64);
        self.teller.change(|state| {
            (state.checked_at, state.refreshed_at) = (Some(Utc::now()), Some(Utc::now()));
            (state.last_updated, state.total) = (meta.last_updated, changes.total);
            (state.new, state.changed, state.gone) = (new, changed, gone);
            (state.made_up, state.passed_over, state.trouble) = (made_up, passed_over, None);
            (state.etag, state.last_modified) = (seen.etag, seen.last_modified);
            (state.devices_id, state.devices_ends) = (Some(devices.id), devices_ends);
        });
        Ok(Ended::Sent { new, changed, gone })
    }

    /// `None`: it is what was seen.
    async fn get(&self, devices: &TopicInfo) -> Result<Option<Got>> {
        let (feed, state) = (&self.of.feed, self.teller.state());
        let source = feed.place();
        let may_make_up = feed.when_unreachable == WhenUnreachable::Generate && !self.of.named;
        let nothing_real = state.made_up || state.refreshed_at.is_none();
        let seen = feed::seen(&state, &source, devices);
        let got = feed.get(&seen, may_make_up && nothing_real, self.teller, self.stop).await;
        match got {
            Ok(file) => {
                Ok(file.map(|file| Got { seen: file.seen.clone(), file, source, made_up: false }))
            }
            Err(error) if may_make_up && is_unreached(&error) => {
                if Live::read(self.of.topics.as_ref()).await?.has_real() {
                    return Err(error.context("real recalls are not replaced by made-up ones"));
                }
                self.make_up(&error, devices).await
            }
            Err(error) => Err(error),
        }
    }

    /// From the stand-in server, on the same way.
    async fn make_up(&self, why: &anyhow::Error, devices: &TopicInfo) -> Result<Option<Got>> {
        let source = format!("made up: {} could not be reached", self.of.feed.place());
        (self.of.notice)(&format!(
            "recalls: the recalls are MADE UP, as the feed could not be reached ({why:#}); real ones take their place \
             as soon as it can"
        ));
        let server = stand_in::start(&self.of.stand_in).await?;
        let feed =
            ZipFeed::new(&server.url, self.stop.clone()).context("use the stand-in server")?;
        let seen = feed::seen(&self.teller.state(), &source, devices);
        let file = feed::download(&feed, &seen, self.teller, true).await?;
        Ok(file.map(|file| Got { seen: file.seen.clone(), file, source, made_up: true }))
    }

    /// Reads the feed to its end. When it is accepted, what is no recall goes to the dead letters; nothing else is
    /// sent.
    async fn compare(&self, file: FeedFile, made_up: bool) -> Result<Compared> {
        let live = Live::read(self.of.topics.as_ref()).await?;
        let ends = live.ends.clone();
        let (mut comparison, mut spool) = (Comparison::new(live, made_up), Spool::new()?);
        let mut refused = Refused::default();
        let mut records = file.records(&self.of.feed.limits())?;
        let mut read = 0;
        while let Some(record) = records.next().await? {
            if read % STEP == 0 {
                self.teller.phase(Phase::Comparing { records: read, of: records.meta().total });
                if self.stop.is_cancelled() {
                    bail!("stopped before the feed was read");
                }
            }
            // Only what may be refused is kept for it.
            let text = (!has_number(&record)).then(|| record.to_string());
            match Recall::from_feed(record) {
                Ok(recall) => {
                    comparison.take(&recall)?;
                    spool.push(&recall)?;
                }
                Err(why) => refused.push(read, why, &text.unwrap_or_default())?,
            }
            read += 1;
        }
        let changes = comparison.finish(self.of.feed.max_gone_percent)?;
        let passed_over = refused.send(&self.of.topics, self.stop).await?;
        let rows = spool.finish(&changes.superseded)?;
        let passed_over = passed_over + changes.superseded.len() as u64;
        Ok(Compared { rows, changes, meta: records.meta().clone(), passed_over, ends })
    }

    /// Where the topic ends now, if all that came since `before` is the `sent` records; otherwise nothing, so that the
    /// next refresh compares again.
    async fn ends_after(&self, before: &[i64], sent: u64) -> Result<Vec<i64>> {
        let info =
            self.of.topics.info(&DEVICES.name).await.context("look at the recalls' topic")?;
        let ends = info.map(|info| feed::ends(&info)).unwrap_or_default();
        let came = ends.iter().sum::<i64>() - before.iter().sum::<i64>();
        Ok(if came == sent as i64 { ends } else { Vec::new() })
    }

    /// `false`: not everything was sent.
    async fn send(&self, rows: File, changes: &Changes, made_up: bool) -> Result<bool> {
        let of = changes.count();
        self.teller.phase(Phase::Sending { records: 0, of });
        let (teller, sent, done) =
            (self.teller.clone(), self.of.sent.clone(), Arc::new(AtomicU64::new(0)));
        let counted = done.clone();
        let count = move |more| {
            sent.add(more);
            let records = counted.fetch_add(more, Ordering::SeqCst) + more;
            teller.phase(Phase::Sending { records, of });
        };
        let (topics, stop) = (self.of.topics.clone(), self.stop.clone());
        let outlet = Outlet::open(topics, &DEVICES, self.of.pace, stop, count).await;
        let mut outlet = outlet.context("open the recalls' topic")?.limit(self.of.limit);
        let ended = send_all(&mut outlet, rows, changes, made_up).await;
        // Also after an error: what was taken counts.
        outlet.flush().await.context("send the last changes")?;
        ended?;
        Ok(done.load(Ordering::SeqCst) == of)
    }
}

async fn send_all(outlet: &mut Outlet, rows: File, changes: &Changes, made_up: bool) -> Result<()> {
    let headers =
        if made_up { vec![(MADE_UP.to_owned(), Bytes::from_static(b"true"))] } else { vec![] };
    for recall in snapshot::read(rewound(rows)?).zip(changes.rows()).filter(|(_, wanted)| *wanted) {
        let recall = recall.0?;
        let value = recall.to_json().context("write a recall as JSON")?;
        let record = Outgoing::keyed(recall.number().to_owned(), value);
        if outlet.send(Outgoing { headers: headers.clone(), ..record }).await?.is_break() {
            return Ok(());
        }
    }
    for key in &changes.gone {
        let tombstone = Outgoing { key: Some(key.clone()), ..Outgoing::default() };
        if outlet.send(tombstone).await?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

fn is_unreached(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<SourceError>().is_some_and(SourceError::is_unreached))
}

fn has_number(record: &Value) -> bool {
    record
        .get("recall_number")
        .and_then(Value::as_str)
        .is_some_and(|number| !number.trim().is_empty())
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("the feed is what it was"),
            Self::Sent { new, changed, gone } => {
                write!(f, "{new} new, {changed} changed, {gone} gone")
            }
            Self::SomebodyElse => f.write_str("somebody else did it"),
            Self::Stopped => f.write_str("ended before everything was sent; the next one goes on"),
        }
    }
}
