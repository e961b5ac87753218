use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A process that runs pipelines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// One per process: host, process id, and chance.
    pub id: String,
    pub host: String,
    pub pid: u32,
    pub app: String,
    pub version: String,
    /// Milliseconds since the Unix epoch.
    pub started_at_ms: i64,
}

impl Worker {
    /// This process, running `app`.
    pub fn here(app: &str) -> Self {
        let host = nix::unistd::gethostname().unwrap_or_else(|_| "localhost".into());
        let host = host.to_string_lossy().into_owned();
        let pid = std::process::id();
        // Ids stand in addresses of pages.
        let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
        let named: String = host.chars().map(legal).collect();
        Self {
            id: format!("{named}-{pid}-{:06x}", rand::random::<u32>() & 0xff_ffff),
            host,
            pid,
            app: app.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: now_ms(),
        }
    }
}

/// The way of a pipeline, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelinePlan {
    pub app: String,
    pub pipeline: String,
    pub topic: String,
    /// What reads the records.
    pub decode: String,
    /// What makes rows of them.
    pub transform: String,
    /// The statement, if SQL makes them.
    pub sql: Option<String>,
    pub sink: String,
    /// What the sink keeps of a key.
    pub keeping: String,
}

impl PipelinePlan {
    /// `app.pipeline`.
    pub fn id(&self) -> String {
        format!("{}.{}", self.app, self.pipeline)
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Bytes this process holds in memory; `None` where the system doesn't tell.
pub(crate) fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
