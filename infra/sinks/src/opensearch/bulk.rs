//! Documents in bulk. Each has a result of its own.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use millstream_engine::SinkError;
use reqwest::Method;
use serde_json::{Value, json};

use super::faults::{Fault, is_flood};
use super::names;
use super::server::{Body, Call, Server};

/// Of one request. Servers take a hundred megabytes, and work best on a few.
const BYTES: usize = 4 << 20;
const DOCUMENTS: usize = 2_000;
/// Requests at a time.
const AT_ONCE: usize = 2;
/// How often documents are sent for which the server had no room, and how long is waited before the second time;
/// each further time twice as long.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(100);

/// What is to be done with one document.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub id: String,
    lines: Vec<u8>,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// Something is there already, or something newer.
    Conflict,
}

impl Item {
    /// Replaces what is there if that has a lower version. Versions below zero count as zero: servers know none.
    pub fn newest(id: String, version: i64, document: &Value) -> Self {
        let meta = json!({"_id": id, "version": version.max(0), "version_type": "external"});
        Self::of("index", id, &meta, document)
    }

    /// As [`Item::newest`], and also if that has the same version.
    pub fn as_new(id: String, version: i64, document: &Value) -> Self {
        let meta = json!({"_id": id, "version": version.max(0), "version_type": "external_gte"});
        Self::of("index", id, &meta, document)
    }

    /// Makes what isn't there.
    pub fn create(id: String, document: &Value) -> Self {
        let meta = json!({"_id": id});
        Self::of("create", id, &meta, document)
    }

    /// Replaces whatever is there.
    pub fn put(id: String, document: &Value) -> Self {
        let meta = json!({"_id": id});
        Self::of("index", id, &meta, document)
    }

    /// Replaces what is there if it still is what was seen, by its sequence number and term.
    pub fn replace(id: String, (seq_no, term): (i64, i64), document: &Value) -> Self {
        let meta = json!({"_id": id, "if_seq_no": seq_no, "if_primary_term": term});
        Self::of("index", id, &meta, document)
    }

    fn of(op: &str, id: String, meta: &Value, document: &Value) -> Self {
        let lines = format!("{}\n{document}\n", json!({op: meta})).into_bytes();
        Self { id, lines }
    }
}

/// Writes one document.
pub(super) async fn one(server: &Server, build: &str, item: Item) -> Result<Written, Fault> {
    let results = write(server, build, std::iter::once(item)).await?;
    results.first().copied().ok_or_else(|| Fault::unreadable("a document's result"))
}

/// Writes documents into a build; every one of them is durable, or found to conflict, when this returns. A fault that
/// `is_gone`: the build isn't there any more.
pub(super) async fn write(
    server: &Server,
    build: &str,
    items: impl Iterator<Item = Item> + Send,
) -> Result<Vec<Written>, Fault> {
    let results: Vec<_> = one_by_one(in_requests(items))
        .map(|items| until_taken(server, build, items))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(results.concat())
}

/// Before each is made, those before it get on: the server works on them meanwhile.
fn one_by_one<T>(made: impl Iterator<Item = T>) -> impl Stream<Item = T> {
    stream::unfold(made, async |mut made| {
        tokio::task::yield_now().await;
        made.next().map(|next| (next, made))
    })
}

fn in_requests(items: impl Iterator<Item = Item>) -> impl Iterator<Item = Vec<Item>> {
    let mut items = items.peekable();
    std::iter::from_fn(move || {
        let mut bytes = items.peek()?.lines.len();
        let mut taken = vec![items.next()?];
        while let Some(next) = items.peek()
            && taken.len() < DOCUMENTS
            && bytes + next.lines.len() <= BYTES
        {
            bytes += next.lines.len();
            taken.extend(items.next());
        }
        Some(taken)
    })
}

/// Sends documents until the server had room for each.
async fn until_taken(
    server: &Server,
    build: &str,
    items: Vec<Item>,
) -> Result<Vec<Written>, Fault> {
    let mut results: Vec<Option<Written>> = vec![None; items.len()];
    let mut last = Fault::unreadable("a document's result");
    for n in 0..TRIES {
        let open: Vec<usize> = (0..items.len()).filter(|at| results[*at].is_none()).collect();
        if open.is_empty() {
            break;
        }
        if n > 0 {
            tokio::time::sleep(PAUSE * 2_u32.pow(n - 1)).await;
        }
        let answers = match send(server, build, open.iter().map(|at| &items[*at])).await {
            Ok(answers) => answers,
            Err(fault) if fault.status() == Some(429) && !fault.is_flood() => {
                last = fault;
                continue;
            }
            Err(fault) if fault.status() == Some(413) && items.len() > 1 => {
                return Box::pin(in_halves(server, build, items)).await;
            }
            Err(fault) => return Err(fault),
        };
        for (at, answer) in open.into_iter().zip(answers) {
            match written(&items[at], &answer) {
                Ok(written) => results[at] = Some(written),
                Err(fault) if fault.is_passing() && !fault.is_flood() => last = fault,
                Err(fault) => return Err(fault),
            }
        }
    }
    results.into_iter().collect::<Option<Vec<_>>>().ok_or(last)
}

/// For servers, or proxies before them, that take smaller requests only.
async fn in_halves(
    server: &Server,
    build: &str,
    mut items: Vec<Item>,
) -> Result<Vec<Written>, Fault> {
    let rest = items.split_off(items.len() / 2);
    let mut results = until_taken(server, build, items).await?;
    results.extend(until_taken(server, build, rest).await?);
    Ok(results)
}

async fn send(
    server: &Server,
    build: &str,
    items: impl ExactSizeIterator<Item = &Item>,
) -> Result<Vec<Value>, Fault> {
    let wanted = items.len();
    let lines = items.map(|item| item.lines.as_slice()).collect::<Vec<_>>().concat();
    let shape = "filter_path=items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by";
    let call = Call {
        method: Method::POST,
        path: format!("{}/_bulk?require_alias=true&{shape}", names::writes(build)),
        body: Body::Lines(Bytes::from(lines)),
    };
    let mut answer = server.send(&call).await?;
    match answer["items"].take() {
        Value::Array(items) if items.len() == wanted => Ok(items),
        _ => Err(Fault::unreadable("a result for each document")),
    }
}

fn written(item: &Item, answer: &Value) -> Result<Written, Fault> {
    let result = answer.as_object().and_then(|op| op.values().next()).unwrap_or(&Value::Null);
    let status = result["status"].as_u64().unwrap_or_default();
    let fault = || Fault::answered(u16::try_from(status).unwrap_or_default(), result);
    match status {
        200 | 201 => Ok(Written::Done),
        409 => Ok(Written::Conflict),
        404 => Err(fault()),
        _ => match fault() {
            fault if fault.is_passing() => Err(fault),
            fault @ Fault::Answered { status: 401 | 403, .. } => Err(fault),
            fault => Err(refused(item, &fault)),
        },
    }
}

/// The mapping is ours, so a document that doesn't fit is a matter for somebody.
fn refused(item: &Item, fault: &Fault) -> Fault {
    debug_assert!(!is_flood(&fault.to_string()));
    Fault::Told(SinkError::refused(
        format!("write document {:?}", item.id),
        fault.to_string(),
        "see the server's log; if the index was changed by hand, have it built anew",
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn requests_have_a_bound() {
        let item = |bytes: usize| Item::put("a".to_owned(), &Value::from("x".repeat(bytes)));
        let lengths = |items: Vec<Item>| {
            in_requests(items.into_iter()).map(|items| items.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(vec![]), [0_usize; 0]);
        assert_eq!(lengths(vec![item(1); 2 * DOCUMENTS + 1]), [DOCUMENTS, DOCUMENTS, 1]);
        assert_eq!(lengths(vec![item(BYTES / 3); 4]), [2, 2]);
        assert_eq!(lengths(vec![item(2 * BYTES), item(1)]), [1, 1]);
    }

    #[tokio::test]
    async fn a_request_is_made_while_the_one_before_is_under_way() {
        let events = Mutex::new(Vec::new());
        let tell = |what: &str, n: usize| events.lock().unwrap().push(format!("{what} {n}"));
        let sent: Vec<usize> = one_by_one((0..3).inspect(|n| tell("make", *n)))
            .map(async |n| {
                tell("send", n);
                tokio::time::sleep(PAUSE).await;
                n
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        assert_eq!(sent, [0, 1, 2]);
        let expected = ["make 0", "send 0", "make 1", "send 1", "make 2", "send 2"];
        assert_eq!(*events.lock().unwrap(), expected);
    }

    #[test]
    fn results_are_told_apart() {
        let item = Item::put("Z-1".to_owned(), &Value::Null);
        let of = |status: u16, kind: &str| {
            let answer =
                json!({"index": {"status": status, "error": {"type": kind, "reason": "because"}}});
            written(&item, &answer)
        };
        assert_eq!(of(201, "").unwrap(), Written::Done);
        assert_eq!(of(409, "version_conflict_engine_exception").unwrap(), Written::Conflict);
        assert!(of(429, "es_rejected_execution_exception").unwrap_err().is_passing());
        assert!(of(404, "index_not_found_exception").unwrap_err().is_gone());
        let refused = of(400, "mapper_parsing_exception").unwrap_err().to_string();
        assert!(refused.contains("Z-1") && refused.contains("because"), "{refused}");
    }
}
