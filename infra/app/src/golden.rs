//! Golden cases: `<case>/input.jsonl` (a record a line: `{"topic", "key", "value"}`, where the value is the
//! record's text), `<case>/<lookup>.csv` for each lookup table, and `<case>/expected.jsonl` (what each pipeline makes of them).

use std::path::Path;

use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use millstream_config::Settings;
use millstream_engine::{Pipeline, batch};
use millstream_sinks::lookup::rows_of_csv;
use millstream_sinks::{Stores, Urls};
use millstream_topic::Record;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::App;

/// When all of it happens.
const NOW_MS: i64 = 1_795_219_200_000;

#[derive(Deserialize)]
struct Input {
    topic: String,
    key: Option<String>,
    value: Option<String>,
}

/// Runs every case in `directory`, with the app's default settings. Fails with what differs, line by line.
///
/// With `MILLSTREAM_BLESS=1` what the app makes now becomes what is expected; read the difference before
/// committing it.
pub fn check(app: &App, directory: &Path) -> Result<usize> {
    let settings = Settings::load(app.name, app.defaults, None, [])?;
    let stores = Stores::open(&Urls::embedded(), directory)?;
    let mut cases = 0;
    for case in std::fs::read_dir(directory).context("list the golden cases")? {
        // Planned anew, so that no case sees another one's lookup tables.
        check_case(&(app.pipelines)(&settings, &stores)?, &case?.path())?;
        cases += 1;
    }
    Ok(cases)
}

fn check_case(pipelines: &[Pipeline], case: &Path) -> Result<()> {
    let read = |name: &str| {
        let path = case.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    let inputs: Vec<Input> =
        read("input.jsonl")?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut made = Vec::new();
    for pipeline in pipelines {
        for lookup in pipeline.lookups() {
            let rows = rows_of_csv(&read(&format!("{}.csv", lookup.name()))?, lookup.columns())?;
            lookup.take(&[rows], NOW_MS * 1000)?;
        }
        made.extend(outcome(pipeline, &inputs)?);
    }
    if std::env::var_os("MILLSTREAM_BLESS").is_some() {
        let text: String = made.iter().map(|line| format!("{line}\n")).collect();
        return std::fs::write(case.join("expected.jsonl"), text).context("bless the case");
    }
    let expected: Vec<Value> =
        read("expected.jsonl")?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for (line, (made, expected)) in made.iter().zip(&expected).enumerate() {
        if made != expected {
            bail!("{}: line {}:\nexpected {expected}\nmade     {made}", case.display(), line + 1);
        }
    }
    if made.len() != expected.len() {
        bail!("{}: expected {} lines, made {}", case.display(), expected.len(), made.len());
    }
    Ok(())
}

/// Rows, then dead letters, of one pipeline.
fn outcome(pipeline: &Pipeline, inputs: &[Input]) -> Result<Vec<Value>> {
    let records: Vec<Record> = inputs
        .iter()
        .filter(|input| input.topic == pipeline.topic.name)
        .enumerate()
        .map(|(offset, input)| Record {
            offset: offset as i64,
            timestamp_ms: NOW_MS,
            key: input.key.clone().map(Bytes::from),
            value: input.value.clone().map(Bytes::from),
            headers: Vec::new(),
        })
        .collect();
    let worked = batch::work(pipeline, &records, 0);
    let mut lines = Vec::new();
    for rows in &worked.rows {
        for row in as_json(&rows.batch)? {
            lines.push(json!({ "pipeline": pipeline.name, "row": row }));
        }
    }
    for dead in &worked.dead {
        let letter = json!({ "offset": dead.index, "kind": dead.kind.as_str() });
        lines.push(json!({ "pipeline": pipeline.name, "dead": letter }));
    }
    Ok(lines)
}

fn as_json(batch: &RecordBatch) -> Result<Vec<Value>> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner())?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}
