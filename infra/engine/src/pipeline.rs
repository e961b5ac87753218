use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use millstream_topic::{Cleanup, Topic, dead_letter};

use crate::decode::{Decoder, Json};
use crate::lookup::Lookup;
use crate::sink::{Keeping, Target};
use crate::sql::RowSql;
use crate::transform::{Identity, PlanError, Transform};

/// One consumer group: a topic → decode → transform → one target. Built in the data's order:
///
/// ```
/// # use std::sync::Arc;
/// # use millstream_engine::{Pipeline, PlanError, Target};
/// # use millstream_topic::Topic;
/// # fn example(weather: &Topic, table: Arc<dyn Target>) -> Result<Pipeline, PlanError> {
/// Ok(Pipeline::from("weather", "table", weather)
///     .sql("SELECT name AS city, country, wind_speed AS windspeed FROM weather")?
///     .into(table))
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub app: String,
    pub name: String,
    pub topic: Topic,
    pub decoder: Arc<dyn Decoder>,
    pub transform: Arc<dyn Transform>,
    pub target: Arc<dyn Target>,
    /// Columns in which the target can't have null.
    pub required: Vec<String>,
    pub roll: Roll,
    /// The consumer group; `app.pipeline` until set.
    pub group: String,
}

const MIXED: &str = "a range that is written again after a crash might leave a row half of one snapshot and half of another";

/// When an open range is closed. Whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roll {
    /// After its first record was read; also while the topic is idle.
    pub every: Duration,
    /// At so many records.
    pub records: usize,
    /// At so many bytes of records and rows held.
    pub bytes: usize,
}

impl Default for Roll {
    fn default() -> Self {
        Self { every: Duration::from_secs(10), records: 200_000, bytes: 32 << 20 }
    }
}

impl Roll {
    /// The default but for the time.
    pub fn every(every: Duration) -> Self {
        Self { every, ..Self::default() }
    }
}

/// A pipeline that has everything but a target.
#[derive(Clone, Debug)]
pub struct Draft {
    app: String,
    name: String,
    topic: Topic,
    decoder: Arc<dyn Decoder>,
    transform: Arc<dyn Transform>,
    lookups: Vec<Arc<Lookup>>,
}

impl Pipeline {
    /// Begins a pipeline: `app.name`, reading `topic`, whose records are JSON until said otherwise.
    pub fn from(app: &str, name: &str, topic: &Topic) -> Draft {
        let schema = (topic.schema)();
        Draft {
            app: app.to_owned(),
            name: name.to_owned(),
            topic: topic.clone(),
            decoder: Arc::new(Json::new(schema.clone())),
            transform: Arc::new(Identity::new(schema)),
            lookups: Vec::new(),
        }
    }

    /// `app.pipeline`: who owns positions, tables and dead letters.
    pub fn id(&self) -> String {
        format!("{}.{}", self.app, self.name)
    }

    /// The schema of the rows the target gets.
    pub fn schema(&self) -> SchemaRef {
        self.transform.schema()
    }

    /// Everything it reads: its topic, and the topic of its own that `dlq replay` writes to.
    pub fn topics(&self) -> Vec<Topic> {
        vec![self.topic.clone(), self.replay_topic()]
    }

    /// Whether null values delete keys.
    pub fn is_compacted(&self) -> bool {
        self.topic.cleanup == Cleanup::Compact
    }

    /// Where dead letters sent in again go, so that other pipelines don't see them twice.
    pub fn replay_topic(&self) -> Topic {
        let name = dead_letter::replay_topic_for(&self.topic.name, &self.id());
        Topic { partitions: 1, schema: self.topic.schema, ..Topic::named(name) }
    }

    /// Changes whenever the same records might make other rows.
    pub fn fingerprint(&self) -> String {
        let about = self.target.about();
        let text = format!(
            "{}\n{}\n{:?}\n{:?} {:?}",
            self.decoder.id(),
            self.transform.id(),
            self.schema(),
            about.keeping,
            about.required,
        );
        format!("{:08x}", crc32fast::hash(text.as_bytes()))
    }

    /// The tables it looks rows up in.
    pub fn lookups(&self) -> &[Arc<Lookup>] {
        self.transform.lookups()
    }

    /// Whether rows can be made now: every lookup table was read lately enough.
    pub fn is_ready(&self) -> bool {
        self.lookups().iter().all(|lookup| lookup.is_usable())
    }

    /// What can only be told of transform and target together: that nothing looked up decides where a row goes.
    pub fn check(&self) -> Result<(), PlanError> {
        let about = self.target.about();
        let decides = match &about.keeping {
            Keeping::Append => Vec::new(),
            Keeping::Upsert { key } => key.clone(),
            Keeping::Count { key, count } => [key.as_slice(), std::slice::from_ref(count)].concat(),
        };
        let looked_up = self.transform.looked_up();
        let refused = |why: String, remedy: &str| PlanError {
            sql: self.transform.id().split_whitespace().collect::<Vec<_>>().join(" "),
            why,
            remedy: remedy.to_owned(),
        };
        let mut decides = decides.iter().chain(&about.required).chain(&self.required);
        if let Some(name) = decides.find(|name| looked_up.contains(name)) {
            return Err(refused(
                format!(
                    "column {name:?} holds what was looked up, and table {:?} goes by it (key, count or Hive partition): \
                     a replay might put the row elsewhere",
                    about.table
                ),
                "let it come from the record, or leave it to the queries",
            ));
        }
        if !looked_up.is_empty() && self.target.mixes_tries() {
            return Err(refused(
                format!(
                    "table {:?} in {} can't hold what was looked up: {MIXED}",
                    about.table, about.place
                ),
                "write these rows into a lake or an SQL table",
            ));
        }
        Ok(())
    }

    pub fn roll(mut self, roll: Roll) -> Self {
        self.roll = roll;
        self
    }

    pub fn group(mut self, group: &str) -> Self {
        self.group = group.to_owned();
        self
    }
}

impl Draft {
    /// Records aren't JSON: this reads them.
    pub fn decode(mut self, decoder: impl Decoder + 'static) -> Self {
        self.transform = Arc::new(Identity::new(decoder.schema()));
        self.decoder = Arc::new(decoder);
        self
    }

    /// A table that the SQL may `LEFT JOIN` by the lookup's name, on its key. Comes before [`Draft::sql`].
    pub fn lookup(mut self, lookup: impl Into<Arc<Lookup>>) -> Self {
        self.lookups.push(lookup.into());
        self
    }

    /// Row-wise SQL over the decoded columns; the table is called as the topic is.
    pub fn sql(mut self, text: &str) -> Result<Self, PlanError> {
        let schema = self.decoder.schema();
        let sql = RowSql::plan_with(&self.topic.name, &schema, &self.lookups, text)?;
        self.transform = Arc::new(sql);
        Ok(self)
    }

    /// What turns decoded rows into the target's, for a target that is filled from elsewhere, too.
    pub fn rows(&self) -> Arc<dyn Transform> {
        self.transform.clone()
    }

    /// A Rust function over the batch.
    pub fn transform(mut self, transform: impl Transform + 'static) -> Self {
        self.transform = Arc::new(transform);
        self
    }

    pub fn into(self, target: Arc<dyn Target>) -> Pipeline {
        let Self { app, name, topic, decoder, transform, lookups: _ } = self;
        let group = format!("{app}.{name}");
        let required = target.about().required;
        let roll = Roll::default();
        Pipeline { app, name, topic, decoder, transform, target, required, roll, group }
    }
}
