//! What a table's columns are in MySQL.
//!
//! | Arrow | column |
//! |---|---|
//! | text, nested values (JSON), nanoseconds | LONGTEXT, compared byte by byte |
//! | dates; timestamps, in UTC | DATE; DATETIME with as many digits |
//! | integers up to 64 bits | BIGINT |
//! | booleans | BOOLEAN |
//! | floats | DOUBLE |
//! | decimals | DECIMAL where it fits, else LONGTEXT |
//! | bytes | LONGBLOB |
//!
//! In a key, texts and decimals are VARCHAR and bytes VARBINARY, of such a size that the whole key fits an index.

use arrow::datatypes::{DataType, Field, TimeUnit};
use millstream_engine::SinkError;

use super::dialect::Dialect;
use crate::sql::layout::{Kept, Layout, plain};
use crate::sql::values::Storage;

/// Part of the primary key: empty, or the SHA-256 of a key that isn't in its columns as a whole.
pub(super) const LONG: &str = "_long";
/// JSON of what the other columns can't hold.
pub(super) const BEYOND: &str = "_beyond";
/// Of a whole key, in the table of deleted keys.
pub(super) const HASH: &str = "_hash";

/// InnoDB's limit for all columns of a key, in bytes (pages of 16 KiB), less what [`LONG`] takes.
const KEY_BYTES: usize = 3_072 - 32;
/// As many columns a key may have, less [`LONG`].
const KEY_COLUMNS: usize = 15;
/// Longer beginnings of keys serve nobody who reads them.
const KEY_CHARS: usize = 255;
const NAME_CHARS: usize = 64;

/// A kind of column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// In a key, up to so many characters.
    Name(usize),
    Integer,
    Boolean,
    Real,
    Decimal(u8, i8),
    Date,
    /// With so many digits of a second.
    Moment(u8),
    Blob,
    /// In a key, up to so many bytes.
    Binary(usize),
}

/// A layout as a table of this server.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Name and kind, in the layout's order.
    pub all: Vec<(String, Kind)>,
    /// Where the key's columns are in it, in the key's order.
    pub key: Vec<usize>,
}

impl Columns {
    pub fn of(layout: &Layout) -> Self {
        let fields = layout.schema.fields();
        let index = |name: &String| fields.iter().position(|field| field.name() == name);
        let key: Vec<_> = layout.kept.key().iter().filter_map(index).collect();
        let kinds: Vec<_> = fields.iter().map(|field| kind(field.data_type())).collect();
        let open = |index: &&usize| in_key(kinds[**index], 1) != kinds[**index];
        let texts = key.iter().filter(open).count();
        // A BIGINT, as wide as any of the others.
        let fixed = (key.len() - texts) * 8;
        let chars = (KEY_BYTES.saturating_sub(fixed) / 4 / texts.max(1)).min(KEY_CHARS);
        let all = fields.iter().zip(kinds).enumerate().map(|(index, (field, kind))| {
            let kind = if key.contains(&index) { in_key(kind, chars) } else { kind };
            (field.name().clone(), kind)
        });
        Self { all: all.collect(), key }
    }
}

fn kind(of: &DataType) -> Kind {
    match plain(of) {
        DataType::Boolean => Kind::Boolean,
        DataType::Date32 => Kind::Date,
        DataType::Timestamp(TimeUnit::Second, _) => Kind::Moment(0),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Kind::Moment(3),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Kind::Moment(6),
        DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale)
            if digits <= 65 && (0..=30).contains(&scale) && scale.unsigned_abs() <= digits =>
        {
            Kind::Decimal(digits, scale)
        }
        other => match Storage::of(&other) {
            Some(Storage::Integer) => Kind::Integer,
            Some(Storage::Real) => Kind::Real,
            Some(Storage::Blob) => Kind::Blob,
            Some(Storage::Text) | None => Kind::Text,
        },
    }
}

/// Compared with a text, a DECIMAL is read as a fraction: two long ones would be the same key.
fn in_key(kind: Kind, chars: usize) -> Kind {
    match kind {
        Kind::Text | Kind::Decimal(..) => Kind::Name(chars),
        Kind::Blob => Kind::Binary(chars),
        other => other,
    }
}

/// What may be a table in SQLite and can't be one here.
pub(super) fn check(layout: &Layout) -> Result<(), SinkError> {
    let refuse = |why: String| {
        let doing = format!("make table {}", layout.table);
        Err(SinkError::refused(doing, why, "correct the pipeline's table, key or SQL"))
    };
    let long = |name: &str| name.chars().count() > NAME_CHARS;
    let unfit =
        |name: &str| long(name) || name.ends_with(' ') || name.chars().any(|c| c > '\u{ffff}');
    if unfit(&layout.table) || layout.table.contains(['/', '\\']) {
        return refuse(format!(
            "a name of MySQL has at most {NAME_CHARS} characters, and no blank at its end"
        ));
    }
    for field in layout.schema.fields() {
        if let Some(why) = bad_column(field, unfit) {
            return refuse(why);
        }
    }
    if layout.kept.key().len() > KEY_COLUMNS {
        return refuse(format!("a key of MySQL has at most {KEY_COLUMNS} columns"));
    }
    Ok(())
}

fn bad_column(field: &Field, unfit: impl Fn(&str) -> bool) -> Option<String> {
    let name = field.name();
    if [LONG, BEYOND, HASH].iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return Some(format!("the column name {name:?} is reserved"));
    }
    unfit(name).then(|| {
        format!("column {name:?}: a name of MySQL has at most {NAME_CHARS} characters, and no blank at its end")
    })
}

impl Kind {
    /// As it stands in CREATE TABLE.
    pub fn sql(self, dialect: Dialect) -> String {
        let text = format!("CHARACTER SET utf8mb4 COLLATE {}", dialect.collation());
        match self {
            Self::Text => format!("LONGTEXT {text}"),
            Self::Name(chars) => format!("VARCHAR({chars}) {text}"),
            Self::Integer => "BIGINT".to_owned(),
            Self::Boolean => "BOOLEAN".to_owned(),
            Self::Real => "DOUBLE".to_owned(),
            Self::Decimal(digits, scale) => format!("DECIMAL({digits}, {scale})"),
            Self::Date => "DATE".to_owned(),
            Self::Moment(digits) => format!("DATETIME({digits})"),
            Self::Blob => "LONGBLOB".to_owned(),
            Self::Binary(bytes) => format!("VARBINARY({bytes})"),
        }
    }
}

/// The counted column, if it is a counter.
pub(super) fn counted(layout: &Layout) -> Option<&str> {
    match &layout.kept {
        Kept::Count { count, .. } => Some(count),
        Kept::Upsert { .. } => None,
    }
}
