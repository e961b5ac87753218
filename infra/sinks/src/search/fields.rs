//! A declared index as tantivy sees it.
//!
//! | field | of | holds |
//! |---|---|---|
//! | `_key`, `_version` | rows, deletion marks | the key as one term; what orders the writes of one key |
//! | `_live` | rows | 1: tells rows from marks |
//! | `_row` | rows | all columns (`super::rows`) |
//! | `_all` | rows | words, not stemmed, of ids and of texts that count: for typos and beginnings |
//! | `t_<column>` | rows | a text: stemmed words with their positions |
//! | `v_<column>`, `z_<column>` | rows | of other kinds: the value; the value in lower case |
//! | `s_<column>` | rows | a text that is suggested: its beginning |
//! | `_partition`, `_seq`, `_entry` | ledger | see `super::positions` |

use std::borrow::Cow;
use std::collections::HashSet;

use tantivy::schema::{
    BytesOptions, FAST, Field as Slot, INDEXED, IndexRecordOption, NumericOptions, Schema,
    TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{AsciiFoldingFilter, RawTokenizer, TextAnalyzer, TokenizerManager};
use tantivy::{TantivyError, Term};

use super::index::{Field, Index, Kind};

// Tantivy's own analyzers: texts are folded before they come to them. Chains of filters put together here would
// be compiled here, unoptimised in a debug build, and they are what filling an index spends its time in.
const RAW: &str = "raw";
const STEMMED: &str = "en_stem";
const WORDS: &str = "default";
/// Texts of this boost and more are also found by typos and beginnings.
const COUNTS: f32 = 1.0;
/// Of a value that is compared whole.
const VALUE_BYTES: usize = 1_000;
/// Of a key's term. Tantivy's own limit is 65,530.
const KEY_BYTES: usize = 8_192;
/// Of a text that is suggested.
pub(crate) const SUGGESTED_CHARS: usize = 100;

/// The fields of an open build.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub key: Slot,
    pub version: Slot,
    pub live: Slot,
    pub row: Slot,
    pub all: Slot,
    pub partition: Slot,
    pub seq: Slot,
    pub entry: Slot,
    pub declared: Vec<Declared>,
}

/// A declared field with its places. A build that was made for another declaration may lack some: then nothing is
/// found by them.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub field: Field,
    pub text: Option<Slot>,
    pub value: Option<Slot>,
    pub folded: Option<Slot>,
    pub suggested: Option<Slot>,
    /// Whether its words go into `_all`.
    pub counts: bool,
}

/// The schema of a new build.
pub(super) fn schema(index: &Index) -> Schema {
    let mut schema = Schema::builder();
    schema.add_text_field("_key", whole(RAW).set_fast(RAW));
    schema.add_i64_field("_version", FAST);
    schema.add_u64_field("_live", INDEXED);
    schema.add_bytes_field("_row", BytesOptions::default().set_stored());
    schema.add_text_field("_all", whole(WORDS));
    schema.add_text_field("_partition", whole(RAW));
    schema.add_u64_field("_seq", NumericOptions::default().set_fast());
    schema.add_text_field("_entry", TextOptions::default().set_stored());
    let mut names = HashSet::new();
    for field in index.fields {
        let mut add = |prefix, options| {
            let name = slot_name(prefix, field.column);
            if names.insert(name.clone()) {
                schema.add_text_field(&name, options);
            }
        };
        if !matches!(field.kind, Kind::Text { .. }) {
            add('v', whole(RAW).set_fast(RAW));
            add('z', whole(RAW).set_fast(RAW));
            continue;
        }
        add('t', prose());
        if field.suggest {
            add('s', TextOptions::default().set_fast(RAW));
        }
    }
    schema.build()
}

impl Fields {
    /// The places of what `index` declares, in a build of this schema.
    pub fn of(index: &Index, schema: &Schema) -> Result<Self, TantivyError> {
        let declared = index.fields.iter().map(|field| {
            let find = |prefix| schema.get_field(&slot_name(prefix, field.column)).ok();
            let is_text = matches!(field.kind, Kind::Text { .. });
            Declared {
                field: *field,
                text: find('t').filter(|_| is_text),
                value: find('v').filter(|_| !is_text),
                folded: find('z').filter(|_| !is_text),
                suggested: find('s').filter(|_| is_text && field.suggest),
                counts: counts(field.kind),
            }
        });
        Ok(Self {
            key: schema.get_field("_key")?,
            version: schema.get_field("_version")?,
            live: schema.get_field("_live")?,
            row: schema.get_field("_row")?,
            all: schema.get_field("_all")?,
            partition: schema.get_field("_partition")?,
            seq: schema.get_field("_seq")?,
            entry: schema.get_field("_entry")?,
            declared: declared.collect(),
        })
    }

    pub fn key_term(&self, key: &str) -> Term {
        Term::from_field_text(self.key, &key_text(key))
    }
}

/// Whether typos and beginnings of a field's words are looked for.
pub(crate) fn counts(kind: Kind) -> bool {
    match kind {
        Kind::Id => true,
        Kind::Text { boost } => boost >= COUNTS,
        Kind::Facet | Kind::Date => false,
    }
}

/// A dot in a name would mean something to tantivy.
pub(crate) fn slot_name(prefix: char, column: &str) -> String {
    let mut name = format!("{prefix}_");
    for char in column.chars() {
        match char {
            'a'..='z' | 'A'..='Z' | '0'..='9' => name.push(char),
            other => name += &format!("_{:x}_", u32::from(other)),
        }
    }
    name
}

/// Words in lower case.
pub(crate) fn words() -> TextAnalyzer {
    TokenizerManager::default().get(WORDS).unwrap_or_default()
}

/// Such words by their English stems.
pub(super) fn stemmed() -> TextAnalyzer {
    TokenizerManager::default().get(STEMMED).unwrap_or_default()
}

/// The text without accents.
pub(crate) fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let whole = TextAnalyzer::builder(RawTokenizer::default()).filter(AsciiFoldingFilter);
    Cow::Owned(tokens(&mut whole.build(), text).concat())
}

/// The text in lower case and without accents.
pub(crate) fn lowered(text: &str) -> String {
    // Folded once more: lower case may bring an accent of its own (İ).
    folded(&folded(text).to_lowercase()).into_owned()
}

/// What an analyzer makes of a text.
pub(crate) fn tokens(analyzer: &mut TextAnalyzer, text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    analyzer.token_stream(text).process(&mut |token| tokens.push(token.text.clone()));
    tokens
}

fn whole(tokenizer: &str) -> TextOptions {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(tokenizer)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::Basic);
    TextOptions::default().set_indexing_options(indexing)
}

fn prose() -> TextOptions {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(STEMMED)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    TextOptions::default().set_indexing_options(indexing)
}

/// A key as a term; one that is too long for that by its beginning, length and checksum.
pub(crate) fn key_text(key: &str) -> String {
    if key.len() <= KEY_BYTES {
        return key.to_owned();
    }
    let beginning = cut(key, KEY_BYTES);
    format!("{beginning}…{}…{:08x}", key.len(), crc32fast::hash(key.as_bytes()))
}

/// A value as it is compared: its first thousand bytes.
pub(crate) fn value_text(value: &str) -> &str {
    cut(value, VALUE_BYTES)
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes.min(text.len()))]
}

/// A text as it is suggested: in one line, cut after a word within its first hundred characters.
pub(crate) fn suggested_text(text: &str) -> String {
    let mut made = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        let more = word.chars().count() + usize::from(chars > 0);
        if chars + more > SUGGESTED_CHARS {
            if chars == 0 {
                made.extend(word.chars().take(SUGGESTED_CHARS));
            }
            break;
        }
        if chars > 0 {
            made.push(' ');
        }
        made.push_str(word);
        chars += more;
    }
    made
}
