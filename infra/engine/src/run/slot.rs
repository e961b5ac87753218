use millstream_topic::TopicPartition;
use tokio::time::Instant;

use crate::open_range::{Closed, OpenRange};
use crate::status::{Counts, PartitionStatus, State};
use crate::world::Backoff;

/// A partition that is ours.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) phase: Phase,
    pub(super) backoff: Backoff,
    /// The partition's end as far as known.
    pub(super) end: i64,
    /// Where the sink stood when it was last asked, while nothing is open.
    pub(super) stood: i64,
    /// What its topic was when it was opened.
    pub(super) topic_id: String,
    /// When records last came, or nothing was left to come.
    pub(super) progress: Instant,
    /// Whether the consumer was told to deliver nothing of it.
    pub(super) paused: bool,
    /// Since it is ours.
    pub(super) counts: Counts,
}

#[allow(clippy::large_enum_variant, reason = "one per partition, and moved about in place")]
#[derive(Debug)]
pub(super) enum Phase {
    /// To be opened in the sink at that time; why it failed before.
    Opening {
        due: Instant,
        failed: Option<String>,
    },
    Filling(OpenRange),
    /// To be committed at that time; why it failed before.
    Closing {
        open: OpenRange,
        closed: Closed,
        due: Instant,
        failed: Option<String>,
    },
    /// Waits for a person; looked at again at that time.
    Stopped {
        why: String,
        due: Instant,
    },
    /// Between two of the others, while a step is under way.
    Moving,
}

impl Slot {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        Self {
            phase: Phase::Opening { due: now, failed: None },
            backoff: Backoff::new(seed),
            end: 0,
            stood: 0,
            topic_id: String::new(),
            progress: now,
            paused: false,
            counts: Counts::default(),
        }
    }

    pub(super) fn filling(&mut self) -> Option<&mut OpenRange> {
        match &mut self.phase {
            Phase::Filling(open) => Some(open),
            _ => None,
        }
    }

    /// Whether it takes records into a range.
    pub(super) fn is_filling(&self) -> bool {
        matches!(&self.phase, Phase::Filling(_))
    }

    /// Whether it is filling or closing a range.
    pub(super) fn is_at_work(&self) -> bool {
        matches!(&self.phase, Phase::Filling(_) | Phase::Closing { .. })
    }

    /// Whether it is open in the sink and no record was taken since.
    pub(super) fn is_idle(&self) -> bool {
        matches!(&self.phase, Phase::Filling(open) if !open.is_open())
    }

    /// Whether its range is closed, and the last try to commit it long enough ago.
    pub(super) fn is_to_be_committed_again(&self, now: Instant) -> bool {
        matches!(&self.phase, Phase::Closing { due, .. } if *due <= now)
    }

    /// Forgets what is open, and has the sink asked anew.
    pub(super) fn reopen(&mut self) {
        self.phase = Phase::Opening { due: Instant::now(), failed: None };
    }

    /// Whether its open range may be closed where it is.
    pub(super) fn may_close(&self) -> bool {
        matches!(&self.phase, Phase::Filling(open) if open.may_close())
    }

    /// Whether its open range has to be read on, up to the end a plan fixed.
    pub(super) fn is_bound(&self) -> bool {
        matches!(&self.phase, Phase::Filling(open) if open.is_open() && !open.may_close())
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        match &self.phase {
            Phase::Filling(open) => open.held(),
            Phase::Closing { closed, .. } => closed.bytes,
            _ => 0,
        }
    }

    /// When it has something to do by itself.
    pub(super) fn due(&self, every: std::time::Duration) -> Option<Instant> {
        match &self.phase {
            Phase::Opening { due, .. }
            | Phase::Closing { due, .. }
            | Phase::Stopped { due, .. } => Some(*due),
            Phase::Filling(open) => open.due_at(every),
            Phase::Moving => None,
        }
    }

    /// Everything up to the known end is committed.
    pub(super) fn is_caught_up(&self) -> bool {
        match &self.phase {
            Phase::Filling(open) => !open.is_open() && open.next() >= self.end,
            _ => false,
        }
    }

    pub(super) fn stopped(&self) -> Option<&str> {
        match &self.phase {
            Phase::Stopped { why, .. } => Some(why),
            _ => None,
        }
    }

    fn failed(&self) -> Option<&str> {
        match &self.phase {
            Phase::Opening { failed, .. } | Phase::Closing { failed, .. } => failed.as_deref(),
            _ => None,
        }
    }

    pub(super) fn state(&self) -> State {
        match (self.stopped(), self.failed()) {
            (Some(why), _) => State::Stopped(why.to_owned()),
            (None, Some(why)) => State::Retrying(why.to_owned()),
            (None, None) => State::Running,
        }
    }

    /// `wall`: what the wall clock says at an instant.
    pub(super) fn status(
        &self,
        at: &TopicPartition,
        every: std::time::Duration,
        wall: impl Fn(Instant) -> i64,
    ) -> PartitionStatus {
        let open = match &self.phase {
            Phase::Filling(open) | Phase::Closing { open, .. } => Some(open),
            _ => None,
        };
        let filling = matches!(self.phase, Phase::Filling(_));
        PartitionStatus {
            topic: at.topic.clone(),
            partition: at.partition,
            position: open.map_or(self.stood, |open| open.last.next()),
            next: open.map_or(self.stood, OpenRange::next),
            end: self.end,
            held: self.held(),
            state: self.state(),
            roll_at_ms: open.filter(|_| filling).and_then(|open| open.due_at(every)).map(wall),
            paused: self.paused,
            counts: self.counts,
        }
    }
}
