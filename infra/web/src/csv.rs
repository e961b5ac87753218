//! CSV by RFC 4180 that a spreadsheet shows as text, whatever is in it.

use std::borrow::Cow;

use bytes::Bytes;

/// Rows written into memory, a stretch at a time.
#[derive(Debug)]
pub struct Writer {
    inner: csv::Writer<Vec<u8>>,
}

impl Writer {
    /// Begins with the names of the columns.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let inner = in_memory();
        let mut writer = Self { inner };
        writer.row(columns);
        writer
    }

    /// One row. A cell that a spreadsheet would take for a formula gets a leading `'`.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        let written = self.inner.write_record(cells.into_iter().map(neutral).map(Cow::into_owned));
        // Memory takes everything, and rows may differ in length: there is no error to pass on.
        debug_assert!(written.is_ok());
    }

    /// What was written since the last time, for bodies that are sent while they are made.
    pub fn take(&mut self) -> Bytes {
        let full = std::mem::replace(&mut self.inner, in_memory());
        full.into_inner().map(Bytes::from).unwrap_or_default()
    }
}

fn in_memory() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .flexible(true)
        .from_writer(Vec::new())
}

/// A text as a cell that no spreadsheet works out: one that begins with `=`, `+`, `-`, `@`, tab, carriage return or
/// line feed gets a leading `'`.
pub fn neutral(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{cell}").into()
    } else {
        cell.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_neutralised_and_breaks_quoted() {
        let mut writer = Writer::new(["a", "b"]);
        writer.row(["=1+1", "plain"]);
        writer.row(["two\nlines", "a \"word\", more"]);
        let text = String::from_utf8(writer.take().to_vec()).unwrap();
        assert_eq!(text, "a,b\r\n'=1+1,plain\r\n\"two\nlines\",\"a \"\"word\"\", more\"\r\n");
        writer.row(["\tx", "@y", "\n=1"]);
        assert_eq!(writer.take().as_ref(), b"'\tx,'@y,\"'\n=1\"\r\n");
        assert!(writer.take().is_empty());
    }
}
