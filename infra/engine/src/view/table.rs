use std::collections::HashMap;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use tracing::warn;

/// More pieces than this are joined to one: a question's cost grows with them.
const MOST_PIECES: usize = 64;
/// Fewer dead rows than this aren't worth a copy of the others.
const FEW_DEAD: usize = 4_096;

/// The newest live row of each key. Rows stay where they were put; those that are replaced or deleted are dead,
/// and dropped when they outnumber the others.
pub(super) struct Table {
    schema: SchemaRef,
    pieces: Vec<Piece>,
    places: HashMap<Box<[u8]>, Place>,
    /// Rows in `pieces` that no key leads to.
    dead: usize,
}

#[derive(Clone)]
struct Piece {
    rows: RecordBatch,
    live: Vec<bool>,
}

/// Where a key's row is.
#[derive(Clone, Copy)]
struct Place {
    piece: u32,
    row: u32,
}

/// What becomes of a key.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// Its row is this one of the batch.
    Row(&'a [u8], u32),
    Delete(&'a [u8]),
}

impl Table {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema, pieces: Vec::new(), places: HashMap::new(), dead: 0 }
    }

    /// Keys with a live row.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.schema.clone());
    }

    /// Takes changes in the records' order. Rows of the batch that no change names are dead from the start.
    pub(super) fn take<'a>(
        &mut self,
        rows: RecordBatch,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) {
        let piece = self.pieces.len() as u32;
        let count = rows.num_rows();
        self.pieces.push(Piece { rows, live: vec![false; count] });
        self.dead += count;
        for change in changes {
            match change {
                Change::Row(key, row) => self.put(key, Place { piece, row }),
                Change::Delete(key) => {
                    if let Some(before) = self.places.remove(key) {
                        self.mark(before, false);
                    }
                }
            }
        }
        let live = self.places.len();
        if self.pieces.len() > MOST_PIECES || (self.dead > live && self.dead > FEW_DEAD) {
            self.join();
        }
    }

    fn put(&mut self, key: &[u8], place: Place) {
        let before = match self.places.get_mut(key) {
            Some(known) => Some(std::mem::replace(known, place)),
            None => self.places.insert(key.into(), place),
        };
        if let Some(before) = before {
            self.mark(before, false);
        }
        self.mark(place, true);
    }

    fn mark(&mut self, place: Place, live: bool) {
        let Some(piece) = self.pieces.get_mut(place.piece as usize) else { return };
        let Some(mark) = piece.live.get_mut(place.row as usize) else { return };
        if std::mem::replace(mark, live) != live {
            if live { self.dead -= 1 } else { self.dead += 1 }
        }
    }

    /// Copies the live rows into one piece and forgets the dead ones.
    pub(super) fn join(&mut self) {
        let joined =
            self.live().batches().and_then(|batches| concat_batches(&self.schema, &batches));
        let rows = match joined {
            Ok(rows) => rows,
            // It holds more than it needs, but nothing wrong.
            Err(error) => return warn!("join a view's rows: {error}"),
        };
        let mut next = 0;
        let moved: Vec<Vec<u32>> =
            self.pieces.iter().map(|piece| numbered(&piece.live, &mut next)).collect();
        for place in self.places.values_mut() {
            *place = Place { piece: 0, row: moved[place.piece as usize][place.row as usize] };
        }
        let live = vec![true; rows.num_rows()];
        self.pieces = vec![Piece { rows, live }];
        self.dead = 0;
    }

    /// The live rows as they are now, to be copied out when nobody waits for the table.
    pub(super) fn live(&self) -> Live {
        Live { pieces: self.pieces.clone() }
    }
}

/// Per row the number it gets when only live ones are counted, going on from `next`.
fn numbered(live: &[bool], next: &mut u32) -> Vec<u32> {
    let number = |live: &bool| {
        let number = *next;
        *next += u32::from(*live);
        number
    };
    live.iter().map(number).collect()
}

/// Live rows at one moment.
pub(super) struct Live {
    pieces: Vec<Piece>,
}

impl Live {
    /// Rows in the order they were put. Pieces without dead rows are shared and not copied.
    pub(super) fn batches(self) -> Result<Vec<RecordBatch>, ArrowError> {
        let live = |piece: Piece| {
            if piece.live.iter().all(|live| *live) {
                return Ok(piece.rows);
            }
            filter_record_batch(&piece.rows, &BooleanArray::from(piece.live))
        };
        self.pieces.into_iter().map(live).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use proptest::prelude::*;

    use super::*;

    fn table() -> Table {
        Table::new(Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])))
    }

    fn numbers(table: &Table) -> Vec<i64> {
        let batches = table.live().batches().expect("batches");
        let columns = batches.iter().map(|rows| rows.column(0).as_primitive::<Int64Type>());
        let mut numbers: Vec<_> = columns.flat_map(|column| column.values().to_vec()).collect();
        numbers.sort_unstable();
        numbers
    }

    fn batch(table: &Table, numbers: Vec<i64>) -> RecordBatch {
        RecordBatch::try_new(table.schema.clone(), vec![Arc::new(Int64Array::from(numbers))])
            .expect("rows")
    }

    #[test]
    fn many_versions_of_few_keys_stay_small() {
        let mut table = table();
        for round in 0..1_000_i64 {
            let rows = batch(&table, (0..100).map(|n| round * 100 + n).collect());
            let keys: Vec<_> = (0..100_u32).map(u32::to_be_bytes).collect();
            table.take(rows, keys.iter().zip(0..).map(|(key, row)| Change::Row(key, row)));
            assert!(table.dead <= FEW_DEAD + 100, "dead rows: {}", table.dead);
            assert!(table.pieces.len() <= MOST_PIECES);
        }
        assert_eq!(numbers(&table), (99_900..100_000).collect::<Vec<_>>());
    }

    proptest! {
        /// Whatever comes, in whatever batches: the table is what a map would be.
        #[test]
        fn is_the_map(batches in prop::collection::vec(prop::collection::vec((0_u8..12, any::<bool>()), 0..12), 0..90),
                      join_at in 0_usize..90) {
            let (mut table, mut map, mut n) = (table(), BTreeMap::new(), 0_i64);
            for (at, changes) in batches.into_iter().enumerate() {
                let mut numbers = Vec::new();
                let keys: Vec<_> = changes.iter().map(|(key, _)| [*key]).collect();
                let mut taken = Vec::new();
                for (key, (_, put)) in keys.iter().zip(&changes) {
                    n += 1;
                    if *put {
                        taken.push(Change::Row(key, numbers.len() as u32));
                        numbers.push(n);
                        map.insert(key[0], n);
                    } else {
                        taken.push(Change::Delete(key));
                        map.remove(&key[0]);
                    }
                }
                let rows = batch(&table, numbers);
                table.take(rows, taken);
                if at == join_at {
                    table.join();
                }
                prop_assert_eq!(table.len(), map.len());
            }
            let mut wanted: Vec<_> = map.into_values().collect();
            wanted.sort_unstable();
            prop_assert_eq!(numbers(&table), wanted);
        }
    }
}
