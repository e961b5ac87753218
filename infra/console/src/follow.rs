//! Reads the two topics and goes on reading them.

use std::sync::Arc;
use std::time::Duration;

use millstream_engine::chain;
use millstream_topic::{Backend, Record, Topic, TopicError, TopicPartition};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::own::Own;
use crate::told::{HISTORY, STATUS, taken_back};
use crate::worker::now_ms;

/// Between two looks at the topics.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two looks while they can't be read.
const AGAIN: Duration = Duration::from_secs(2);
/// Between two steps of the book's clock.
const TICK: Duration = Duration::from_secs(1);
/// Records read at once.
const STRETCH: usize = 1_000;

/// Keeps the book current until `stop`. Topics that can't be read are tried again until they can.
pub(crate) async fn follow(
    topics: Arc<dyn Backend>,
    book: Arc<watch::Sender<Book>>,
    own: Option<Own>,
    stop: CancellationToken,
) {
    let read = read_on(topics.as_ref(), &book);
    let tick = tick(&book);
    let listen = listen(own, &book);
    tokio::select! {
        () = stop.cancelled() => {}
        () = read => {}
        () = tick => {}
        () = listen => {}
    }
}

/// Takes what the worker in this process tells.
async fn listen(own: Option<Own>, book: &watch::Sender<Book>) {
    let Some(own) = own else { return std::future::pending().await };
    let mut told = own.told();
    while told.changed().await.is_ok() {
        let news = told.borrow_and_update().clone();
        if let Some(news) = news {
            book.send_modify(|book| book.take_own(news));
        }
    }
    std::future::pending().await
}

async fn tick(book: &watch::Sender<Book>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        book.send_modify(|book| book.tick(now_ms()));
    }
}

async fn read_on(topics: &dyn Backend, book: &watch::Sender<Book>) {
    let mut status = Place::new(&STATUS, Book::take_status);
    let mut history = Place::new(&HISTORY, Book::take_history);
    let mut made = false;
    loop {
        let read = async {
            if !made {
                topics.ensure(&STATUS).await?;
                topics.ensure(&HISTORY).await?;
            }
            status.read(topics, book).await?;
            history.read(topics, book).await?;
            forget(topics, book).await
        };
        let failed = read.await.err().map(|error| chain(&error));
        made = failed.is_none();
        let wait = if made { LOOK_EVERY } else { AGAIN };
        settle(book, failed);
        sleep(wait).await;
    }
}

/// Notes how reading went; told in the log once.
fn settle(book: &watch::Sender<Book>, failed: Option<String>) {
    let before = book.borrow().trouble.clone();
    match (&before, &failed) {
        (None, Some(why)) => {
            tracing::warn!("read how the workers stand: {why}; trying until it works")
        }
        (Some(_), None) => tracing::info!("the console reads again how the workers stand"),
        _ => {}
    }
    book.send_if_modified(|book| {
        let changed = before != failed || (failed.is_none() && !book.loaded);
        book.loaded |= failed.is_none();
        book.trouble = failed;
        changed
    });
}

/// Takes back the records of workers that will not come back.
async fn forget(topics: &dyn Backend, book: &watch::Sender<Book>) -> Result<(), TopicError> {
    let gone = book.borrow().forgotten();
    if gone.is_empty() {
        return Ok(());
    }
    let records = gone.iter().map(|id| taken_back(id)).collect();
    topics.append(&STATUS.name, records).await.map(|_| ())
}

/// How far a topic was read.
struct Place {
    at: TopicPartition,
    next: i64,
    take: fn(&mut Book, &Record),
}

impl Place {
    fn new(topic: &Topic, take: fn(&mut Book, &Record)) -> Self {
        Self { at: TopicPartition::new(topic.name.to_string(), 0), next: 0, take }
    }

    /// Reads up to the end.
    async fn read(
        &mut self,
        topics: &dyn Backend,
        book: &watch::Sender<Book>,
    ) -> Result<(), TopicError> {
        loop {
            let slice = topics.read(&self.at, self.next, STRETCH).await?;
            if slice.end < self.next {
                // It was made anew; workers tell again within seconds.
                self.next = 0;
                continue;
            }
            let take = self.take;
            book.send_if_modified(|book| {
                slice.records.iter().for_each(|record| take(book, record));
                !slice.records.is_empty()
            });
            self.next = slice.next;
            if self.next >= slice.end {
                return Ok(());
            }
        }
    }
}
