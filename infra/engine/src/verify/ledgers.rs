use millstream_topic::{Bounds, TopicPartition};

use super::Report;
use crate::ledger::{Entry, EntryKind};
use crate::sink::{Sink, SinkError};

/// So many entries are read at once.
const PAGE: usize = 1_000;

/// All entries of one partition.
pub(super) struct Ledger {
    pub(super) at: TopicPartition,
    pub(super) entries: Vec<Entry>,
}

impl Ledger {
    pub(super) async fn read(sink: &mut dyn Sink, at: &TopicPartition) -> Result<Self, SinkError> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let from = entries.last().map_or(0, |entry| entry.seq + 1);
            let page = sink.ledger(at, from, PAGE).await?;
            let complete = page.len() < PAGE;
            entries.extend(page);
            if complete {
                return Ok(Self { at: at.clone(), entries });
            }
        }
    }

    /// Adds the buckets up, and checks that the entries follow one another without gap or overlap.
    pub(super) fn count(&self, bounds: Bounds, report: &mut Report) {
        let at = &self.at;
        let Some(first) = self.entries.first() else {
            report.produced += (bounds.end - bounds.low) as u64;
            report.pending += (bounds.end - bounds.low) as u64;
            return;
        };
        if first.kind != EntryKind::Genesis || first.seq != 0 {
            report.problem(format!("{at}: the ledger begins with entry {}, not 0", first.seq));
        }
        for pair in self.entries.windows(2) {
            let [before, entry] = pair else { continue };
            let adopted = entry.kind == EntryKind::AdoptTopic;
            if entry.seq != before.seq + 1 || (entry.start != before.next() && !adopted) {
                report.problem(format!(
                    "{at}: entry {} ({}..={}) doesn't follow entry {} ({}..={})",
                    entry.seq, entry.start, entry.end, before.seq, before.start, before.end
                ));
            }
        }
        self.entries.iter().for_each(|entry| count_entry(at, entry, report));
        let next = self.entries.last().map_or(bounds.low, Entry::next);
        if next > bounds.end {
            report.problem(format!("{at}: the position {next} lies beyond the end {}", bounds.end));
        }
        let pending = (bounds.end - next).max(0) as u64;
        report.pending += pending;
        report.produced += pending;
    }
}

fn count_entry(at: &TopicPartition, entry: &Entry, report: &mut Report) {
    let (offsets, buckets) = ((entry.end - entry.start + 1) as u64, &entry.buckets);
    if buckets.total() != offsets {
        let total = buckets.total();
        report.problem(format!(
            "{at}: entry {} covers {offsets} offsets and accounts for {total}",
            entry.seq
        ));
    }
    report.produced += offsets;
    report.delivered += buckets.delivered;
    report.filtered += buckets.filtered;
    report.dead_lettered += buckets.dead.len() as u64;
    report.tombstone += buckets.tombstones;
    report.absent += buckets.absent_count();
}
