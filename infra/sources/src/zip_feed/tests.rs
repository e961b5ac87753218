use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use zip::write::SimpleFileOptions;

use crate::{FeedFile, Fetched, Limits, Meta, Progress, Seen, SourceError, ZipFeed};

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn feed(records: usize) -> Value {
    let results: Vec<_> = (0..records).map(|n| json!({"n": n, "text": "a\r\n\"b\" é"})).collect();
    let meta = json!({"last_updated": "2026-04-01", "results": {"skip": 0, "total": records}});
    json!({"meta": meta, "results": results})
}

async fn read(bytes: &[u8], limits: Limits) -> Result<(Vec<Value>, Meta), SourceError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut records = FeedFile::open(file.path())?.records(&limits)?;
    let mut all = Vec::new();
    while let Some(record) = records.next().await? {
        all.push(record);
    }
    Ok((all, records.meta().clone()))
}

async fn refused(bytes: &[u8], limits: Limits) -> String {
    let error = read(bytes, limits).await.unwrap_err();
    assert!(matches!(error, SourceError::Refused { .. }), "{error}");
    error.to_string()
}

#[tokio::test]
async fn zip_and_json_give_the_same_records() {
    let text = feed(1_000).to_string();
    let plain = read(text.as_bytes(), Limits::default()).await.unwrap();
    assert_eq!(plain.0.len(), 1_000);
    assert_eq!(plain.0[7], json!({"n": 7, "text": "a\r\n\"b\" é"}));
    assert_eq!(plain.1, Meta { last_updated: Some("2026-04-01".into()), total: Some(1_000) });
    let zip = zipped(&[("readme.txt", b"hello"), ("../../etc/x.json", text.as_bytes())]);
    assert_eq!(read(&zip, Limits::default()).await.unwrap(), plain);
    let later = br#"{"x": [{}], "results": [1, 2], "meta": {"results": {"total": 2}}}"#;
    assert_eq!(read(later, Limits::default()).await.unwrap().0, [json!(1), json!(2)]);
}

#[tokio::test]
async fn what_is_no_whole_feed_is_refused_with_the_reason() {
    let text = feed(100).to_string();
    let zip = zipped(&[("x.json", text.as_bytes())]);
    let mut corrupt = zip.clone();
    let directory = zip.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    // The checksum that the directory has.
    corrupt[directory + 16] ^= 0x55;
    let few = text.replace("\"total\":100", "\"total\":101");
    let cases: [(&[u8], &str); 12] = [
        (&zip[..zip.len() / 2], "the zip is broken or cut short"),
        (&corrupt, "the zip is broken"),
        (&text.as_bytes()[..text.len() / 2 - 40], "its JSON is cut short"),
        (b"<html>Sorry</html>", "it is not JSON"),
        (b"", "its JSON is cut short"),
        (b"[]", "an object with `results`"),
        (br#"{"error": {"code": "NOT_FOUND"}}"#, "it has no `results`"),
        (br#"{"results": {}}"#, "an array of records"),
        (br#"{"results": []} {}"#, "it is not JSON"),
        (few.as_bytes(), "it says it has 101 records, and has 100"),
        (&zipped(&[("a.json", b"{}"), ("b.json", b"{}")]), "the zip has 2 .json files"),
        (&zipped(&[("a.txt", b"{}")]), "the zip has 0 .json files"),
    ];
    for (bytes, words) in cases {
        let error = refused(bytes, Limits::default()).await;
        assert!(error.contains(words), "{error}\nlacks {words}");
    }
    let many: Vec<_> = (0..101).map(|n| format!("{n}.json")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b"{}"[..])).collect();
    assert!(refused(&zipped(&many), Limits::default()).await.contains("has 101 files"));
}

/// One entry's header in a directory, with a name of its own.
fn entry(n: u32) -> Vec<u8> {
    let name = format!("{n:08}");
    let mut header = vec![0; 46];
    header[..4].copy_from_slice(b"PK\x01\x02");
    header[28] = 8;
    [header, name.into_bytes()].concat()
}

/// Ends of a directory of so many entries, in zip64 and without it.
fn directory_ends(entries: u64, size: usize) -> [Vec<u8>; 2] {
    let (short, size) = (entries.min(0xFFFF) as u16, size as u64);
    let end = |at: u32| {
        let counts =
            [[0; 4], [short.to_le_bytes(), short.to_le_bytes()].concat().try_into().unwrap()];
        [
            b"PK\x05\x06",
            counts.concat().as_slice(),
            &(size as u32).to_le_bytes(),
            &at.to_le_bytes(),
            &[0; 2],
        ]
        .concat()
    };
    let numbers = [44, 0, 0, entries, entries, size, 4].map(u64::to_le_bytes);
    let mut end_64 = b"PK\x06\x06".to_vec();
    end_64.extend(numbers[0]);
    end_64.extend([45, 0, 45, 0]);
    end_64.extend(numbers[2]);
    end_64.extend(numbers[3..].concat());
    let mut locator = b"PK\x06\x07\0\0\0\0".to_vec();
    locator.extend((4 + size).to_le_bytes());
    locator.extend(1u32.to_le_bytes());
    [end(4), [end_64, locator, end(u32::MAX)].concat()]
}

#[tokio::test]
async fn a_directory_without_end_is_refused_before_it_is_read() {
    // 60,000 entries, of a zip that begins as one does.
    let directory = (0..60_000).map(entry).collect::<Vec<_>>().concat();
    let begun = [b"PK\x03\x04".to_vec(), directory.clone()].concat();
    for (end, entries) in directory_ends(60_000, directory.len()).into_iter().zip(["60000"; 2]) {
        let error = refused(&[begun.clone(), end].concat(), Limits::default()).await;
        assert!(error.contains(&format!("has {entries} files")), "{error}");
    }
    // Behind an end of one entry that a reader passes over, there is no way to the other one either.
    let [end, end_64] = directory_ends(60_000, directory.len());
    for many in [end, end_64] {
        let decoy = directory_ends(1, 0)[0].clone();
        let near = [begun.clone(), many.clone(), decoy.clone()].concat();
        assert!(refused(&near, Limits::default()).await.contains("has 60000 files"));
        let far = [begun.clone(), many, vec![b'x'; 2 << 20], decoy].concat();
        let error = refused(&far, Limits::default()).await;
        assert!(error.contains("no directory in its last"), "{error}");
    }
}

#[tokio::test]
async fn a_zip_that_is_longer_than_its_tail_is_read() {
    let text = feed(60_000).to_string();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for large in [false, true] {
        zip.start_file(if large { "x.json" } else { "x.txt" }, stored.large_file(large)).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.set_comment("PK\x05\x06 is no end").unwrap();
    let zip = zip.finish().unwrap().into_inner();
    assert!(zip.len() > 3 << 20);
    assert_eq!(read(&zip, Limits::default()).await.unwrap().0.len(), 60_000);
}

#[tokio::test]
async fn bombs_are_refused_before_they_are_unpacked() {
    let long =
        format!(r#"{{"results": [{}1]}}"#, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",".repeat(400_000));
    let zip = zipped(&[("x.json", long.as_bytes())]);
    assert!(long.len() > 100 * zip.len(), "{} to {}", long.len(), zip.len());
    assert!(refused(&zip, Limits::default()).await.contains("zip bomb"));
    let small = Limits { json_bytes: 1_000_000, ..Limits::default() };
    assert!(refused(&zip, small).await.contains("more than 1000000 bytes"));
    assert!(refused(long.as_bytes(), small).await.contains("more than 1000000 bytes"));
    let record = format!(r#"{{"results": ["{}"]}}"#, "a".repeat(300_000));
    let short = Limits { record_bytes: 100_000, ..Limits::default() };
    assert!(refused(record.as_bytes(), short).await.contains("more than 100000 bytes"));
    let big = format!(r#"{{"results": ["{}"]}}"#, "a".repeat(1_200_000));
    assert!(refused(big.as_bytes(), Limits::default()).await.contains("more than 1048576 bytes"));
    let deep = format!(r#"{{"results": [{}]}}"#, "[".repeat(100_000));
    assert!(refused(deep.as_bytes(), Limits::default()).await.contains("recursion"));
}

#[tokio::test]
async fn who_stops_reading_ends_the_thread() {
    let text = feed(10_000).to_string();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut records = FeedFile::open(file.path()).unwrap().records(&Limits::default()).unwrap();
    assert!(records.next().await.unwrap().is_some());
    drop(records);
}

/// What a server answers, one after the other, the last for ever.
#[derive(Clone)]
enum Reply {
    Status(u16, &'static str),
    Feed {
        etag: Option<&'static str>,
        bytes: Vec<u8>,
    },
    /// Some bytes, and then none for ever.
    Stalls(Vec<u8>),
}

async fn serve(replies: Vec<Reply>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/feed.zip?token=s3cret", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let (count, replies) = (calls.clone(), Arc::new(Mutex::new(replies)));
    let answer = move |headers: HeaderMap| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut replies = replies.lock().unwrap();
        let reply = if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() };
        let response = respond(reply, &headers);
        async { response }
    };
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, calls)
}

fn respond(reply: Reply, headers: &HeaderMap) -> Response {
    let builder = Response::builder();
    match reply {
        Reply::Status(status, "") => builder.status(status).body(Body::empty()),
        Reply::Status(status, wait) => {
            builder.status(status).header("retry-after", wait).body(Body::empty())
        }
        Reply::Feed { etag: Some(etag), bytes } => {
            let same = headers.get("if-none-match").is_some_and(|seen| seen == etag);
            let builder = builder.header("etag", etag).status(if same { 304 } else { 200 });
            builder.body(if same { Body::empty() } else { Body::from(bytes) })
        }
        Reply::Feed { etag: None, bytes } => {
            let date = "Wed, 01 Apr 2026 00:00:00 GMT";
            let same = headers.get("if-modified-since").is_some_and(|seen| seen == date);
            let builder =
                builder.header("last-modified", date).status(if same { 304 } else { 200 });
            builder.body(if same { Body::empty() } else { Body::from(bytes) })
        }
        Reply::Stalls(bytes) => {
            let some = stream::once(async move { Ok::<_, std::io::Error>(bytes) });
            builder.body(Body::from_stream(some.chain(stream::pending())))
        }
    }
    .unwrap()
}

fn quick() -> Limits {
    Limits { idle: Duration::from_millis(300), ..Limits::default() }
}

async fn fetch(
    url: &str,
    seen: &Seen,
    limits: Limits,
) -> (Result<Fetched, SourceError>, Vec<String>) {
    let feed = ZipFeed::new(url, CancellationToken::new()).unwrap().limits(limits).tries(3);
    let mut told = Vec::new();
    let mut tell = |progress: Progress<'_>| told.push(format!("{progress:?}"));
    let fetched = tokio::time::timeout(Duration::from_secs(20), feed.fetch(seen, &mut tell)).await;
    (fetched.expect("an end in time"), told)
}

#[tokio::test]
async fn an_unchanged_feed_is_not_downloaded_again() {
    let bytes = zipped(&[("x.json", feed(10).to_string().as_bytes())]);
    for etag in [Some("\"v1\""), None] {
        let (url, _) = serve(vec![Reply::Feed { etag, bytes: bytes.clone() }]).await;
        let (first, told) = fetch(&url, &Seen::default(), quick()).await;
        let Fetched::New(file) = first.unwrap() else { panic!("it is new") };
        assert_eq!(file.seen.etag.as_deref(), etag);
        assert_eq!(file.bytes, bytes.len() as u64);
        assert!(told.last().unwrap().contains(&format!("of: Some({})", bytes.len())), "{told:?}");
        let seen = file.seen.clone();
        let mut records = file.records(&Limits::default()).unwrap();
        let mut count = 0;
        while records.next().await.unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 10);
        let (again, _) = fetch(&url, &seen, quick()).await;
        assert!(matches!(again.unwrap(), Fetched::Unchanged));
    }
}

#[tokio::test]
async fn trouble_that_passes_is_tried_again_and_told() {
    let good = Reply::Feed { etag: None, bytes: vec![1, 2, 3] };
    let stalls = Reply::Stalls(vec![1, 2]);
    let (url, calls) = serve(vec![Reply::Status(500, ""), stalls, good]).await;
    let (fetched, told) = fetch(&url, &Seen::default(), quick()).await;
    assert!(matches!(fetched.unwrap(), Fetched::New(FeedFile { bytes: 3, .. })));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let told = told.join("\n");
    assert!(told.contains("tries: 1, why: \"the server answered 500"), "{told}");
    assert!(told.contains("tries: 2, why: \"too slow: no byte for 300ms, 2 bytes"), "{told}");
}

#[tokio::test]
async fn retry_after_is_kept_to_and_tries_end() {
    let (url, calls) = serve(vec![Reply::Status(429, "1")]).await;
    let start = Instant::now();
    let error = fetch(&url, &Seen::default(), quick()).await.0.unwrap_err();
    assert!(start.elapsed() >= Duration::from_secs(2), "asked too soon");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let text = crate::backoff::chain(&error);
    assert!(text.contains("3 tries") && text.contains("429") && !text.contains("s3cret"), "{text}");
    assert!(!error.is_unreached());
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    for status in [400, 403, 404, 304, 204] {
        let (url, calls) = serve(vec![Reply::Status(status, "")]).await;
        let error = fetch(&url, &Seen::default(), quick()).await.0.unwrap_err().to_string();
        assert!(
            error.contains(&status.to_string()) && error.contains("check the feed's URL"),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_drip_ends_at_the_deadline_and_a_long_download_at_its_limit() {
    let (url, _) = serve(vec![Reply::Stalls(vec![0; 9])]).await;
    let limits = Limits { total: Duration::from_millis(200), ..Limits::default() };
    let error = fetch(&url, &Seen::default(), limits).await.0.unwrap_err();
    assert!(crate::backoff::chain(&error).contains("it took more than 200ms"), "{error:?}");
    let small = Limits { download_bytes: 8, ..quick() };
    for reply in [Reply::Stalls(vec![0; 9]), Reply::Feed { etag: None, bytes: vec![0; 9] }] {
        let (url, _) = serve(vec![reply]).await;
        let error = fetch(&url, &Seen::default(), small).await.0.unwrap_err().to_string();
        assert!(error.contains("more than 8 bytes"), "{error}");
    }
}

#[tokio::test]
async fn a_download_that_is_cut_short_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut short = true;
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let body: &[u8] = if short { b"ab" } else { b"abcd" };
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n";
            stream.write_all(&[head, body].concat()).await.unwrap();
            short = false;
        }
    });
    let (fetched, told) = fetch(&url, &Seen::default(), quick()).await;
    assert!(matches!(fetched.unwrap(), Fetched::New(FeedFile { bytes: 4, .. })));
    assert!(told.iter().any(|line| line.contains("tries: 1")), "{told:?}");
}

#[tokio::test]
async fn nobody_there_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert!(fetch(&url, &Seen::default(), quick()).await.0.unwrap_err().is_unreached());
    let feed = ZipFeed::new(&url, CancellationToken::new()).unwrap().tries_unreached(1);
    let mut told = 0;
    feed.fetch(&Seen::default(), &mut |_| told += 1).await.unwrap_err();
    assert_eq!(told, 1, "asked once");
    for url in ["feed.zip", "file:///x.zip"] {
        let error = ZipFeed::new(url, CancellationToken::new()).unwrap_err().to_string();
        assert!(error.contains("http://"), "{error}");
    }
}

#[tokio::test]
async fn a_stop_ends_it() {
    let (url, _) = serve(vec![Reply::Stalls(vec![1])]).await;
    let stop = CancellationToken::new();
    let feed = ZipFeed::new(&url, stop.clone()).unwrap();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
    };
    let mut told = |_: Progress<'_>| {};
    let fetching = tokio::time::timeout(
        Duration::from_secs(5),
        feed.fetch(&Seen { etag: None, last_modified: None }, &mut told),
    );
    let (fetched, ()) = tokio::join!(fetching, stopping);
    assert!(fetched.expect("in time").is_err());
}
