use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::thread;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::SourceError;
use crate::json_records::{BYTE_ORDER_MARK, for_each_record};
use crate::text_lines::TextLines;

/// Entries go from the reading thread in chunks of at most so many: a hand-over each would cost more
/// than reading it.
const CHUNK_ENTRIES: usize = 128;
/// Or so many bytes of text.
const CHUNK_BYTES: usize = 256 << 10;

const REMEDY: &str = "give a readable file with --file";

/// The entries of a file, in order. A thread of its own reads it, a little ahead.
#[derive(Debug)]
pub struct FileReplay {
    chunks: mpsc::Receiver<Result<Vec<Entry>, SourceError>>,
    ready: VecDeque<Entry>,
}

/// One entry of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A line of a text, or a piece of a line longer than 64 KiB, without its end; bytes as they are in
    /// the file, so not necessarily UTF-8. Never empty.
    Line(Bytes),
    /// A record of a JSON file.
    Record(Value),
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of text.
    Text,
    /// An array of records, or records one after the other.
    Json,
    /// Records one after the other, usually one a line; an array is a record, too.
    JsonLines,
}

impl Format {
    /// By the name: `.json`; `.jsonl` or `.ndjson`; anything else is text.
    pub fn of(path: &Path) -> Self {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        match extension.to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::JsonLines,
            _ => Self::Text,
        }
    }
}

impl FileReplay {
    /// Opens a file whose format its name tells. Errors name the file and `--file`.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let refused = |why: String| SourceError::refused(format!("read {name}"), why, REMEDY);
        let file = File::open(path).map_err(|error| refused(error.to_string()))?;
        let about = file.metadata().map_err(|error| refused(error.to_string()))?;
        if about.is_dir() {
            return Err(refused("it is a directory".to_owned()));
        }
        Self::start(name.clone(), file, Format::of(path))
    }

    /// The entries of a file that is part of the program.
    pub fn bundled(
        name: &str,
        content: &'static [u8],
        format: Format,
    ) -> Result<Self, SourceError> {
        Self::start(name.to_owned(), Cursor::new(content), format)
    }

    /// The next entry; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Entry>, SourceError> {
        while self.ready.is_empty() {
            match self.chunks.recv().await {
                Some(chunk) => self.ready = chunk?.into(),
                None => return Ok(None),
            }
        }
        Ok(self.ready.pop_front())
    }

    fn start(
        name: String,
        input: impl Read + Send + 'static,
        format: Format,
    ) -> Result<Self, SourceError> {
        let doing = format!("read {name}");
        let (to_reader, chunks) = mpsc::channel(2);
        let mut out = Chunks { to_reader, entries: Vec::new(), bytes: 0 };
        let read = move || {
            let read = match format {
                Format::Text => read_lines(input, &mut out),
                json => read_records(input, json, &mut out),
            };
            let read = read.map_err(|why| SourceError::refused(doing, why, REMEDY));
            out.finish(read);
        };
        thread::Builder::new()
            .name("file-replay".to_owned())
            .spawn(read)
            .map_err(|error| SourceError::unavailable(format!("start reading {name}"), error))?;
        Ok(Self { chunks, ready: VecDeque::new() })
    }
}

/// The reading thread's side.
struct Chunks {
    to_reader: mpsc::Sender<Result<Vec<Entry>, SourceError>>,
    entries: Vec<Entry>,
    bytes: usize,
}

impl Chunks {
    /// `false`: nobody reads any more.
    fn push(&mut self, entry: Entry) -> bool {
        if let Entry::Line(line) = &entry {
            self.bytes += line.len();
        }
        self.entries.push(entry);
        if self.entries.len() < CHUNK_ENTRIES && self.bytes < CHUNK_BYTES {
            return true;
        }
        self.hand_over()
    }

    fn hand_over(&mut self) -> bool {
        self.bytes = 0;
        self.to_reader.blocking_send(Ok(std::mem::take(&mut self.entries))).is_ok()
    }

    fn finish(mut self, read: Result<(), SourceError>) {
        if self.hand_over()
            && let Err(error) = read
        {
            let _ = self.to_reader.blocking_send(Err(error));
        }
    }
}

fn read_lines(input: impl Read, out: &mut Chunks) -> Result<(), String> {
    let mut lines = TextLines::new(BufReader::new(input)).map_err(|error| error.to_string())?;
    while let Some(line) = lines.next_line().map_err(|error| error.to_string())? {
        if !out.push(Entry::Line(line.into())) {
            break;
        }
    }
    Ok(())
}

fn read_records(input: impl Read, format: Format, out: &mut Chunks) -> Result<(), String> {
    let mut input = BufReader::with_capacity(64 << 10, input);
    let array = format == Format::Json && starts_with_bracket(&mut input)?;
    for_each_record(input, array, &mut |record| out.push(Entry::Record(record)))
        .map_err(|error| format!("it is not JSON: {error}"))
}

/// Looks no further than the buffer: white space longer than that begins no file of ours.
fn starts_with_bracket(input: &mut impl BufRead) -> Result<bool, String> {
    let start = input.fill_buf().map_err(|error| error.to_string())?;
    let start = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start);
    Ok(start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'['))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    async fn all(mut replay: FileReplay) -> (Vec<Entry>, Option<String>) {
        let mut entries = Vec::new();
        loop {
            match replay.next().await {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => return (entries, None),
                Err(error) => return (entries, Some(error.to_string())),
            }
        }
    }

    fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        (directory, path)
    }

    #[tokio::test]
    async fn text_comes_line_by_line_with_bad_bytes_as_they_are() {
        let (_directory, path) = file("some.txt", b"one\n\n\xff two\nthree");
        let (entries, error) = all(FileReplay::open(&path).unwrap()).await;
        let lines = [&b"one"[..], b"\xff two", b"three"];
        assert_eq!(entries, lines.map(|line| Entry::Line(Bytes::from_static(line))));
        assert_eq!(error, None);
    }

    #[tokio::test]
    async fn json_comes_record_by_record_however_it_is_laid_out() {
        let records = vec![Entry::Record(json!({"a": 1})), Entry::Record(json!("x"))];
        let cases: [(&str, &[u8]); 5] = [
            ("a.json", b" [ {\"a\":1},\n \"x\" ] \n"),
            ("a.json", b"{\"a\":\n1} \"x\""),
            ("a.jsonl", b"{\"a\":1}\n\"x\"\n"),
            ("A.NDJSON", b"{\"a\":1}\r\n\"x\""),
            ("a.json", b"\xef\xbb\xbf[{\"a\":1},\"x\"]"),
        ];
        for (name, content) in cases {
            let (_directory, path) = file(name, content);
            assert_eq!(all(FileReplay::open(&path).unwrap()).await, (records.clone(), None));
        }
    }

    #[tokio::test]
    async fn a_line_that_is_an_array_is_one_record() {
        let (_directory, path) = file("a.jsonl", b"[1,2]\n[3]\n");
        let (entries, error) = all(FileReplay::open(&path).unwrap()).await;
        assert_eq!(entries, [Entry::Record(json!([1, 2])), Entry::Record(json!([3]))]);
        assert_eq!(error, None);
    }

    #[tokio::test]
    async fn json_broken_midway_gives_what_was_before_and_the_line() {
        let cases: [(&str, &[u8]); 3] = [
            ("b.json", b"[{\"a\":1},\n{\"b\":2},\n{oops}]"),
            ("b.jsonl", b"{\"a\":1}\n{\"b\":2}\n{oops}\n"),
            ("b.json", b"[{\"a\":1},\n{\"b\":2}\n"),
        ];
        for (name, content) in cases {
            let (_directory, path) = file(name, content);
            let (entries, error) = all(FileReplay::open(&path).unwrap()).await;
            let error = error.expect("an error");
            assert_eq!(entries.len(), 2, "{error}");
            assert!(error.contains(&*path.to_string_lossy()), "{error}");
            assert!(error.contains("line 3") && error.contains("--file"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().join("missing.txt"), directory.path().to_owned()] {
            let error = FileReplay::open(&path).unwrap_err().to_string();
            assert!(error.contains(&*path.to_string_lossy()), "{error}");
            assert!(error.contains("--file"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_long_file_arrives_whole_and_in_order() {
        let text: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        let (_directory, path) = file("long.txt", text.as_bytes());
        let (entries, error) = all(FileReplay::open(&path).unwrap()).await;
        assert_eq!((entries.len(), error), (10_000, None));
        assert_eq!(entries[9_999], Entry::Line(Bytes::from_static(b"line 9999")));
    }
}
