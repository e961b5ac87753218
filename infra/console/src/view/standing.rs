use millstream_engine::State;
use millstream_web::parts::Tone;
use serde::Serialize;

/// How something stands, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Standing {
    pub(crate) is: Is,
    /// In words; empty when there is nothing to say.
    pub(crate) why: String,
}

/// In the order of what has to be seen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Is {
    Done,
    Standby,
    Running,
    Starting,
    /// No worker tells of it.
    Nobody,
    Silent,
    Retrying,
    Stopped,
}

impl Is {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Standby => "standing by",
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Nobody => "nobody works on it",
            Self::Silent => "silent",
            Self::Retrying => "retrying",
            Self::Stopped => "stopped",
        }
    }

    pub(crate) fn tone(self) -> Tone {
        match self {
            Self::Done | Self::Standby | Self::Nobody => Tone::Plain,
            Self::Running => Tone::Good,
            Self::Starting => Tone::Info,
            Self::Silent | Self::Retrying => Tone::Warn,
            Self::Stopped => Tone::Bad,
        }
    }
}

impl Standing {
    pub(crate) fn new(is: Is, why: impl Into<String>) -> Self {
        Self { is, why: why.into() }
    }

    pub(crate) fn silent(for_ms: i64) -> Self {
        let lasting = millstream_web::words::lasting(for_ms);
        Self::new(Is::Silent, format!("its worker has told nothing for {lasting}"))
    }

    /// The one that has to be seen first.
    pub(crate) fn worst(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        all.into_iter().max_by_key(|one| one.is)
    }
}

impl From<&State> for Standing {
    fn from(state: &State) -> Self {
        match state {
            State::Starting => Self::new(Is::Starting, ""),
            State::Running => Self::new(Is::Running, ""),
            State::Standby(who) => Self::new(Is::Standby, who),
            State::Retrying(why) => Self::new(Is::Retrying, why),
            State::Stopped(why) => Self::new(Is::Stopped, why),
            State::Done => Self::new(Is::Done, ""),
        }
    }
}
