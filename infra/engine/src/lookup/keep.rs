use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Lookup;
use crate::world::{Backoff, Clock};

/// A table that was refused is read again after so long, or its own time if that is less: it may be large, and waits
/// for somebody.
const REFUSED_AGAIN: Duration = Duration::from_secs(15);

/// Reads the table again and again, until dropped.
pub(crate) async fn keep(lookup: Arc<Lookup>, clock: Arc<dyn Clock>, seed: u64) {
    let mut backoff = Backoff::new(seed);
    loop {
        let wait = match lookup.refresh(clock.now_ms()).await {
            Ok(()) => {
                backoff.reset();
                lookup.every
            }
            Err(error) if error.is_retryable() => backoff.next().min(lookup.every),
            Err(_) => REFUSED_AGAIN.min(lookup.every),
        };
        sleep(wait).await;
    }
}
