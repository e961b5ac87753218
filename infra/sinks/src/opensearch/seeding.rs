//! Fills a new build from its seed. The rows keep their versions, so what the topic says later stays the last word,
//! and a seeding that was cut short begins anew and doubles nothing.
//!
//! One worker does it: document `_seeding` names it, and changes every few seconds while it lives. If it stays as it
//! is for long enough, another worker takes over. Two at once would cost time and change nothing.

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use millstream_engine::{Rows, SinkError};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::builds::{Named, Seeded, State};
use super::bulk::{self, Item, Written};
use super::commit::{Ours, items};
use super::faults::Fault;
use super::{fetch, names};
use crate::search::Seed;
use crate::search::changes::Changes;

/// How many batches the seed may be ahead of the index.
const AHEAD: usize = 2;
/// How often who seeds says that it is alive.
const SIGN_EVERY: Duration = Duration::from_secs(5);
/// After so long without a sign it isn't.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// What was last seen of another worker's seeding, and since when it is so.
#[derive(Debug, Default)]
pub(super) struct Watch(Option<((i64, i64), Instant)>);

/// Reads the whole seed into the build, unless another worker is about it: then the engine tries again.
pub(super) async fn fill(
    ours: &Ours,
    build: &Named,
    seed: &Arc<dyn Seed>,
    watch: &mut Watch,
) -> Result<(), SinkError> {
    let doing = format!("fill index {} from its seed", ours.place.names.served);
    let told = |fault| ours.place.told(&doing, fault);
    let mut lease = take(ours, build, watch).await.map_err(told)?;
    let read = pour(ours, build, seed, &mut lease).await;
    let (from, count) = match read {
        Ok(read) => read,
        Err(fault) => {
            // So that nobody has to wait for us. If this fails, too, they wait.
            let free = sign(ours, build, &mut lease, "").await;
            tracing::debug!("let go of the seeding: {free:?}");
            return Err(told(fault));
        }
    };
    tracing::info!(
        pipeline = ours.pipeline,
        "index {} begins with {count} rows from {}",
        ours.place.names.served,
        from.as_deref().unwrap_or("nothing: there is no seed")
    );
    let state = State { seeded: Some(Seeded { from }), ..build.state.clone() };
    match ours.place.describe(build, &state).await.map_err(told)? {
        true => Ok(()),
        // It is looked at again, and found to be seeded, or not.
        false => Err(SinkError::unavailable(doing, "another worker changed the build meanwhile")),
    }
}

/// What was seen of document `_seeding` when it was last ours.
type Lease = (i64, i64);

async fn take(ours: &Ours, build: &Named, watch: &mut Watch) -> Result<Lease, Fault> {
    let server = ours.place.server();
    let id = || names::SEEDING.to_owned();
    let document = json!({"by": ours.writer});
    let there = fetch::documents(server, &build.id, &[id()]).await?.into_iter().next().flatten();
    let item = match there {
        None => Item::create(id(), &document),
        Some(lease) => {
            let who = lease.source["by"].as_str().unwrap_or_default();
            let since = match watch.0 {
                Some((seen, since)) if seen == lease.seen => since,
                _ => Instant::now(),
            };
            watch.0 = Some((lease.seen, since));
            if !who.is_empty() && who != ours.writer && since.elapsed() < DEAD_AFTER {
                let why = format!("worker {who} is filling it");
                return Err(SinkError::unavailable("fill the index", why).into());
            }
            Item::replace(id(), lease.seen, &document)
        }
    };
    let taken = bulk::one(server, &build.id, item).await?;
    match (taken, fetch::documents(server, &build.id, &[id()]).await?.into_iter().next().flatten())
    {
        (Written::Done, Some(lease)) if lease.source["by"] == ours.writer.as_str() => {
            Ok(lease.seen)
        }
        _ => {
            let why = "another worker begins to fill it";
            Err(SinkError::unavailable("fill the index", why).into())
        }
    }
}

/// Says that we are alive, or with an empty name that we aren't at it any more.
async fn sign(ours: &Ours, build: &Named, lease: &mut Lease, by: &str) -> Result<(), Fault> {
    let server = ours.place.server();
    let id = || names::SEEDING.to_owned();
    let item = Item::replace(id(), *lease, &json!({"by": by}));
    let lost = || SinkError::unavailable("fill the index", "another worker took over");
    if bulk::one(server, &build.id, item).await? == Written::Conflict {
        return Err(lost().into());
    }
    let there = fetch::documents(server, &build.id, &[id()]).await?.into_iter().next().flatten();
    *lease = there.ok_or_else(lost)?.seen;
    Ok(())
}

/// Writes the seed's rows while they are read; tells what was read, in words, and how many rows.
async fn pour(
    ours: &Ours,
    build: &Named,
    seed: &Arc<dyn Seed>,
    lease: &mut Lease,
) -> Result<(Option<String>, usize), Fault> {
    let (sender, mut batches) = mpsc::channel::<Rows>(AHEAD);
    let (seed, runtime) = (seed.clone(), Handle::current());
    // On a thread of its own: it may hold it while there is no room.
    let reading = tokio::task::spawn_blocking(move || {
        let closed = || SinkError::unavailable("hand rows to an index", "it doesn't take any more");
        runtime.block_on(async {
            let mut visit = |rows| block_on(sender.send(rows)).map_err(|_| closed());
            seed.read(&mut visit).await
        })
    });
    let (mut count, mut signed) = (0, Instant::now());
    loop {
        let batch = timeout(SIGN_EVERY, batches.recv()).await;
        if signed.elapsed() >= SIGN_EVERY {
            sign(ours, build, lease, &ours.writer).await?;
            signed = Instant::now();
        }
        let rows = match batch {
            Err(_) => continue,
            Ok(None) => break,
            Ok(Some(rows)) => rows,
        };
        let changes = Changes::of(&ours.place.index, &[rows], &[])?;
        count += changes.keys.len();
        bulk::write(ours.place.server(), &build.id, items(ours, &changes, false)).await?;
    }
    let read = reading.await.map_err(|error| SinkError::unavailable("read the seed", error))?;
    Ok((read?, count))
}
