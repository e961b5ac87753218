//! The thread that polls for one member. It is a thread of its own because rust-rdkafka's async consumer
//! can stop without a word (rust-rdkafka #638, #413), and because whoever doesn't poll for five minutes
//! is thrown out of the group: a sink may be down for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::complaints::Complaints;
use super::errors::{code, is_silence, is_unknown, remedy};
use super::fetch::{set_pauses, settle, tell_ends, tell_ranges};
use super::member::Member;
use super::orders::Told;
use super::slot::Delivery;

/// How long to wait for one more record before what there is is sent off.
const LINGER: Duration = Duration::from_millis(2);
/// So many records are taken before commands are looked for.
const AT_ONCE: usize = 1000;
/// How long to rest at most when there is nothing to do. librdkafka wakes the thread earlier.
const REST: Duration = Duration::from_millis(100);
/// How long the consumer may take nothing before fetching is stopped. Pausing throws away what
/// librdkafka has fetched already, so a short wait is cheaper.
const FULL: Duration = Duration::from_millis(500);

/// The thread's side of the channel of events.
pub(super) struct Outlet {
    pub(super) events: Sender<Delivery>,
    /// Whether the consumer is to wake the thread when it has taken something.
    pub(super) full: Arc<AtomicBool>,
}

/// Polls until the consumer leaves or a fatal error comes. Dropping `consumer` at the end leaves the group.
pub(super) fn run(consumer: BaseConsumer<Member>, outlet: &Outlet) {
    let member = consumer.context().clone();
    let mut full_since = None;
    let mut complaints = Complaints::default();
    while !member.is_leaving() {
        while let Some(command) = member.command(Duration::ZERO) {
            member.obey(&consumer, command);
        }
        tidy(&consumer, &member);
        if !push(&member, outlet) && !hold_back(&consumer, &member, &mut full_since) {
            rest(&consumer, &member);
            continue;
        }
        let_go(&consumer, &member, &mut full_since);
        match consumer.poll(LINGER) {
            Some(Ok(message)) => {
                member.quiet.fine(member.group());
                let sent_off = member.share().take(&message);
                if let Some(error) = (!sent_off).then(|| take_more(&consumer, &member)).flatten() {
                    on_error(&consumer, &member, error, &mut complaints);
                }
                member.share().flush_late();
            }
            Some(Err(error)) => on_error(&consumer, &member, error, &mut complaints),
            None => {
                complaints.look_for_missing(&consumer, &member);
                complaints.look_for_trouble(&member);
                member.share().flush_all();
                push(&member, outlet);
                rest(&consumer, &member);
            }
        }
    }
}

/// Takes what librdkafka has at hand, until something is sent off: between two of these records there is nothing else
/// to be looked after. Gives the error that came instead of a record.
fn take_more(consumer: &BaseConsumer<Member>, member: &Member) -> Option<KafkaError> {
    for _ in 0..AT_ONCE {
        match consumer.poll(Duration::ZERO)? {
            Ok(message) if member.share().take(&message) => return None,
            Ok(_) => {}
            Err(error) => return Some(error),
        }
    }
    None
}

/// What is left over from earlier rounds.
fn tidy(consumer: &BaseConsumer<Member>, member: &Member) {
    let mut share = member.share();
    settle(consumer, &mut share);
    if share.unclear_ranges {
        tell_ranges(consumer, &mut share);
    }
    for number in std::mem::take(&mut share.unclear_ends) {
        tell_ends(consumer, &mut share, number);
    }
}

/// Hands over what was sent off; tells whether all of it went.
fn push(member: &Member, outlet: &Outlet) -> bool {
    let mut share = member.share();
    while let Some(delivery) = share.outbox.pop_front() {
        match outlet.events.try_send(delivery) {
            Ok(()) => {}
            Err(TrySendError::Full(delivery)) => {
                share.outbox.push_front(delivery);
                break;
            }
            Err(TrySendError::Closed(_)) => member.leave(),
        }
    }
    let full = !share.outbox.is_empty();
    outlet.full.store(full, Ordering::Release);
    !full
}

/// The consumer is slow: after a while, stops fetching, so that polling can go on. Tells whether it can.
fn hold_back(
    consumer: &BaseConsumer<Member>,
    member: &Member,
    full_since: &mut Option<Instant>,
) -> bool {
    let since = *full_since.get_or_insert_with(Instant::now);
    let mut share = member.share();
    if !share.held_back && since.elapsed() >= FULL {
        share.held_back = true;
        set_pauses(consumer, &mut share);
    }
    share.held_back
}

/// The consumer has caught up: fetches again.
fn let_go(consumer: &BaseConsumer<Member>, member: &Member, full_since: &mut Option<Instant>) {
    let mut share = member.share();
    if share.outbox.is_empty() {
        *full_since = None;
        if std::mem::take(&mut share.held_back) {
            set_pauses(consumer, &mut share);
        }
    }
}

fn rest(consumer: &BaseConsumer<Member>, member: &Member) {
    if let Some(command) = member.command(REST) {
        member.obey(consumer, command);
    }
}

fn on_error(
    consumer: &BaseConsumer<Member>,
    member: &Member,
    error: KafkaError,
    complaints: &mut Complaints,
) {
    if let KafkaError::PartitionEOF(number) = error {
        member.quiet.fine(member.group());
        return tell_ends(consumer, &mut member.share(), number);
    }
    let code = code(&error);
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) || code == Some(Code::Fatal) {
        let why = consumer.client().fatal_error();
        let (code, why) = why.unwrap_or_else(|| (code.unwrap_or(Code::Fatal), error.to_string()));
        member.tell(Told::Ended(code, why));
        return member.leave();
    }
    match code {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => {
            tell_ranges(consumer, &mut member.share());
        }
        Some(code) if is_unknown(code) => complaints.missing(),
        // Heard with its reason, and told if it lasts.
        Some(code) if is_silence(code) => {
            member.quiet.trouble(member.group(), &error.to_string());
        }
        Some(code) if remedy(code).is_some() => complaints.tell(member, error),
        // librdkafka connects and asks again by itself.
        _ => member.quiet.trouble(member.group(), &error.to_string()),
    }
}
