use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::future::BoxFuture;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{Outcome, Range, Sink, SinkError, Standing};
use millstream_topic::TopicPartition;
use tokio::sync::Mutex;

use super::commit::{Job, Tries, commit, random_name};
use super::faults::Fault;
use super::server::Mysql;
use super::session::Session;
use super::{owning, positions};
use crate::sql::layout::Layout;
use crate::sql::merge::merge;
use crate::sql::owner::{Owned, check_code};

/// One worker's connection to a table. Work goes on in tasks of its own, one piece after the other, and is finished even
/// if the worker doesn't wait for it: a transaction is never left half done.
#[derive(Debug)]
pub(super) struct MysqlSink {
    server: Mysql,
    database: String,
    table: String,
    pipeline: String,
    /// What the pipeline's rows look like.
    ours: Arc<Layout>,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug)]
pub(super) struct Open {
    /// `None`: it was lost, and is opened anew when it is needed.
    session: Option<Session>,
    owned: Owned,
}

impl MysqlSink {
    /// Makes what is missing, and records the pipeline as the table's owner.
    pub async fn connect(
        server: Mysql,
        database: String,
        pipeline: &str,
        wanted: &Layout,
    ) -> Result<Self, SinkError> {
        let owning = async {
            let mut session = owning::writer(&server, &database).await?;
            let owned = owning::own(&mut session, pipeline, wanted).await?;
            Ok((session, owned))
        };
        let doing = format!("connect to table {}", wanted.table);
        let owned: Result<_, Fault> = owning.await;
        let (session, owned) =
            owned.map_err(|fault| fault.told(&doing, &server.place(Some(&database))))?;
        Ok(Self {
            server,
            database,
            table: wanted.table.clone(),
            pipeline: pipeline.to_owned(),
            ours: Arc::new(owned.layout.clone()),
            open: Arc::new(Mutex::new(Open { session: Some(session), owned })),
        })
    }

    async fn work<T: Send + 'static>(
        &self,
        doing: String,
        work: impl for<'a> FnOnce(&'a mut Session, &'a mut Owned) -> BoxFuture<'a, Result<T, Fault>>
        + Send
        + 'static,
    ) -> Result<T, SinkError> {
        let (server, database) = (self.server.clone(), self.database.clone());
        let place = server.place(Some(&database));
        // Had before it goes on by itself, so that pieces of work are done in the order in which they were asked for.
        let mut open = self.open.clone().lock_owned().await;
        let working = tokio::spawn(async move {
            let Open { session, owned } = &mut *open;
            // Taken: a session that a panic or a shutdown leaves in the middle of things is not used again.
            let mut ours = match session.take().filter(Session::is_usable) {
                Some(session) => session,
                None => Session::open(&server, Some(&database)).await?,
            };
            let done = work(&mut ours, owned).await;
            match &done {
                Ok(_) => *session = Some(ours).filter(Session::is_usable),
                // A failed statement may have left things behind, with the server or with the driver.
                Err(_) => ours.close().await,
            }
            done
        });
        let cut_short = |error| SinkError::unavailable(doing.clone(), error);
        working.await.map_err(cut_short)?.map_err(|fault| fault.told(&doing, &place))
    }
}

#[async_trait]
impl Sink for MysqlSink {
    async fn open(&mut self, assignment: &Assignment) -> Result<Standing, SinkError> {
        let (ours, table) = (assignment.clone(), self.table.clone());
        let doing = format!("open {} of table {table}", ours.at);
        self.work(doing, move |session, owned| {
            Box::pin(async move {
                let last = open(session, &table, &ours).await?;
                check_code(&owned.layout, &last, &ours)?;
                Ok(Standing::At(last))
            })
        })
        .await
    }

    async fn commit(
        &mut self,
        assignment: &Assignment,
        range: &Range,
    ) -> Result<Outcome, SinkError> {
        let doing = format!("commit range {} of {}", range.entry.seq, assignment.at);
        let (server, database) = (self.server.clone(), self.database.clone());
        let (assignment, range, layout) = (assignment.clone(), range.clone(), self.ours.clone());
        self.work(doing, move |session, owned| {
            Box::pin(async move {
                let merged = merge(&layout, &range)?;
                let job = Job { server, database, assignment, range, merged };
                commit(session, owned, &job).await
            })
        })
        .await
    }

    async fn ledger(
        &mut self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, SinkError> {
        let (at, table, pipeline) = (at.clone(), self.table.clone(), self.pipeline.clone());
        let doing = format!("read the ledger of {at}");
        self.work(doing, move |session, _| {
            Box::pin(async move {
                positions::ledger(session, &table, &pipeline, &at, (from, max)).await
            })
        })
        .await
    }
}

async fn open(session: &mut Session, table: &str, ours: &Assignment) -> Result<Entry, Fault> {
    let mut tries = Tries::new();
    loop {
        let writer = random_name()?;
        match positions::open(session, table, ours, now_ms(), &writer).await {
            Ok(last) => return Ok(last),
            Err(fault) => {
                session.roll_back().await;
                tries.again(fault).await?;
            }
        }
    }
}

/// Only tells people when a genesis was written.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
