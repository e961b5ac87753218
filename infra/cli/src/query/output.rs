use std::io::{ErrorKind, Write};

use anyhow::Result;
use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::datatypes::SchemaRef;
use arrow::json::ArrayWriter;
use arrow::util::pretty::pretty_format_batches_with_schema;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Format {
    /// A table for reading
    Table,
    /// One array of objects
    Json,
    /// A header and a line a row
    Csv,
}

/// Prints rows on standard output. A reader that goes away early (`| head`) is no error.
pub fn print(schema: &SchemaRef, rows: &[RecordBatch], format: Format) -> Result<()> {
    let text = match format {
        Format::Table => {
            let table = pretty_format_batches_with_schema(schema.clone(), rows)?;
            format!("{table}\n").into_bytes()
        }
        Format::Json => as_json(rows)?,
        Format::Csv => as_csv(schema, rows)?,
    };
    match std::io::stdout().write_all(&text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn as_json(rows: &[RecordBatch]) -> Result<Vec<u8>> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::JsonArray>(Vec::new());
    for batch in rows {
        writer.write(batch)?;
    }
    let writer: &mut ArrayWriter<Vec<u8>> = &mut writer;
    writer.finish()?;
    let mut text = std::mem::take(writer.get_mut());
    if text.is_empty() {
        text.extend_from_slice(b"[]");
    }
    text.push(b'\n');
    Ok(text)
}

fn as_csv(schema: &SchemaRef, rows: &[RecordBatch]) -> Result<Vec<u8>> {
    let mut writer = WriterBuilder::new().with_header(true).build(Vec::new());
    if rows.is_empty() {
        writer.write(&RecordBatch::new_empty(schema.clone()))?;
    }
    for batch in rows {
        writer.write(batch)?;
    }
    Ok(writer.into_inner())
}
