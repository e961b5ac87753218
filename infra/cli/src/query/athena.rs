//! The same statements by Athena: its answer is text, and becomes the columns that DataFusion would give.

use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_app::progress::Bars;
use millstream_aws::athena::{Answer, Progress, Rows, Statistics};
use millstream_aws::prices::Prices;
use millstream_aws::{Athena, Catalog};

/// Athena's decimals have no more digits.
const DIGITS: u8 = 38;

/// Asks Athena; Ctrl-C has it stop, too. What it scanned goes to standard error.
pub async fn rows(catalog: &Catalog, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let athena: Athena = catalog.athena();
    let stop = millstream_telemetry::stop_signal()?;
    let bar = Bars::new().working("athena");
    bar.say("asking".to_owned());
    let told = |progress: &Progress| {
        let (state, scanned) = (progress.state.to_lowercase(), bytes(progress.scanned));
        bar.say(format!("{state} for {} s, {scanned} scanned", progress.took.as_secs()));
    };
    let finished = athena.run(sql, &stop, &told).await;
    bar.clear();
    let finished = finished?;
    eprintln!("{}", bill(&finished.statistics, &catalog.region().await?));
    let rows = athena.rows(&finished, &stop).await?;
    let (schema, batch) = typed(&rows)?;
    let batches = if batch.num_rows() == 0 { vec![] } else { vec![batch] };
    Ok((schema, batches))
}

/// "scanned 12.3 MB in 1.5 s: about $0.00006 (price of 2025-06)".
fn bill(statistics: &Statistics, region: &str) -> String {
    let Statistics { scanned, took, reused, is_definition, .. } = *statistics;
    let seconds = took.as_secs_f64();
    if reused {
        return format!("an earlier answer was there: nothing scanned, in {seconds:.1} s");
    }
    let scanned_text = format!("scanned {} in {seconds:.1} s", bytes(scanned));
    if is_definition {
        return format!("{scanned_text}: definitions cost nothing");
    }
    let prices = Prices::of(region);
    match prices.as_ref().map(|prices| prices.of_query(scanned)) {
        Ok(Ok((dollars, known))) => {
            format!("{scanned_text}: about ${dollars:.5} (price of {known}, {region})")
        }
        _ => format!("{scanned_text}: no price of {region} is known"),
    }
}

fn bytes(n: u64) -> String {
    let n = n as f64;
    match n {
        n if n < 1e3 => format!("{n} B"),
        n if n < 1e6 => format!("{:.1} kB", n / 1e3),
        n if n < 1e9 => format!("{:.1} MB", n / 1e6),
        n if n < 1e12 => format!("{:.2} GB", n / 1e9),
        n => format!("{:.3} TB", n / 1e12),
    }
}

/// One batch of all rows.
fn typed(rows: &Rows) -> Result<(SchemaRef, RecordBatch)> {
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    for (n, column) in rows.columns.iter().enumerate() {
        let texts: StringArray = rows.rows.iter().map(|row| row[n].as_deref()).collect();
        let array = values(column, texts);
        fields.push(Field::new(&column.name, array.data_type().clone(), true));
        columns.push(array);
    }
    let schema = Arc::new(Schema::new(fields));
    let count = RecordBatchOptions::new().with_row_count(Some(rows.rows.len()));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &count)?;
    Ok((schema, batch))
}

/// By the column's type. Where a value isn't of that form (arrays, rows, types that came later) all stay text.
fn values(column: &Answer, texts: StringArray) -> ArrayRef {
    let Some(kind) = kind(column, &texts) else { return Arc::new(texts) };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let read: StringArray = match &kind {
        DataType::Timestamp(..) => texts.iter().map(|text| text.map(moment)).collect(),
        _ => texts.clone(),
    };
    cast_with_options(&read, &kind, &strict).unwrap_or_else(|_| Arc::new(texts))
}

fn kind(column: &Answer, texts: &StringArray) -> Option<DataType> {
    Some(match column.kind.as_str() {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "decimal" => {
            // Not every API tells the scale: no digit is to be lost.
            let digits = |text: &str| text.split_once('.').map_or(0, |(_, digits)| digits.len());
            let most = texts.iter().flatten().map(digits).max().unwrap_or(0);
            let scale = most.max(usize::try_from(column.scale).unwrap_or(0));
            DataType::Decimal128(DIGITS, i8::try_from(scale).ok()?)
        }
        "timestamp" | "timestamp with time zone" => {
            let zoned = texts.iter().flatten().any(has_zone) || column.kind.ends_with("zone");
            DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| "UTC".into()))
        }
        _ => return None,
    })
}

/// Behind the time: "2026-11-21 08:00:00.000 UTC", "…+00:00", "…Z".
fn has_zone(text: &str) -> bool {
    text.ends_with(['Z', 'C']) || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']))
}

/// As Arrow reads it: "… UTC" as "…Z".
fn moment(text: &str) -> String {
    text.strip_suffix(" UTC").map_or_else(|| text.to_owned(), |text| format!("{text}Z"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::util::pretty::pretty_format_batches;

    use super::*;

    fn answer(columns: &[(&str, &str)], rows: &[&[Option<&str>]]) -> Rows {
        let column = |(name, kind): &(&str, &str)| Answer {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            precision: 0,
            scale: 0,
        };
        let row = |row: &&[Option<&str>]| row.iter().map(|text| text.map(str::to_owned)).collect();
        Rows { columns: columns.iter().map(column).collect(), rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn text_becomes_the_columns_that_datafusion_would_give() {
        let columns = [
            ("a", "bigint"),
            ("b", "boolean"),
            ("c", "double"),
            ("d", "decimal"),
            ("e", "date"),
            ("f", "timestamp"),
            ("g", "timestamp with time zone"),
            ("h", "varchar"),
            ("i", "array"),
        ];
        let one = [
            "-5",
            "true",
            "1.5E3",
            "12.340",
            "2026-11-21",
            "2026-11-21 08:00:00.000",
            "2026-11-21 08:00:00.250 UTC",
            "",
            "[1, 2]",
        ]
        .map(Some);
        let none = [None; 9];
        let (schema, batch) = typed(&answer(&columns, &[&one, &none])).unwrap();
        let kinds: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let local = DataType::Timestamp(TimeUnit::Microsecond, None);
        use DataType::{Boolean, Date32, Decimal128, Float64, Int64, Utf8};
        assert_eq!(
            kinds,
            [Int64, Boolean, Float64, Decimal128(38, 3), Date32, local, utc, Utf8, Utf8]
        );
        let shown = pretty_format_batches(&[batch]).unwrap().to_string();
        let line: Vec<_> = shown.lines().nth(3).unwrap().split('|').map(str::trim).collect();
        assert_eq!(
            line[1..10],
            [
                "-5",
                "true",
                "1500.0",
                "12.340",
                "2026-11-21",
                "2026-11-21T08:00:00",
                "2026-11-21T08:00:00.250Z",
                "",
                "[1, 2]"
            ]
        );
    }

    #[test]
    fn what_is_no_value_of_its_type_stays_text() {
        let (schema, _) =
            typed(&answer(&[("a", "bigint")], &[&[Some("many")], &[Some("1")]])).unwrap();
        assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
        let (_, batch) = typed(&answer(&[], &[])).unwrap();
        assert_eq!(batch.num_rows(), 0);
    }

    #[test]
    fn the_bill_says_what_was_scanned_and_what_it_costs() {
        let statistics = Statistics {
            scanned: 2_500_000_000,
            took: Duration::from_millis(1540),
            ..Statistics::default()
        };
        let told = bill(&statistics, "eu-west-1");
        assert!(
            told.starts_with("scanned 2.50 GB in 1.5 s: about $0.01250 (price of 20"),
            "{told}"
        );
        assert!(bill(&statistics, "mars-1").ends_with("no price of mars-1 is known"));
        let defined = Statistics { is_definition: true, ..statistics.clone() };
        assert!(bill(&defined, "eu-west-1").ends_with("cost nothing"));
        let reused = Statistics { reused: true, ..statistics };
        assert!(bill(&reused, "eu-west-1").starts_with("an earlier answer"));
    }
}
