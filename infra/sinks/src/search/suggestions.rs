//! How what is typed may go on. Everything that may be suggested is held in memory, sorted by the beginnings of its
//! words: a look-up is a binary search.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::{DocAddress, Result, Searcher};

use super::fields::{lowered, slot_name};
use super::index::{Index, Kind};
use super::searcher::Suggestion;

/// So many texts are looked at for one answer.
const LOOKED_AT: usize = 50_000;
/// So many answers are kept.
const ANSWERS: usize = 2_000;

/// All texts of one moment.
pub(super) struct Suggestions {
    searcher: Searcher,
    columns: Vec<&'static str>,
    /// Texts as they are shown, one after the other, and as they are compared.
    shown: String,
    plain: String,
    entries: Vec<Entry>,
    /// By the eight bytes that begin there.
    starts: Vec<Start>,
    answers: Mutex<HashMap<String, Arc<Vec<Suggestion>>>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    shown: (u32, u32),
    plain: (u32, u32),
    column: u32,
    rows: u32,
    /// One of the rows.
    at: DocAddress,
}

/// A word's place in an entry.
#[derive(Clone, Copy, Debug)]
struct Start {
    begins: u64,
    entry: u32,
    offset: u32,
}

/// How good a suggestion is; less is better. Equals come in the order of their texts, as entries do.
type Rank = (bool, u32, std::cmp::Reverse<u32>, u32);

impl Suggestions {
    /// Gathers the texts. Works the processor: a tenth of a second and more.
    pub fn gather(index: &Index, searcher: &Searcher) -> Result<Self> {
        let mut made = Self {
            searcher: searcher.clone(),
            columns: Vec::new(),
            shown: String::new(),
            plain: String::new(),
            entries: Vec::new(),
            starts: Vec::new(),
            answers: Mutex::default(),
        };
        for field in index.fields.iter().filter(|field| field.suggest) {
            let is_text = matches!(field.kind, Kind::Text { .. });
            let name = slot_name(if is_text { 's' } else { 'v' }, field.column);
            let column = made.columns.len() as u32;
            made.columns.push(field.column);
            // Ids are typed from their beginning only.
            let only_first = field.kind == Kind::Id;
            for (text, (rows, at)) in texts(searcher, &name)? {
                made.add(column, &text, (rows, at), only_first);
            }
        }
        made.starts.sort_unstable_by_key(|start| (start.begins, start.entry, start.offset));
        made.starts.shrink_to_fit();
        made.entries.shrink_to_fit();
        Ok(made)
    }

    fn add(&mut self, column: u32, text: &str, (rows, at): (u32, DocAddress), only_first: bool) {
        let plain = plain(text);
        if plain.is_empty() {
            return;
        }
        let entry = self.entries.len() as u32;
        let shown = push(&mut self.shown, text);
        let place = push(&mut self.plain, &plain);
        self.entries.push(Entry { shown, plain: place, column, rows, at });
        let words = plain.match_indices(' ').map(|(blank, _)| blank + 1).filter(|_| !only_first);
        for offset in std::iter::once(0).chain(words) {
            let begins = first_bytes(&plain.as_bytes()[offset..], 0);
            self.starts.push(Start { begins, entry, offset: offset as u32 });
        }
    }

    /// At most `max` texts that go on from what was typed, the best first.
    pub fn ask(&self, typed: &str, max: usize) -> Result<Arc<Vec<Suggestion>>> {
        let typed = plain(&typed.chars().take(200).collect::<String>());
        if typed.is_empty() || max == 0 {
            return Ok(Arc::default());
        }
        let asked = format!("{max} {typed}");
        if let Some(known) = self.answers().get(&asked) {
            return Ok(known.clone());
        }
        let mut found = self.going_on(&typed);
        if found.len() < max {
            found.extend(self.with_all_words(&typed));
        }
        let chosen = self.choose(found, max);
        let answer = chosen.into_iter().map(|entry| self.suggestion(entry));
        let answer = Arc::new(answer.collect::<Result<Vec<_>>>()?);
        let mut answers = self.answers();
        if answers.len() >= ANSWERS {
            answers.clear();
        }
        answers.insert(asked, answer.clone());
        Ok(answer)
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Vec<Suggestion>>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries in which the text stands as it was typed, from the beginning of a word.
    fn going_on(&self, typed: &str) -> Vec<(Rank, u32)> {
        let (low, high) = (first_bytes(typed.as_bytes(), 0), first_bytes(typed.as_bytes(), 0xFF));
        let from = self.starts.partition_point(|start| start.begins < low);
        let until = self.starts.partition_point(|start| start.begins <= high);
        let within = self.starts[from..until].iter().take(LOOKED_AT);
        let matching = within.filter(|start| {
            let entry = &self.entries[start.entry as usize];
            typed.len() <= size_of::<u64>()
                || self.plain(entry)[start.offset as usize..].starts_with(typed)
        });
        matching.map(|start| (self.rank(start.entry, start.offset > 0), start.entry)).collect()
    }

    /// Entries in which each of the words begins a word.
    fn with_all_words(&self, typed: &str) -> Vec<(Rank, u32)> {
        let words: Vec<_> = typed.split(' ').collect();
        let Some(longest) = words.iter().max_by_key(|word| word.len()).filter(|_| words.len() > 1)
        else {
            return Vec::new();
        };
        let has = |plain: &str, word: &&str| {
            plain.starts_with(*word) || plain.contains(&format!(" {word}"))
        };
        let mut found = self.going_on(longest);
        found.retain(|(_, entry)| {
            let plain = self.plain(&self.entries[*entry as usize]);
            words.iter().all(|word| has(plain, word))
        });
        found.into_iter().map(|(rank, entry)| ((true, rank.1, rank.2, rank.3), entry)).collect()
    }

    fn rank(&self, entry: u32, is_inside: bool) -> Rank {
        let Entry { column, rows, shown, .. } = self.entries[entry as usize];
        (is_inside, column, std::cmp::Reverse(rows), shown.1 - shown.0)
    }

    /// The best of each column, so that none crowds the others out; then the rest.
    fn choose(&self, mut found: Vec<(Rank, u32)>, max: usize) -> Vec<u32> {
        let by_column = found.iter().map(|((_, column, ..), _)| *column).collect::<HashSet<_>>();
        let share = max.div_ceil(by_column.len().max(1));
        let mut chosen: Vec<(Rank, u32)> = Vec::new();
        let mut seen = HashSet::new();
        found.sort_unstable();
        let mut taken = HashMap::<u32, usize>::new();
        for (rank, entry) in &found {
            let of_column = taken.entry(rank.1).or_default();
            if *of_column < share && chosen.len() < max && seen.insert(*entry) {
                *of_column += 1;
                chosen.push((*rank, *entry));
            }
        }
        for (rank, entry) in found {
            if chosen.len() < max && seen.insert(entry) {
                chosen.push((rank, entry));
            }
        }
        chosen.sort_unstable();
        chosen.into_iter().map(|(_, entry)| entry).collect()
    }

    fn suggestion(&self, entry: u32) -> Result<Suggestion> {
        let entry = &self.entries[entry as usize];
        let text = &self.shown[entry.shown.0 as usize..entry.shown.1 as usize];
        let key = if entry.rows == 1 { key_of(&self.searcher, entry.at)? } else { None };
        Ok(Suggestion {
            text: text.to_owned(),
            column: self.columns[entry.column as usize].to_owned(),
            key,
            rows: entry.rows as usize,
        })
    }

    fn plain(&self, entry: &Entry) -> &str {
        &self.plain[entry.plain.0 as usize..entry.plain.1 as usize]
    }
}

impl std::fmt::Debug for Suggestions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suggestions").field("texts", &self.entries.len()).finish_non_exhaustive()
    }
}

/// The texts of a fast field in order, each with its number of rows and one of them.
fn texts(searcher: &Searcher, field: &str) -> Result<Vec<(String, (u32, DocAddress))>> {
    let mut texts: HashMap<String, (u32, DocAddress)> = HashMap::new();
    for (segment_ord, segment) in (0..).zip(searcher.segment_readers()) {
        let Some(column) = segment.fast_fields().str(field)? else { continue };
        let mut rows = vec![(0_u32, 0); column.num_terms()];
        for doc in segment.doc_ids_alive() {
            if let Some(ord) = column.ords().first(doc) {
                let (count, one) = &mut rows[ord as usize];
                *count += 1;
                *one = doc;
            }
        }
        let mut terms = column.dictionary().stream()?;
        for (count, doc) in rows {
            if !terms.advance() {
                break;
            }
            if count > 0
                && let Ok(text) = std::str::from_utf8(terms.key())
            {
                let at = DocAddress::new(segment_ord, doc);
                texts.entry(text.to_owned()).or_insert((0, at)).0 += count;
            }
        }
    }
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_unstable();
    Ok(texts)
}

fn key_of(searcher: &Searcher, at: DocAddress) -> Result<Option<String>> {
    let segment = searcher.segment_reader(at.segment_ord);
    let Some(column) = segment.fast_fields().str("_key")? else { return Ok(None) };
    let Some(ord) = column.ords().first(at.doc_id) else { return Ok(None) };
    let mut key = String::new();
    column.ord_to_str(ord, &mut key)?;
    Ok(Some(key))
}

/// Lower case, no accents, and a blank for whatever stands between words.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in lowered(text).chars() {
        if char.is_alphanumeric() {
            plain.push(char);
        } else if !plain.is_empty() && !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

fn push(texts: &mut String, text: &str) -> (u32, u32) {
    let from = texts.len() as u32;
    texts.push_str(text);
    (from, texts.len() as u32)
}

/// The first eight bytes as a number; `fill` stands for those that are missing.
fn first_bytes(bytes: &[u8], fill: u8) -> u64 {
    let mut first = [fill; size_of::<u64>()];
    let length = bytes.len().min(first.len());
    first[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_by_their_words() {
        for (text, expected) in [
            ("", ""),
            (" –!", ""),
            ("Z-0056-2013", "z 0056 2013"),
            ("  Zürich,  (Nord) ", "zurich nord"),
            ("x", "x"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }
}
