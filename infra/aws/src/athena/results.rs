use aws_sdk_athena::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_athena::types::{ColumnInfo, Row, StatementType};
use tokio_util::sync::CancellationToken;

use super::{Athena, Finished};
use crate::AwsError;

/// Athena gives no more at once.
const PAGE: i32 = 1000;

/// A column of an answer, by Athena's name of its type: `varchar`, `bigint`, `timestamp`, `decimal`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub name: String,
    pub kind: String,
    pub precision: i32,
    pub scale: i32,
}

/// What a statement answered. Athena gives all values as text; null is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub columns: Vec<Answer>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Athena {
    /// All rows of an answer, page by page; `stop` ends the reading.
    pub async fn rows(&self, of: &Finished, stop: &CancellationToken) -> Result<Rows, AwsError> {
        let doing = self.doing("read the answer", "athena:GetQueryResults");
        let client = self.client().await?;
        let (mut all, mut next, mut is_first) = (Rows::default(), None, true);
        loop {
            let asked = client
                .get_query_results()
                .query_execution_id(&of.id)
                .max_results(PAGE)
                .set_next_token(next);
            let answered = tokio::select! {
                answered = asked.send() => answered,
                () = stop.cancelled() => return Err(AwsError::Stopped { doing: doing.told }),
            };
            let page = match answered {
                Ok(page) => page,
                Err(error) => return Err(doing.fault(error).await),
            };
            all.take(&page, is_first && of.kind == Some(StatementType::Dml));
            is_first = false;
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(all);
            }
        }
    }
}

impl Rows {
    /// `headed`: the first row may repeat the columns' names.
    fn take(&mut self, page: &GetQueryResultsOutput, headed: bool) {
        let Some(set) = page.result_set() else { return };
        if self.columns.is_empty() {
            let told = set.result_set_metadata().map(|told| told.column_info().iter().map(column));
            self.columns = told.into_iter().flatten().collect();
        }
        let mut rows = set.rows();
        if headed && rows.first().is_some_and(|first| self.is_header(first)) {
            rows = &rows[1..];
        }
        let values: Vec<_> = rows.iter().map(|row| self.values(row)).collect();
        self.rows.extend(values);
    }

    fn is_header(&self, row: &Row) -> bool {
        let names = self.columns.iter().map(|column| Some(column.name.as_str()));
        row.data().iter().map(|datum| datum.var_char_value()).eq(names)
    }

    /// Definitions answer in lines without the columns that they name.
    fn values(&self, row: &Row) -> Vec<Option<String>> {
        let mut values: Vec<_> =
            row.data().iter().map(|datum| datum.var_char_value.clone()).collect();
        values.resize(self.columns.len().max(1), None);
        values
    }
}

fn column(told: &ColumnInfo) -> Answer {
    Answer {
        name: told.label().filter(|label| !label.is_empty()).unwrap_or(told.name()).to_owned(),
        kind: told.r#type().to_lowercase(),
        precision: told.precision(),
        scale: told.scale(),
    }
}
