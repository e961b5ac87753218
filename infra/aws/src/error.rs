/// What didn't work with AWS: what was being done, why it failed, what to do next.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// It may work when it is tried again.
    #[error("{doing}: {why}")]
    Unavailable { doing: String, why: String },
    /// It stays so until somebody changes something.
    #[error("{doing}: {why}; {remedy}")]
    Refused { doing: String, why: String, remedy: String },
    /// Somebody asked for an end.
    #[error("{doing}: stopped")]
    Stopped { doing: String },
}

impl AwsError {
    pub(crate) fn unavailable(doing: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unavailable { doing: doing.into(), why: why.into() }
    }

    pub(crate) fn refused(
        doing: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Refused { doing: doing.into(), why: why.into(), remedy: remedy.into() }
    }

    /// Whether waiting helps.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
