//! A look at a zip's directory before a library reads it: it would keep every entry that the directory has.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

pub(super) const MOST_ENTRIES: u64 = 100;
/// The directory and what comes after it have no more bytes.
const TAIL: u64 = 1 << 20;
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
/// Stands in a directory's end for a number that the zip64 directory's end has.
const SEE_64: u64 = 0xFFFF;

/// A zip of which only the tail can be read until it is opened. The tail was checked, so that no directory with too
/// many entries can be found there, whichever place a reader takes for the directory's end.
#[derive(Debug)]
pub(super) struct Checked {
    file: File,
    at: u64,
    /// What is before can't be read.
    from: Rc<Cell<u64>>,
}

impl Checked {
    /// The zip, and what opens it. The error says why it is none.
    pub(super) fn new(mut file: File) -> Result<(Self, Rc<Cell<u64>>), String> {
        let (from, tail) = tail(&mut file).map_err(|error| error.to_string())?;
        let (ends, ends_64) = (ends(&tail), ends_64(&tail));
        let told = |of: &u64| *of != SEE_64 || ends_64.is_empty();
        let most = ends.iter().filter(|of| told(of)).chain(&ends_64).max();
        if let Some(most) = most.filter(|most| **most > MOST_ENTRIES) {
            return Err(too_many(*most));
        }
        let from = Rc::new(Cell::new(from));
        Ok((Self { file, at: 0, from: from.clone() }, from))
    }
}

pub(super) fn too_many(entries: u64) -> String {
    format!("the zip has {entries} files, one is expected")
}

/// Where the tail begins, and its bytes. Leaves the file at its beginning.
fn tail(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let from = file.seek(SeekFrom::End(0))?.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(0))?;
    Ok((from, bytes))
}

/// Entries of each directory whose end these bytes may have. Of several disks there is none: a zip's packed bytes may
/// look like an end by chance, but hardly like one of one disk.
fn ends(tail: &[u8]) -> Vec<u64> {
    let one_disk =
        |end: &&[u8]| number(end, 4, 4) == Some(0) && number(end, 8, 2) == number(end, 10, 2);
    let any_disk = |end: &&[u8]| one_disk(end) || number(end, 10, 2) == Some(SEE_64);
    starts(tail, END).filter(any_disk).filter_map(|end| number(end, 10, 2)).collect()
}

/// As [`ends`], of zip64.
fn ends_64(tail: &[u8]) -> Vec<u64> {
    let one_disk =
        |end: &&[u8]| number(end, 16, 8) == Some(0) && number(end, 24, 8) == number(end, 32, 8);
    starts(tail, END_64).filter(one_disk).filter_map(|end| number(end, 32, 8)).collect()
}

fn starts<'a>(bytes: &'a [u8], magic: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let places = bytes.windows(magic.len()).enumerate().filter(move |(_, four)| *four == magic);
    places.filter_map(|(at, _)| bytes.get(at..))
}

/// A little-endian number of `len` bytes; `None`: there are fewer.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + len)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at < self.from.get() {
            let why = format!("it has no directory in its last {TAIL} bytes");
            return Err(io::Error::other(why));
        }
        let n = self.file.read(buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Checked {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}
