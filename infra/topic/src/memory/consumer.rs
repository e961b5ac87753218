use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use crate::{Consumer, Event, Order, TopicError, TopicPartition};

/// A member of a group. Dropping it leaves the group.
pub(super) struct MemoryConsumer {
    shared: Arc<Shared>,
    group: String,
    member: u64,
}

impl MemoryConsumer {
    pub(super) fn new(shared: Arc<Shared>, group: &str, member: u64) -> Self {
        Self { shared, group: group.to_owned(), member }
    }

    fn arrive(&self) -> Result<(), TopicError> {
        if self.shared.state().away {
            return Ok(());
        }
        let mut state = self.shared.begin(|| format!("poll for group {}", self.group))?;
        let group = state.groups.entry(self.group.clone()).or_default();
        if group.arrive(self.member) {
            self.shared.changed.notify_waiters();
        }
        Ok(())
    }

    fn next_event(&self) -> Option<Event> {
        let state = &mut *self.shared.state();
        if state.away {
            return None;
        }
        let group = state.groups.get_mut(&self.group)?;
        group.next_event(self.member, &state.topics, &state.stalled, state.most)
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn poll(&mut self, max_wait: Duration) -> Result<Event, TopicError> {
        // A busy member must not starve the other tasks of a single-threaded simulation.
        tokio::task::yield_now().await;
        self.arrive()?;
        let deadline = Instant::now() + max_wait;
        loop {
            // Made before looking, so that no change after the look is missed.
            let changed = self.shared.changed.notified();
            if let Some(event) = self.next_event() {
                return Ok(event);
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Ok(Event::Idle);
            }
        }
    }

    fn steer(&mut self, order: Order) -> Result<(), TopicError> {
        let state = &mut *self.shared.state();
        let Some(group) = state.groups.get_mut(&self.group) else { return Ok(()) };
        if let Order::Seek(at, _) = &order
            && group.owner(at) == Some(self.member)
        {
            state.stalled.remove(at);
        }
        group.steer(self.member, order);
        Ok(())
    }

    async fn commit(&mut self, next: &[(TopicPartition, i64)]) -> Result<(), TopicError> {
        let doing = || format!("commit offsets of group {}", self.group);
        let mut state = self.shared.begin(doing)?;
        let group = state.groups.entry(self.group.clone()).or_default();
        if !group.is_live(self.member) {
            let why = "the member was thrown out of the group; it comes back when it polls";
            return Err(TopicError::unavailable(doing(), why));
        }
        // What went to somebody else is his to commit.
        for (at, offset) in next {
            if group.owner(at) == Some(self.member) {
                group.committed.insert(at.clone(), *offset);
            }
        }
        Ok(())
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        if let Some(group) = self.shared.state().groups.get_mut(&self.group) {
            group.remove(self.member);
        }
        self.shared.changed.notify_waiters();
    }
}
