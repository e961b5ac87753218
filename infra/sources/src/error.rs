use std::error::Error;

use millstream_topic::TopicError;

use crate::zip_feed::Fault;

/// What went wrong with a source, told by whether trying again can help.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The topic's side failed.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The outside can't be reached, and the source was stopped before it could.
    #[error("{doing}")]
    Unavailable {
        /// What was being done, as a verb: "GET http://…".
        doing: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It will not work as it is: somebody has to change something first.
    #[error("{doing}: {why}; {remedy}")]
    Refused {
        doing: String,
        why: String,
        /// What to do next, as an imperative.
        remedy: String,
    },
}

impl SourceError {
    /// A fault that stays until somebody acts.
    pub fn refused(
        doing: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Refused { doing: doing.into(), why: why.into(), remedy: remedy.into() }
    }

    /// Whether nobody answered at all: no network, no such host, nobody listening.
    pub fn is_unreached(&self) -> bool {
        let Self::Unavailable { source, .. } = self else { return false };
        source.downcast_ref::<Fault>().is_some_and(|fault| fault.unreached)
    }

    pub(crate) fn unavailable(
        doing: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { doing: doing.into(), source: source.into() }
    }
}
