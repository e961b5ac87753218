use std::time::Duration;

use anyhow::Result;
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches_with_schema;
use millstream_app::Setup;
use millstream_engine::verify::Report;
use millstream_engine::{Keeping, Pipeline};
use serde_json::{Value, json};

use crate::show::{self, say};
use crate::{dlq, query, verify};

/// What there is to show after a run.
pub struct Seen<'a> {
    pub setups: &'a [Setup],
    pub reports: &'a [Report],
    pub took: Duration,
}

impl Seen<'_> {
    pub async fn print(&self) -> Result<()> {
        for setup in self.setups {
            say!("\n── {} ── {}", setup.app.name, setup.app.about);
            for pipeline in &setup.pipelines {
                say!("{}", self.sample(setup, pipeline).await?);
            }
        }
        say!("\n── reconciliation ── every record in exactly one bucket, compared row by row");
        show::out(&verify::reconciliation(self.reports));
        for report in self.reports {
            for problem in &report.problems {
                say!("{}.{}: {problem}", report.app, report.pipeline);
            }
        }
        self.print_dead_letters().await?;
        self.print_end();
        Ok(())
    }

    async fn sample(&self, setup: &Setup, pipeline: &Pipeline) -> Result<String> {
        let about = pipeline.target.about();
        if about.place.starts_with("tantivy://") {
            let count = counted(pipeline).await?;
            return Ok(format!("{}: {count} rows in {}, to be searched", about.table, about.place));
        }
        let columns = pipeline.schema();
        let shown: Vec<_> =
            columns.fields().iter().take(6).map(|field| format!("\"{}\"", field.name())).collect();
        let order = match &about.keeping {
            Keeping::Count { count, .. } => format!("ORDER BY \"{count}\" DESC"),
            _ => String::new(),
        };
        let table = &about.table;
        let sql = format!("SELECT {} FROM \"{table}\" {order} LIMIT 3", shown.join(", "));
        let (_, count) =
            query::rows(std::slice::from_ref(setup), &format!("SELECT count(*) FROM \"{table}\""))
                .await?;
        let count = arrow::util::display::array_value_to_string(count[0].column(0), 0)?;
        let (schema, rows) = query::rows(std::slice::from_ref(setup), &sql).await?;
        let rows = pretty_format_batches_with_schema(schema, &rows)?;
        Ok(format!("{table}: {count} rows in {}\n{rows}", about.place))
    }

    async fn print_dead_letters(&self) -> Result<()> {
        say!("\n── dead letters ── `millstream dlq show PIPELINE` shows them");
        for setup in self.setups {
            for pipeline in &setup.pipelines {
                let letters = dlq::letters(setup, pipeline).await?;
                let Some(last) = letters.last() else { continue };
                say!(
                    "{}: {} in {}; the last: {}",
                    pipeline.id(),
                    letters.len(),
                    millstream_topic::dead_letter::topic_for(&last.at.topic),
                    show::text(last.reason.as_bytes(), 100)
                );
            }
        }
        Ok(())
    }

    fn print_end(&self) {
        let sum = |number: fn(&Report) -> u64| self.reports.iter().map(number).sum::<u64>();
        say!(
            "\n{} apps, {} events, {} lost, {} duplicated, {:.1} s",
            self.setups.len(),
            self.events(),
            sum(|r| r.lost),
            sum(|r| r.duplicated),
            self.took.as_secs_f64()
        );
        say!(
            "ask for more:  millstream query 'SELECT * FROM \"wordCount\" ORDER BY count DESC LIMIT 10'"
        );
    }

    /// Records in the topics; one that two pipelines read counts once.
    fn events(&self) -> u64 {
        let mut topics = std::collections::BTreeMap::new();
        for setup in self.setups {
            for pipeline in &setup.pipelines {
                let report = self
                    .reports
                    .iter()
                    .find(|r| r.app == pipeline.app && r.pipeline == pipeline.name);
                topics.insert(pipeline.topic.name.clone(), report.map_or(0, |r| r.produced));
            }
        }
        topics.values().sum()
    }

    pub async fn as_json(&self) -> Result<Value> {
        Ok(json!({
            "apps": self.setups.iter().map(|setup| setup.app.name).collect::<Vec<_>>(),
            "events": self.events(),
            "seconds": self.took.as_secs_f64(),
            "pipelines": self.reports,
        }))
    }
}

/// Rows of a target that SQL doesn't reach.
async fn counted(pipeline: &Pipeline) -> Result<usize> {
    let mut count = 0;
    let mut visit = |rows: RecordBatch| {
        count += rows.num_rows();
        Ok(())
    };
    pipeline.target.scan(&pipeline.id(), &mut visit).await?;
    Ok(count)
}
