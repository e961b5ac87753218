use std::error::Error;

/// What went wrong with a topic, told by whether trying again can help.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The place can't be reached or is busy: the same call may succeed later.
    #[error("{doing}")]
    Unavailable {
        /// What was being done, as a verb: "append to topic weather".
        doing: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The call will never succeed as it is: somebody has to change something first.
    #[error("{doing}: {why}; {remedy}")]
    Refused {
        doing: String,
        why: String,
        /// What to do next, as an imperative.
        remedy: String,
    },
}

impl TopicError {
    /// A fault of the place, worth a retry.
    pub fn unavailable(
        doing: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { doing: doing.into(), source: source.into() }
    }

    /// A fault that stays until somebody acts.
    pub fn refused(
        doing: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Refused { doing: doing.into(), why: why.into(), remedy: remedy.into() }
    }

    /// Whether the same call may succeed later without anybody's doing.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
