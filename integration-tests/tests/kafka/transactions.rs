use std::time::Duration;

use integration_tests::stack::{Server, kafka, unique};
use millstream_topic::{Backend, TopicPartition};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use crate::following::{self, Following, PROTOCOLS, positions};

const PATIENCE: Duration = Duration::from_secs(30);

/// A producer of somebody else, who writes in transactions.
struct Foreign(FutureProducer, String);

impl Foreign {
    fn new(server: &Server, topic: &str) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", server.address())
            .set("transactional.id", unique("foreign"));
        let producer: FutureProducer = config.create().expect("make a producer");
        producer.init_transactions(PATIENCE).expect("begin with transactions");
        Self(producer, topic.to_owned())
    }

    async fn send(&self, count: usize) {
        self.0.begin_transaction().expect("begin a transaction");
        for number in 0..count {
            let value = format!("record {number}");
            let record = FutureRecord::to(&self.1).partition(0).key("k").payload(&value);
            self.0.send(record, PATIENCE).await.expect("send");
        }
        self.0.flush(PATIENCE).expect("flush");
    }

    fn commit(&self) {
        self.0.commit_transaction(PATIENCE).expect("commit a transaction");
    }

    fn abort(&self) {
        self.0.abort_transaction(PATIENCE).expect("abort a transaction");
    }
}

/// Aborted records and markers are gaps; also at the end, which is told, and reached by the group.
#[tokio::test]
async fn only_what_was_committed_comes_and_the_end_is_told_behind_the_rest() {
    let server = kafka().await;
    for protocol in PROTOCOLS {
        let kafka = following::kafka(server, protocol);
        let name = unique("transactions");
        let at = TopicPartition::new(name.clone(), 0);
        following::topic(&*kafka, &name, 1).await;
        let foreign = Foreign::new(server, &name);
        foreign.send(3).await;
        foreign.commit();
        foreign.send(2).await;
        foreign.abort();
        // 0, 1, 2, a marker, two aborted ones, a marker.
        let mut member = Following::join(&*kafka, &name, &name).await;
        member.until_end(&at, 7).await;
        assert_eq!(member.offsets(&at), [0, 1, 2], "{protocol}");
        member.commit(&at, 7).await;
        assert_eq!(positions(server, &name).await.get(&0), Some(&(7, 0)), "{protocol}");

        foreign.send(1).await;
        foreign.commit();
        member.until_end(&at, 9).await;
        assert_eq!(member.offsets(&at), [0, 1, 2, 7], "{protocol}");

        // Nothing but an aborted transaction: only the end moves.
        foreign.send(4).await;
        foreign.abort();
        member.until_end(&at, 14).await;
        assert_eq!(member.offsets(&at).len(), 4, "{protocol}");
        slices(&*kafka, &at).await;
    }
}

async fn slices(kafka: &dyn Backend, at: &TopicPartition) {
    let slice = kafka.read(at, 0, 100).await.expect("read");
    let offsets: Vec<_> = slice.records.iter().map(|record| record.offset).collect();
    assert_eq!((offsets, slice.next, slice.end), (vec![0, 1, 2, 7], 14, 14));
    let slice = kafka.read(at, 8, 100).await.expect("read the gap at the end");
    assert_eq!((slice.records.len(), slice.next, slice.end), (0, 14, 14));
}

#[tokio::test]
async fn an_open_transaction_holds_back_what_comes_behind_it() {
    let server = kafka().await;
    let kafka = following::kafka(server, "");
    let name = unique("open");
    let at = TopicPartition::new(name.clone(), 0);
    following::topic(&*kafka, &name, 1).await;
    following::append(&*kafka, &at, 0..2).await;
    let foreign = Foreign::new(server, &name);
    foreign.send(2).await;
    following::append(&*kafka, &at, 2..5).await;
    let mut member = Following::join(&*kafka, &name, &name).await;
    member.until_end(&at, 2).await;
    let info = kafka.info(&name).await.expect("look").expect("it is there");
    assert_eq!(info.partitions[0].end, 2, "the end is where readers get to");
    for _ in 0..20 {
        member.step().await.expect("poll");
    }
    assert_eq!(member.offsets(&at), [0, 1]);
    foreign.commit();
    member.until_end(&at, 8).await;
    assert_eq!(member.offsets(&at), [0, 1, 2, 3, 4, 5, 6]);
}
