//! Counts the values of columns among the rows that a query finds.

use std::collections::HashMap;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::StrColumn;
use tantivy::{DocId, Result, Score, SegmentOrdinal, SegmentReader};

/// Rows by value, for each column.
pub(super) type Counted = Vec<HashMap<String, usize>>;

/// Counts by fast fields of these names.
pub(super) struct Counting(pub Vec<String>);

/// What a segment's rows have, by the value's number in that segment.
pub(super) struct InSegment(Vec<Option<(StrColumn, Vec<u32>)>>);

impl Collector for Counting {
    type Fruit = Counted;
    type Child = InSegment;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> Result<InSegment> {
        let column = |name: &String| {
            let column = segment.fast_fields().str(name).ok().flatten()?;
            let counts = vec![0; column.num_terms()];
            Some((column, counts))
        };
        Ok(InSegment(self.0.iter().map(column).collect()))
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<Result<Counted>>) -> Result<Counted> {
        let mut all = vec![HashMap::new(); self.0.len()];
        for segment in segments {
            for (all, counted) in all.iter_mut().zip(segment?) {
                for (value, rows) in counted {
                    *all.entry(value).or_default() += rows;
                }
            }
        }
        Ok(all)
    }
}

impl SegmentCollector for InSegment {
    type Fruit = Result<Counted>;

    fn collect(&mut self, doc: DocId, _: Score) {
        for (column, counts) in self.0.iter_mut().flatten() {
            if let Some(value) = column.ords().first(doc) {
                counts[value as usize] += 1;
            }
        }
    }

    fn harvest(self) -> Result<Counted> {
        let values = |column: Option<(StrColumn, Vec<u32>)>| {
            let mut values = HashMap::new();
            let Some((column, counts)) = column else { return Ok(values) };
            for (number, rows) in (0..).zip(counts).filter(|(_, rows)| *rows > 0) {
                let mut value = String::new();
                column.ord_to_str(number, &mut value)?;
                values.insert(value, rows as usize);
            }
            Ok(values)
        };
        self.0.into_iter().map(values).collect()
    }
}

/// Most rows first, then by value.
pub(super) fn in_order(counted: HashMap<String, usize>) -> Vec<(String, usize)> {
    let mut values: Vec<_> = counted.into_iter().collect();
    values.sort_unstable_by(|(a, some), (b, more)| more.cmp(some).then_with(|| a.cmp(b)));
    values
}
