use std::time::{SystemTime, UNIX_EPOCH};

use millstream_config::Finding;

use super::Kafka;
use crate::{Subscriptions, Topic, TopicPartition, Topics};

/// Clocks may differ by as much, in milliseconds.
const TOLERANCE_MS: i64 = 2_000;

/// Whether the newest records come from the future. Brokers don't tell their time; what was stamped by them, or by
/// producers whose stamps they took, shows all the same that a clock is ahead of this machine's.
pub(super) async fn look(kafka: &Kafka, topics: &[Topic]) -> Vec<Finding> {
    let mut newest: Option<(i64, String)> = None;
    for topic in topics {
        let Ok(Some(info)) = kafka.info(&topic.name).await else { continue };
        for (partition, bounds) in (0..).zip(&info.partitions) {
            let at = TopicPartition::new(info.name.clone(), partition);
            if bounds.end <= bounds.low {
                continue;
            }
            let Ok(slice) = kafka.read(&at, bounds.end - 1, 1).await else { continue };
            let ahead = slice.records.last().map(|record| record.timestamp_ms - now_ms());
            if let Some(ahead) = ahead
                && newest.as_ref().is_none_or(|(most, _)| ahead > *most)
            {
                newest = Some((ahead, at.to_string()));
            }
        }
    }
    match newest {
        Some((ahead, at)) if ahead > TOLERANCE_MS => vec![Finding::warning(
            "clock",
            format!(
                "the newest record of {at} is {:.1} s ahead of this machine",
                ahead as f64 / 1000.0
            ),
            "set the clocks of brokers, producers and this machine by NTP",
        )],
        Some(_) => vec![Finding::good("clock", "no record is ahead of this machine's clock")],
        None => Vec::new(),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
