use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use millstream_topic::{Backend, Outgoing, Topic, TopicError};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, chain};
use crate::pace::Meter;
use crate::{Pace, SourceError};

/// A batch is appended when it has so many records,
const BATCH_RECORDS: usize = 4_000;
/// or so many bytes,
const BATCH_BYTES: usize = 1 << 20;
/// or when its first record has waited so long.
const LINGER: Duration = Duration::from_millis(50);
/// Bytes of records taken but not yet appended; a sender waits while there are more.
const ROOM_BYTES: usize = 4 << 20;

/// The way into one topic. Records are collected and appended in batches by a task of its own, while the
/// sender makes the next ones. What was taken and not flushed when the outlet is dropped is still appended,
/// as long as the runtime lives: call [`Outlet::flush`] at the end.
///
/// A record may be appended twice when the topic's answer to the first append is lost.
#[derive(Debug)]
pub struct Outlet {
    topic: String,
    inbox: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    task: Option<JoinHandle<Result<(), SourceError>>>,
    meter: Meter,
    left: Option<u64>,
    stop: CancellationToken,
}

#[derive(Debug)]
enum Message {
    Record(Outgoing),
    Flush(oneshot::Sender<()>),
}

impl Outlet {
    /// Makes sure the topic is there, and opens the way into it. `sent` is told how many more records are
    /// durable in the topic. While the topic can't be reached, it is tried again until `stop`.
    pub async fn open(
        topics: Arc<dyn Backend>,
        topic: &Topic,
        pace: Pace,
        stop: CancellationToken,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Self, SourceError> {
        let doing = format!("look for topic {}", topic.name);
        let mut backoff = Backoff::new();
        while let Err(error) = topics.ensure(topic).await {
            wait_after(&doing, error, &mut backoff, &stop).await?;
        }
        backoff.worked(&doing);
        // Never the one that holds a sender back: so many records don't fit into the room.
        let (inbox, messages) = mpsc::channel(ROOM_BYTES / size_of::<Outgoing>() + 1);
        let room = Arc::new(Semaphore::new(ROOM_BYTES));
        let appender = Appender {
            topics,
            topic: topic.name.clone().into_owned(),
            messages,
            room: room.clone(),
            sent: Box::new(sent),
            stop: stop.clone(),
            batch: Vec::new(),
            bytes: 0,
            waiting: Vec::new(),
        };
        let task = Some(tokio::spawn(appender.run()));
        let topic = topic.name.clone().into_owned();
        Ok(Self { topic, inbox, room, task, meter: Meter::new(pace), left: None, stop })
    }

    /// Takes at most so many records in all.
    pub fn limit(mut self, records: Option<u64>) -> Self {
        self.left = records;
        self
    }

    /// Takes a record, when the pace allows it and there is room. `Break`: take no more, because of the
    /// stop (then this record was not taken) or the limit (then it was the last one). An error of an
    /// earlier record's append shows here or in [`Outlet::flush`].
    pub async fn send(&mut self, record: Outgoing) -> Result<ControlFlow<()>, SourceError> {
        if self.left == Some(0) || !self.wait_for_turn().await {
            return Ok(ControlFlow::Break(()));
        }
        let Some(taken) = self.take_room(cost(&record)).await else {
            return Ok(ControlFlow::Break(()));
        };
        if !taken || self.inbox.send(Message::Record(record)).await.is_err() {
            return Err(self.failure().await);
        }
        self.left = self.left.map(|left| left - 1);
        Ok(match self.left {
            Some(0) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }

    /// Returns when every record taken is durable in the topic.
    pub async fn flush(&mut self) -> Result<(), SourceError> {
        let (reply, done) = oneshot::channel();
        let asked = self.inbox.send(Message::Flush(reply)).await;
        if asked.is_err() || done.await.is_err() {
            return Err(self.failure().await);
        }
        Ok(())
    }

    /// `false`: stopped.
    async fn wait_for_turn(&mut self) -> bool {
        if self.stop.is_cancelled() {
            return false;
        }
        match self.meter.book() {
            None => true,
            Some(at) => self.stop.run_until_cancelled(sleep_until(at)).await.is_some(),
        }
    }

    /// `None`: stopped; `false`: the appender is gone.
    async fn take_room(&self, bytes: u32) -> Option<bool> {
        if let Ok(permit) = self.room.try_acquire_many(bytes) {
            permit.forget();
            return Some(true);
        }
        let permit = self.stop.run_until_cancelled(self.room.acquire_many(bytes)).await?;
        Some(permit.map(SemaphorePermit::forget).is_ok())
    }

    /// Why the appender ended.
    async fn failure(&mut self) -> SourceError {
        let doing = format!("append to topic {}", self.topic);
        match self.task.take() {
            Some(task) => match task.await {
                Ok(Err(error)) => error,
                Ok(Ok(())) => SourceError::unavailable(doing, "the appending task ended"),
                Err(error) => SourceError::unavailable(doing, error),
            },
            None => SourceError::unavailable(doing, "an earlier append failed"),
        }
    }
}

/// The task that owns the batch.
struct Appender {
    topics: Arc<dyn Backend>,
    topic: String,
    messages: mpsc::Receiver<Message>,
    room: Arc<Semaphore>,
    sent: Box<dyn Fn(u64) + Send + Sync>,
    stop: CancellationToken,
    batch: Vec<Outgoing>,
    bytes: usize,
    /// Those who asked for a flush.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Appender {
    async fn run(mut self) -> Result<(), SourceError> {
        let result = self.work().await;
        // Wakes a sender that waits for room, so that it learns of the error.
        self.room.close();
        result
    }

    async fn work(&mut self) -> Result<(), SourceError> {
        while let Some(message) = self.messages.recv().await {
            self.take(message);
            self.gather().await;
            self.append().await?;
            for waiting in self.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }
        Ok(())
    }

    async fn gather(&mut self) {
        let deadline = Instant::now() + LINGER;
        while !self.is_due() {
            // A timer for each record of a fast sender would cost more than the record.
            if let Ok(message) = self.messages.try_recv() {
                self.take(message);
                continue;
            }
            match timeout_at(deadline, self.messages.recv()).await {
                Ok(Some(message)) => self.take(message),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Record(record) => {
                self.bytes += cost(&record) as usize;
                self.batch.push(record);
            }
            Message::Flush(reply) => self.waiting.push(reply),
        }
    }

    fn is_due(&self) -> bool {
        self.batch.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES || !self.waiting.is_empty()
    }

    async fn append(&mut self) -> Result<(), SourceError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let count = self.batch.len();
        let doing = format!("append to topic {} ({count} records in hand)", self.topic);
        let mut backoff = Backoff::new();
        while let Err(error) = self.topics.append(&self.topic, self.batch.clone()).await {
            wait_after(&doing, error, &mut backoff, &self.stop).await?;
        }
        backoff.worked(&doing);
        self.batch.clear();
        self.room.add_permits(std::mem::take(&mut self.bytes));
        (self.sent)(count as u64);
        Ok(())
    }
}

/// Waits before the next try; the error itself when trying again is of no use or there is no time left.
async fn wait_after(
    doing: &str,
    error: TopicError,
    backoff: &mut Backoff,
    stop: &CancellationToken,
) -> Result<(), SourceError> {
    if !error.is_retryable() {
        return Err(error.into());
    }
    let wait = backoff.failed(doing, &chain(&error));
    match stop.run_until_cancelled(sleep(wait)).await {
        Some(()) => Ok(()),
        None => Err(SourceError::unavailable(format!("{doing}, until stopped"), error)),
    }
}

/// Bytes a record takes of the room.
fn cost(record: &Outgoing) -> u32 {
    let part = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let bytes = size_of::<Outgoing>() + part(&record.key) + part(&record.value) + headers;
    // More than there is could never be taken.
    bytes.min(ROOM_BYTES) as u32
}

#[cfg(test)]
mod tests;
