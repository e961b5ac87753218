use std::io::{self, BufRead, Read};

use regex::Regex;

/// A line longer than this, in bytes, is handed out in pieces.
pub const PIECE_BYTES: usize = 64 << 10;
/// A word longer than this is none. Below the size of record that topics take.
const WORD_BYTES: usize = 900_000;
/// What a word is made of: letters, marks and digits. A piece never ends inside a word.
const IN_WORD: &str = r"[\p{L}\p{M}\p{N}]";

/// The lines of a text, bytes unchanged, without their ends; holds one piece in memory. A line longer than
/// [`PIECE_BYTES`] comes in pieces that end between words. Empty lines are passed over.
pub struct TextLines<R> {
    input: R,
    /// What was read of the current line and not yet handed out.
    held: Vec<u8>,
    in_word: Regex,
    piece: usize,
    line: u64,
}

impl<R: BufRead> TextLines<R> {
    pub fn new(input: R) -> io::Result<Self> {
        let in_word = Regex::new(IN_WORD).map_err(io::Error::other)?;
        Ok(Self { input, held: Vec::new(), in_word, piece: PIECE_BYTES, line: 1 })
    }

    #[cfg(test)]
    fn pieces_of(mut self, bytes: usize) -> Self {
        self.piece = bytes;
        self
    }

    /// The next line, or the next piece of a long one; `None` at the end. A word of more than 900,000 bytes
    /// is an error that tells the line.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some(mut piece) = self.next_piece()? else { return Ok(None) };
            if piece.last() == Some(&b'\n') {
                self.line += 1;
                piece.pop();
                if piece.last() == Some(&b'\r') {
                    piece.pop();
                }
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    fn next_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut want = self.piece;
        loop {
            self.fill(want)?;
            if self.held.is_empty() {
                return Ok(None);
            }
            let whole = self.held.last() == Some(&b'\n') || self.held.len() < want;
            if whole {
                return Ok(Some(std::mem::take(&mut self.held)));
            }
            if let Some(cut) = self.last_cut() {
                let rest = self.held.split_off(cut);
                return Ok(Some(std::mem::replace(&mut self.held, rest)));
            }
            if want > WORD_BYTES.max(self.piece) {
                return Err(self.endless_word());
            }
            want += self.piece;
        }
    }

    /// Reads on until a line's end, the text's end, or so many bytes are held.
    fn fill(&mut self, want: usize) -> io::Result<()> {
        if self.held.last() != Some(&b'\n') && self.held.len() < want {
            let more = (want - self.held.len()) as u64;
            self.input.by_ref().take(more).read_until(b'\n', &mut self.held)?;
        }
        Ok(())
    }

    /// Behind the last character that is in no word. Bytes that aren't UTF-8 are no place to cut: they
    /// may belong to a character whose rest isn't read yet.
    fn last_cut(&self) -> Option<usize> {
        let mut cut = None;
        let mut at = 0;
        for chunk in self.held.utf8_chunks() {
            let text = chunk.valid();
            let between = text.char_indices().rev().find(|(_, c)| !self.is_in_word(*c));
            cut = between.map(|(start, c)| at + start + c.len_utf8()).or(cut);
            at += text.len() + chunk.invalid().len();
        }
        cut
    }

    fn is_in_word(&self, c: char) -> bool {
        if c.is_ascii() {
            return c.is_ascii_alphanumeric();
        }
        self.in_word.is_match(c.encode_utf8(&mut [0; 4]))
    }

    fn endless_word(&self) -> io::Error {
        let why =
            format!("line {} has a word of more than {WORD_BYTES} bytes: is it text?", self.line);
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    use super::*;
    use proptest::prelude::*;

    fn pieces(text: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let mut lines = TextLines::new(text).unwrap().pieces_of(piece);
        std::iter::from_fn(|| lines.next_line().unwrap()).collect()
    }

    fn words<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
        static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\p{L}\p{M}\p{N}]+").unwrap());
        let mut counts = BTreeMap::new();
        for text in texts {
            for word in WORD.find_iter(text) {
                *counts.entry(word.as_str().to_owned()).or_default() += 1;
            }
        }
        counts
    }

    #[test]
    fn lines_come_without_their_ends_and_empty_ones_not_at_all() {
        let lines = pieces(b"one\r\n\n\r\ntwo\n three", 100);
        assert_eq!(lines, [&b"one"[..], b"two", b" three"]);
    }

    #[test]
    fn bad_utf8_passes_unchanged() {
        assert_eq!(pieces(b"a\xff\xfeb\nok\n", 100), [&b"a\xff\xfeb"[..], b"ok"]);
    }

    #[test]
    fn a_long_line_is_cut_between_words() {
        let lines = pieces("alpha beta, gamma。δέλτα epsilon".as_bytes(), 12);
        let shown: Vec<_> = lines.iter().map(|l| String::from_utf8(l.clone()).unwrap()).collect();
        assert_eq!(shown.concat(), "alpha beta, gamma。δέλτα epsilon");
        assert!(shown.len() > 2, "not cut: {shown:?}");
        assert_eq!(
            words(shown.iter().map(String::as_str)),
            words([shown.concat().as_str()].into_iter())
        );
    }

    #[test]
    fn a_real_long_line_is_cut_near_the_limit() {
        let text = "word ".repeat(100_000);
        let lines = pieces(text.as_bytes(), PIECE_BYTES);
        assert_eq!(lines.concat(), text.as_bytes());
        assert!(lines.iter().all(|line| line.len() <= PIECE_BYTES));
        assert!(lines.len() < 10);
    }

    #[test]
    fn a_word_without_end_is_refused_with_its_line() {
        let text = format!("fine\n{}", "x".repeat(2_000_000));
        let mut lines = TextLines::new(text.as_bytes()).unwrap();
        assert_eq!(lines.next_line().unwrap().unwrap(), b"fine");
        let error = lines.next_line().unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    proptest! {
        #[test]
        fn cutting_keeps_every_byte_and_every_word(
            text in r"([\p{L}\p{M}\p{N}]{0,9}[ ,。\n\u{2003}\u{1F600}-]{0,2}){0,40}",
            piece in 1usize..80,
        ) {
            let cut = pieces(text.as_bytes(), piece);
            let cut: Vec<_> = cut.into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
            prop_assert_eq!(cut.concat(), text.replace('\n', ""));
            prop_assert_eq!(words(cut.iter().map(String::as_str)), words(text.lines()));
        }
    }
}
