//! Committing a range: plan, write, end.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use millstream_engine::batch::byte_count;
use millstream_engine::ledger::{Entry, EntryKind};
use millstream_engine::{Outcome, Range, SinkError};
use millstream_topic::TopicPartition;

use super::keys;
use super::plan::{self, End, Plan, PlannedFile};
use super::sink::{Known, LakeSink};
use super::store::{Put, Stored};

/// Files written at once.
const AT_ONCE: usize = 8;

/// Making the files of so many rows, and so many bytes of them, takes less than handing them to another thread.
const FEW_ROWS: usize = 512;
const FEW_BYTES: usize = 256 << 10;

/// A range with its files, before it is known as which try it goes.
pub(super) struct Draft<'a> {
    pub prefix: String,
    at: &'a TopicPartition,
    entry: &'a Entry,
    files: Vec<Made>,
}

/// A file without its name.
struct Made {
    hive: String,
    rows: u64,
    bytes: Bytes,
    crc32: u32,
}

impl LakeSink {
    /// Makes the files. Compressing takes its time, so it is done where it may block.
    pub(super) async fn draft<'a>(
        &self,
        at: &'a TopicPartition,
        range: &'a Range,
    ) -> Result<Draft<'a>, SinkError> {
        let entry = &range.entry;
        let doing = || format!("make files of range {}..={} of {at}", entry.start, entry.end);
        let refuse = |why: String, remedy: &str| SinkError::refused(doing(), why, remedy);
        if !range.deletes.is_empty() {
            let why = "files can't take rows back, and this range holds deletes".to_owned();
            return Err(refuse(why, "send compacted topics to a table of upserts"));
        }
        let rows: u64 = range.rows.iter().map(|rows| rows.batch.num_rows() as u64).sum();
        if rows != entry.rows {
            let why = format!("it has {rows} rows, and its entry says {}", entry.rows);
            return Err(refuse(why, "report this as a bug"));
        }
        let batches: Vec<_> = range.rows.iter().map(|rows| rows.batch.clone()).collect();
        let (layout, own) = (self.layout.clone(), (at.clone(), entry.clone()));
        let make = move || {
            let files = layout.encode(&own.0, &own.1, &batches)?.into_iter();
            let named = files.map(|file| Made {
                crc32: crc32fast::hash(&file.bytes),
                hive: file.hive,
                rows: file.rows,
                bytes: file.bytes,
            });
            Ok::<_, arrow::error::ArrowError>(named.collect())
        };
        let files = match is_small(range) {
            true => make(),
            false => tokio::task::spawn_blocking(make)
                .await
                .map_err(|error| SinkError::unavailable(doing(), error))?,
        };
        let files = files.map_err(|error| {
            refuse(error.to_string(), "make the transform's rows fit the table's columns")
        })?;
        Ok(Draft { prefix: keys::partition(&self.layout.pipeline, at), at, entry, files })
    }

    /// Commits the range after `known`; `None`: somebody else did, or planned otherwise.
    pub(super) async fn commit_after(
        &self,
        known: Known,
        draft: &Draft<'_>,
    ) -> Result<Option<Known>, SinkError> {
        check_contiguous(&known, draft)?;
        let Some(plan) = self.plan(&known, draft).await? else { return Ok(None) };
        if !self.write(&plan, draft).await? {
            return self.explain_other_file(&plan, draft).await.map(|()| None);
        }
        if self.end(&draft.prefix, &plan, End::Committed).await? == End::Abandoned {
            return Ok(None);
        }
        let checkpoint = self.checkpoint_if_due(known.checkpoint, draft).await;
        Ok(Some(Known::after(&plan, checkpoint)))
    }

    /// A range that is in the ledger already: the same one, after a lost reply, is committed.
    pub(super) async fn repeat(&self, draft: &Draft<'_>) -> Result<Outcome, SinkError> {
        let there = self.history(&draft.prefix).committed(draft.entry.seq, 1).await?;
        let same = |there: &Plan| self.plan_of(draft, there.attempt, there.after).same_as(there);
        Ok(if there.first().is_some_and(same) { Outcome::Committed } else { Outcome::Superseded })
    }

    /// Plans the range. The first plan of a try stays; ours must be the same, or we are too late. `None`: we are.
    async fn plan(&self, known: &Known, draft: &Draft<'_>) -> Result<Option<Plan>, SinkError> {
        let Known { attempt, left_to_us, .. } = *known;
        let mine = self.plan_of(draft, attempt, known.after);
        let Some(theirs) = self.plan_once(&mine, draft).await? else { return Ok(Some(mine)) };
        if mine.same_as(&theirs) {
            return Ok(Some(theirs));
        }
        // Of our own code, and yet it reads differently now: a transform that is no pure function, a changed layout,
        // or an operator who skips records that are gone. Nobody could ever finish that try.
        let is_choice = draft.entry.kind != EntryKind::Range;
        if !left_to_us || !(is_choice || mine.same_range(&theirs)) {
            return Ok(None);
        }
        if self.end(&draft.prefix, &theirs, End::Abandoned).await? == End::Committed {
            return Ok(None);
        }
        self.empty_files(&theirs).await?;
        let mine = self.plan_of(draft, attempt + 1, known.after);
        match self.plan_once(&mine, draft).await? {
            None => Ok(Some(mine)),
            Some(theirs) => Ok(mine.same_as(&theirs).then_some(theirs)),
        }
    }

    /// The plan that was there before ours, if any.
    async fn plan_once(&self, plan: &Plan, draft: &Draft<'_>) -> Result<Option<Plan>, SinkError> {
        let path = keys::plan(&draft.prefix, plan.entry.seq, plan.attempt);
        match self.store.put(&path, plan::to_bytes(plan)?, Put::IfAbsent).await? {
            Stored::Created => Ok(None),
            Stored::Exists => plan::read_known(&*self.store, &path).await.map(Some),
        }
    }

    fn plan_of(&self, draft: &Draft<'_>, attempt: u32, after: u32) -> Plan {
        let suffix = self.layout.format.suffix();
        let file = |file: &Made| PlannedFile {
            path: keys::data(&self.table, &file.hive, draft.at, draft.entry, attempt, suffix),
            rows: file.rows,
            bytes: file.bytes.len() as u64,
            crc32: file.crc32,
        };
        Plan {
            table: self.table.clone(),
            attempt,
            after,
            entry: draft.entry.clone(),
            files: draft.files.iter().map(file).collect(),
        }
    }

    /// Writes the files; false: one of the paths holds something else.
    async fn write(&self, plan: &Plan, draft: &Draft<'_>) -> Result<bool, SinkError> {
        let files = plan.files.iter().zip(&draft.files);
        let writes: Vec<_> =
            files.map(|(planned, made)| self.write_file(&planned.path, &made.bytes)).collect();
        let mut writes = stream::iter(writes).buffered(AT_ONCE);
        while let Some(same) = writes.try_next().await? {
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn write_file(&self, path: &str, bytes: &Bytes) -> Result<bool, SinkError> {
        match self.store.put(path, bytes.clone(), Put::IfAbsent).await? {
            Stored::Created => Ok(true),
            // After a lost reply of ours, or by somebody who follows the same plan.
            Stored::Exists => Ok(self.store.get(path).await?.as_ref() == Some(bytes)),
        }
    }

    /// Another file stands at a path of ours: fine where the try was abandoned and emptied meanwhile.
    async fn explain_other_file(&self, plan: &Plan, draft: &Draft<'_>) -> Result<(), SinkError> {
        let path = keys::end(&draft.prefix, plan.entry.seq, plan.attempt);
        if let Some(End::Abandoned) = plan::read(&*self.store, &path).await? {
            return Ok(());
        }
        let Entry { start, end, .. } = plan.entry;
        Err(SinkError::refused(
            format!("write range {start}..={end} of {} into table {}", draft.at, self.table),
            "one of its files is there with other contents, which no worker of this pipeline wrote",
            format!(
                "look for {}-{start}-{end}.* in the table's directory, move it away, then restart",
                draft.at
            ),
        ))
    }

    /// The newest checkpoint after this range. One that fails is no loss: the next range writes it.
    async fn checkpoint_if_due(&self, newest: Option<u64>, draft: &Draft<'_>) -> Option<u64> {
        let seq = draft.entry.seq;
        let since = newest.map_or(seq + 1, |newest| seq - newest);
        if since < self.checkpoint_every {
            return newest;
        }
        match self.history(&draft.prefix).write_checkpoint(newest, seq).await {
            Ok(()) => Some(seq),
            Err(error) => {
                tracing::warn!(partition = %draft.at, seq, %error, "write a checkpoint of the lake later");
                newest
            }
        }
    }
}

fn is_small(range: &Range) -> bool {
    let rows: usize = range.rows.iter().map(|rows| rows.batch.num_rows()).sum();
    let held: usize = range.rows.iter().map(|rows| byte_count(&rows.batch)).sum();
    rows <= FEW_ROWS && held <= FEW_BYTES
}

/// A range that does not begin where the last one ended would lose or repeat offsets.
fn check_contiguous(known: &Known, draft: &Draft<'_>) -> Result<(), SinkError> {
    let Entry { start, end, .. } = *draft.entry;
    let next = known.last.next();
    if draft.entry.kind != EntryKind::Range || start == next {
        return Ok(());
    }
    Err(SinkError::refused(
        format!("commit range {start}..={end} of {}", draft.at),
        format!("the ledger goes on at offset {next}"),
        "report this as a bug",
    ))
}
