use std::error::Error;

/// Why a lookup table could not be read, told by what is to be done about it. Values of rows are never part of it.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The store can't be reached, or the table isn't there yet: tried again soon.
    #[error("{doing}")]
    Unavailable {
        doing: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Stays as it is until somebody changes the table or the settings; it is looked at again all the same.
    #[error("{doing}: {why}; {remedy}")]
    Refused { doing: String, why: String, remedy: String },
}

impl LookupError {
    pub fn unavailable(
        doing: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { doing: doing.into(), source: source.into() }
    }

    pub fn refused(
        doing: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Refused { doing: doing.into(), why: why.into(), remedy: remedy.into() }
    }

    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
