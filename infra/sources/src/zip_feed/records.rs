//! The records of a feed, one after the other, without ever holding its JSON.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use tokio::sync::mpsc;
use zip::ZipArchive;

use super::Limits;
use super::directory::{Checked, MOST_ENTRIES, too_many};
use super::guard::{Account, Guarded};
use crate::SourceError;

/// Bytes read ahead of the parser.
pub(super) const AHEAD: usize = 64 << 10;
/// Records read ahead of who takes them; each may be as big as the limit allows, and several times that in memory.
const RECORDS_AHEAD: usize = 8;
const REMEDY: &str = "what was read of it before stays in use; if the next download is no better, check the feed's URL";

/// What a feed says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `meta.last_updated`, as it stands there.
    pub last_updated: Option<String>,
    /// `meta.results.total`: how many records there are.
    pub total: Option<u64>,
}

/// A feed being read, on a thread that may block.
#[derive(Debug)]
pub struct Records {
    place: String,
    items: mpsc::Receiver<Result<Item, String>>,
    meta: Meta,
    count: u64,
    ended: bool,
}

#[derive(Debug)]
enum Item {
    Meta(Meta),
    Record(Value),
    End,
}

impl Records {
    pub(super) fn read(file: File, place: String, limits: Limits) -> Self {
        let (sender, items) = mpsc::channel(RECORDS_AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut take = |item| sender.blocking_send(Ok(item)).is_ok();
            let end = read(file, limits, &mut take).map(|()| Item::End);
            // Nobody may be listening any more.
            let _ = sender.blocking_send(end);
        });
        Self { place, items, meta: Meta::default(), count: 0, ended: false }
    }

    /// The next record; `None`: these were all, as many as the feed says it has. Refused: it is broken, not a
    /// feed, or too big; then the records before it are worth nothing.
    pub async fn next(&mut self) -> Result<Option<Value>, SourceError> {
        while !self.ended {
            match self.items.recv().await {
                Some(Ok(Item::Record(record))) => {
                    self.count += 1;
                    return Ok(Some(record));
                }
                Some(Ok(Item::Meta(meta))) => self.meta = meta,
                Some(Ok(Item::End)) => self.ended = true,
                Some(Err(why)) => return Err(self.refused(why)),
                None => return Err(self.refused("the thread that reads it ended".to_owned())),
            }
        }
        match self.meta.total {
            Some(total) if total != self.count => {
                let why = format!("it says it has {total} records, and has {}", self.count);
                Err(self.refused(why))
            }
            _ => Ok(None),
        }
    }

    /// What the feed said of itself up to here; all of it after the last record.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    fn refused(&self, why: String) -> SourceError {
        SourceError::refused(format!("read the feed {}", self.place), why, REMEDY)
    }
}

/// Gives everything to `take` until it says `false`.
fn read(mut file: File, limits: Limits, take: &mut dyn FnMut(Item) -> bool) -> Result<(), String> {
    let mut magic = Vec::new();
    let begun = (&mut file).take(2).read_to_end(&mut magic);
    begun.and_then(|_| file.seek(SeekFrom::Start(0))).map_err(|error| error.to_string())?;
    if magic != b"PK" {
        return parse(file, limits, None, take);
    }
    let broken = |error| format!("the zip is broken or cut short ({error})");
    let (file, from) = Checked::new(file)?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    from.set(0);
    let at = entry(&zip)?;
    let entry = zip.by_index(at).map_err(broken)?;
    if entry.size() > limits.json_bytes {
        return Err(format!("unpacked, it has more than {} bytes", limits.json_bytes));
    }
    let packed = entry.compressed_size();
    parse(entry, limits, Some(packed), take)
}

/// The one JSON file; its name is looked at and never used as a path.
fn entry<R: Read + Seek>(zip: &ZipArchive<R>) -> Result<usize, String> {
    if zip.len() as u64 > MOST_ENTRIES {
        return Err(too_many(zip.len() as u64));
    }
    let names = zip.file_names_raw().enumerate();
    let json: Vec<_> =
        names.filter(|(_, name)| name.ends_with(b".json")).map(|(at, _)| at).collect();
    match json.as_slice() {
        [one] => Ok(*one),
        other => Err(format!("the zip has {} .json files, one is expected", other.len())),
    }
}

fn parse(
    input: impl Read,
    limits: Limits,
    packed: Option<u64>,
    take: &mut dyn FnMut(Item) -> bool,
) -> Result<(), String> {
    let account = Rc::new(Account::default());
    let input = Guarded::new(input, limits, packed, account.clone());
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(AHEAD, input));
    let mut stopped = false;
    let feed = Feed { take, stopped: &mut stopped, account: &account };
    let read = json.deserialize_map(feed).and_then(|()| json.end());
    match read {
        Err(_) if stopped => Ok(()),
        Err(error) => Err(account.refused().unwrap_or_else(|| why(&error, packed.is_some()))),
        Ok(()) => Ok(()),
    }
}

fn why(error: &serde_json::Error, packed: bool) -> String {
    match error.classify() {
        Category::Io if packed => format!("the zip is broken ({error})"),
        Category::Io => error.to_string(),
        Category::Eof => format!("its JSON is cut short ({error})"),
        Category::Syntax => format!("it is not JSON ({error})"),
        Category::Data => format!("it is not a feed's JSON ({error})"),
    }
}

/// The object the feed is.
struct Feed<'a> {
    take: &'a mut dyn FnMut(Item) -> bool,
    stopped: &'a mut bool,
    account: &'a Account,
}

impl<'de> Visitor<'de> for Feed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `results`")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            self.account.next_record();
            match key.as_str() {
                "meta" => {
                    let meta = meta(&map.next_value()?);
                    self.give(Item::Meta(meta))?;
                }
                "results" if found => return Err(A::Error::custom("it has `results` twice")),
                "results" => {
                    map.next_value_seed(&mut self)?;
                    found = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if found { Ok(()) } else { Err(A::Error::custom("it has no `results`")) }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Feed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, results: D) -> Result<(), D::Error> {
        results.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Feed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        self.account.next_record();
        while let Some(record) = records.next_element()? {
            self.give(Item::Record(record))?;
            self.account.next_record();
        }
        Ok(())
    }
}

impl Feed<'_> {
    fn give<E: Error>(&mut self, item: Item) -> Result<(), E> {
        if (self.take)(item) {
            return Ok(());
        }
        *self.stopped = true;
        Err(E::custom("nobody reads any more"))
    }
}

fn meta(meta: &Value) -> Meta {
    let last_updated = meta.get("last_updated").and_then(Value::as_str).map(str::to_owned);
    let total = meta.pointer("/results/total").and_then(Value::as_u64);
    Meta { last_updated, total }
}
