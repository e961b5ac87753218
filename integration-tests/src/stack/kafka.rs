use std::collections::BTreeMap;

use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

/// Where clients outside the container connect.
const OUTSIDE: u16 = 9092;
/// Where commands inside it do, and other brokers.
const INSIDE: u16 = 19092;
const CONTROLLER: u16 = 9093;

/// One broker, without passwords, on loopback.
pub async fn kafka() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED
        .get_or_init(|| {
            wanted("kafka", 1, 1)
                .share(|wanted, ports| advertise(wanted, "localhost", ports[&OUTSIDE]))
        })
        .await
}

/// Broker `node` of `brokers`, which call each other `<network's name>-<node>`.
pub fn wanted(name: &str, node: usize, brokers: usize) -> Wanted {
    let voter = |node| match brokers {
        1 => format!("1@localhost:{CONTROLLER}"),
        _ => format!("{node}@{}:{CONTROLLER}", host(name, node)),
    };
    let voters: Vec<_> = (1..=brokers).map(voter).collect();
    let replicas = brokers.to_string();
    let in_sync = if brokers > 2 { "2" } else { "1" };
    let wanted = Wanted::new(name, "KAFKA", &[OUTSIDE])
        .env("CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qg")
        .env("KAFKA_NODE_ID", &node.to_string())
        .env("KAFKA_PROCESS_ROLES", "broker,controller")
        .env("KAFKA_CONTROLLER_QUORUM_VOTERS", &voters.join(","))
        .env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .env(
            "KAFKA_LISTENERS",
            &format!("OUTSIDE://:{OUTSIDE},INSIDE://:{INSIDE},CONTROLLER://:{CONTROLLER}"),
        )
        .env(
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
            "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        )
        .env("KAFKA_INTER_BROKER_LISTENER_NAME", "INSIDE")
        .env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", &replicas)
        .env("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "3")
        .env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", &replicas)
        .env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", in_sync)
        .env("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "3")
        .env("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", &replicas)
        .env("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", in_sync)
        .env("KAFKA_DEFAULT_REPLICATION_FACTOR", &replicas)
        .env("KAFKA_MIN_INSYNC_REPLICAS", in_sync)
        .env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false");
    wanted.memory_mb(900).ready(Ready::Healthy)
}

/// One broker for the caller alone, which is quick to give up members of a group that are silent: they were killed.
pub async fn start() -> Server {
    let wanted = wanted("kafka", 1, 1)
        .env("KAFKA_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS", "8000")
        .env("KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS", "8000")
        .env("KAFKA_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS", "1000")
        .env("KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS", "1000");
    let ports = wanted.choose_ports();
    let wanted = advertise(wanted, "localhost", ports[&OUTSIDE]);
    wanted.start_at(ports).await
}

fn advertise(wanted: Wanted, inside: &str, outside: u16) -> Wanted {
    let listeners = format!("OUTSIDE://127.0.0.1:{outside},INSIDE://{inside}:{INSIDE}");
    wanted.env("KAFKA_ADVERTISED_LISTENERS", &listeners)
}

fn host(name: &str, node: usize) -> String {
    format!("{name}-{node}")
}

/// Several brokers on a network of their own; they go with the test.
#[derive(Debug)]
pub struct Brokers {
    pub servers: Vec<Server>,
}

impl Brokers {
    pub async fn start(count: usize) -> Self {
        let name = super::unique("kafka").replace('_', "-");
        let starting = (1..=count).map(|node| {
            let mut wanted = wanted(&name, node, count);
            wanted.network = Some(name.clone());
            wanted.name = host(&name, node);
            let ports: BTreeMap<u16, u16> = wanted.choose_ports();
            let wanted = advertise(wanted, &host(&name, node), ports[&OUTSIDE]);
            wanted.start_at(ports)
        });
        // Together: one alone has no quorum and wouldn't get ready.
        let servers = futures_join(starting).await;
        Self { servers }
    }

    /// `host:port` of each, separated by commas.
    pub fn addresses(&self) -> String {
        self.servers.iter().map(Server::address).collect::<Vec<_>>().join(",")
    }
}

async fn futures_join(
    starting: impl Iterator<Item = impl Future<Output = Server> + Send + 'static>,
) -> Vec<Server> {
    let tasks: Vec<_> = starting.map(tokio::spawn).collect();
    let mut servers = Vec::new();
    for task in tasks {
        servers.push(task.await.expect("start a broker"));
    }
    servers
}
