use std::collections::BTreeMap;

use millstream_topic::Record;

use crate::history::History;
use crate::told::{PAST, Past, Sample, Told};

/// A worker that told nothing for so long is silent, in milliseconds.
pub(crate) const SILENT_MS: i64 = 15_000;
/// A worker that is silent for so long is forgotten, in milliseconds.
const FORGOTTEN_MS: i64 = 24 * 60 * 60 * 1000;

/// What was told on the topics, as far as they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    /// Milliseconds since the Unix epoch; kept current, so that what depends on time is a function of this.
    pub(crate) now_ms: i64,
    pub(crate) workers: BTreeMap<String, Heard>,
    /// The worker in this process: it is heard directly.
    pub(crate) own: Option<String>,
    pub(crate) history: History,
    /// Whether the ends that the topics had at first were reached.
    pub(crate) loaded: bool,
    /// Why the topics can't be read at the moment.
    pub(crate) trouble: Option<String>,
    /// Records that couldn't be understood.
    pub(crate) bad: u64,
}

/// A worker's last record.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) told: Told,
    /// When it came, in milliseconds since the Unix epoch, by the reader's clock.
    pub(crate) heard_at_ms: i64,
}

impl Book {
    /// Takes a record of [`crate::told::STATUS`].
    pub(crate) fn take_status(&mut self, record: &Record) {
        let Some(key) = record.key.as_ref().and_then(|key| std::str::from_utf8(key).ok()) else {
            self.bad += 1;
            return;
        };
        if self.own.as_deref() == Some(key) {
            return;
        }
        let Some(value) = &record.value else {
            self.workers.remove(key);
            return;
        };
        match serde_json::from_slice::<Told>(value) {
            Ok(told) if told.worker.id == key => {
                // What was there already was told at its time; later, only our own clock counts, so that a
                // worker whose clock is wrong isn't taken for silent.
                let heard_at_ms =
                    if self.loaded { self.now_ms } else { told.told_at_ms.min(self.now_ms) };
                self.workers.insert(key.to_owned(), Heard { told, heard_at_ms });
            }
            _ => self.bad += 1,
        }
    }

    /// Takes what the worker in this process tells.
    pub(crate) fn take_own(&mut self, told: Told) {
        let heard_at_ms = self.now_ms;
        self.workers.insert(told.worker.id.clone(), Heard { told, heard_at_ms });
    }

    /// Takes a record of [`crate::told::HISTORY`].
    pub(crate) fn take_history(&mut self, record: &Record) {
        let key = record.key.as_ref().and_then(|key| std::str::from_utf8(key).ok());
        if let Some(key) = key.filter(|key| key.starts_with(PAST)) {
            return self.take_past(key, record.value.as_deref());
        }
        let Some(value) = &record.value else { return };
        match serde_json::from_slice::<Sample>(value) {
            Ok(sample) if sample.rate.is_finite() && !sample.pipeline.is_empty() => {
                self.history.take(sample);
            }
            _ => self.bad += 1,
        }
    }

    fn take_past(&mut self, key: &str, value: Option<&[u8]>) {
        let Some(value) = value else { return self.history.drop_past(key) };
        match serde_json::from_slice::<Past>(value) {
            // The slot is the writer's matter, the pipeline isn't.
            Ok(past) if past.belongs_under(key) => self.history.take_past(key, past),
            _ => self.bad += 1,
        }
    }

    pub(crate) fn tick(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.history.forget(now_ms);
    }

    /// For how long it has been silent, in milliseconds; `None` while it isn't.
    pub(crate) fn silence(&self, heard: &Heard) -> Option<i64> {
        let silence = self.now_ms.saturating_sub(heard.heard_at_ms);
        (silence >= SILENT_MS).then_some(silence)
    }

    /// Workers that were silent for a day: their records are to be taken back for them.
    pub(crate) fn forgotten(&self) -> Vec<String> {
        let gone =
            |heard: &&Heard| self.silence(heard).is_some_and(|silence| silence >= FORGOTTEN_MS);
        self.workers.values().filter(gone).map(|heard| heard.told.worker.id.clone()).collect()
    }
}
