//! From what was asked to what tantivy runs.
//!
//! A word matches by its stem in any text, by its own self in an id, as the beginning of a word if it is the last
//! one, and, if hardly any row has it, with a typo. What is nearer counts more.

use tantivy::query::{
    BooleanQuery, BoostQuery, ConstScoreQuery, EmptyQuery, FuzzyTermQuery, PhraseQuery,
    Query as Matches, TermQuery, TermSetQuery,
};
use tantivy::schema::{Field as Slot, IndexRecordOption};
use tantivy::{Result, Searcher, Term};

use super::asked::{Chunk, Part, Word};
use super::fields::{Fields, value_text};
use super::index::Kind;

/// A word of fewer rows than this may be a typo.
const RARE: u64 = 5;
/// From how many letters on one typo is forgiven, and two.
const ONE_TYPO: usize = 4;
const TWO_TYPOS: usize = 8;
/// A word of one letter begins too many others.
const BEGINNING: usize = 2;
const SCORE_OF_ID: f32 = 50.0;
const SCORE_OF_ID_BEGINNING: f32 = 5.0;
const SCORE_OF_WORD_IN_ID: f32 = 1.0;
const SCORE_OF_BEGINNING: f32 = 0.5;
const SCORE_OF_TYPO: f32 = 0.2;

type Boxed = Box<dyn Matches>;

/// Makes queries for one moment of an index.
pub(super) struct Matching<'a> {
    pub searcher: &'a Searcher,
    pub fields: &'a Fields,
}

impl Matching<'_> {
    /// Rows in which all parts are found.
    pub fn parts(&self, parts: &[Part]) -> Result<Vec<Boxed>> {
        let part = |part: &Part| match part {
            Part::Chunk(chunk) => self.chunk(chunk),
            Part::Phrase(words) => self.phrase(words),
        };
        parts.iter().map(part).collect()
    }

    /// Every row.
    pub fn live(&self) -> Boxed {
        let term = Term::from_field_u64(self.fields.live, 1);
        constant(Box::new(TermQuery::new(term, IndexRecordOption::Basic)), 0.0)
    }

    pub fn keys(&self, keys: &[String]) -> Boxed {
        one_of(keys.iter().map(|key| self.fields.key_term(key)).collect())
    }

    pub fn values(&self, slot: Option<Slot>, values: &[String]) -> Boxed {
        // A build for another declaration doesn't have the field: nothing is found by it.
        let Some(slot) = slot else { return Box::new(EmptyQuery) };
        one_of(values.iter().map(|value| Term::from_field_text(slot, value_text(value))).collect())
    }

    fn chunk(&self, chunk: &Chunk) -> Result<Boxed> {
        let words = chunk
            .words
            .iter()
            .enumerate()
            .map(|(n, word)| self.word(word, chunk.is_last && n + 1 == chunk.words.len()));
        let mut ways = vec![all(words.collect::<Result<_>>()?)];
        let ids = self.fields.declared.iter().filter(|declared| declared.field.kind == Kind::Id);
        for slot in ids.filter_map(|declared| declared.folded) {
            let term = Term::from_field_text(slot, &chunk.folded);
            if self.searcher.doc_freq(&term)? > 0 {
                ways.push(constant(exactly(term.clone()), SCORE_OF_ID));
            }
            if chunk.is_last && self.begins_words(slot, &chunk.folded)? {
                ways.push(constant(beginning(term, 0), SCORE_OF_ID_BEGINNING));
            }
        }
        Ok(any(ways))
    }

    fn word(&self, word: &Word, is_last: bool) -> Result<Boxed> {
        let mut ways: Vec<Boxed> = Vec::new();
        let mut most = 0;
        for (slot, boost) in self.texts() {
            let term = Term::from_field_text(slot, &word.stem);
            let rows = self.searcher.doc_freq(&term)?;
            if rows > 0 {
                let scored = TermQuery::new(term, IndexRecordOption::WithFreqs);
                ways.push(Box::new(BoostQuery::new(Box::new(scored), boost)));
            }
            most = most.max(rows);
        }
        let all = self.fields.all;
        let term = Term::from_field_text(all, &word.plain);
        let rows = self.searcher.doc_freq(&term)?;
        if rows > 0 {
            ways.push(constant(exactly(term.clone()), SCORE_OF_WORD_IN_ID));
        }
        let begins = is_last && self.begins_words(all, &word.plain)?;
        if begins {
            ways.push(constant(beginning(term, 0), SCORE_OF_BEGINNING));
        } else if most.max(rows) < RARE {
            ways.extend(self.typos(word, is_last));
        }
        Ok(any(ways))
    }

    fn typos(&self, word: &Word, is_last: bool) -> Vec<Boxed> {
        let letters = word.plain.chars().count();
        // Another number is another thing, not a typo.
        if letters < ONE_TYPO || word.plain.contains(|char: char| char.is_ascii_digit()) {
            return Vec::new();
        }
        let typos = if letters < TWO_TYPOS { 1 } else { 2 };
        let term = Term::from_field_text(self.fields.all, &word.plain);
        let whole = FuzzyTermQuery::new(term.clone(), typos, true);
        let mut ways = vec![constant(Box::new(whole), SCORE_OF_TYPO)];
        if is_last {
            ways.push(constant(beginning(term, 1), SCORE_OF_TYPO / 2.0));
        }
        ways
    }

    fn phrase(&self, words: &[Word]) -> Result<Boxed> {
        if let [word] = words {
            return self.word(word, false);
        }
        let ways = self.texts().map(|(slot, boost)| -> Boxed {
            let terms = words.iter().map(|word| Term::from_field_text(slot, &word.stem));
            Box::new(BoostQuery::new(Box::new(PhraseQuery::new(terms.collect())), boost))
        });
        Ok(any(ways.collect()))
    }

    fn texts(&self) -> impl Iterator<Item = (Slot, f32)> + '_ {
        self.fields.declared.iter().filter_map(|declared| match declared.field.kind {
            Kind::Text { boost } => declared.text.map(|slot| (slot, boost)),
            _ => None,
        })
    }

    /// Whether any term goes on after this text.
    fn begins_words(&self, slot: Slot, text: &str) -> Result<bool> {
        if text.chars().count() < BEGINNING {
            return Ok(false);
        }
        for segment in self.searcher.segment_readers() {
            let terms = segment.inverted_index(slot)?;
            let mut stream = terms.terms().range().gt(text).into_stream()?;
            if stream.advance() && stream.key().starts_with(text.as_bytes()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Rows that all of these match; with none, every row's own matter.
pub(super) fn all(mut queries: Vec<Boxed>) -> Boxed {
    match queries.len() {
        1 => queries.remove(0),
        _ => Box::new(BooleanQuery::intersection(queries)),
    }
}

fn any(mut queries: Vec<Boxed>) -> Boxed {
    match queries.len() {
        0 => Box::new(EmptyQuery),
        1 => queries.remove(0),
        _ => Box::new(BooleanQuery::union(queries)),
    }
}

fn one_of(mut terms: Vec<Term>) -> Boxed {
    match terms.len() {
        1 => constant(exactly(terms.remove(0)), 0.0),
        _ => constant(Box::new(TermSetQuery::new(terms)), 0.0),
    }
}

fn exactly(term: Term) -> Boxed {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn beginning(term: Term, typos: u8) -> Boxed {
    Box::new(FuzzyTermQuery::new_prefix(term, typos, true))
}

fn constant(query: Boxed, score: f32) -> Boxed {
    Box::new(ConstScoreQuery::new(query, score))
}
