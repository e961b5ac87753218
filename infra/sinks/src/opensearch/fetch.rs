//! Documents by their names, as they are this moment: unlike searches, such reads see every write.

use serde_json::{Value, json};

use super::faults::Fault;
use super::server::{Call, Server};

/// A document, and what tells this state of it from others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fetched {
    pub source: Value,
    /// Sequence number and term, for [`super::bulk::Item::replace`].
    pub seen: (i64, i64),
}

/// Documents of a build, in the order of `ids`; `None` where there is none. A fault that `is_gone`: there is no such
/// build.
pub(super) async fn documents(
    server: &Server,
    build: &str,
    ids: &[String],
) -> Result<Vec<Option<Fetched>>, Fault> {
    fetch(server, build, json!({"ids": ids})).await
}

/// Which of these documents there are.
pub(super) async fn which(
    server: &Server,
    build: &str,
    ids: &[String],
) -> Result<Vec<bool>, Fault> {
    let docs: Vec<_> = ids.iter().map(|id| json!({"_id": id, "_source": false})).collect();
    let fetched = fetch(server, build, json!({"docs": docs})).await?;
    Ok(fetched.iter().map(Option::is_some).collect())
}

async fn fetch(server: &Server, build: &str, ids: Value) -> Result<Vec<Option<Fetched>>, Fault> {
    let call = Call::post(format!("{build}/_mget"), ids);
    let mut answer = server.send(&call).await?;
    let Value::Array(docs) = answer["docs"].take() else {
        return Err(Fault::unreadable("the documents"));
    };
    docs.into_iter().map(fetched).collect()
}

fn fetched(mut doc: Value) -> Result<Option<Fetched>, Fault> {
    if doc.get("error").is_some() {
        let is_gone = doc["error"]["type"] == "index_not_found_exception";
        return Err(Fault::answered(if is_gone { 404 } else { 503 }, &doc));
    }
    if doc["found"] != true {
        return Ok(None);
    }
    let number = |name: &str| doc[name].as_i64().ok_or_else(|| Fault::unreadable(name));
    let seen = (number("_seq_no")?, number("_primary_term")?);
    Ok(Some(Fetched { source: doc["_source"].take(), seen }))
}
