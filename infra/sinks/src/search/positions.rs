//! Positions and ledger. The last entry of each partition stands in the commit's payload, so it moves with the
//! rows or not at all; every entry is a document, too, so that a long ledger isn't written again and again.

use millstream_engine::ledger::Entry;
use millstream_topic::TopicPartition;
use serde::{Deserialize, Serialize};
use tantivy::collector::DocSetCollector;
use tantivy::query::TermQuery;
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::{Index as Store, Searcher, TantivyDocument, Term};

use super::faults::{Fault, broken};
use super::fields::Fields;

/// What a commit's payload says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Positions {
    /// Whether the build was filled from its seed, and what that was in words.
    pub seeded: Option<Seeded>,
    partitions: Vec<Last>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seeded {
    /// `None`: there was nothing to seed from.
    pub from: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Last {
    topic: String,
    partition: u32,
    entry: Entry,
}

impl Positions {
    pub fn read(store: &Store) -> Result<Self, Fault> {
        let Some(payload) = store.load_metas()?.payload else { return Ok(Self::default()) };
        Ok(serde_json::from_str(&payload).map_err(|error| unreadable(&error))?)
    }

    pub fn payload(&self) -> Result<String, Fault> {
        Ok(serde_json::to_string(self).map_err(|error| unreadable(&error))?)
    }

    pub fn last(&self, at: &TopicPartition) -> Option<&Entry> {
        self.partitions.iter().find(|last| last.is(at)).map(|last| &last.entry)
    }

    pub fn advance(&mut self, at: &TopicPartition, entry: &Entry) {
        match self.partitions.iter_mut().find(|last| last.is(at)) {
            Some(last) => last.entry = entry.clone(),
            None => self.partitions.push(Last {
                topic: at.topic.clone(),
                partition: at.partition,
                entry: entry.clone(),
            }),
        }
    }

    /// Whether everything before `ends`, one per partition, is in.
    pub fn have_reached(&self, topic: &str, ends: &[i64]) -> bool {
        let reached = |(partition, end): (u32, &i64)| {
            let last = self.last(&TopicPartition::new(topic, partition));
            last.map_or(0, Entry::next) >= *end
        };
        (0..).zip(ends).all(reached)
    }
}

impl Last {
    fn is(&self, at: &TopicPartition) -> bool {
        self.partition == at.partition && self.topic == at.topic
    }
}

/// The entry as a document.
pub(super) fn document(
    fields: &Fields,
    at: &TopicPartition,
    entry: &Entry,
) -> Result<TantivyDocument, Fault> {
    let mut document = TantivyDocument::default();
    document.add_text(fields.partition, at.to_string());
    document.add_u64(fields.seq, entry.seq);
    document
        .add_text(fields.entry, serde_json::to_string(entry).map_err(|error| unreadable(&error))?);
    Ok(document)
}

/// Entries with `seq >= from`, at most `max`, in order.
pub(super) fn ledger(
    searcher: &Searcher,
    fields: &Fields,
    at: &TopicPartition,
    (from, max): (u64, usize),
) -> Result<Vec<Entry>, Fault> {
    let term = Term::from_field_text(fields.partition, &at.to_string());
    let query = TermQuery::new(term, IndexRecordOption::Basic);
    let seqs = searcher
        .segment_readers()
        .iter()
        .map(|segment| segment.fast_fields().u64("_seq"))
        .collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    for address in searcher.search(&query, &DocSetCollector)? {
        let seq = seqs[address.segment_ord as usize].first(address.doc_id).unwrap_or_default();
        if seq >= from {
            found.push((seq, address));
        }
    }
    found.sort_unstable();
    let mut entries = Vec::new();
    for (_, address) in found.into_iter().take(max) {
        let document: TantivyDocument = searcher.doc(address)?;
        let text = document.get_first(fields.entry).and_then(|value| value.as_str());
        let entry = serde_json::from_str(text.unwrap_or_default());
        entries.push(entry.map_err(|error| unreadable(&error))?);
    }
    Ok(entries)
}

fn unreadable(why: &serde_json::Error) -> millstream_engine::SinkError {
    broken("read the index's positions".to_owned(), &why.to_string())
}
