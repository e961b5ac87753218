//! Opening a partition: finding where it stands, and finishing or ending what was left half done.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{SinkError, Standing};

use super::history::Newest;
use super::keys;
use super::plan::{self, End, Plan, PlannedFile};
use super::sink::{Known, LakeSink};
use super::store::{Put, Stored};

/// Files looked at or emptied at once.
const AT_ONCE: usize = 16;

impl LakeSink {
    /// Each turn of the loop does one thing and looks again: between two looks anybody may have done anything.
    pub(super) async fn find_standing(
        &self,
        assignment: &Assignment,
    ) -> Result<(Standing, Known), SinkError> {
        let prefix = keys::partition(&self.layout.pipeline, &assignment.at);
        loop {
            let (newest, checkpoint) = self.history(&prefix).newest().await?;
            let (plan, before, abandoned) = match newest {
                Newest::None => {
                    self.plan_genesis(&prefix, assignment).await?;
                    continue;
                }
                Newest::Committed(plan) => {
                    let known = Known::after(&plan, checkpoint);
                    return Ok((Standing::At(plan.entry), known));
                }
                Newest::Uncommitted { plan, before, abandoned } => (plan, before, abandoned),
            };
            if !abandoned && self.all_written(&plan).await? {
                self.end(&prefix, &plan, End::Committed).await?;
                continue;
            }
            if !abandoned && plan.entry.fingerprint != assignment.fingerprint {
                self.end(&prefix, &plan, End::Abandoned).await?;
                continue;
            }
            let before = before
                .ok_or_else(|| plan::damaged(&prefix, "its first plan was ended as abandoned"))?;
            let known = Known::after(&before, checkpoint);
            if abandoned {
                self.empty_files(&plan).await?;
                let known = Known { attempt: plan.attempt + 1, ..known };
                return Ok((Standing::At(before.entry), known));
            }
            let known = Known { attempt: plan.attempt, left_to_us: true, ..known };
            let standing = Standing::Planned { after: before.entry, end: plan.entry.end };
            return Ok((standing, known));
        }
    }

    /// Has no files, so that the next look finds all of them written. The first genesis stays.
    async fn plan_genesis(&self, prefix: &str, assignment: &Assignment) -> Result<(), SinkError> {
        let plan = Plan {
            table: self.table.clone(),
            attempt: 0,
            after: 0,
            // No time: two workers' would differ, and nobody asks.
            entry: Entry::genesis(assignment, 0),
            files: vec![],
        };
        self.store.put(&keys::plan(prefix, 0, 0), plan::to_bytes(&plan)?, Put::IfAbsent).await?;
        Ok(())
    }

    /// Ends a try, and tells how it ended: the first one to say so is right.
    pub(super) async fn end(&self, prefix: &str, plan: &Plan, end: End) -> Result<End, SinkError> {
        let path = keys::end(prefix, plan.entry.seq, plan.attempt);
        match self.store.put(&path, plan::to_bytes(&end)?, Put::IfAbsent).await? {
            Stored::Created => Ok(end),
            Stored::Exists => plan::read_known(&*self.store, &path).await,
        }
    }

    /// Whether a plan's files are all there. A file is seen whole or not at all, so its size tells.
    async fn all_written(&self, plan: &Plan) -> Result<bool, SinkError> {
        let looks: Vec<_> = plan.files.iter().map(|file| self.is_written(file)).collect();
        let mut looks = stream::iter(looks).buffered(AT_ONCE);
        while let Some(written) = looks.try_next().await? {
            if !written {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn is_written(&self, file: &PlannedFile) -> Result<bool, SinkError> {
        let found = self.store.list(&file.path, None, 1).await?;
        Ok(found.first().is_some_and(|found| found.path == file.path && found.size == file.bytes))
    }

    /// Puts files without rows where an abandoned try's are or might still come: a worker that wakes up later finds
    /// its paths taken, and readers of directories see no row twice. Doing it again changes nothing.
    pub(super) async fn empty_files(&self, plan: &Plan) -> Result<(), SinkError> {
        let empty: Bytes = self.layout.format.empty(&self.layout.in_files).map_err(|error| {
            SinkError::refused(
                "make a file without rows",
                error.to_string(),
                "report this as a bug",
            )
        })?;
        let paths = plan.files.iter().map(|file| &file.path);
        let puts: Vec<_> =
            paths.map(|path| self.store.put(path, empty.clone(), Put::Overwrite)).collect();
        stream::iter(puts).buffered(AT_ONCE).try_collect::<Vec<_>>().await.map(|_| ())
    }
}
