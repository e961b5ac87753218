//! Workers of an app on three brokers: they join, leave and crash, and the brokers are restarted one after the other,
//! and killed, while users go on registering. The users in the table are those that Kafka's own consumer shows in the
//! topic. Beside them members of a group in each protocol take numbers, which come each once and in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use integration_tests::stack::{self, Brokers};
use integration_tests::{Data, Running, load, number, users, wait};

use super::following::{INSIDE, PROTOCOLS};
use super::load::Load;
use super::{ALONE, cluster, until_in_sync, url};

const TOPIC: &str = "registered_user_2";
const PIPELINE: &str = "users.details";

struct Cluster {
    brokers: Arc<Brokers>,
    data: Data,
}

impl Cluster {
    fn on(brokers: Arc<Brokers>) -> Self {
        let data = Data::new()
            .with("USERS_TOPICS__URL", &url(&brokers, "protocol=auto"))
            .with("USERS_ROLL__EVERY_S", "0.3")
            .with("USERS_CONSOLE__LISTEN", "");
        Self { brokers, data }
    }

    fn worker(&self) -> Running {
        self.data.start("users", &["process"])
    }

    /// Waits until rows come again.
    fn goes_on(&self, after: &str, workers: &[&Running]) {
        let position = || self.data.position(PIPELINE);
        let before = wait::until("a position", wait::LONG, position);
        wait::until(&format!("rows come after {after}"), wait::LONG, || match position()? {
            now if now > before => Ok(()),
            now => Err(format!("at {now}; {workers:?}")),
        });
        eprintln!("rows come after {after}, at {before}");
    }

    /// The users that Kafka's console consumer shows, of so many records.
    fn sent(&self, records: u64) -> Vec<[String; 3]> {
        let records = records.to_string();
        let command = [
            "kafka-console-consumer.sh",
            "--bootstrap-server",
            INSIDE,
            "--topic",
            TOPIC,
            "--from-beginning",
            "--max-messages",
            &records,
            "--timeout-ms",
            "120000",
            "--formatter-property",
            "line.separator=\u{3}",
        ];
        let said = stack::block_on(self.brokers.servers[0].try_exec(&command));
        said.stdout.split_terminator('\u{3}').map(users::user).collect()
    }
}

/// Groups of both protocols, each with a load of its own.
async fn loads(brokers: &Brokers) -> Vec<Load> {
    let mut loads = Vec::new();
    for protocol in PROTOCOLS {
        let topic = format!("load-{}", &protocol["protocol=".len()..]);
        loads.push(Load::start(&url(brokers, protocol), &topic).await);
    }
    loads
}

#[test]
fn workers_come_and_go_while_brokers_restart() {
    let cluster = Cluster::on(cluster());
    let _alone = ALONE.blocking_lock();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime for the members");
    let loads = runtime.block_on(loads(&cluster.brokers));
    let producer = cluster.data.start("users", &["produce", "--rate", "100"]);

    let first = cluster.worker();
    cluster.goes_on("one worker came", &[&first]);
    let (second, third) = (cluster.worker(), cluster.worker());
    cluster.goes_on("two more came", &[&first, &second, &third]);
    load::end(first);
    cluster.goes_on("the first has left", &[&second, &third]);
    third.kill_9();
    let third = cluster.worker();
    cluster.goes_on("one was killed and another came", &[&second, &third]);
    for server in &cluster.brokers.servers {
        stack::block_on(server.stop());
        cluster.goes_on("a broker was stopped", &[&second, &third]);
        stack::block_on(server.start());
        until_in_sync(server);
        cluster.goes_on("it is back", &[&second, &third]);
    }
    let killed = &cluster.brokers.servers[0];
    stack::block_on(killed.kill());
    cluster.goes_on("a broker was killed", &[&second, &third]);
    stack::block_on(killed.start());
    until_in_sync(killed);

    loads.into_iter().for_each(|load| runtime.block_on(load.end()));
    load::end(producer);
    cluster.data.catch_up("users");
    load::end(second);
    load::end(third);
    let report = cluster.data.verify_one(PIPELINE);
    let produced = number(&report, "produced");
    let (sent, table) = (cluster.sent(produced), users::in_table(&cluster.data));
    assert_eq!(produced, sent.len() as u64, "{report}");
    println!("{} users, {} rows", sent.len(), table.len());
    users::assert_same(&table, &BTreeSet::from_iter(sent));
}
