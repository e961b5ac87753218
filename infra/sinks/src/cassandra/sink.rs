use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::future::join_all;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{Outcome, Range, Sink, SinkError, Standing};
use millstream_topic::TopicPartition;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use super::commit::{Commit, Ready, Writes};
use super::faults::Fault;
use super::hearsay;
use super::owner::{self, Owned, Owners};
use super::positions::Positions;
use super::server::Cassandra;
use crate::sql::layout::Layout;

/// Counts the sinks of this process: each writes under a name of its own.
static SINKS: AtomicU64 = AtomicU64::new(0);

/// One worker's connection to a table. Every step may be cut short: what was done is done again by whoever comes next,
/// and makes no difference then.
#[derive(Debug)]
pub(super) struct CassandraSink {
    server: Cassandra,
    session: Arc<Session>,
    keyspace: String,
    pipeline: String,
    /// Tells our own entries from those of others.
    writer: String,
    /// What the pipeline's rows look like.
    ours: Arc<Layout>,
    owned: Owned,
    /// Reads `owned` again.
    owner: PreparedStatement,
    writes: Writes,
    positions: Positions,
}

impl CassandraSink {
    /// `ours`: what the pipeline's rows look like; `owned`: the table.
    pub async fn new(
        server: Cassandra,
        session: Arc<Session>,
        keyspace: &str,
        ours: Layout,
        owned: Owned,
    ) -> Result<Self, Fault> {
        let positions =
            Positions::prepare(&session, server.options(), keyspace, &ours.table).await?;
        let writes = Writes::prepare(&session, keyspace, &owned.layout).await?;
        let owners = Owners { session: &session, keyspace };
        let owner = owners.reading(server.options().reading()).await?;
        // The session's id is a random one.
        let number = SINKS.fetch_add(1, Ordering::Relaxed);
        let writer = format!("{}/{number}", session.session_id());
        let (keyspace, pipeline) = (keyspace.to_owned(), owned.pipeline.clone());
        let ours = Arc::new(ours);
        Ok(Self {
            server,
            session,
            keyspace,
            pipeline,
            writer,
            ours,
            owned,
            owner,
            writes,
            positions,
        })
    }

    /// A newer worker may have added columns since; a row of ours has null there, not what an older row had.
    async fn look_again(&mut self) -> Result<(), Fault> {
        let table = &self.ours.table;
        let Some(now) = owner::read(&self.session, &self.owner, table).await? else {
            let why = "the owner's record is gone";
            let doing = format!("write to table {table}");
            return Err(SinkError::refused(doing, why, "restart the worker").into());
        };
        owner::check_owner(&now.pipeline, table, &self.owned.pipeline)?;
        if now.columns != self.owned.columns {
            self.writes = Writes::prepare(&self.session, &self.keyspace, &now.layout).await?;
            self.owned = now;
        }
        Ok(())
    }

    async fn told(&self, doing: &str, fault: Fault) -> SinkError {
        let fault = hearsay::sift(&self.session, &self.keyspace, &self.owned.layout, fault).await;
        fault.told(doing, self.server.endpoint())
    }

    async fn try_open(&self, assignment: &Assignment) -> Result<Entry, Fault> {
        if let Some(there) = self.positions.read(&assignment.pipeline, &assignment.at).await? {
            return Ok(there.entry(&self.ours.table)?);
        }
        let genesis = Entry::genesis(assignment, now_ms());
        self.positions.begin(assignment, &genesis, &self.writer).await
    }

    /// One range of `among` that are committed at once.
    async fn try_commit(
        &self,
        assignment: &Assignment,
        range: &Range,
        among: usize,
    ) -> Result<Outcome, Fault> {
        let (layout, rows) = (self.ours.clone(), range.clone());
        let ready = tokio::task::spawn_blocking(move || Ready::new(&layout, &rows)).await;
        let ready = ready.map_err(|error| {
            SinkError::unavailable(format!("make rows of {} ready", assignment.at), error)
        })??;
        let commit = Commit {
            session: &self.session,
            positions: &self.positions,
            writes: &self.writes,
            writer: &self.writer,
            concurrency: self.server.options().concurrency.div_ceil(among),
        };
        commit.run(assignment, range, &Arc::new(ready)).await
    }
}

/// What a commit does, for errors.
fn committing(assignment: &Assignment, range: &Range) -> String {
    format!("commit range {} of {}", range.entry.seq, assignment.at)
}

#[async_trait]
impl Sink for CassandraSink {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        let doing = format!("open {} of table {}", assignment.at, self.ours.table);
        match self.try_open(assignment).await {
            Ok(last) => Ok(Standing::At(last)),
            Err(fault) => Err(self.told(&doing, fault).await),
        }
    }

    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError> {
        let outcome = self.commit_all(&[(assignment, range)]).await.pop();
        outcome.unwrap_or(Ok(Outcome::Superseded))
    }

    /// At once: each waits for several answers, one after the other, and they touch different rows of the positions.
    async fn commit_all(
        &mut self,
        ranges: &[(&Assignment, &Range)],
    ) -> Vec<Result<Outcome, SinkError>> {
        if ranges.is_empty() {
            return Vec::new();
        }
        if let Err(fault) = self.look_again().await {
            let error = self.told("look at the table's columns", fault).await;
            let told = |(of, range): &(&Assignment, &Range)| {
                Err(error.in_the_way_of(committing(of, range)))
            };
            return ranges.iter().map(told).collect();
        }
        let this = &*self;
        join_all(ranges.iter().map(|(assignment, range)| async move {
            match this.try_commit(assignment, range, ranges.len()).await {
                Ok(outcome) => Ok(outcome),
                Err(fault) => Err(this.told(&committing(assignment, range), fault).await),
            }
        }))
        .await
    }

    async fn ledger(
        &mut self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, SinkError> {
        match self.positions.ledger(&self.pipeline, at, from, max).await {
            Ok(entries) => Ok(entries),
            Err(fault) => Err(self.told(&format!("read the ledger of {at}"), fault).await),
        }
    }
}

/// Only tells people when a genesis was written.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
