//! What a server's answers call for: patience, or somebody.

use std::error::Error;

use millstream_engine::SinkError;
use serde_json::Value;

/// What went wrong, before it is said what the work was.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No answer.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that says no.
    #[error("the server answered {status}: {kind}: {reason}")]
    Answered { status: u16, kind: String, reason: String },
    /// An answer that can't be understood.
    #[error("{0}")]
    Unreadable(String),
    /// Says it all already.
    #[error(transparent)]
    Told(#[from] SinkError),
}

/// Whom errors name: the URL as it is shown, and the settings it comes from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub shown: String,
    pub key: String,
    pub user: String,
    pub password_key: String,
}

impl Fault {
    pub fn unreadable(what: &str) -> Self {
        Self::Unreadable(format!("the server's answer lacks {what}"))
    }

    /// From the body of an answer, or from a part of it.
    pub fn answered(status: u16, body: &Value) -> Self {
        let error = &body["error"];
        // The root says more than "all shards failed".
        let root = error["root_cause"].get(0).unwrap_or(error);
        let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
        let kind = text(root, "type").or_else(|| text(error, "type"));
        let reason = text(root, "reason").or_else(|| text(error, "reason"));
        Self::Answered {
            status,
            kind: kind.unwrap_or_else(|| "no reason given".to_owned()),
            reason: reason.or_else(|| error.as_str().map(str::to_owned)).unwrap_or_default(),
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub fn is_kind(&self, wanted: &str) -> bool {
        matches!(self, Self::Answered { kind, .. } if kind == wanted)
    }

    /// Whether another host may have an answer: a proxy says so of a node that is away, and a node of itself that has
    /// lost the others.
    pub fn is_of_the_host(&self) -> bool {
        matches!(self.status(), Some(502..=504))
    }

    /// The index, alias or search context isn't there.
    pub fn is_gone(&self) -> bool {
        self.status() == Some(404)
    }

    /// Full disks block writing until there is room again.
    pub fn is_flood(&self) -> bool {
        matches!(self, Self::Answered { reason, .. } if is_flood(reason))
    }

    /// Whether it may pass by itself.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(why) => !is_untrusted(why),
            Self::Answered { status, kind, .. } => {
                let is_moving = *status == 404 && kind.ends_with("_exception");
                matches!(status, 408 | 429 | 500 | 502..=504) || is_moving || self.is_flood()
            }
            Self::Unreadable(_) => true,
            Self::Told(error) => error.is_retryable(),
        }
    }

    /// `doing`: a verb with its object, such as "commit range 3 of recalls-0".
    pub fn told(self, doing: &str, origin: &Origin) -> SinkError {
        let Origin { shown, key, user, password_key } = origin;
        let doing = format!("{doing} at {shown}");
        let passing = self.is_passing();
        match self {
            Self::Told(error) => error,
            fault @ Self::Answered { .. } if fault.is_flood() => SinkError::unavailable(
                doing,
                "the disk of the search server is nearly full, so it takes no documents; free space, or add a node",
            ),
            fault if passing => {
                SinkError::unavailable(doing, Box::<dyn Error + Send + Sync>::from(fault))
            }
            Self::Unreachable(why) => SinkError::refused(
                doing,
                why,
                format!("name the authority that signed its certificate: {key}=…?ca=file"),
            ),
            Self::Answered { status: 401, .. } => {
                let who = if user.is_empty() { "nobody" } else { user };
                SinkError::refused(
                    doing,
                    format!("the server doesn't let {who} in"),
                    format!("name the user in {key} (https://user@host) and set {password_key}"),
                )
            }
            Self::Answered { status: 403, kind, reason } if kind == "cluster_block_exception" => {
                SinkError::refused(doing, reason, "take the block from the index's settings")
            }
            Self::Answered { status: 403, reason, .. } => SinkError::refused(
                doing,
                reason,
                "give this user the rights that `millstream doctor` names",
            ),
            fault => SinkError::refused(doing, fault.to_string(), "see the server's log"),
        }
    }
}

/// Whether a refusal speaks of the disk's flood-stage watermark.
pub(super) fn is_flood(reason: &str) -> bool {
    reason.contains("flood-stage") || reason.contains("read-only / allow delete")
}

/// A certificate that nobody vouches for stays as it is.
fn is_untrusted(why: &str) -> bool {
    why.contains("certificate")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn origin() -> Origin {
        Origin {
            shown: "https://me@search:9200".to_owned(),
            key: "stores.search".to_owned(),
            user: "me".to_owned(),
            password_key: "stores.search_password".to_owned(),
        }
    }

    fn answered(status: u16, kind: &str, reason: &str) -> SinkError {
        let body =
            json!({"error": {"root_cause": [{"type": kind, "reason": reason}], "type": "x"}});
        Fault::answered(status, &body).told("commit range 3 of a-0", &origin())
    }

    #[test]
    fn who_is_to_act_is_told() {
        let flood = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, \
                     index has read-only-allow-delete block]";
        let older = "index [x] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];";
        for (status, kind, reason, retryable, words) in [
            (429, "es_rejected_execution_exception", "queue full", true, "commit range 3 of a-0"),
            (503, "no reason given", "", true, "search:9200"),
            (429, "cluster_block_exception", flood, true, "commit"),
            (403, "cluster_block_exception", older, true, "commit"),
            (
                403,
                "cluster_block_exception",
                "[FORBIDDEN/8/index write (api)]",
                false,
                "take the block",
            ),
            (403, "security_exception", "no permissions for x", false, "millstream doctor"),
            (401, "security_exception", "", false, "stores.search_password"),
            (400, "mapper_parsing_exception", "failed to parse", false, "failed to parse"),
        ] {
            let error = answered(status, kind, reason);
            assert_eq!(error.is_retryable(), retryable, "{status} {kind}: {error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        let source = std::error::Error::source(&answered(429, "x", flood)).map(ToString::to_string);
        assert!(source.is_some_and(|text| text.contains("free space")));
    }

    #[test]
    fn what_cant_be_trusted_is_no_matter_of_patience() {
        let untrusted = Fault::Unreachable("tls: certificate verify failed".to_owned());
        let error = untrusted.told("connect", &origin());
        assert!(!error.is_retryable() && error.to_string().contains("?ca="), "{error}");
        assert!(Fault::Unreachable("refused".to_owned()).told("connect", &origin()).is_retryable());
    }
}
