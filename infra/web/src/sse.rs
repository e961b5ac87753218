//! Server-sent events out of a watch channel, for `live.js`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::explain;

/// How often a quiet stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long lies at least between two messages: what changes faster comes together.
const PACE: Duration = Duration::from_millis(300);
/// How long lies at most between two tellings: what is told may change with time alone, as from current to stale.
const ANEW: Duration = Duration::from_secs(30);

/// One event: its name, and a fragment of HTML or just a revision.
pub type Message = (&'static str, String);

/// Where streams come from: bounds their number, and ends them all with the site.
#[derive(Clone, Debug)]
pub struct Hub {
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Hub {
    /// At most `most` streams at once, until `stop`.
    pub fn new(most: usize, stop: CancellationToken) -> Self {
        Self { room: Arc::new(Semaphore::new(most)), stop }
    }

    /// Sends what `tell` makes of the value: at once, whenever it has changed, and every 30 s even if it hasn't, as
    /// `tell` may look at the clock. 503 when there are too many.
    pub fn stream<T, F>(&self, watched: watch::Receiver<T>, tell: F) -> Response
    where
        T: Send + Sync + 'static,
        F: Fn(&T) -> Vec<Message> + Send + 'static,
    {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            let mut full = explain::answer(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many pages are being kept up to date at once.",
                "Close some; this one works without, but has to be loaded again to be current.",
            );
            full.headers_mut().insert(RETRY_AFTER, 10.into());
            return full;
        };
        let teller = Teller { watched, tell, told: None, _room: room, stop: self.stop.clone() };
        let events = stream::unfold(
            (teller, Vec::<Message>::new().into_iter()),
            |(mut teller, mut left)| async move {
                loop {
                    if let Some((name, data)) = left.next() {
                        let event = Event::default().event(name).data(data.replace('\r', ""));
                        return Some((Ok::<_, Infallible>(event), (teller, left)));
                    }
                    left = teller.next().await?.into_iter();
                }
            },
        );
        let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
        let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
        response
            .headers_mut()
            .insert(CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
        response
    }
}

struct Teller<T, F> {
    watched: watch::Receiver<T>,
    tell: F,
    told: Option<Instant>,
    /// Given back when the stream is dropped.
    _room: OwnedSemaphorePermit,
    stop: CancellationToken,
}

impl<T, F: Fn(&T) -> Vec<Message>> Teller<T, F> {
    /// `None`: the site stops, or nothing will change any more.
    async fn next(&mut self) -> Option<Vec<Message>> {
        if let Some(told) = self.told {
            let changed = async {
                self.watched.changed().await.ok()?;
                sleep_until(told + PACE).await;
                Some(())
            };
            tokio::select! {
                changed = changed => changed?,
                () = sleep_until(told + ANEW) => {}
                () = self.stop.cancelled() => return None,
            }
        }
        self.told = Some(Instant::now());
        Some((self.tell)(&self.watched.borrow_and_update()))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_changes_with_time_alone_is_told_too() {
        let (_quiet, watched) = watch::channel(());
        let begun = Instant::now();
        let told = move |(): &()| vec![("age", begun.elapsed().as_secs().to_string())];
        let hub = Hub::new(1, CancellationToken::new());
        let mut body = hub.stream(watched, told).into_body().into_data_stream();
        let mut text = String::new();
        while !text.contains("event: age\ndata: 60\n") {
            let piece = body.next().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&piece).unwrap());
            assert!(begun.elapsed() < Duration::from_secs(100), "{text}");
        }
        assert!(text.contains("data: 0\n") && text.contains("data: 30\n"), "{text}");
    }
}
