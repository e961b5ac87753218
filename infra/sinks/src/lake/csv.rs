//! CSV by RFC 4180. Of our own because null and the empty text must stay apart: null is an empty field, the
//! empty text is `""`. The readers at hand see both alike.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;

/// A header line and a line per row.
pub(super) fn write(rows: &RecordBatch) -> Result<Bytes, ArrowError> {
    let schema = rows.schema();
    let mut out = String::new();
    for (n, field) in schema.fields().iter().enumerate() {
        separate(&mut out, n);
        quote(&mut out, field.name());
    }
    out.push('\n');
    let options = FormatOptions::new().with_display_error(false);
    let texts: Vec<_> = rows
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<Result<_, _>>()?;
    let mut text = String::new();
    for row in 0..rows.num_rows() {
        for (n, column) in rows.columns().iter().enumerate() {
            separate(&mut out, n);
            if column.is_null(row) {
                continue;
            }
            text.clear();
            write!(text, "{}", texts[n].value(row)).map_err(|_| {
                ArrowError::CsvError(format!("column {n} of row {row} has no text"))
            })?;
            quote(&mut out, &text);
        }
        out.push('\n');
    }
    Ok(out.into())
}

fn separate(out: &mut String, n: usize) {
    if n > 0 {
        out.push(',');
    }
}

fn quote(out: &mut String, text: &str) {
    if !text.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for (n, part) in text.split('"').enumerate() {
        if n > 0 {
            out.push_str("\"\"");
        }
        out.push_str(part);
    }
    out.push('"');
}

/// All rows, with the columns of `schema` by the names of the header line; those it lacks are null.
pub(super) fn read(bytes: &[u8], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ArrowError::CsvError(format!("not UTF-8: {error}")))?;
    let mut lines = Lines { rest: text.chars().peekable() };
    let header: Vec<String> =
        lines.line()?.unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect();
    let mut columns: Vec<_> = header.iter().map(|_| StringBuilder::new()).collect();
    let mut rows = 0;
    while let Some(line) = lines.line()? {
        rows += 1;
        if line.len() != columns.len() {
            let (has, wants) = (line.len(), columns.len());
            return Err(ArrowError::CsvError(format!(
                "row {rows} has {has} fields, the header {wants}"
            )));
        }
        for (column, field) in columns.iter_mut().zip(line) {
            column.append_option(field);
        }
    }
    let columns: Vec<ArrayRef> =
        columns.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef).collect();
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let typed = schema.fields().iter().map(|field| {
        match header.iter().position(|name| name == field.name()) {
            Some(at) => cast_with_options(&columns[at], field.data_type(), &strict),
            None => Ok(new_null_array(field.data_type(), rows)),
        }
    });
    let typed = typed.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), typed, &options)
}

/// A CSV text, line by line.
struct Lines<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Lines<'_> {
    /// The next line's fields, `None` standing for null; `None` at the end of the text.
    fn line(&mut self) -> Result<Option<Vec<Option<String>>>, ArrowError> {
        if self.rest.peek().is_none() {
            return Ok(None);
        }
        let mut fields = vec![];
        loop {
            fields.push(self.field()?);
            match self.rest.next() {
                Some(',') => {}
                Some('\n') => return Ok(Some(fields)),
                None => return Err(ArrowError::CsvError("the last line has no end".into())),
                Some(other) => {
                    return Err(ArrowError::CsvError(format!("{other:?} after a closing quote")));
                }
            }
        }
    }

    fn field(&mut self) -> Result<Option<String>, ArrowError> {
        if self.rest.next_if_eq(&'"').is_some() {
            return self.quoted().map(Some);
        }
        let mut text = String::new();
        while let Some(c) = self.rest.next_if(|c| !matches!(c, ',' | '\n')) {
            text.push(c);
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn quoted(&mut self) -> Result<String, ArrowError> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some('"') if self.rest.next_if_eq(&'"').is_none() => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(ArrowError::CsvError("a quote is not closed".into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;

    use super::*;

    fn batch(texts: Vec<Option<String>>) -> RecordBatch {
        let numbers = Float64Array::from_iter(
            (0..texts.len()).map(|n| (n % 2 > 0).then_some(n as f64 / 3.0)),
        );
        let schema = Schema::new(vec![
            Field::new("a \"text\"", DataType::Utf8, true),
            Field::new("number", DataType::Float64, true),
        ]);
        let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(texts)), Arc::new(numbers)];
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    #[test]
    fn is_rfc_4180_with_null_empty_and_formulas_as_they_are() {
        let texts = [Some("a,b"), None, Some(""), Some("say \"x\"\n"), Some("=1+1"), Some(" ")];
        let rows = batch(texts.map(|text| text.map(str::to_owned)).to_vec());
        let written = write(&rows).unwrap();
        let expected = "\"a \"\"text\"\"\",number\n\"a,b\",\n,0.3333333333333333\n\"\",\n\"say \"\"x\"\"\n\",1.0\n=1+1,\n ,1.6666666666666667\n";
        assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
        assert_eq!(read(&written, &rows.schema()).unwrap(), rows);
    }

    #[test]
    fn other_readers_see_the_same_rows() {
        let rows = batch(vec![Some("x\r\n\"y\"".into()), Some("é".into())]);
        let written = write(&rows).unwrap();
        let reader = arrow::csv::ReaderBuilder::new(rows.schema()).with_header(true);
        let mut reader = reader.build(written.as_ref()).unwrap();
        assert_eq!(reader.next().unwrap().unwrap(), rows);
    }

    proptest! {
        #[test]
        fn all_texts_come_back(texts: Vec<Option<String>>) {
            let rows = batch(texts);
            prop_assert_eq!(read(&write(&rows).unwrap(), &rows.schema()).unwrap(), rows);
        }
    }

    #[test]
    fn columns_go_by_name() {
        let rows = batch(vec![Some("x".into())]);
        let schema = Arc::new(Schema::new(vec![
            Field::new("later", DataType::Int64, true),
            Field::new("a \"text\"", DataType::Utf8, true),
        ]));
        let read = read(&write(&rows).unwrap(), &schema).unwrap();
        assert_eq!(read.column(0).as_ref(), &Int64Array::from(vec![None]));
        assert_eq!(read.column(1), rows.column(0));
    }

    #[test]
    fn broken_texts_are_refused() {
        let schema = batch(vec![]).schema();
        for text in [
            "a,number\n1",
            "a,number\n1\n",
            "a,number\n\"1\n",
            "a,number\n\"1\"2,3\n",
            "a,number\n1,x\n",
        ] {
            assert!(read(text.as_bytes(), &schema).is_err(), "{text:?}");
        }
        assert!(read(b"\xff\n", &schema).is_err());
    }
}
