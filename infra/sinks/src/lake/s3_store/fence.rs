//! The fence that a lake rests on, tried: a store that ignores `If-None-Match`, or asks it and writes in two steps,
//! would let two workers both commit a range.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::future::join_all;
use millstream_engine::SinkError;

use super::S3Store;
use super::faults::Fault;
use super::upload::Source;
use crate::lake::keys::PROBES;
use crate::lake::store::{Put, Store, Stored};

/// Of one object, at once.
const WRITERS: u8 = 8;
/// Races; one without a winner (its reply was lost) decides nothing and is run again.
const RACES: usize = 3;

/// Once per process. The first process on a lake runs the races and leaves a mark that others are held to: it must
/// not be possible to write it again.
pub(super) async fn check(store: &S3Store) -> Result<(), SinkError> {
    let mark = format!("{PROBES}fence");
    if store.get(&mark).await?.is_none() {
        races(store).await?;
        // Another process may be faster: it saw the same.
        write(store, &mark, "several writers went for one object, and one created it").await?;
        return Ok(());
    }
    match write(store, &mark, "overwritten").await? {
        Stored::Exists => Ok(()),
        Stored::Created => Err(unfenced(store, "it wrote an object anew that was there")),
    }
}

/// Lets several writers go for one object; refused where more than one creates it.
pub(super) async fn races(store: &S3Store) -> Result<(), SinkError> {
    for _ in 0..RACES {
        let path = probe();
        let writes = (0..WRITERS).map(|writer| {
            let path = &path;
            async move { write(store, path, format!("writer {writer}")).await }
        });
        let ends = join_all(writes).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        // Best effort, and often forbidden: it is a few bytes.
        let _ = store.remove(&path).await;
        let winners = ends.iter().filter(|end| **end == Stored::Created).count();
        if winners > 1 {
            let why = format!("{winners} of {WRITERS} writers created one and the same object");
            return Err(unfenced(store, &why));
        }
    }
    Ok(())
}

/// An object that nobody else has.
pub(super) fn probe() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{PROBES}{now}-{}-{n}-{:08x}", std::process::id(), rand::random::<u32>())
}

/// As a lake does, but for the check itself.
async fn write(store: &S3Store, path: &str, text: impl Into<Bytes>) -> Result<Stored, SinkError> {
    let doing = store.doing("write", path, "s3:PutObject");
    match store.upload(path, &Source::Memory(text.into()), Put::IfAbsent).await {
        Err(Fault::Exists) => Ok(Stored::Exists),
        // As good as lost: to others, and it made nothing.
        Err(Fault::Conflict(_)) => Ok(Stored::Exists),
        ended => ended.map_err(|fault| fault.into_error(&doing)),
    }
}

fn unfenced(store: &S3Store, why: &str) -> SinkError {
    let options = &store.0.options;
    SinkError::refused(
        format!("keep a lake in {}", options.place()),
        format!(
            "this store doesn't keep to If-None-Match ({why}), so workers could count events twice"
        ),
        format!(
            "name one that does in {}: AWS S3, MinIO or versitygw, say",
            options.access.setting
        ),
    )
}
