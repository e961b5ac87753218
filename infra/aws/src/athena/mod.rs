//! SQL by Athena, on the tables of the catalog.
//!
//! # Layout
//! - [`Athena`]: a statement is started once, waited for, and stopped when somebody asks for it.
//! - [`Finished`], [`Statistics`]: how it ended, and what it read. [`Progress`]: meanwhile.
//! - `results`: [`Rows`], page by page. `explain`: a failure, told by what to do about it.

mod explain;
mod results;

use std::fmt;
use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionContext, QueryExecutionState, QueryExecutionStatistics as Told,
    ResultReuseInformation, StatementType,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::faults::Doing;
use crate::{AwsError, Catalog};

pub use results::{Answer, Rows};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const CATALOG: &str = "AwsDataCatalog";

/// A workgroup, and the database whose tables need no prefix. Clones share connections.
#[derive(Clone)]
pub struct Athena(pub(crate) Catalog);

/// A statement under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Athena's word: QUEUED, RUNNING.
    pub state: String,
    pub scanned: u64,
    pub took: Duration,
}

/// A statement that has succeeded; its rows are in S3.
#[derive(Clone, Debug)]
pub struct Finished {
    pub id: String,
    pub statistics: Statistics,
    pub(crate) kind: Option<StatementType>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes.
    pub scanned: u64,
    /// From the start to the end, as Athena counts.
    pub took: Duration,
    /// Before it was begun.
    pub queued: Duration,
    /// Nothing was read: the answer of an equal statement was there.
    pub reused: bool,
    /// Definitions cost nothing.
    pub is_definition: bool,
}

impl Athena {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self(catalog)
    }

    /// Runs one statement to its end. `stop` has Athena stop it, too: what nobody waits for shall cost nothing.
    pub async fn run(
        &self,
        sql: &str,
        stop: &CancellationToken,
        told: &(dyn Fn(&Progress) + Send + Sync),
    ) -> Result<Finished, AwsError> {
        let id = self.start(sql, &token()).await?;
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let execution = self.execution(&id).await?;
            let statistics = statistics(&execution);
            let status = execution.status();
            let queued = QueryExecutionState::Queued;
            match status.and_then(|status| status.state()).unwrap_or(&queued) {
                QueryExecutionState::Succeeded => {
                    return Ok(Finished { id, statistics, kind: execution.statement_type });
                }
                QueryExecutionState::Failed => {
                    let why = status.and_then(|status| status.state_change_reason());
                    return Err(self.failed(sql, &id, why.unwrap_or("Athena gives no reason")));
                }
                QueryExecutionState::Cancelled => {
                    return Err(AwsError::Stopped { doing: self.asking(&id) });
                }
                state => {
                    let (state, scanned) = (state.as_str().to_owned(), statistics.scanned);
                    told(&Progress { state, scanned, took: begun.elapsed() });
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..=1.0))) => {}
                () = stop.cancelled() => {
                    self.stop(&id).await?;
                    return Err(AwsError::Stopped { doing: self.asking(&id) });
                }
            }
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Starts a statement. The same `token` starts it once, however often it is sent.
    async fn start(&self, sql: &str, token: &str) -> Result<String, AwsError> {
        let doing = self.doing("run the query", "athena:StartQueryExecution");
        let context = QueryExecutionContext::builder().catalog(CATALOG).database(&self.0.database);
        let client = self.client().await?;
        let asked = client
            .start_query_execution()
            .query_string(sql)
            .client_request_token(token)
            .work_group(&self.0.workgroup)
            .query_execution_context(context.build());
        match asked.send().await {
            Ok(answer) => answer.query_execution_id.ok_or_else(|| doing.built("Athena gave no id")),
            Err(error) => Err(self.not_started(sql, doing.fault(error).await)),
        }
    }

    async fn execution(&self, id: &str) -> Result<QueryExecution, AwsError> {
        let doing = self.doing("wait for the query", "athena:GetQueryExecution");
        let client = self.client().await?;
        match client.get_query_execution().query_execution_id(id).send().await {
            Ok(answer) => answer.query_execution.ok_or_else(|| doing.built("Athena told nothing")),
            Err(error) => Err(doing.fault(error).await),
        }
    }

    async fn stop(&self, id: &str) -> Result<(), AwsError> {
        let doing = self.doing("stop the query", "athena:StopQueryExecution");
        let client = self.client().await?;
        match client.stop_query_execution().query_execution_id(id).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(doing.fault(error).await),
        }
    }

    async fn client(&self) -> Result<Client, AwsError> {
        Ok(Client::new(&self.0.account.config().await?))
    }

    fn asking(&self, id: &str) -> String {
        format!("query {id} in workgroup {}", self.0.workgroup)
    }

    fn doing(&self, verb: &str, action: &'static str) -> Doing<'_> {
        let workgroup = &self.0.workgroup;
        Doing {
            told: format!("{verb} in Athena's workgroup {workgroup}"),
            action,
            resource: format!("arn:aws:athena:*:*:workgroup/{workgroup}"),
            missing: "name a workgroup by --workgroup or workgroup=… in the catalog's URL; Terraform makes one".to_owned(),
            account: &self.0.account,
        }
    }
}

/// Between 32 and 128 characters, as Athena wants it.
fn token() -> String {
    format!("millstream-{:032x}", rand::random::<u128>())
}

fn statistics(execution: &QueryExecution) -> Statistics {
    let milliseconds = |n: Option<i64>| Duration::from_millis(n.unwrap_or(0).unsigned_abs());
    let told = execution.statistics();
    Statistics {
        scanned: told.and_then(Told::data_scanned_in_bytes).unwrap_or(0).unsigned_abs(),
        took: milliseconds(told.and_then(Told::total_execution_time_in_millis)),
        queued: milliseconds(told.and_then(Told::query_queue_time_in_millis)),
        reused: told
            .and_then(|told| told.result_reuse_information())
            .is_some_and(ResultReuseInformation::reused_previous_result),
        is_definition: execution.statement_type() == Some(&StatementType::Ddl),
    }
}

impl fmt::Debug for Athena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Athena({}, workgroup {})", self.0.place(), self.0.workgroup)
    }
}

#[cfg(test)]
mod tests;
