//! Objects that go in parts. They are removed at the end: the server outlives the tests.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;
use integration_tests::stack;
use millstream_sinks::lake::{Put, Store, Stored};

use crate::place::Place;
use crate::proxy::Fault;

/// A little more than what goes in one request.
const LONG: usize = (64 << 20) + 12345;

fn long(seed: u8) -> Bytes {
    // Made once and repeated: byte by byte, unoptimised code takes seconds for it.
    let part: Vec<u8> = (0..1 << 16).map(|n| (n >> 8) as u8 ^ n as u8 ^ seed).collect();
    let mut long = part.repeat(LONG.div_ceil(part.len()));
    long.truncate(LONG);
    long.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_objects_are_written_whole_or_not_at_all() {
    let place = Place::new("long").await;
    let store = place.store();
    let (first, second) = (long(1), long(2));
    assert_eq!(store.put("t/x", first.clone(), Put::IfAbsent).await.unwrap(), Stored::Created);
    assert_eq!(store.put("t/x", second.clone(), Put::IfAbsent).await.unwrap(), Stored::Exists);
    assert!(store.get("t/x").await.unwrap() == Some(first.clone()), "the first one stays");
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"before").unwrap();
    file.write_all(&second).unwrap();
    file.seek(SeekFrom::Start(6)).unwrap();
    assert_eq!(store.put_file("t/x", file, Put::Overwrite).await.unwrap(), Stored::Created);
    let mut read = Vec::new();
    store.open("t/x").await.unwrap().unwrap().read_to_end(&mut read).unwrap();
    assert!(read == second, "what the file held from where it stood");
    let at = LONG as u64 - 5;
    assert_eq!(store.get_range("t/x", at..at + 99).await.unwrap(), Some(second.slice(LONG - 5..)));
    store.remove("t/x").await.unwrap();
}

/// Several parts are under way when one writer completes.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_of_a_long_object_one_creates() {
    let place = Place::new("long-race").await;
    let (one, two) = (place.store(), place.store());
    let write = |store: Arc<dyn Store>, seed| async move {
        store.put("t/x", long(seed), Put::IfAbsent).await.unwrap()
    };
    let ends = tokio::join!(write(one.clone(), 1), write(two, 2));
    let expected = match ends {
        (Stored::Created, Stored::Exists) => long(1),
        (Stored::Exists, Stored::Created) => long(2),
        _ => panic!("{ends:?}"),
    };
    assert!(one.get("t/x").await.unwrap() == Some(expected));
    one.remove("t/x").await.unwrap();
}

/// A lost reply to the last request leaves the object there; parts of a try that was given up are aborted.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_at_the_end_of_a_long_object_is_seen() {
    let place = Place::new("long-lost").await;
    let proxy = place.proxy().await;
    let store = place.through(proxy.address(), "");
    store.put("t/small", Bytes::new(), Put::IfAbsent).await.unwrap();
    let bytes = long(3);
    proxy.set({
        let lost = std::sync::atomic::AtomicBool::new(false);
        move |asked| {
            let completes = asked.method == "POST" && asked.path.contains("uploadId=");
            let first = completes && !lost.swap(true, std::sync::atomic::Ordering::SeqCst);
            if first { Fault::Lose } else { Fault::None }
        }
    });
    // Nobody can tell whose it is: the caller compares.
    let stored = store.put("t/x", bytes.clone(), Put::IfAbsent).await.unwrap();
    assert!(store.get("t/x").await.unwrap() == Some(bytes), "{stored:?}");
    store.remove("t/x").await.unwrap();
    proxy.set(|asked| match asked.path.contains("partNumber=2") {
        true => Fault::Say(403, "AccessDenied"),
        false => Fault::None,
    });
    let error = store.put("t/y", long(4), Put::IfAbsent).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert_eq!(store.get("t/y").await.unwrap(), None);
    let uploads = format!("/data/{}/.sgwtmp/multipart", place.bucket);
    let server = stack::s3().await;
    let started = std::time::Instant::now();
    loop {
        let left = server.try_exec(&["find", &uploads, "-type", "f"]).await.stdout;
        if left.trim().is_empty() {
            break;
        }
        assert!(started.elapsed().as_secs() < 30, "parts are left: {left}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
