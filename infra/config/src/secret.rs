use std::fmt;

use serde::Deserialize;

/// What is shown in place of a secret.
pub(crate) const MASK: &str = "***";

/// A text that must not be printed: `Debug` and `Display` show `***`. There is no `Serialize`, on purpose.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the request that needs it, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Whether a key's last segment says that its value is a secret.
pub(crate) fn is_secret(segment: &str) -> bool {
    let segment = segment.to_lowercase();
    let ends = ["password", "secret", "token", "_key"].iter().any(|end| segment.ends_with(end));
    ends || segment == "key"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_nowhere() {
        let secret = Secret::new("abc123");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
        assert_eq!(secret.expose(), "abc123");
    }

    #[test]
    fn keys_tell() {
        for key in
            ["api_key", "key", "password", "db_password", "client_secret", "token", "API_KEY"]
        {
            assert!(is_secret(key), "{key}");
        }
        for key in ["every_s", "keys", "monkey", "tokens_per_s"] {
            assert!(!is_secret(key), "{key}");
        }
    }
}
