use std::collections::VecDeque;
use std::mem::take;
use std::time::Duration;

use millstream_topic::Record;
use millstream_topic::dead_letter::DeadLetter;
use tokio::time::Instant;

use crate::batch;
use crate::crew::{Crew, Done, UnderWay, work_off};
use crate::ledger::{Assignment, Buckets, Entry, EntryKind, LastRecord};
use crate::pipeline::Roll;
use crate::sink::{Delete, Keeping, Range, Rows, Standing};

/// So many records are decoded at once: enough to spread the cost of planning and of small columns, and few enough that
/// they are in the processor's cache still (docs/decisions/0019-small-batches.md).
pub const CHUNK_RECORDS: usize = 8192;
/// So many stretches of a partition wait for their turn to be added, in their order, before it is read on.
const BEHIND: usize = 2;

/// The range being filled of one partition, from the position on.
#[derive(Debug)]
pub(crate) struct OpenRange {
    pub(crate) assignment: Assignment,
    /// The last entry in the sink's ledger.
    pub(crate) last: Entry,
    /// Where the range must end, when a plan says so.
    planned_end: Option<i64>,
    /// The offset after the last one taken.
    next: i64,
    /// When the first offset was taken.
    since: Option<Instant>,
    pending: Vec<Record>,
    pending_bytes: usize,
    /// Stretches that other threads work off, in the records' order, each with the bytes of its records.
    under_way: VecDeque<(usize, UnderWay)>,
    /// What the records worked off so far became.
    buckets: Buckets,
    rows: Vec<Rows>,
    row_bytes: usize,
    deletes: Vec<Delete>,
    letters: Vec<DeadLetter>,
    version: i64,
    last_record: Option<LastRecord>,
}

/// A range that waits to be committed, and the letters that have to be written first.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) range: Range,
    pub(crate) letters: Vec<DeadLetter>,
    pub(crate) planned: bool,
    /// Bytes held until it is committed.
    pub(crate) bytes: usize,
    /// When it was begun to be closed.
    pub(crate) since: Instant,
}

impl OpenRange {
    pub(crate) fn new(assignment: Assignment, standing: Standing) -> Self {
        let (last, planned_end) = match standing {
            Standing::At(last) => (last, None),
            Standing::Planned { after, end } => (after, Some(end)),
        };
        Self {
            assignment,
            planned_end,
            next: last.next(),
            since: None,
            pending: Vec::new(),
            pending_bytes: 0,
            under_way: VecDeque::new(),
            buckets: Buckets::default(),
            rows: Vec::new(),
            row_bytes: 0,
            deletes: Vec::new(),
            letters: Vec::new(),
            version: last.version,
            last_record: last.last,
            last,
        }
    }

    /// The offset to be read next.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// Whether it covers any offset.
    pub(crate) fn is_open(&self) -> bool {
        self.next > self.last.next()
    }

    /// Bytes of records and rows held. Rows of stretches that aren't added yet count as their records: how soon a thread was done
    /// must not decide where a range ends.
    pub(crate) fn held(&self) -> usize {
        let under_way: usize = self.under_way.iter().map(|(bytes, _)| bytes).sum();
        self.pending_bytes + under_way + self.row_bytes
    }

    /// Whether it has to be closed now.
    pub(crate) fn is_due(&self, roll: &Roll, now: Instant) -> bool {
        if let Some(end) = self.planned_end {
            return self.next > end;
        }
        let records = self.next - self.last.next();
        self.due_at(roll.every).is_some_and(|due| due <= now)
            || records >= roll.records as i64
            || self.held() >= roll.bytes
    }

    /// Whether it may be closed early (end of the work, shutdown, memory): a planned range may not.
    pub(crate) fn may_close(&self) -> bool {
        self.is_open() && self.planned_end.is_none_or(|end| self.next > end)
    }

    /// When the clock closes it.
    pub(crate) fn due_at(&self, every: Duration) -> Option<Instant> {
        self.since.map(|since| since + every)
    }

    /// Takes records in offset order; offsets passed over between them are absent. What is taken counts as taken at once: who drops this, or
    /// [`Self::close`], before its end has to drop the range as well.
    pub(crate) async fn take(&mut self, records: Vec<Record>, crew: &Crew, now: Instant) {
        for record in records {
            if record.offset < self.next {
                continue;
            }
            if self.planned_end.is_some_and(|end| record.offset > end) {
                self.reach(record.offset, now);
                break;
            }
            self.pass_over(record.offset);
            self.next = record.offset + 1;
            self.pending_bytes += record.size();
            self.pending.push(record);
            if self.pending.len() >= CHUNK_RECORDS && crew.pipeline().is_ready() {
                self.hand_over(crew).await;
            }
        }
        self.mark_since(now);
    }

    /// Learns that every record before `end` was seen.
    pub(crate) fn reach(&mut self, end: i64, now: Instant) {
        let end = self.planned_end.map_or(end, |planned| end.min(planned + 1));
        self.pass_over(end);
        self.mark_since(now);
    }

    fn pass_over(&mut self, to: i64) {
        if to > self.next {
            self.buckets.absent.push((self.next, to - 1));
            self.next = to;
        }
    }

    fn mark_since(&mut self, now: Instant) {
        if self.since.is_none() && self.is_open() {
            self.since = Some(now);
        }
    }

    /// Has what is pending worked off while reading goes on.
    async fn hand_over(&mut self, crew: &Crew) {
        let (records, bytes, before) = self.take_pending();
        let under_way = crew.begin(records, before).await;
        self.under_way.push_back((bytes, under_way));
        self.gather(BEHIND).await;
    }

    /// Adds what others have worked off, until so many stretches are left.
    async fn gather(&mut self, left: usize) {
        while self.under_way.len() > left {
            let Some((_, under_way)) = self.under_way.pop_front() else { return };
            self.add(under_way.done().await);
        }
    }

    /// The pending records, their bytes, and the version before them.
    fn take_pending(&mut self) -> (Vec<Record>, usize, i64) {
        let (records, bytes, before) =
            (take(&mut self.pending), take(&mut self.pending_bytes), self.version);
        self.version = batch::version_of_last(&records, before);
        if let Some(last) = records.last() {
            self.last_record = Some(LastRecord {
                offset: last.offset,
                timestamp_ms: last.timestamp_ms,
                checksum: last.checksum(),
            });
        }
        (records, bytes, before)
    }

    fn add(&mut self, (worked, dead_records): Done) {
        for (dead, record) in worked.dead.into_iter().zip(dead_records) {
            self.buckets.dead.push(record.offset);
            self.letters.push(DeadLetter {
                timestamp_ms: record.timestamp_ms,
                pipeline: self.assignment.pipeline.clone(),
                at: self.assignment.at.clone(),
                offset: record.offset,
                kind: dead.kind,
                reason: dead.reason,
                time_ms: 0,
                key: record.key,
                value: record.value,
            });
        }
        self.buckets.delivered += worked.delivered;
        self.buckets.filtered += worked.filtered;
        self.buckets.tombstones += worked.tombstones;
        self.row_bytes +=
            worked.rows.iter().map(|rows| batch::byte_count(&rows.batch)).sum::<usize>();
        self.rows.extend(worked.rows);
        self.deletes.extend(worked.deletes);
    }

    /// Closes the range at the last offset taken; this begins anew behind it once the range is committed.
    pub(crate) async fn close(&mut self, crew: &Crew, now_ms: i64) -> Closed {
        let since = Instant::now();
        let pipeline = crew.pipeline();
        let (rest, _, before) = self.take_pending();
        self.gather(0).await;
        self.add(work_off(pipeline, &rest, before));
        let letters = take(&mut self.letters)
            .into_iter()
            .map(|letter| DeadLetter { time_ms: now_ms, ..letter })
            .collect();
        let rows = take(&mut self.rows);
        let entry = Entry {
            seq: self.last.seq + 1,
            start: self.last.next(),
            end: self.next - 1,
            buckets: take(&mut self.buckets),
            rows: batch::row_count(&rows),
            units: units(&pipeline.target.about().keeping, &rows),
            fingerprint: self.assignment.fingerprint.clone(),
            topic_id: self.last.topic_id.clone(),
            cluster: self.last.cluster.clone(),
            version: self.version,
            last: self.last_record,
            kind: EntryKind::Range,
            closed_ms: now_ms,
        };
        Closed {
            range: Range { entry, rows, deletes: take(&mut self.deletes) },
            letters,
            planned: self.planned_end.is_some(),
            bytes: take(&mut self.row_bytes),
            since,
        }
    }

    /// Begins behind a committed entry.
    pub(crate) fn advance(&mut self, entry: Entry) {
        *self = Self::new(self.assignment.clone(), Standing::At(entry));
    }
}

/// What a counter's rows add up to.
pub fn units(keeping: &Keeping, rows: &[Rows]) -> i64 {
    let Keeping::Count { count, .. } = keeping else { return 0 };
    rows.iter()
        .filter_map(|rows| rows.batch.column_by_name(count))
        .filter_map(|column| {
            use arrow::array::AsArray;
            let column = column.as_primitive_opt::<arrow::datatypes::Int64Type>()?;
            arrow::compute::sum(column)
        })
        .fold(0, i64::saturating_add)
}
