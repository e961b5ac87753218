use serde::Serialize;

/// What was seen of one thing that the settings name: a server, a topic, a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// "topic weather", "stores.tables".
    pub what: String,
    pub state: Health,
    /// How it is, in words; no secrets.
    pub told: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Good,
    /// It works; somebody should know this all the same.
    Warning,
    /// It must be put right first.
    Bad,
}

impl Finding {
    pub fn good(what: impl Into<String>, told: impl Into<String>) -> Self {
        Self { what: what.into(), state: Health::Good, told: told.into(), remedy: None }
    }

    pub fn warning(
        what: impl Into<String>,
        told: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { what: what.into(), state: Health::Warning, told: told.into(), remedy }
    }

    pub fn bad(
        what: impl Into<String>,
        told: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { what: what.into(), state: Health::Bad, told: told.into(), remedy }
    }
}
