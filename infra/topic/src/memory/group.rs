use std::collections::{BTreeMap, BTreeSet};

use super::log::{Partition, TopicLog};
use crate::{Event, Order, TopicPartition};

type TopicLogs = BTreeMap<String, TopicLog>;

/// The members of one group and what it committed.
#[derive(Default)]
pub(super) struct Group {
    members: BTreeMap<u64, Member>,
    /// Partitions that a test gave to a certain member, until the next change of membership.
    pinned: BTreeMap<TopicPartition, u64>,
    pub(super) committed: BTreeMap<TopicPartition, i64>,
}

#[derive(Default)]
struct Member {
    topics: Vec<String>,
    flows: BTreeMap<TopicPartition, Flow>,
    /// Told to be revoked; given up when the member polls again.
    revoking: Vec<TopicPartition>,
    /// Taken away at once; still to be told.
    lost: Vec<TopicPartition>,
    /// The partition served last, so that the next one gets its turn.
    served: Option<TopicPartition>,
    /// Out of the group until it polls again.
    expired: bool,
}

/// One partition's delivery to its member.
#[derive(Default)]
struct Flow {
    /// `None`: nothing was asked for yet, or what was asked for is out of range.
    next: Option<i64>,
    paused: bool,
    end_told: Option<i64>,
}

impl Group {
    pub(super) fn add(&mut self, member: u64, topics: &[String]) {
        self.pinned.clear();
        self.members.insert(member, Member { topics: topics.to_vec(), ..Member::default() });
    }

    pub(super) fn remove(&mut self, member: u64) {
        self.pinned.clear();
        self.members.remove(&member);
    }

    /// Members that are in the group, in the order they joined.
    pub(super) fn live(&self) -> Vec<u64> {
        let live = self.members.iter().filter(|(_, member)| !member.expired);
        live.map(|(id, _)| *id).collect()
    }

    pub(super) fn owner(&self, at: &TopicPartition) -> Option<u64> {
        let owner = self.members.iter().find(|(_, member)| member.flows.contains_key(at));
        owner.map(|(id, _)| *id)
    }

    pub(super) fn is_live(&self, member: u64) -> bool {
        self.members.get(&member).is_some_and(|member| !member.expired)
    }

    /// Throws a member out, as a broker does after the session time-out.
    pub(super) fn expire(&mut self, member: u64) {
        self.pinned.clear();
        if let Some(member) = self.members.get_mut(&member) {
            member.expired = true;
            member.revoking.clear();
            member.lost.extend(std::mem::take(&mut member.flows).into_keys());
        }
    }

    /// Takes a partition from its owner at once; the member after it gets it (itself, if it is alone).
    pub(super) fn steal(&mut self, at: &TopicPartition) {
        let Some(owner) = self.owner(at) else { return };
        if let Some(member) = self.members.get_mut(&owner) {
            member.flows.remove(at);
            member.revoking.retain(|revoking| revoking != at);
            member.lost.push(at.clone());
        }
        let live = self.live();
        let heir = live.iter().find(|id| **id > owner).or(live.first());
        if let Some(heir) = heir {
            self.pinned.insert(at.clone(), *heir);
        }
    }

    pub(super) fn steer(&mut self, member: u64, order: Order) {
        let Some(member) = self.members.get_mut(&member) else { return };
        match order {
            Order::Seek(at, offset) => {
                if let Some(flow) = member.flows.get_mut(&at) {
                    flow.next = Some(offset);
                    flow.end_told = None;
                }
            }
            Order::Pause(at) => member.pause(&at, true),
            Order::Resume(at) => member.pause(&at, false),
        }
    }

    /// What a poll does before it looks for events: gives up what was revoked, comes back if thrown
    /// out. Tells whether that changes anything for the other members.
    pub(super) fn arrive(&mut self, member: u64) -> bool {
        let Some(member) = self.members.get_mut(&member) else { return false };
        let changed = member.expired || !member.revoking.is_empty();
        for at in std::mem::take(&mut member.revoking) {
            member.flows.remove(&at);
        }
        if std::mem::take(&mut member.expired) {
            self.pinned.clear();
        }
        changed
    }

    pub(super) fn next_event(
        &mut self,
        id: u64,
        topics: &TopicLogs,
        stalled: &BTreeSet<TopicPartition>,
        most: usize,
    ) -> Option<Event> {
        let share = self.share_of(id, topics);
        let free: Vec<_> = share.iter().filter(|at| self.owner(at).is_none()).cloned().collect();
        let member = self.members.get_mut(&id)?;
        if !member.lost.is_empty() {
            return Some(Event::Lost(std::mem::take(&mut member.lost)));
        }
        let owned = member.flows.keys();
        let surplus: Vec<_> = owned.filter(|at| !share.contains(at)).cloned().collect();
        if !surplus.is_empty() {
            member.revoking = surplus.clone();
            return Some(Event::Revoked(surplus));
        }
        if !free.is_empty() {
            member.flows.extend(free.iter().map(|at| (at.clone(), Flow::default())));
            return Some(Event::Assigned(free));
        }
        member.deliver(topics, stalled, most)
    }

    /// The partitions that are to be this member's when all have had their say.
    fn share_of(&self, id: u64, topics: &TopicLogs) -> BTreeSet<TopicPartition> {
        let mut share = BTreeSet::new();
        let mut turn = 0;
        for (topic, log) in topics {
            let wanting: Vec<u64> = self
                .members
                .iter()
                .filter(|(_, member)| !member.expired && member.topics.contains(topic))
                .map(|(id, _)| *id)
                .collect();
            if wanting.is_empty() {
                continue;
            }
            for partition in 0..log.partitions.len() as u32 {
                let at = TopicPartition::new(topic, partition);
                let pinned = self.pinned.get(&at).filter(|id| wanting.contains(id));
                if *pinned.unwrap_or(&wanting[turn % wanting.len()]) == id {
                    share.insert(at);
                }
                turn += 1;
            }
        }
        share
    }
}

impl Member {
    fn pause(&mut self, at: &TopicPartition, paused: bool) {
        if let Some(flow) = self.flows.get_mut(at) {
            flow.paused = paused;
        }
    }

    fn deliver(
        &mut self,
        topics: &TopicLogs,
        stalled: &BTreeSet<TopicPartition>,
        most: usize,
    ) -> Option<Event> {
        let served = self.served.take();
        let after = |at: &TopicPartition| served.as_ref().is_some_and(|served| at > served);
        let (mut order, before): (Vec<_>, Vec<_>) =
            self.flows.iter_mut().partition(|(at, _)| after(at));
        order.extend(before);
        for (at, flow) in order.into_iter().filter(|(at, _)| !stalled.contains(at)) {
            let log =
                topics.get(&at.topic).and_then(|log| log.partitions.get(at.partition as usize));
            if let Some(event) = log.and_then(|log| flow.step(at, log, most)) {
                self.served = Some(at.clone());
                return Some(event);
            }
        }
        self.served = served;
        None
    }
}

impl Flow {
    fn step(&mut self, at: &TopicPartition, log: &Partition, most: usize) -> Option<Event> {
        let asked = self.next.filter(|_| !self.paused)?;
        if asked < log.low || asked > log.end {
            self.next = None;
            return Some(Event::OutOfRange { at: at.clone(), asked, bounds: log.bounds() });
        }
        let slice = log.slice(asked, most);
        self.next = Some(slice.next);
        if !slice.records.is_empty() {
            return Some(Event::Records { at: at.clone(), records: slice.records, end: slice.end });
        }
        let news = self.end_told.replace(slice.end) != Some(slice.end);
        news.then(|| Event::End { at: at.clone(), end: slice.end })
    }
}
