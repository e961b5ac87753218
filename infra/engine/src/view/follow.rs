use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use millstream_topic::{
    Backend, Bounds, Record, Slice, TopicError, TopicInfo, TopicPartition, UNKNOWN_ID,
};
use tokio::time::Instant;

use super::table::{Change, Table};
use super::{Changed, Shared, ViewState};
use crate::batch::{MAX_VALUE_BYTES, single_out};
use crate::decode::{Decoded, Decoder};
use crate::run::chain;
use crate::world::Backoff;

/// Records read at once: enough to be quick, few enough that values near the limit don't fill the memory.
const AT_ONCE: usize = 2_000;
/// How soon the topic is looked at again after records came, and when nothing comes at all.
const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_millis(400);
/// How often it is looked at as a whole: whether it is the same one, and whether partitions were added. On a cluster
/// that takes several questions; reading a partition on, which tells its end, takes one.
const WHOLE: Duration = Duration::from_secs(2);

/// Reads a topic into a view's table.
pub(super) struct Follower {
    topics: Arc<dyn Backend>,
    decoder: Arc<dyn Decoder>,
    /// Places of the columns that are kept.
    keep: Vec<usize>,
    shared: Arc<Shared>,
    /// The topic as it is being read; `None`: there is none.
    reading: Option<Reading>,
    /// When it was looked at as a whole.
    looked: Option<Instant>,
}

/// How far one incarnation of the topic was read.
struct Reading {
    id: String,
    /// The next offset of each partition.
    next: Vec<i64>,
    /// What was there when it was first seen: once read, the view is loaded.
    first: Vec<Bounds>,
}

impl Follower {
    pub(super) fn new(
        topics: Arc<dyn Backend>,
        decoder: Arc<dyn Decoder>,
        keep: Vec<usize>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { topics, decoder, keep, shared, reading: None, looked: None }
    }

    /// Never ends by itself.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(u64::from(std::process::id()));
        let mut wait = SOON;
        loop {
            match self.round().await {
                Ok(came) => {
                    backoff.reset();
                    self.trouble(None);
                    wait = if came { SOON } else { (wait * 2).min(LATE) };
                    tokio::time::sleep(wait).await;
                }
                Err(error) => {
                    // It may be gone, or another one.
                    self.looked = None;
                    self.trouble(Some(chain(&error)));
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    fn trouble(&self, trouble: Option<String>) {
        self.shared.change(|_, state| {
            state.trouble = trouble;
            Changed::State
        });
    }

    /// Reads every partition up to where it ends now. Whether anything came.
    async fn round(&mut self) -> Result<bool, TopicError> {
        let seen = self.looked.filter(|at| at.elapsed() < WHOLE && self.reading.is_some());
        if seen.is_none() {
            let found = self.topics.info(&self.shared.name).await?;
            self.begin_anew_unless_same(found.as_ref());
            self.looked = Some(Instant::now());
        }
        let mut came = false;
        for partition in 0..self.reading.as_ref().map_or(0, |reading| reading.next.len()) as u32 {
            let at = TopicPartition::new(self.shared.name.clone(), partition);
            while let Some(from) = self.next(&at) {
                let slice = self.topics.read(&at, from, AT_ONCE).await?;
                if slice.end < from {
                    // It lost its end: look what became of it.
                    self.looked = None;
                    return Ok(came);
                }
                let ended = slice.next >= slice.end;
                if slice.next > from {
                    self.take(&at, slice).await?;
                    came = true;
                }
                if ended || self.next(&at).is_none_or(|next| next <= from) {
                    break;
                }
            }
        }
        Ok(came)
    }

    fn next(&self, at: &TopicPartition) -> Option<i64> {
        self.reading.as_ref()?.next.get(at.partition as usize).copied()
    }

    /// Forgets everything if the topic isn't the one that was read.
    fn begin_anew_unless_same(&mut self, found: Option<&TopicInfo>) {
        let same = match (&self.reading, found) {
            (Some(reading), Some(info)) => reading.is_of(info),
            (None, None) => !self.shared.lock().state.loading,
            _ => false,
        };
        if !same {
            self.reading = found.map(Reading::new);
            let (read, of) = self.reading.as_ref().map_or((0, 0), Reading::progress);
            self.shared.change(|table, state| {
                table.clear();
                *state = ViewState { loading: read < of, read, of, ..ViewState::default() };
                Changed::Rows
            });
        }
        // Partitions may be added while a topic lives.
        if let (Some(reading), Some(info)) = (&mut self.reading, found) {
            reading.next.resize(info.partitions.len(), 0);
        }
    }

    async fn take(&mut self, at: &TopicPartition, slice: Slice) -> Result<(), TopicError> {
        let (decoder, keep, schema) =
            (self.decoder.clone(), self.keep.clone(), self.shared.schema.clone());
        // Decoding thousands of records takes too long for a thread that others wait for.
        let decoded = tokio::task::spawn_blocking(move || {
            Taken::decode(decoder.as_ref(), &keep, &slice.records).joined(&schema)
        });
        let taken = decoded
            .await
            .map_err(|error| TopicError::unavailable(format!("decode {at}"), error))?;
        let Some(reading) = &mut self.reading else { return Ok(()) };
        if let Some(next) = reading.next.get_mut(at.partition as usize) {
            *next = slice.next;
        }
        let progress = reading.progress();
        self.shared.change(|table, state| advance(table, state, taken, progress));
        Ok(())
    }
}

fn advance(
    table: &mut Table,
    state: &mut ViewState,
    taken: Joined,
    (read, of): (i64, i64),
) -> Changed {
    let changes = taken.keys.iter().map(|(key, row)| match row {
        Some(row) => Change::Row(key, *row),
        None => Change::Delete(key),
    });
    table.take(taken.rows, changes);
    state.bad += taken.bad;
    let loaded = state.loading && read >= of;
    (state.read, state.of) = (read, of);
    if loaded {
        state.loading = false;
        // What was overwritten while loading, and the builders' spare room, isn't needed any more.
        table.join();
    }
    Changed::Rows
}

impl Reading {
    fn new(info: &TopicInfo) -> Self {
        Self {
            id: info.id.clone(),
            next: info.partitions.iter().map(|bounds| bounds.low).collect(),
            first: info.partitions.clone(),
        }
    }

    /// The same topic, and all that was read of it is still in it.
    fn is_of(&self, info: &TopicInfo) -> bool {
        let there = |(next, bounds): (&i64, &Bounds)| *next <= bounds.end;
        // An identity that wasn't told says nothing; the offsets do.
        let told = |id: &str| id != UNKNOWN_ID;
        (self.id == info.id || !(told(&self.id) && told(&info.id)))
            && self.next.len() <= info.partitions.len()
            && self.next.iter().zip(&info.partitions).all(there)
    }

    /// Offsets read of those that were there at first.
    fn progress(&self) -> (i64, i64) {
        let of = self.first.iter().map(|bounds| bounds.end - bounds.low).sum();
        let read = |(next, bounds): (&i64, &Bounds)| (*next).min(bounds.end) - bounds.low;
        (self.next.iter().zip(&self.first).map(read).sum(), of)
    }
}

/// Rows of a slice of a partition, and what becomes of its keys.
struct Taken {
    rows: Vec<Decoded>,
    /// Per record its key and the index of its value among the live ones; `None`: a tombstone.
    keys: Vec<(Bytes, Option<u32>)>,
    bad: u64,
}

impl Taken {
    fn decode(decoder: &dyn Decoder, keep: &[usize], records: &[Record]) -> Self {
        let (mut keys, mut values, mut bad) = (Vec::new(), Vec::<&[u8]>::new(), 0);
        for record in records {
            match (&record.key, &record.value) {
                (Some(key), None) => keys.push((key.clone(), None)),
                (Some(key), Some(value)) if value.len() <= MAX_VALUE_BYTES => {
                    keys.push((key.clone(), Some(values.len() as u32)));
                    values.push(value);
                }
                // Without a key it replaces nothing, and can't be replaced; over the limit no sink takes it.
                _ => bad += 1,
            }
        }
        let decode = |part: Range<usize>| {
            let made = decoder.decode(&values[part.clone()])?;
            let batch = made.batch.project(keep).map_err(|error| error.to_string())?;
            let origin = made.origin.iter().map(|row| part.start as u32 + row).collect();
            Ok(Decoded { batch, origin })
        };
        let mut rows = Vec::new();
        let mut singled = Vec::new();
        single_out(0..values.len(), &decode, &mut rows, &mut |part, _| {
            singled.push(part.start as u32)
        });
        keys.retain(|(_, value)| value.is_none_or(|value| singled.binary_search(&value).is_err()));
        Self { rows, keys, bad: bad + singled.len() as u64 }
    }

    /// Of a record that made several rows the last one counts; one that made none is as good as deleted.
    fn joined(self, schema: &SchemaRef) -> Joined {
        let Self { rows, keys, mut bad } = self;
        let origins = rows.iter().flat_map(|made| made.origin.iter().copied());
        let of_value: HashMap<u32, u32> = origins.zip(0..).collect();
        let row = |value: Option<u32>| value.and_then(|value| of_value.get(&value).copied());
        let (rows, keys): (_, Vec<_>) =
            match concat_batches(schema, rows.iter().map(|made| &made.batch)) {
                Ok(rows) => {
                    (rows, keys.into_iter().map(|(key, value)| (key, row(value))).collect())
                }
                // A decoder that doesn't keep to its own schema: none of its rows can be used.
                Err(_) => {
                    let (gone, live): (Vec<_>, Vec<_>) =
                        keys.into_iter().partition(|(_, value)| value.is_none());
                    bad += live.len() as u64;
                    (RecordBatch::new_empty(schema.clone()), gone)
                }
            };
        Joined { rows, keys, bad }
    }
}

/// The same as one batch.
struct Joined {
    rows: RecordBatch,
    /// Per record its key and its row; `None`: the key has none any more.
    keys: Vec<(Bytes, Option<u32>)>,
    bad: u64,
}

#[cfg(test)]
mod tests {
    use millstream_topic::Cleanup;

    use super::*;

    #[test]
    fn a_topic_whose_identity_is_not_told_just_now_is_not_another_one() {
        let info = |id: &str, end| TopicInfo {
            name: "t".to_owned(),
            id: id.to_owned(),
            cluster: "c".to_owned(),
            cleanup: Cleanup::Compact,
            partitions: vec![Bounds { low: 0, end }],
        };
        let mut reading = Reading::new(&info("a", 10));
        reading.next = vec![10];
        assert!(reading.is_of(&info("a", 12)) && reading.is_of(&info(UNKNOWN_ID, 12)));
        assert!(!reading.is_of(&info("b", 12)), "made anew");
        assert!(!reading.is_of(&info(UNKNOWN_ID, 9)), "it lost its end");
    }
}
