use std::time::Duration;

use tokio::time::Instant;

/// How far a late sender may run ahead of its pace to make up for the time lost.
const CATCH_UP: Duration = Duration::from_millis(100);

/// How fast records leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as it goes.
    Max,
    /// So many records a second, evenly.
    PerSecond(f64),
}

impl Pace {
    /// The pace a setting means: records per second, 0 for as fast as it goes.
    pub fn from_rate(per_second: f64) -> Self {
        if per_second > 0.0 && per_second.is_finite() {
            Self::PerSecond(per_second)
        } else {
            Self::Max
        }
    }
}

/// Tells when the next record may leave.
#[derive(Debug)]
pub(crate) struct Meter {
    gap: Duration,
    next: Instant,
}

impl Meter {
    pub(crate) fn new(pace: Pace) -> Self {
        let gap = match pace {
            Pace::PerSecond(rate) if rate > 0.0 => {
                Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX)
            }
            _ => Duration::ZERO,
        };
        Self { gap, next: Instant::now() }
    }

    /// Books the next record's time. `None`: it may leave now.
    pub(crate) fn book(&mut self) -> Option<Instant> {
        if self.gap.is_zero() {
            return None;
        }
        let now = Instant::now();
        let at = self.next.max(now.checked_sub(CATCH_UP).unwrap_or(now));
        self.next = at.checked_add(self.gap).unwrap_or(at);
        (at > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, sleep_until};

    async fn sends(meter: &mut Meter, within: Duration) -> usize {
        let until = Instant::now() + within;
        let mut sent = 0;
        while Instant::now() < until {
            if let Some(at) = meter.book() {
                sleep_until(at).await;
            }
            sent += 1;
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn any_rate_is_kept() {
        for rate in [0.5, 3.0, 100.0, 1_000.0, 50_000.0] {
            let mut meter = Meter::new(Pace::PerSecond(rate));
            let sent = sends(&mut meter, Duration::from_secs(10)).await as f64;
            assert!((sent - rate * 10.0).abs() <= 1.0 + rate * 0.02, "{sent} at {rate}/s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lost_time_is_made_up_for_by_a_tenth_of_a_second_at_most() {
        let mut meter = Meter::new(Pace::PerSecond(1_000.0));
        meter.book();
        advance(Duration::from_secs(60)).await;
        let burst = std::iter::from_fn(|| meter.book().is_none().then_some(())).count();
        assert!((99..=102).contains(&burst), "{burst}");
    }

    #[test]
    fn zero_means_as_fast_as_it_goes() {
        assert_eq!(Pace::from_rate(0.0), Pace::Max);
        assert_eq!(Pace::from_rate(2.5), Pace::PerSecond(2.5));
    }
}
