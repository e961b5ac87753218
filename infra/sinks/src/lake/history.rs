//! The ledger of one partition, read.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use millstream_engine::SinkError;

use super::keys::{self, TryKey};
use super::plan::{self, Checkpoint, End, Plan};
use super::store::{Put, Store};

/// Reads at once: a store over the network answers each in its own time.
const AT_ONCE: usize = 16;

/// One partition's ledger.
#[derive(Clone, Copy, Debug)]
pub(super) struct History<'a> {
    pub store: &'a dyn Store,
    /// Of all its keys, with a slash at the end.
    pub prefix: &'a str,
}

/// The newest try there is.
#[derive(Clone, Debug)]
pub(super) enum Newest {
    /// The partition is new.
    None,
    /// It was ended as committed: this is the last entry.
    Committed(Box<Plan>),
    /// It was not ended, or ended as abandoned; `before` was committed.
    Uncommitted { plan: Box<Plan>, before: Option<Box<Plan>>, abandoned: bool },
}

impl History<'_> {
    /// The newest try and the `seq` of the newest checkpoint: two LISTs and at most three GETs.
    pub async fn newest(&self) -> Result<(Newest, Option<u64>), SinkError> {
        let newest = self.store.list(&keys::checkpoints(self.prefix), None, 1).await?;
        let checkpoint =
            newest.first().and_then(|listed| keys::parse_checkpoint(self.prefix, &listed.path));
        let tries = self.tries(checkpoint.unwrap_or_default()).await?;
        Ok((self.last_of(&tries).await?, checkpoint))
    }

    /// Committed plans with `seq >= from`, at most `max`, in order.
    pub async fn committed(&self, from: u64, max: usize) -> Result<Vec<Plan>, SinkError> {
        let mut plans: Vec<Plan> = vec![];
        let mut next = from;
        let listed = self.store.list(&keys::checkpoints(self.prefix), None, usize::MAX).await?;
        for listed in listed.iter().rev() {
            if plans.len() >= max {
                break;
            }
            let reaches = keys::parse_checkpoint(self.prefix, &listed.path);
            if reaches.is_none_or(|seq| seq < next) {
                continue;
            }
            let checkpoint: Checkpoint = plan::read_known(self.store, &listed.path).await?;
            for plan in checkpoint.plans.into_iter().filter(|plan| plan.entry.seq >= from) {
                // Checkpoints may overlap where two workers wrote them.
                if plan.entry.seq == next {
                    next += 1;
                    plans.push(plan);
                }
            }
        }
        if plans.len() < max {
            plans.extend(self.tail(next, max - plans.len()).await?);
        }
        plans.truncate(max);
        Ok(plans)
    }

    /// Writes what comes after checkpoint `after`, up to `seq`, as the next one. Whoever comes second loses nothing:
    /// what is committed stays as it is.
    pub async fn write_checkpoint(&self, after: Option<u64>, seq: u64) -> Result<(), SinkError> {
        let first = after.map_or(0, |after| after + 1);
        let plans = self.committed(first, (seq - first + 1) as usize).await?;
        if plans.last().is_none_or(|last| last.entry.seq != seq) {
            // The listing was older than the commit: a later range does it.
            return Ok(());
        }
        let bytes = plan::to_bytes(&Checkpoint { plans })?;
        self.store.put(&keys::checkpoint(self.prefix, seq), bytes, Put::IfAbsent).await?;
        Ok(())
    }

    /// The plan of a try that is known to have been planned.
    pub async fn plan(&self, seq: u64, attempt: u32) -> Result<Plan, SinkError> {
        plan::read_known(self.store, &keys::plan(self.prefix, seq, attempt)).await
    }

    /// Committed plans after the last checkpoint, from the single objects.
    async fn tail(&self, from: u64, max: usize) -> Result<Vec<Plan>, SinkError> {
        let tries = self.tries(from).await?;
        let last = match self.last_of(&tries).await? {
            Newest::Committed(plan) => *plan,
            Newest::Uncommitted { before: Some(plan), .. } => *plan,
            _ => return Ok(vec![]),
        };
        let until = last.entry.seq.min(from.saturating_add(max as u64 - 1));
        let highest: BTreeMap<u64, u32> = tries.keys().copied().collect();
        let wanted =
            (from..=until).map(|seq| (seq, highest.get(&seq).copied().unwrap_or_default()));
        let wanted = wanted.filter(|(seq, _)| *seq < last.entry.seq);
        let reads: Vec<_> = wanted.map(|(seq, attempt)| self.plan(seq, attempt)).collect();
        let mut plans: Vec<Plan> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        if from <= last.entry.seq {
            self.follow_chain(&mut plans, &last).await?;
            if until == last.entry.seq {
                plans.push(last);
            }
        }
        plans.truncate(max);
        Ok(plans)
    }

    /// The highest try of a range is the one that was committed, unless the listing missed one that was made
    /// meanwhile. Each plan names the try before it, so that is found out and mended.
    async fn follow_chain(&self, plans: &mut [Plan], last: &Plan) -> Result<(), SinkError> {
        let mut after = None;
        for plan in plans.iter_mut().rev() {
            let seq = plan.entry.seq;
            let committed = match after {
                Some(attempt) => attempt,
                None if seq + 1 == last.entry.seq => last.after,
                None => self.committed_try(seq).await?,
            };
            if plan.attempt != committed {
                *plan = self.plan(seq, committed).await?;
            }
            after = Some(plan.after);
        }
        Ok(())
    }

    /// The try of a range that a later range builds on.
    async fn committed_try(&self, seq: u64) -> Result<u32, SinkError> {
        let mut attempt = 0;
        loop {
            match plan::read_known::<End>(self.store, &keys::end(self.prefix, seq, attempt)).await?
            {
                End::Committed => return Ok(attempt),
                End::Abandoned => attempt += 1,
            }
        }
    }

    /// All tries with `seq >= from`, and whether an end was seen.
    async fn tries(&self, from: u64) -> Result<BTreeMap<(u64, u32), bool>, SinkError> {
        let after = keys::before_seq(self.prefix, from);
        let mut tries = BTreeMap::new();
        for listed in self.store.list(self.prefix, Some(&after), usize::MAX).await? {
            if let Some(TryKey { seq, attempt, is_end }) =
                keys::parse_try(self.prefix, &listed.path)
            {
                *tries.entry((seq, attempt)).or_default() |= is_end;
            }
        }
        Ok(tries)
    }

    async fn last_of(&self, tries: &BTreeMap<(u64, u32), bool>) -> Result<Newest, SinkError> {
        let Some((&(seq, attempt), &ended)) = tries.last_key_value() else {
            return Ok(Newest::None);
        };
        let plan = Box::new(self.plan(seq, attempt).await?);
        let end = match ended {
            true => {
                Some(plan::read_known(self.store, &keys::end(self.prefix, seq, attempt)).await?)
            }
            false => None,
        };
        if end == Some(End::Committed) {
            return Ok(Newest::Committed(plan));
        }
        let before = match seq.checked_sub(1) {
            Some(before) => Some(Box::new(self.plan(before, plan.after).await?)),
            None => None,
        };
        Ok(Newest::Uncommitted { plan, before, abandoned: end == Some(End::Abandoned) })
    }
}
