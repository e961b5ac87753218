//! The limit: what somebody would write who needs these rows once and wants them fast. Typed serde structs, Arrow
//! builders, one open Parquet file per date, synced when it is closed. No bad records, no restart, no second worker.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::temporal_conversions::date32_to_datetime;
use chrono::Utc;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::Deserialize;

use crate::vitals::vitals_schema;

const DAY_MS: i64 = 86_400_000;
/// Rows per Arrow batch.
const BATCH: usize = 65_536;

#[derive(Deserialize)]
struct Vital<'a> {
    #[serde(borrow)]
    patient_id: Cow<'a, str>,
    #[serde(borrow)]
    ts: Cow<'a, str>,
    heart_rate: i64,
    spo2: f64,
    lat: f64,
    lon: f64,
    #[serde(borrow)]
    device: Cow<'a, str>,
}

/// The loop's state: one open file per date.
pub struct Loop {
    out: PathBuf,
    schema: SchemaRef,
    /// By days since the Unix epoch.
    dates: BTreeMap<i32, Open>,
    events: u64,
}

struct Open {
    writer: ArrowWriter<File>,
    rows: Rows,
}

/// The columns of the batch being filled.
#[derive(Default)]
struct Rows {
    count: usize,
    patient_id: StringBuilder,
    ts: TimestampMillisecondBuilder,
    heart_rate: Int64Builder,
    spo2: Float64Builder,
    lat: Float64Builder,
    lon: Float64Builder,
    device: StringBuilder,
    alert: BooleanBuilder,
}

impl Loop {
    pub fn new(out: &Path) -> Self {
        let mut fields = vitals_schema().fields().to_vec();
        fields.push(Arc::new(Field::new("alert", DataType::Boolean, true)));
        let schema = Arc::new(Schema::new(fields));
        Self { out: out.to_owned(), schema, dates: BTreeMap::new(), events: 0 }
    }

    pub fn take(&mut self, value: &[u8]) -> Result<()> {
        let vital: Vital<'_> = serde_json::from_slice(value).context("decode a vital")?;
        let ts = string_to_datetime(&Utc, &vital.ts)?.timestamp_millis();
        let day = i32::try_from(ts.div_euclid(DAY_MS))?;
        if !self.dates.contains_key(&day) {
            self.dates.insert(day, Open::new(&self.out, day, &self.schema)?);
        }
        let Some(open) = self.dates.get_mut(&day) else { return Ok(()) };
        open.rows.append(&vital, ts);
        self.events += 1;
        if open.rows.count >= BATCH { open.flush(&self.schema) } else { Ok(()) }
    }

    /// Closes the files. Returns the events that were taken.
    pub fn finish(self) -> Result<u64> {
        for mut open in self.dates.into_values() {
            open.flush(&self.schema)?;
            let file = open.writer.into_inner().context("end a Parquet file")?;
            file.sync_all().context("sync a Parquet file")?;
        }
        Ok(self.events)
    }
}

impl Open {
    fn new(out: &Path, day: i32, schema: &SchemaRef) -> Result<Self> {
        let date = date32_to_datetime(day).context("a date out of range")?.date();
        let directory = out.join(format!("date={date}"));
        fs::create_dir_all(&directory).context("make a directory")?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = File::create(directory.join("vitals.parquet")).context("make a file")?;
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
        Ok(Self { writer, rows: Rows::default() })
    }

    fn flush(&mut self, schema: &SchemaRef) -> Result<()> {
        let batch = self.rows.finish(schema)?;
        self.writer.write(&batch).context("write Parquet")
    }
}

impl Rows {
    fn append(&mut self, vital: &Vital<'_>, ts: i64) {
        self.count += 1;
        self.patient_id.append_value(&vital.patient_id);
        self.ts.append_value(ts);
        self.heart_rate.append_value(vital.heart_rate);
        self.spo2.append_value(vital.spo2);
        self.lat.append_value(vital.lat);
        self.lon.append_value(vital.lon);
        self.device.append_value(&vital.device);
        self.alert.append_value(vital.heart_rate > 120 || vital.spo2 < 90.0);
    }

    fn finish(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        self.count = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.patient_id.finish()),
            Arc::new(self.ts.finish().with_timezone("UTC")),
            Arc::new(self.heart_rate.finish()),
            Arc::new(self.spo2.finish()),
            Arc::new(self.lat.finish()),
            Arc::new(self.lon.finish()),
            Arc::new(self.device.finish()),
            Arc::new(self.alert.finish()),
        ];
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}
