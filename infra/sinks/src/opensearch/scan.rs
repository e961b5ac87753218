//! Every row of a build, for `verify`.

use arrow::array::RecordBatch;
use millstream_engine::SinkError;
use serde_json::{Value, json};

use super::builds::{Named, Place};
use super::faults::Fault;
use super::server::Call;
use super::{documents, mapping};

const BATCH_ROWS: usize = 2_000;
/// How long the server keeps what is scanned between two batches.
const KEEP: &str = "2m";

/// Shows the rows of the build that is written to, batch by batch: they are those that its ledger speaks of. Nothing
/// where there is no build.
pub(super) async fn read(
    place: &Place,
    pipeline: &str,
    visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
) -> Result<(), Fault> {
    let Some(target) = place.look().await?.target() else { return Ok(()) };
    check(place, &target, pipeline)?;
    let server = place.server();
    // What was committed is to be seen.
    place.show(&target.id).await?;
    let first = json!({
        "size": BATCH_ROWS,
        "sort": ["_doc"],
        "_source": ["row"],
        "query": {"bool": {"filter": [mapping::is_live()]}},
    });
    let call = Call::post(format!("{}/_search?scroll={KEEP}", target.id), first);
    let mut answer = server.send(&call).await?;
    loop {
        let id = answer["_scroll_id"].as_str().map(str::to_owned);
        let id = id.ok_or_else(|| Fault::unreadable("_scroll_id"))?;
        let shown = show(&target, &answer["hits"]["hits"], visit);
        if !matches!(shown, Ok(true)) {
            let end = Call::delete("_search/scroll", Some(json!({"scroll_id": [id]})));
            if let Err(fault) = server.send(&end).await {
                tracing::debug!("end a scan of {}: {fault}", target.id);
            }
            return shown.map(|_| ());
        }
        let next = Call::post("_search/scroll", json!({"scroll": KEEP, "scroll_id": id}));
        answer = server.send(&next).await?;
    }
}

fn check(place: &Place, target: &Named, pipeline: &str) -> Result<(), SinkError> {
    let owner = &target.meta.pipeline;
    let doing = || format!("read the rows of index {}", place.names.served);
    if owner != pipeline {
        let why = format!("it belongs to pipeline {owner}, not {pipeline}");
        return Err(SinkError::refused(doing(), why, "name the pipeline that it belongs to"));
    }
    let seeded = target.state.seeded.as_ref().and_then(|seeded| seeded.from.as_ref());
    match seeded.filter(|_| !target.state.ready) {
        None => Ok(()),
        Some(from) => Err(SinkError::refused(
            doing(),
            format!("it was filled from {from}, and its topic isn't worked off yet"),
            "run the worker until it has caught up, and try again",
        )),
    }
}

/// `false`: there were no more.
fn show(
    target: &Named,
    hits: &Value,
    visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
) -> Result<bool, Fault> {
    let hits = hits.as_array().ok_or_else(|| Fault::unreadable("hits"))?;
    if hits.is_empty() {
        return Ok(false);
    }
    let rows = hits.iter().map(|hit| &hit["_source"]["row"]);
    let batch = documents::batch(target.schema(), rows);
    let batch =
        batch.map_err(|error| Fault::Unreadable(format!("a row can't be read: {error}")))?;
    visit(batch)?;
    Ok(true)
}
