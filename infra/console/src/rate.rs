use std::collections::{HashMap, VecDeque};

use millstream_engine::PartitionStatus;
use tokio::time::{Duration, Instant};

/// Rates are those of the last stretch of this length: long enough not to flicker.
const WINDOW: Duration = Duration::from_secs(5);

/// Offsets read per second, per partition, out of what was seen before.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    seen: HashMap<(String, u32), VecDeque<(Instant, i64)>>,
}

impl Rates {
    /// Takes note of the partitions as they are now and tells their rates, in their order.
    pub(crate) fn of(&mut self, partitions: &[PartitionStatus], now: Instant) -> Vec<f64> {
        let mut before = std::mem::take(&mut self.seen);
        let mut rates = Vec::new();
        for partition in partitions {
            let name = (partition.topic.clone(), partition.partition);
            let mut seen = before.remove(&name).unwrap_or_default();
            rates.push(rate(&mut seen, partition.next, now));
            self.seen.insert(name, seen);
        }
        rates
    }
}

fn rate(seen: &mut VecDeque<(Instant, i64)>, next: i64, now: Instant) -> f64 {
    // Opened at its position, or begun anew: the way there was no work. (0: not opened yet.)
    if seen.back().is_some_and(|(_, last)| next < *last || *last == 0) {
        seen.clear();
    }
    seen.push_back((now, next));
    while seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
        seen.pop_front();
    }
    let Some((since, first)) = seen.front() else { return 0.0 };
    let seconds = now.duration_since(*since).as_secs_f64();
    if seconds > 0.0 { (next - first) as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next: i64) -> Vec<PartitionStatus> {
        vec![PartitionStatus { topic: "t".into(), next, ..PartitionStatus::default() }]
    }

    #[test]
    fn a_rate_is_what_was_read_lately_and_falls_to_nothing() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(rates.of(&at(0), start), [0.0]);
        // Going to where the sink stands is no work.
        assert_eq!(rates.of(&at(5_000), after(1)), [0.0]);
        assert_eq!(rates.of(&at(5_100), after(2)), [100.0]);
        assert_eq!(rates.of(&at(5_400), after(3)), [200.0]);
        for seconds in 4..=8 {
            rates.of(&at(5_400), after(seconds));
        }
        assert_eq!(rates.of(&at(5_400), after(9)), [0.0]);
        // Read again from further back.
        assert_eq!(rates.of(&at(5_200), after(10)), [0.0]);
        assert_eq!(rates.of(&at(5_210), after(11)), [10.0]);
        assert!(rates.of(&[], after(12)).is_empty());
    }
}
