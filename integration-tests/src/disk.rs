//! What is on disk, read by SQLite and Parquet themselves: another reader than the one under test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use rusqlite::{Connection, OpenFlags};

use crate::Data;

/// A record of a topic of the embedded log.
pub struct Stored {
    pub partition: u32,
    pub offset: i64,
    pub value: Vec<u8>,
}

/// Opens a database that is there; it may be written to.
pub fn open(path: &Path) -> Connection {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .unwrap_or_else(|error| panic!("open {}: {error}", path.display()));
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    connection
}

pub fn topic_path(data: &Data, topic: &str) -> PathBuf {
    data.dir().join("log").join(format!("{topic}.db"))
}

pub fn database(data: &Data, name: &str) -> Connection {
    open(&data.dir().join("tables").join(format!("{name}.db")))
}

/// A topic's records by partition and offset. Panics unless each partition has every offset up to its end once.
pub fn records(data: &Data, topic: &str) -> Vec<Stored> {
    let mut connection = open(&topic_path(data, topic));
    // One moment: producers may be at work.
    let moment = connection.transaction().unwrap();
    let sql = "SELECT partition, offset, value FROM records ORDER BY partition, offset";
    let mut select = moment.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        let (partition, offset) = (row.get(0)?, row.get(1)?);
        Ok(Stored { partition, offset, value: row.get::<_, Option<_>>(2)?.unwrap_or_default() })
    };
    let records: Vec<Stored> = select.query_map((), row).unwrap().map(Result::unwrap).collect();
    let mut ends = moment.prepare("SELECT partition, next FROM partitions").unwrap();
    let ends = ends.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for (partition, end) in ends.map(Result::<(u32, i64), _>::unwrap) {
        let in_it = records.iter().filter(|record| record.partition == partition);
        let offsets: Vec<i64> = in_it.map(|record| record.offset).collect();
        assert!(offsets.iter().copied().eq(0..end), "{topic}-{partition} up to {end}: {offsets:?}");
    }
    records
}

/// Texts that a query of SQLite gives, one array a row.
pub fn rows<const N: usize>(connection: &Connection, sql: &str) -> Vec<[String; N]> {
    let mut select = connection.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        let mut cells = [const { String::new() }; N];
        for (at, cell) in cells.iter_mut().enumerate() {
            *cell = row.get(at)?;
        }
        Ok(cells)
    };
    select.query_map((), row).unwrap().map(Result::unwrap).collect()
}

/// A text column of all Parquet files in a directory and those below it: what Athena or Spark would see.
pub fn parquet_texts(directory: &Path, column: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for path in files(directory, "parquet") {
        let file = std::fs::File::open(&path).unwrap();
        let reader = SerializedFileReader::new(file)
            .unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let cell = row.get_column_iter().find(|(name, _)| *name == column);
            match cell {
                Some((_, Field::Str(text))) => texts.push(text.clone()),
                other => panic!("a text {column:?} in {}: {other:?}", path.display()),
            }
        }
    }
    texts
}

/// Files of a kind in a directory and those below it, in order.
pub fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
