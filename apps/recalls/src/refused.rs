//! Records of the feed that are no recalls, kept aside until the feed is accepted; then on their way to the dead
//! letters of topic `devices`, each once.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, IntoInnerError, Write};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use chrono::Utc;
use millstream_sources::{Outlet, Pace};
use millstream_topic::dead_letter::{self, DeadLetter, Kind};
use millstream_topic::{Backend, Topic, TopicPartition};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::changes::{hash, read_all};
use crate::pipeline::{DEVICES, FEED};
use crate::snapshot::rewound;

/// Who gives them up.
const PIPELINE: &str = "recalls.produce";

/// Their place in the feed, why they are none, and their text: in a temporary file, as there may be as many as the
/// feed has records.
#[derive(Debug, Default)]
pub struct Refused {
    file: Option<BufWriter<File>>,
    count: u64,
}

impl Refused {
    pub fn push(&mut self, place: u64, why: &str, text: &str) -> Result<()> {
        const DOING: &str = "keep a record that is no recall";
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(tempfile::tempfile().context(DOING)?)),
        };
        serde_json::to_writer(&mut *file, &(place, why, text)).context(DOING)?;
        file.write_all(b"\n").context(DOING)?;
        self.count += 1;
        Ok(())
    }

    /// Sends those that aren't there yet. Returns how many there are in the feed.
    pub async fn send(self, topics: &Arc<dyn Backend>, stop: &CancellationToken) -> Result<u64> {
        let Some(file) = self.file else { return Ok(0) };
        warn!("{} records of the feed are no recalls; see the dead letters", self.count);
        let file = file.into_inner().map_err(IntoInnerError::into_error);
        let file = BufReader::new(rewound(file.context("keep records that are no recalls")?)?);
        let mut there = there(topics.as_ref()).await?;
        let topic = Topic::named(dead_letter::topic_for(&DEVICES.name)).partitions(1);
        let outlet = Outlet::open(topics.clone(), &topic, Pace::Max, stop.clone(), |_| {}).await;
        let mut outlet = outlet.context("open the topic of the dead letters")?;
        for kept in serde_json::Deserializer::from_reader(file).into_iter::<(u64, String, String)>()
        {
            let (place, why, text) = kept.context("read records that are no recalls")?;
            if !there.insert(hash(text.as_bytes())) {
                continue;
            }
            let sent = outlet.send(letter(place, &why, text).to_outgoing()).await;
            if sent.context("send a dead letter")?.is_break() {
                bail!("stopped before the dead letters were sent");
            }
        }
        outlet.flush().await.context("send the dead letters")?;
        Ok(self.count)
    }
}

fn letter(place: u64, why: &str, text: String) -> DeadLetter {
    let now = Utc::now().timestamp_millis();
    DeadLetter {
        pipeline: PIPELINE.to_owned(),
        // It never was in a topic: its place in the feed is where it can be found.
        at: TopicPartition::new(FEED.name.clone(), 0),
        offset: place as i64,
        kind: Kind::Decode,
        reason: format!("record {place} of the feed is no recall: {why}"),
        time_ms: now,
        timestamp_ms: now,
        key: None,
        value: Some(text.into()),
    }
}

/// Hashes of those that earlier refreshes sent.
async fn there(topics: &dyn Backend) -> Result<HashSet<u64>> {
    let mut there = HashSet::new();
    let take = |record| {
        let letter = DeadLetter::from_record(&record).ok();
        let ours = letter.filter(|letter| letter.pipeline == PIPELINE);
        there.extend(ours.and_then(|letter| letter.value).map(|value| hash(&value)));
    };
    read_all(topics, &dead_letter::topic_for(&DEVICES.name), take).await?;
    Ok(there)
}
