//! An index at one moment: a point in time that the server keeps for as long as it is used, and some minutes longer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::builds::{Named, Place};
use super::dialect::Dialect;
use super::faults::Fault;
use super::mapping;
use super::matching::Frequency;
use super::server::Call;

/// How long the server keeps what nobody asks.
const KEEP: &str = "5m";
/// Asked nothing for so long, it is to be asked something.
const STALE_AFTER: Duration = Duration::from_secs(60);
/// How long is waited before asking again a server that has no room just now, for memory say.
const BUSY_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_000)];
const SHAPE: &str = "filter_path=pit_id,hits.total,hits.hits._score,hits.hits._source,hits.hits.sort,hits.hits.fields,aggregations";
/// So many of what was found out are kept.
const KEPT: usize = 2_000;

/// What was to be found at one moment.
pub(super) struct Snapshot {
    pub place: Place,
    pub schema: SchemaRef,
    pub rows: usize,
    dialect: Dialect,
    /// The server may rename it with every answer.
    point: Mutex<String>,
    asked: Mutex<Instant>,
    /// How many rows have a word.
    pub frequencies: Mutex<HashMap<String, Frequency>>,
    /// Where a long reading goes on: by query, how many hits were read, and the last one's sort values.
    pub cursors: Mutex<HashMap<String, (usize, Value)>>,
}

impl Snapshot {
    pub async fn open(place: &Place, build: &Named) -> Result<Self, Fault> {
        let dialect = place.server().dialect().await?;
        let answer = place.server().send(&dialect.open_point(&build.id, KEEP)).await?;
        let mut snapshot = Self {
            place: place.clone(),
            schema: build.schema().clone(),
            rows: 0,
            dialect,
            point: Mutex::new(dialect.point_of(&answer)?),
            asked: Mutex::new(Instant::now()),
            frequencies: Mutex::default(),
            cursors: Mutex::default(),
        };
        let count = json!({"size": 0, "track_total_hits": true, "query": live()});
        snapshot.rows = total(&snapshot.ask(count).await?)?;
        Ok(snapshot)
    }

    /// Searches in it.
    pub async fn ask(&self, mut body: Value) -> Result<Value, Fault> {
        let point = locked(&self.point).clone();
        body["pit"] = json!({"id": point, "keep_alive": KEEP});
        let call = Call::post(format!("_search?allow_partial_search_results=false&{SHAPE}"), body);
        let server = self.place.server();
        let mut answer = server.send(&call).await;
        for pause in BUSY_PAUSES {
            if !matches!(&answer, Err(fault) if fault.status() == Some(429)) {
                break;
            }
            tokio::time::sleep(pause).await;
            answer = server.send(&call).await;
        }
        let answer = answer?;
        if let Some(id) = answer["pit_id"].as_str() {
            id.clone_into(&mut locked(&self.point));
        }
        *locked(&self.asked) = Instant::now();
        Ok(answer)
    }

    /// Asks something if nobody has for a while, so that the server keeps it.
    pub async fn keep(&self) -> Result<(), Fault> {
        if locked(&self.asked).elapsed() < STALE_AFTER {
            return Ok(());
        }
        let nothing = json!({"size": 0, "track_total_hits": false, "query": {"match_none": {}}});
        self.ask(nothing).await.map(|_| ())
    }

    /// Keeps what was found out, within a bound.
    pub fn remember<T>(known: &Mutex<HashMap<String, T>>, key: String, value: T) {
        let mut known = locked(known);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, value);
    }
}

/// What the alias of the served build lets through.
pub(super) fn live() -> Value {
    json!({"bool": {"filter": [mapping::is_live()]}})
}

pub(super) fn total(answer: &Value) -> Result<usize, Fault> {
    let total = answer["hits"]["total"]["value"].as_u64().map(usize::try_from);
    total.and_then(Result::ok).ok_or_else(|| Fault::unreadable("the number of hits"))
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Snapshot {
    /// Lets the server forget it now. Without a runtime, it does so by itself.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        let close = self.dialect.close_point(&locked(&self.point));
        let at = self.place.at.clone();
        runtime.spawn(async move {
            if let Err(fault) = at.0.send(&close).await {
                tracing::debug!("close a point in time: {fault}");
            }
        });
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("index", &self.place.names.served).finish_non_exhaustive()
    }
}
