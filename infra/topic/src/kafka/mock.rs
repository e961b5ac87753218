//! librdkafka's mock cluster, for tests. What it can't do: create topics by request, tell their settings,
//! transactions (it delivers aborted records), more than 5 MiB per partition.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, mpsc};

use async_trait::async_trait;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::Kafka;
use crate::{
    Cleanup, Consumer, Outgoing, Placed, Slice, Subscriptions, Topic, TopicError, TopicInfo,
    TopicPartition, Topics,
};

type Cluster = MockCluster<'static, DefaultProducerContext>;
type Work = Box<dyn FnOnce(&Cluster) + Send>;

/// A cluster on a thread of its own, since it can't be passed between threads.
#[derive(Clone, Debug)]
pub(super) struct Mock {
    work: mpsc::Sender<Work>,
    pub(super) servers: String,
    compacted: Arc<Mutex<HashSet<String>>>,
}

impl Mock {
    pub(super) fn start() -> Self {
        let (work, works) = mpsc::channel::<Work>();
        let (servers, told) = mpsc::channel();
        std::thread::spawn(move || {
            let cluster = MockCluster::new(1).expect("start a mock cluster");
            servers.send(cluster.bootstrap_servers()).expect("tell the servers");
            works.iter().for_each(|work| work(&cluster));
        });
        let servers = told.recv().expect("the mock cluster's servers");
        Self { work, servers, compacted: Arc::default() }
    }

    /// Does something with the cluster, and waits until it is done.
    pub(super) fn with(&self, work: impl FnOnce(&Cluster) + Send + 'static) {
        let (done, told) = mpsc::channel();
        let work: Work = Box::new(move |cluster| {
            work(cluster);
            done.send(()).expect("tell that it is done");
        });
        self.work.send(work).expect("pass work to the mock cluster");
        told.recv().expect("the mock cluster's work");
    }

    /// A further handle to this cluster, with settings that make tests quick.
    pub(super) fn kafka(&self, settings: &[(&str, &str)]) -> Arc<OnMock> {
        self.kafka_by(&self.servers, settings)
    }

    /// The same, by way of other `servers`.
    pub(super) fn kafka_by(&self, servers: &str, settings: &[(&str, &str)]) -> Arc<OnMock> {
        let quick = [
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "200"),
            // The mock cluster lets a fetch wait its full time, whatever comes.
            ("fetch.wait.max.ms", "20"),
        ];
        let given = quick.iter().chain(settings);
        let given: BTreeMap<_, _> =
            given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let kafka = Kafka::with_settings(servers, given).expect("connect");
        Arc::new(OnMock { kafka, mock: self.clone() })
    }
}

/// The backend, but for what the mock cluster has no answer to: topics are made behind its back, and
/// their clean-up is remembered here.
#[derive(Debug)]
pub(super) struct OnMock {
    pub(super) kafka: Kafka,
    mock: Mock,
}

#[async_trait]
impl Topics for OnMock {
    async fn ensure(&self, topic: &Topic) -> Result<TopicInfo, TopicError> {
        if self.info(&topic.name).await?.is_none() {
            let (name, partitions) = (topic.name.to_string(), topic.partitions as i32);
            self.mock.with(move |cluster| {
                cluster.create_topic(&name, partitions, 1).expect("create a topic");
            });
            if topic.cleanup == Cleanup::Compact {
                let mut compacted = self.mock.compacted.lock().expect("the compacted topics");
                compacted.insert(topic.name.to_string());
            }
        }
        Ok(self.info(&topic.name).await?.expect("a topic that was just made"))
    }

    async fn info(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        let mut info = self.kafka.info(name).await?;
        if let Some(info) = &mut info
            && self.mock.compacted.lock().expect("the compacted topics").contains(name)
        {
            info.cleanup = Cleanup::Compact;
        }
        Ok(info)
    }

    async fn append(&self, topic: &str, records: Vec<Outgoing>) -> Result<Vec<Placed>, TopicError> {
        self.kafka.append(topic, records).await
    }
}

#[async_trait]
impl Subscriptions for OnMock {
    async fn join(&self, group: &str, topics: &[String]) -> Result<Box<dyn Consumer>, TopicError> {
        self.kafka.join(group, topics).await
    }

    async fn read(&self, at: &TopicPartition, from: i64, max: usize) -> Result<Slice, TopicError> {
        self.kafka.read(at, from, max).await
    }
}
