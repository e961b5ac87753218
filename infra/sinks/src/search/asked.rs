//! What somebody typed, as words and phrases. Whatever it is, it is no error.

use super::fields::{folded, lowered, stemmed, tokens, words};

/// So many characters of a text count.
const CHARS: usize = 512;
/// And so many words.
const WORDS: usize = 16;
/// Words that say nothing beside others.
const EMPTY_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "is", "it", "of", "on",
    "or", "that", "the", "to", "was", "with",
];

/// A part of what was typed; all of them must be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What stood between blanks.
    Chunk(Chunk),
    /// Stems that must follow one another.
    Phrase(Vec<Word>),
}

/// `Z-0056-2013` is three words, and perhaps one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// In lower case, without accents.
    pub folded: String,
    pub words: Vec<Word>,
    /// Whether it may still be typed on.
    pub is_last: bool,
}

/// A word in lower case, without accents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub plain: String,
    pub stem: String,
}

/// The parts of a text.
pub(crate) fn parse(text: &str) -> Vec<Part> {
    let text: String = text.chars().take(CHARS).collect();
    let text = text.replace(['“', '”', '„'], "\"");
    let pieces: Vec<_> = text.split('"').collect();
    let mut left = WORDS;
    let mut parts = Vec::new();
    for (n, piece) in pieces.iter().enumerate() {
        // A quotation mark that has no partner yet quotes nothing.
        let is_quoted = n % 2 == 1 && n + 1 < pieces.len();
        if is_quoted {
            let words = take(&mut left, split(piece));
            if !words.is_empty() {
                parts.push(Part::Phrase(words));
            }
            continue;
        }
        for chunk in piece.split_whitespace() {
            let words = take(&mut left, split(chunk));
            if !words.is_empty() {
                let folded = lowered(chunk);
                parts.push(Part::Chunk(Chunk { folded, words, is_last: false }));
            }
        }
    }
    drop_empty_words(&mut parts);
    if let Some(Part::Chunk(chunk)) = parts.last_mut() {
        chunk.is_last = true;
    }
    parts
}

fn split(text: &str) -> Vec<Word> {
    let stem = |plain: String| {
        let stem = tokens(&mut stemmed(), &plain).concat();
        Word { plain, stem }
    };
    tokens(&mut words(), &folded(text)).into_iter().map(stem).collect()
}

fn take(left: &mut usize, mut words: Vec<Word>) -> Vec<Word> {
    words.truncate(*left);
    *left -= words.len();
    words
}

/// "the pump" asks for pumps; "the" alone asks for itself.
fn drop_empty_words(parts: &mut Vec<Part>) {
    let is_empty = |part: &Part| match part {
        Part::Chunk(Chunk { words, .. }) => {
            words.iter().all(|word| EMPTY_WORDS.contains(&word.plain.as_str()))
        }
        Part::Phrase(_) => false,
    };
    if !parts.iter().all(is_empty) {
        parts.retain(|part| !is_empty(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let plain = |words: &[Word]| {
            words.iter().map(|word| word.plain.clone()).collect::<Vec<_>>().join("+")
        };
        let show = |part: &Part| match part {
            Part::Chunk(chunk) if chunk.is_last => format!("{}…", plain(&chunk.words)),
            Part::Chunk(chunk) => plain(&chunk.words),
            Part::Phrase(words) => format!("\"{}\"", plain(words)),
        };
        parse(text).iter().map(show).collect()
    }

    #[test]
    fn texts_become_words_and_phrases() {
        for (text, expected) in [
            ("", &[][..]),
            (" ?! \" ", &[]),
            ("Infusion PUMP", &["infusion", "pump…"]),
            ("Z-0056-2013", &["z+0056+2013…"]),
            ("\"Infusion pump\" Zürich", &["\"infusion+pump\"", "zurich…"]),
            ("pump \"infusion", &["pump", "infusion…"]),
            ("the pump of", &["pump…"]),
            ("the", &["the…"]),
            ("“of the” x", &["\"of+the\"", "x…"]),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(parse(&"word ".repeat(500)).len(), WORDS);
        let long = parse(&"x".repeat(10_000));
        assert!(long.is_empty(), "nobody's word: {long:?}");
    }

    #[test]
    fn words_have_stems() {
        let parts = parse("catheters");
        let Part::Chunk(chunk) = &parts[0] else { panic!("{parts:?}") };
        assert_eq!(chunk.words[0].stem, parse_one("catheter"));
    }

    fn parse_one(text: &str) -> String {
        match &parse(text)[0] {
            Part::Chunk(chunk) => chunk.words[0].stem.clone(),
            Part::Phrase(words) => words[0].stem.clone(),
        }
    }
}
