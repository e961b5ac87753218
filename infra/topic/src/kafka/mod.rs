//! Topics on an Apache Kafka (or compatible) cluster, through librdkafka.
//!
//! # Layout
//! - [`Kafka`]: the role's front; makes the clients below when they are first needed.
//! - `options`: what `topics.url` says. `settings`: how the clients are set up, and what the user may set. `protocol`: how
//!   the members of a group share.
//! - `asker`: who we are to the cluster, and what stood in the way lately. `trouble`, `certificate`: what that means
//!   and what to do. `brokers`: whether a client has some still. `access`: rights. `errors`: whose fault, by code.
//! - `looker`, `topics`, `described`: looking topics up, creating and describing them. `examine`, `versions`:
//!   what is to be known of a cluster before it is worked with. `producer`: appending. `slice`: reading a stretch.
//! - `consumer`: the async side of a group's member. `thread`: the thread that polls for it. `member`: what
//!   both know and what a rebalance does. `orders`: what they tell each other. `share`, `slot`: our
//!   partitions and what was fetched of each. `fetch`: seeks, pauses, ends, ranges. `complaints`: what is
//!   wrong until somebody acts.

mod access;
mod asker;
mod brokers;
mod certificate;
mod complaints;
mod consumer;
mod described;
mod errors;
mod examine;
mod fetch;
#[cfg(test)]
mod forgetful;
mod looker;
mod member;
#[cfg(test)]
mod mock;
mod options;
mod orders;
mod producer;
mod protocol;
mod quiet;
mod settings;
mod share;
mod slice;
mod slot;
#[cfg(test)]
mod tests;
mod thread;
mod topics;
mod trouble;
mod versions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use millstream_config::{Endpoint, Finding};
use rdkafka::config::FromClientConfigAndContext;

use self::access::Rights;
use self::errors::Doing;
use self::looker::Looker;
use self::quiet::Plain;
use self::settings::Settings;
use self::slice::{Reader, ReaderContext};
use crate::{
    Consumer, Outgoing, Placed, Slice, Subscriptions, Topic, TopicError, TopicInfo, TopicPartition,
    Topics, Wanted,
};

/// Topics on a Kafka cluster. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Kafka {
    settings: Arc<Settings>,
    clients: Arc<Mutex<Clients>>,
}

/// The clients, each made when it is first needed.
#[derive(Default)]
struct Clients {
    looker: Option<Arc<Looker>>,
    admin: Option<Arc<topics::Admin>>,
    producer: Option<producer::Sender>,
    /// Those that nobody reads with just now.
    readers: Vec<Reader>,
}

impl Kafka {
    /// Names the cluster by `topics.url`: `kafka://[user@]host[:port][,…]?option=value&…`, and `name=value` settings of
    /// librdkafka on top. Nothing is contacted yet. The options are
    ///
    /// | option | |
    /// |---|---|
    /// | `tls=on\|off`, `ca=file` | on, unless every host is this machine; authorities to trust, if not the system's |
    /// | `cert=file`, `key=file` | our own certificate |
    /// | `sasl=` | how a user proves to be one: `scram-sha-512` (if nothing is said), `scram-sha-256`, `plain` |
    /// | `replication=` | replicas of a topic that is created; 3 or more: two must have a record before it counts |
    /// | `protocol=` | of groups: `auto` (if nothing is said), `consumer` (KIP-848), `classic` |
    /// | `instance=` | the worker's name, by which it gets its partitions back after a restart |
    ///
    /// # Errors
    /// Refused when an option or a setting is unknown, ill-formed, or one that exactly-once rests on.
    pub fn open(url: Endpoint, settings: &[String]) -> Result<Self, TopicError> {
        let servers = url.addresses().join(",");
        Self::with_settings(&servers, options::read(url, settings)?)
    }

    /// Names the cluster by some of its brokers, `host:port[,host:port…]`. Nothing is contacted yet.
    ///
    /// # Errors
    /// Refused when `servers` is no such list.
    pub fn connect(servers: &str) -> Result<Self, TopicError> {
        Self::with_settings(servers, BTreeMap::new())
    }

    /// As [`Kafka::connect`], with settings of librdkafka on top (TLS, SASL, tuning), and two of ours:
    /// `replication.factor`, the number of replicas a topic is created with (-1: the brokers' default), and
    /// `revocation.wait.ms`, how long a revocation waits for what is open to be finished and committed
    /// (half of `session.timeout.ms`).
    ///
    /// # Errors
    /// Refused when a setting is unknown, has a bad value, or is one that exactly-once rests on.
    pub fn with_settings(
        servers: &str,
        settings: BTreeMap<String, String>,
    ) -> Result<Self, TopicError> {
        let settings = Arc::new(Settings::new(servers, settings)?);
        Ok(Self { settings, clients: Arc::default() })
    }

    fn looker(&self) -> Result<Arc<Looker>, TopicError> {
        let mut clients = self.clients();
        match &clients.looker {
            Some(looker) if !looker.is_spent() => return Ok(looker.clone()),
            _ => {}
        }
        let new = Arc::new(Looker::new(&self.settings)?);
        end(clients.looker.replace(new.clone()));
        Ok(new)
    }

    fn admin(&self) -> Result<Arc<topics::Admin>, TopicError> {
        let mut clients = self.clients();
        if let Some(admin) = &clients.admin {
            return Ok(admin.clone());
        }
        let admin = topics::Admin::from_config_and_context(&self.settings.admin(), Plain {})
            .map_err(|error| errors::told("set up the admin client", error))?;
        Ok(clients.admin.insert(Arc::new(admin)).clone())
    }

    fn producer(&self) -> Result<producer::Sender, TopicError> {
        let mut clients = self.clients();
        match &clients.producer {
            Some(producer) if !producer.is_spent() => return Ok(producer.clone()),
            _ => {}
        }
        let new = producer::Sender::new(&self.settings)?;
        end(clients.producer.replace(new.clone()));
        Ok(new)
    }

    fn reader(&self) -> Result<Reader, TopicError> {
        if let Some(reader) = self.clients().readers.pop() {
            return Ok(reader);
        }
        Reader::from_config_and_context(&self.settings.reader(), ReaderContext(self.asker()))
            .map_err(|error| errors::told("set up a reader", error))
    }

    fn asker(&self) -> Arc<asker::Asker> {
        self.settings.asker().clone()
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        // Every change is a single assignment, so what a panic left behind is whole.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Topics for Kafka {
    async fn ensure(&self, topic: &Topic) -> Result<TopicInfo, TopicError> {
        Topic::check_name(&topic.name)?;
        if let Some(info) = self.info(&topic.name).await? {
            return Ok(info);
        }
        let doing = format!("create topic {}", topic.name);
        let doing = Doing::new(doing, self.settings.asker(), Rights::create(&topic.name));
        topics::create(&*self.admin()?, &doing, topic, self.settings.replication()).await?;
        // A new topic takes a moment to be known to every broker.
        let deadline = tokio::time::Instant::now() + topics::PATIENCE;
        loop {
            match self.info(&topic.name).await {
                Ok(Some(info)) => return Ok(info),
                Err(error) if !error.is_retryable() => return Err(error),
                Ok(None) | Err(_) => {}
            }
            if tokio::time::Instant::now() >= deadline {
                let doing = format!("look at new topic {}", topic.name);
                return Err(TopicError::unavailable(doing, "no broker knows it yet"));
            }
            tokio::time::sleep(topics::PATIENCE / 100).await;
        }
    }

    async fn info(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        Topic::check_name(name)?;
        let (looker, asked) = (self.looker()?, name.to_owned());
        let Some((mut info, broker)) = blocking(move || topics::look(&looker, &asked)).await?
        else {
            return Ok(None);
        };
        info.cleanup =
            topics::cleanup(&*self.admin()?, self.settings.asker(), name, broker).await?;
        Ok(Some(info))
    }

    async fn append(&self, topic: &str, records: Vec<Outgoing>) -> Result<Vec<Placed>, TopicError> {
        let asker = self.settings.asker();
        match producer::append(&self.producer()?, asker, topic, records).await {
            Err(TopicError::Unavailable { doing, source }) => {
                // The producer says no more than that it tried for long enough.
                let (looker, name) = (self.looker()?, topic.to_owned());
                let away = blocking(move || Ok(topics::away(&looker, &name))).await?;
                let away = away.map(|away| format!("{source}; {away}").into());
                Err(TopicError::Unavailable { doing, source: away.unwrap_or(source) })
            }
            done => done,
        }
    }

    async fn examine(&self, wanted: &Wanted<'_>) -> Vec<Finding> {
        examine::examine(self, wanted).await
    }
}

#[async_trait]
impl Subscriptions for Kafka {
    async fn join(&self, group: &str, topics: &[String]) -> Result<Box<dyn Consumer>, TopicError> {
        let doing = format!("join group {group}");
        let (looker, asked) = (self.looker()?, topics.to_vec());
        blocking(move || {
            for topic in &asked {
                Topic::check_name(topic)?;
                if topics::partitions(&looker, topic)?.is_none() {
                    let why = format!("there is no topic {topic}");
                    let remedy = "create it first, or correct the name";
                    return Err(TopicError::refused(doing, why, remedy));
                }
            }
            Ok(())
        })
        .await?;
        let consumer = consumer::KafkaConsumer::join(&self.settings, group, topics)?;
        Ok(Box::new(consumer))
    }

    async fn read(&self, at: &TopicPartition, from: i64, max: usize) -> Result<Slice, TopicError> {
        let (kafka, at) = (self.clone(), at.clone());
        blocking(move || {
            let reader = kafka.reader()?;
            let slice = slice::read(&reader, &at, from, max)?;
            // One that failed is not used again.
            kafka.clients().readers.push(reader);
            Ok(slice)
        })
        .await
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients")
            .field("looker", &self.looker.is_some())
            .field("admin", &self.admin.is_some())
            .field("producer", &self.producer.is_some())
            .field("readers", &self.readers.len())
            .finish()
    }
}

/// Ends a client that is spent, on a thread of its own: librdkafka may take long over it.
fn end<T: Send + 'static>(client: Option<T>) {
    if let Some(client) = client {
        std::thread::spawn(move || drop(client));
    }
}

/// Runs librdkafka's blocking calls where they hold nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TopicError> + Send + 'static,
) -> Result<T, TopicError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(TopicError::unavailable("wait for a Kafka client", error)),
    }
}
