use std::fmt::Debug;

use async_trait::async_trait;
use millstream_engine::{Rows, SinkError};

use super::fields::counts;

/// How builds are laid out; another number means that older ones are replaced.
const LAYOUT: u32 = 2;

/// A search index as a value: which columns of the rows are searched, and how. Columns that no field names are
/// kept and shown, and not searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Index {
    pub name: &'static str,
    /// The text column that tells rows apart; the topic is keyed by it.
    pub key: &'static str,
    /// A column may stand here more than once, say as text and as facet.
    pub fields: &'static [Field],
}

impl Index {
    /// What builds are made for: one that was made for another declaration is replaced. How much a hit counts is a
    /// matter of asking, and takes no new build.
    pub(crate) fn declaration(&self) -> String {
        let field = |field: &Field| {
            let kind = match field.kind {
                Kind::Id => "id",
                Kind::Text { .. } if counts(field.kind) => "text",
                Kind::Text { .. } => "minor text",
                Kind::Facet => "facet",
                Kind::Date => "date",
            };
            let suggested = if field.suggest { ", suggested" } else { "" };
            format!("{}: {kind}{suggested}", field.column)
        };
        let fields: Vec<_> = self.fields.iter().map(field).collect();
        format!("{LAYOUT}; key {}; {}", self.key, fields.join("; "))
    }
}

/// One way in which a column is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    pub column: &'static str,
    pub kind: Kind,
    /// Whether the column's values are suggested while somebody types.
    pub suggest: bool,
}

/// How a column is searched. All are text columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A number or name that is typed whole or from its beginning; filters, sorts.
    Id,
    /// Prose, by words. `boost`: how much a hit here counts, 1.0 being ordinary. Typos and beginnings of words are
    /// looked for in texts of 1.0 and more.
    Text { boost: f32 },
    /// One of some values: counted, filters, sorts.
    Facet,
    /// `YYYYMMDD`: filters, sorts.
    Date,
}

/// What a new index is filled with before the topic is read from its beginning.
#[async_trait]
pub trait Seed: Send + Sync + Debug {
    /// Shows the rows there are, in the target's schema and with their versions, batch by batch, and tells in words
    /// what was read ("the snapshot of 2026-04-01"); `None`: there was nothing to read. What the topic holds
    /// with a higher version replaces what was shown here. Errors are tried again as those of a sink.
    async fn read(
        &self,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<Option<String>, SinkError>;
}
