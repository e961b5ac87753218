use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

const WINDOW: Duration = Duration::from_secs(60);

/// So many calls in any 60 seconds.
#[derive(Debug)]
pub(crate) struct CallBudget {
    most: Option<usize>,
    /// When the last `most` calls were made.
    made: VecDeque<Instant>,
}

impl CallBudget {
    pub(crate) fn unlimited() -> Self {
        Self { most: None, made: VecDeque::new() }
    }

    /// At least one call.
    pub(crate) fn per_minute(calls: u32) -> Self {
        Self { most: Some(calls.max(1) as usize), made: VecDeque::new() }
    }

    /// Waits until a call may be made, and counts it.
    pub(crate) async fn take(&mut self) {
        let Some(most) = self.most else { return };
        if self.made.len() >= most
            && let Some(&first) = self.made.front()
        {
            sleep_until(first + WINDOW).await;
            self.made.pop_front();
        }
        self.made.push_back(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn any_minute_has_at_most_so_many_calls() {
        let mut budget = CallBudget::per_minute(3);
        let start = Instant::now();
        let mut made = Vec::new();
        for _ in 0..10 {
            budget.take().await;
            made.push(start.elapsed().as_secs());
        }
        assert_eq!(made, [0, 0, 0, 60, 60, 60, 120, 120, 120, 180]);
    }
}
