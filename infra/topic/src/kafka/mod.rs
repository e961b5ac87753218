//! Topics on an Apache Kafka (or compatible) cluster, through librdkafka.
//!
//! # Layout
//! - [`Kafka`]: the role's front; makes the clients below when they are first needed.
//! - `settings`: how the clients are set up, and what the user may set. `errors`: whose fault, by code.
//! - `topics`, `topic_id`: creating and describing. `producer`: appending. `slice`: reading a stretch.
//! - `consumer`: the async side of a group's member. `thread`: the thread that polls for it. `member`: what
//!   both know and what a rebalance does. `orders`: what they tell each other. `share`, `slot`: our
//!   partitions and what was fetched of each. `fetch`: seeks, pauses, ends, ranges. `complaints`: what is
//!   wrong until somebody acts.

mod complaints;
mod consumer;
mod errors;
mod fetch;
mod member;
#[cfg(test)]
mod mock;
mod orders;
mod producer;
mod quiet;
mod settings;
mod share;
mod slice;
mod slot;
#[cfg(test)]
mod tests;
mod thread;
mod topic_id;
mod topics;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rdkafka::config::FromClientConfigAndContext;

use self::quiet::{Plain, Quiet};
use self::settings::Settings;
use self::slice::{Reader, ReaderContext};
use crate::{
    Consumer, Outgoing, Placed, Slice, Subscriptions, Topic, TopicError, TopicInfo, TopicPartition,
    Topics,
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
    admin: Option<Arc<topics::Admin>>,
    producer: Option<producer::Sender>,
    /// Those that nobody reads with just now.
    readers: Vec<Reader>,
}

impl Kafka {
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
            // After a fatal error (its sequence numbers went lost, say) only a new one can go on.
            Some(producer) if !producer::is_spent(producer) => return Ok(producer.clone()),
            _ => {}
        }
        let config = self.settings.producer();
        let producer = producer::Sender::from_config_and_context(&config, Quiet::default())
            .map_err(|error| errors::told("set up the producer", error))?;
        Ok(clients.producer.insert(producer).clone())
    }

    fn reader(&self) -> Result<Reader, TopicError> {
        if let Some(reader) = self.clients().readers.pop() {
            return Ok(reader);
        }
        Reader::from_config_and_context(&self.settings.reader(), ReaderContext::default())
            .map_err(|error| errors::told("set up a reader", error))
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
        topics::create(&*self.admin()?, topic, self.settings.replication()).await?;
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
        let (admin, asked) = (self.admin()?, name.to_owned());
        let Some((mut info, broker)) = blocking(move || topics::look(&admin, &asked)).await? else {
            return Ok(None);
        };
        info.cleanup = topics::cleanup(&*self.admin()?, name, broker).await?;
        Ok(Some(info))
    }

    async fn append(&self, topic: &str, records: Vec<Outgoing>) -> Result<Vec<Placed>, TopicError> {
        producer::append(&self.producer()?, topic, records).await
    }
}

#[async_trait]
impl Subscriptions for Kafka {
    async fn join(&self, group: &str, topics: &[String]) -> Result<Box<dyn Consumer>, TopicError> {
        let doing = format!("join group {group}");
        let (admin, asked) = (self.admin()?, topics.to_vec());
        blocking(move || {
            for topic in &asked {
                Topic::check_name(topic)?;
                if topics::partitions(&admin, topic)?.is_none() {
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
            .field("admin", &self.admin.is_some())
            .field("producer", &self.producer.is_some())
            .field("readers", &self.readers.len())
            .finish()
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
