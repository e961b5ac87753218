//! Which statements the driver sends again by itself.

use scylla::errors::{DbError, RequestAttemptError};
use scylla::policies::retry::{RequestInfo, RetryDecision, RetryPolicy, RetrySession};

/// How often a statement is sent in all before its error is told; the engine then tries the whole again, more slowly.
const TRIES: usize = 4;

/// Sends idempotent statements again, to the next node if there is one, when the reason is of the moment. Others are
/// sent once: what became of them must be looked up.
#[derive(Debug)]
pub(super) struct Patient;

impl RetryPolicy for Patient {
    fn new_session(&self) -> Box<dyn RetrySession> {
        Box::new(Tries(1))
    }
}

#[derive(Debug)]
struct Tries(usize);

impl RetrySession for Tries {
    fn decide_should_retry(&mut self, info: RequestInfo<'_>) -> RetryDecision {
        let passes = match info.error {
            RequestAttemptError::BrokenConnectionError(_)
            | RequestAttemptError::UnableToAllocStreamId => true,
            RequestAttemptError::DbError(said, _) => matches!(
                said,
                DbError::Overloaded
                    | DbError::IsBootstrapping
                    | DbError::Unavailable { .. }
                    | DbError::ReadTimeout { .. }
                    | DbError::WriteTimeout { .. }
                    | DbError::ServerError
            ),
            _ => false,
        };
        if !info.is_idempotent || !passes || self.0 >= TRIES {
            return RetryDecision::DontRetry;
        }
        self.0 += 1;
        match info.error {
            // The node answered; another one would ask the same replicas.
            RequestAttemptError::DbError(
                DbError::ReadTimeout { .. } | DbError::WriteTimeout { .. },
                _,
            ) => RetryDecision::RetrySameTarget(None),
            _ => RetryDecision::RetryNextTarget(None),
        }
    }

    fn reset(&mut self) {
        *self = Self(1);
    }
}
