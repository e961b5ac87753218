//! Apps on servers of the test program's own: nobody else is in their topics and tables, and they may be stopped.
//!
//! # Layout
//! - [`Servers`]: one of each kind, for all apps at once. [`Deployed`]: an app, set up for them.
//! - `read`: rows as the servers' own clients show them, never by our code. `rows`: comparing them. [`Row`].
//! - [`kills`]: workers that are killed again and again. [`outage`]: servers that go for a while.

pub mod kills;
pub mod outage;
mod read;
mod rows;
mod servers;

pub use read::{Consumed, as_row, mysql_rows};
pub use rows::{Row, assert_same, picked};
pub use servers::Servers;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::stack;
use crate::{Data, number, wait};

/// Between two looks at how far a sink is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An app on servers. Its name stands before the names of its settings in the environment.
pub struct Deployed {
    pub data: Data,
    pub servers: Arc<Servers>,
    app: String,
}

impl Deployed {
    /// Each app keeps its tables and its index where its README says that it does in production. No console.
    pub fn new(app: &str, servers: &Arc<Servers>) -> Self {
        let on = Self { data: Data::new(), servers: servers.clone(), app: app.to_owned() };
        let on = on.set("TOPICS__URL", &format!("kafka://{}", servers.kafka.address()));
        let on = on.set("CONSOLE__LISTEN", "").tables().lake();
        match app {
            "recalls" => {
                on.set("STORES__SEARCH", &format!("http://{}", servers.opensearch.address()))
            }
            _ => on,
        }
    }

    /// A setting of the app: `ROLL__EVERY_S`.
    pub fn set(self, name: &str, value: &str) -> Self {
        let name = format!("{}_{name}", self.app.to_uppercase());
        self.with(&name, value)
    }

    /// A variable of the environment for all commands.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.data = self.data.with(name, value);
        self
    }

    fn tables(self) -> Self {
        let servers = self.servers.clone();
        if self.app == "wordcount" {
            self.set("STORES__TABLES", &servers.mysql_url())
                .set("STORES__TABLES_PASSWORD", stack::APP_PASSWORD)
        } else {
            self.set("STORES__TABLES", &format!("cassandra://{}", servers.cassandra.address()))
        }
    }

    fn lake(self) -> Self {
        let servers = self.servers.clone();
        let on = match self.app.as_str() {
            "wordcount" => self,
            _ => self.set("STORES__LAKE", &format!("s3://{}/lake", servers.bucket)),
        };
        servers.s3_environment().iter().fold(on, |on, (name, value)| on.with(name, value))
    }

    /// Works off all there is, and makes sure that nothing of `pipelines` is left.
    pub fn settle(&self, pipelines: &[&str]) {
        self.catch_up(&self.app);
        for pipeline in pipelines {
            let ran = self.run("millstream", &["position", "show", "--json", pipeline]).succeeds();
            let lags: Vec<_> =
                ran.json_lines().into_iter().map(|line| number(&line, "lag")).collect();
            assert!(!lags.is_empty() && lags.iter().all(|lag| *lag == 0), "{ran:?}");
        }
    }

    /// Waits until more is committed than now.
    pub fn goes_on(&self, pipeline: &str) {
        // None is told before the first worker has come.
        let before = self.position(pipeline).unwrap_or(0);
        wait::until(&format!("{pipeline} goes on"), wait::LONG, || {
            // To ask costs a process: the time is better left to the workers.
            wait::pause(LOOK_EVERY);
            let now = self.position(pipeline)?;
            if now > before { Ok(()) } else { Err(format!("at {now}")) }
        });
    }

    /// `millstream doctor` is content, and has looked at all of `words`.
    pub fn assert_healthy(&self, words: &[&str]) {
        let doctor = self.run("millstream", &["doctor", &self.app]).succeeds();
        for word in words {
            assert!(doctor.stdout.contains(word), "{word}: {doctor:?}");
        }
    }
}

/// Its commands.
impl Deref for Deployed {
    type Target = Data;

    fn deref(&self) -> &Data {
        &self.data
    }
}
