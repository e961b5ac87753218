//! The hits of one page, however deep it lies, in an order that is total: what is equal comes by key.

use std::sync::Arc;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::StrColumn;
use tantivy::{DocAddress, DocId, Result, Score, Searcher, SegmentOrdinal, SegmentReader};

/// So many hits of a segment are gathered before those that can't be on the page are dropped.
const GATHERED: usize = 16_384;

/// The order of a fast field's values over all segments. A segment alone knows only its own.
#[derive(Debug)]
pub(super) struct Ranks(Vec<Option<InOne>>);

/// A segment's values, and the rank of each.
#[derive(Clone, Debug)]
struct InOne {
    column: StrColumn,
    ranks: Arc<Vec<u32>>,
}

impl Ranks {
    /// Reads every value once.
    pub fn of(searcher: &Searcher, field: &str) -> Result<Self> {
        let columns = searcher.segment_readers().iter().map(|one| one.fast_fields().str(field));
        let columns: Vec<Option<StrColumn>> = columns.collect::<Result<_>>()?;
        let mut values: Vec<(Vec<u8>, usize, usize)> = Vec::new();
        for (segment, column) in columns.iter().enumerate() {
            let Some(column) = column else { continue };
            let mut terms = column.dictionary().stream()?;
            for number in 0..column.num_terms() {
                if terms.advance() {
                    values.push((terms.key().to_vec(), segment, number));
                }
            }
        }
        values.sort_unstable();
        let length =
            |column: &Option<StrColumn>| column.as_ref().map_or(0, |column| column.num_terms());
        let mut ranks: Vec<Vec<u32>> =
            columns.iter().map(|column| vec![0; length(column)]).collect();
        let mut rank = 0;
        for (n, (value, segment, number)) in values.iter().enumerate() {
            rank += u32::from(n > 0 && values[n - 1].0 != *value);
            ranks[*segment][*number] = rank;
        }
        let one = |(column, ranks): (Option<StrColumn>, Vec<u32>)| {
            Some(InOne { column: column?, ranks: Arc::new(ranks) })
        };
        Ok(Self(columns.into_iter().zip(ranks).map(one).collect()))
    }
}

impl InOne {
    fn rank(&self, doc: DocId) -> Option<u32> {
        let value = self.column.ords().first(doc)?;
        self.ranks.get(value as usize).copied()
    }
}

/// What hits are sorted by.
#[derive(Clone, Debug)]
pub(super) enum By {
    /// The most relevant first.
    Score,
    /// Lowest first; rows without a value come last.
    Up(Arc<Ranks>),
    /// Highest first; rows without a value come last.
    Down(Arc<Ranks>),
}

/// Collects one page.
pub(super) struct Page {
    pub by: By,
    pub keys: Arc<Ranks>,
    pub offset: usize,
    /// At least one.
    pub limit: usize,
}

/// First by what is asked for, then by key; less is better.
type Place = (u32, u32);

/// A hit of one segment.
type Gathered = (Place, DocId, Score);

pub(super) struct OfSegment {
    by: By,
    values: Option<InOne>,
    keys: Option<InOne>,
    segment: SegmentOrdinal,
    wanted: usize,
    hits: Vec<Gathered>,
}

impl Collector for Page {
    type Fruit = Vec<(Score, DocAddress)>;
    type Child = OfSegment;

    fn for_segment(&self, segment: SegmentOrdinal, _: &SegmentReader) -> Result<OfSegment> {
        let of = |ranks: &Ranks| ranks.0.get(segment as usize).cloned().flatten();
        let values = match &self.by {
            By::Score => None,
            By::Up(ranks) | By::Down(ranks) => of(ranks),
        };
        Ok(OfSegment {
            by: self.by.clone(),
            values,
            keys: of(&self.keys),
            segment,
            wanted: self.offset.saturating_add(self.limit),
            hits: Vec::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        matches!(self.by, By::Score)
    }

    fn merge_fruits(
        &self,
        segments: Vec<(SegmentOrdinal, Vec<Gathered>)>,
    ) -> Result<Vec<(Score, DocAddress)>> {
        let place = |(segment, hits): (SegmentOrdinal, Vec<Gathered>)| {
            hits.into_iter()
                .map(move |(place, doc, score)| (place, DocAddress::new(segment, doc), score))
        };
        let mut hits: Vec<_> = segments.into_iter().flat_map(place).collect();
        if self.offset >= hits.len() {
            return Ok(Vec::new());
        }
        // Only the page itself is sorted, not all that comes before it.
        let order = |hit: &(Place, DocAddress, Score)| (hit.0, hit.1);
        hits.select_nth_unstable_by_key(self.offset, order);
        let page = &mut hits[self.offset..];
        let limit = self.limit.min(page.len());
        if limit < page.len() {
            page.select_nth_unstable_by_key(limit, order);
        }
        let page = &mut page[..limit];
        page.sort_unstable_by_key(order);
        Ok(page.iter().map(|(_, at, score)| (*score, *at)).collect())
    }
}

impl SegmentCollector for OfSegment {
    type Fruit = (SegmentOrdinal, Vec<Gathered>);

    fn collect(&mut self, doc: DocId, score: Score) {
        let value = || self.values.as_ref().and_then(|values| values.rank(doc));
        let first = match &self.by {
            // Scores aren't negative, so their bits are in their order.
            By::Score => !score.to_bits(),
            By::Up(_) => value().unwrap_or(u32::MAX),
            By::Down(_) => value().map_or(u32::MAX, |rank| u32::MAX - 1 - rank),
        };
        let key = self.keys.as_ref().and_then(|keys| keys.rank(doc)).unwrap_or(u32::MAX);
        self.hits.push(((first, key), doc, score));
        if self.hits.len() >= GATHERED && self.hits.len() / 2 >= self.wanted {
            self.drop_others();
        }
    }

    fn harvest(self) -> Self::Fruit {
        (self.segment, self.hits)
    }
}

impl OfSegment {
    fn drop_others(&mut self) {
        self.hits.select_nth_unstable_by_key(self.wanted, |(place, doc, _)| (*place, *doc));
        self.hits.truncate(self.wanted);
    }
}
