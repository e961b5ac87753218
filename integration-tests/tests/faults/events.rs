use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// What a worker told of a partition of its.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Since the Unix epoch, by the machine's clock, which all workers have.
    pub at_ms: i64,
    pub worker: usize,
    pub partition: u32,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The group gave it: this is when the group has noticed.
    Assigned,
    Revoked,
    Lost,
    /// Up to that offset.
    Committed(i64),
}

/// A line of a worker's log in JSON; `None`: it is about something else.
pub fn parse(line: &str, pipeline: &str, topic: &str, worker: usize) -> Option<Event> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["pipeline"] != pipeline {
        return None;
    }
    let told = line["message"].as_str()?.strip_prefix(topic)?.strip_prefix('-')?;
    let (partition, told) = told.split_once(": ")?;
    let what = match told.split_once(' ') {
        Some(("committed", range)) => What::Committed(range.split_once("..=")?.1.parse().ok()?),
        Some(("Assigned:", _)) => What::Assigned,
        Some(("Revoked:", _)) => What::Revoked,
        Some(("Lost:", _)) => What::Lost,
        _ => return None,
    };
    let at_ms = milliseconds(line["timestamp"].as_str()?)?;
    Some(Event { at_ms, worker, partition: partition.parse().ok()?, what })
}

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the end of time")
}

/// `2026-11-22T08:00:00.123456Z`.
fn milliseconds(time: &str) -> Option<i64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Years from March on, so that the leap day is the last one.
    let years = if month > 2 { year } else { year - 1 };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = years * 365 + years / 4 - years / 100 + years / 400 + of_year - 719_468;
    let seconds = (days * 24 + number(11, 13)?) * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    Some(seconds * 1000 + number(20, 23)?)
}
