use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::oneshot;

use crate::{TopicError, TopicPartition};

/// What the consumer asks of the thread.
#[derive(Debug)]
pub(super) enum Command {
    /// Look around: librdkafka has something, or the consumer took something.
    Wake,
    Seek {
        at: TopicPartition,
        offset: i64,
        generation: u64,
    },
    Pause(TopicPartition),
    Resume(TopicPartition),
    Commit {
        next: Vec<(TopicPartition, i64)>,
        done: oneshot::Sender<Result<(), TopicError>>,
    },
    /// The partitions of that revocation are finished with.
    GiveUp(u64),
    Leave,
}

/// What the consumer is told at once, ahead of all records.
#[derive(Debug)]
pub(super) enum Told {
    Assigned(Vec<TopicPartition>),
    /// With the number to give up by.
    Revoked(u64, Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
    Failed(TopicError),
    /// librdkafka has lost all its brokers.
    Stuck,
    /// The thread can't go on, for this reason; it has left.
    Ended(Code, String),
}

/// Wakes the thread, once however often it is called until the thread looked.
#[derive(Debug)]
pub(super) struct Waker {
    commands: mpsc::Sender<Command>,
    woken: Arc<AtomicBool>,
}

impl Waker {
    /// `woken` is to be cleared by whoever takes [`Command::Wake`].
    pub(super) fn new(commands: mpsc::Sender<Command>, woken: Arc<AtomicBool>) -> Self {
        Self { commands, woken }
    }

    pub(super) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // Fails when the thread is gone, which needs no waking then.
            let _ = self.commands.send(Command::Wake);
        }
    }
}
