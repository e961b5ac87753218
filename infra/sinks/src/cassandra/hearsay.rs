//! Tables that are listed, and of which a node has not heard.
//!
//! A node that makes a table writes it to `system_schema` first, then writes that to disk, and only then takes
//! statements for it: seconds later where the disk is slow or the node has just started. Others see the table listed
//! meanwhile. Of several nodes one may hear of a table later than the others, too.

use std::time::Duration;

use scylla::client::session::Session;
use tokio::time::Instant;

use super::faults::Fault;
use super::opening;
use super::statements::{LEDGER, OWNER, POSITION};
use crate::sql::layout::{Layout, VERSION};

/// How long a node is waited for before somebody is told.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// Waits for a node that lists a table.
#[derive(Debug, Default)]
pub(super) struct Hearsay {
    since: Option<Instant>,
}

impl Hearsay {
    /// Returns when it is time to try again; fails with what is to be told.
    pub async fn outlast(&mut self, fault: Fault) -> Result<(), Fault> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !matches!(fault, Fault::Early(_)) || since.elapsed() >= PATIENCE {
            return Err(fault);
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// What a node has not heard of: it will, if it is listed; else it was dropped.
pub(super) async fn sift(
    session: &Session,
    keyspace: &str,
    layout: &Layout,
    fault: Fault,
) -> Fault {
    if !fault.is_unheard_of() {
        return fault;
    }
    match are_listed(session, keyspace, layout).await {
        Ok(true) => fault.early(),
        Ok(false) => fault,
        Err(other) => other,
    }
}

/// Whether all nodes list the table with its columns, and ours.
async fn are_listed(session: &Session, keyspace: &str, layout: &Layout) -> Result<bool, Fault> {
    opening::agree(session).await?;
    for ours in [OWNER, POSITION, LEDGER] {
        if !opening::exists(session, keyspace, ours).await? {
            return Ok(false);
        }
    }
    let there = opening::columns(session, keyspace, &layout.table).await?;
    let names = layout.schema.fields().iter().map(|field| field.name().as_str());
    Ok(names.chain([VERSION]).all(|name| there.contains_key(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

    fn unheard() -> Fault {
        let text = "table rows does not exist".to_owned();
        let said = RequestAttemptError::DbError(DbError::Invalid, text);
        Fault::from(ExecutionError::LastAttemptError(said))
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_waited_for_from_when_it_is_asked_in_vain() {
        let mut hearsay = Hearsay::default();
        // What came before took its time: that says nothing about the node.
        tokio::time::advance(3 * PATIENCE).await;
        let asked = Instant::now();
        let fault = loop {
            match hearsay.outlast(unheard().early()).await {
                Ok(()) => assert!(asked.elapsed() <= PATIENCE + PAUSE),
                Err(fault) => break fault,
            }
        };
        assert!(asked.elapsed() >= PATIENCE && matches!(fault, Fault::Early(_)), "{fault:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_listed_is_not_waited_for() {
        let asked = Instant::now();
        let fault = Hearsay::default().outlast(unheard()).await.unwrap_err();
        assert!(asked.elapsed().is_zero() && fault.is_unheard_of(), "{fault:?}");
    }
}
