use std::fmt;
use std::path::PathBuf;

/// Where a setting's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The shipped `<app>.toml`.
    Default,
    /// The user's file; lines count from 1.
    File { path: PathBuf, line: usize },
    /// A variable of the environment.
    Env { name: String },
    /// The program itself, mostly on behalf of an option of the command line.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env { name } => write!(f, "environment {name}"),
            Self::Set => f.write_str("set by the command"),
        }
    }
}
