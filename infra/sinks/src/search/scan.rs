//! Every row of a build, for `verify`.

use arrow::array::RecordBatch;
use millstream_engine::SinkError;
use tantivy::TantivyDocument;
use tantivy::schema::Value;

use super::builds::Place;
use super::faults::{Fault, broken};
use super::fields::Fields;
use super::index::Index;
use super::positions::Positions;
use super::rows::Gathering;
use super::session;

const BATCH_ROWS: usize = 4096;

/// Shows the rows of the build that is written to, batch by batch until `visit` says false: they are those that its
/// ledger speaks of. Nothing where there is no build.
pub(super) fn read(
    place: &Place,
    index: &Index,
    pipeline: &str,
    visit: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<(), Fault> {
    let Some(target) = place.target()? else { return Ok(()) };
    super::owner::check(place, &target.build.pipeline, pipeline)?;
    let (store, reader) = session::open(&place.build_path(&target.id))?;
    let seeded = Positions::read(&store)?.seeded.and_then(|seeded| seeded.from);
    if let Some(from) = seeded.filter(|_| !target.build.ready) {
        return Err(SinkError::refused(
            format!("read the rows of {}", place.path().display()),
            format!("it was filled from {from}, and its topic isn't worked off yet"),
            "run the worker until it has caught up, and try again",
        )
        .into());
    }
    let fields = Fields::of(index, &store.schema())?;
    let searcher = reader.searcher();
    let mut gathering = Gathering::new(&target.build.schema);
    for segment in searcher.segment_readers() {
        let documents = segment.get_store_reader(1)?;
        for doc in segment.doc_ids_alive() {
            let document: TantivyDocument = documents.get(doc)?;
            let Some(row) = document.get_first(fields.row).and_then(|value| value.as_bytes())
            else {
                continue;
            };
            gathering.push(row);
            if gathering.rows == BATCH_ROWS && !visit(finish(place, &mut gathering)?) {
                return Ok(());
            }
        }
    }
    if gathering.rows > 0 {
        visit(finish(place, &mut gathering)?);
    }
    Ok(())
}

fn finish(place: &Place, gathering: &mut Gathering) -> Result<RecordBatch, SinkError> {
    gathering.finish().map_err(|error| {
        broken(format!("read the rows of {}", place.path().display()), &error.to_string())
    })
}
