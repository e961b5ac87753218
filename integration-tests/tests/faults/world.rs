use std::collections::BTreeMap;
use std::path::Path;

use integration_tests::stack::{self, Server};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::disk::Disk;
use crate::sinks::Sink;
use crate::wire::Wire;

/// Inside the broker's container: where clients connect, where those do that come by a wire, and where its own tools do.
const OUTSIDE: u16 = 9092;
const BY_WIRE: u16 = 9094;
const INSIDE: u16 = 19092;
/// A member that is silent for so long is out of its group. Not less: on a machine at work a worker may be late.
pub const SESSION_MS: u64 = 6000;
pub const PARTITIONS: u32 = 6;

/// The servers, each with a wire for the workers whose connections go wrong.
pub struct World {
    pub kafka: Server,
    pub kafka_wire: Wire,
    servers: BTreeMap<Sink, (Server, Wire)>,
    bucket: String,
    disk: Option<Disk>,
}

impl World {
    /// Starts what these sinks need, all at once. `fills_up`: the directory of the lake is one that can be full.
    pub fn start(sinks: &[Sink], fills_up: bool) -> Self {
        let kafka_wire = Wire::to("");
        let (kafka, started) = stack::block_on(async {
            let servers = sinks.iter().filter_map(|sink| Some((*sink, wanted(*sink)?)));
            let starting: Vec<_> = servers
                .map(|(sink, wanted)| tokio::spawn(async move { (sink, wanted.start().await) }))
                .collect();
            let kafka = start_kafka(&kafka_wire).await;
            let mut started = Vec::new();
            for server in starting {
                started.push(server.await.expect("start a server"));
            }
            (kafka, started)
        });
        kafka_wire.lead_to(&format!("127.0.0.1:{}", kafka.port_of(BY_WIRE)));
        let mut world = Self {
            kafka,
            kafka_wire,
            servers: BTreeMap::new(),
            bucket: String::new(),
            disk: sinks.contains(&Sink::Disk).then(|| Disk::new(fills_up)),
        };
        for (sink, server) in started {
            if sink == Sink::S3 {
                world.bucket = stack::block_on(stack::bucket(&server));
            }
            let wire = Wire::to(&server.address());
            world.servers.insert(sink, (server, wire));
        }
        world
    }

    pub fn server(&self, sink: Sink) -> &Server {
        &self.servers[&sink].0
    }

    /// None leads to a directory.
    pub fn wire(&self, sink: Sink) -> Option<&Wire> {
        self.servers.get(&sink).map(|(_, wire)| wire)
    }

    pub fn address(&self, sink: Sink) -> String {
        self.servers.get(&sink).map(|(server, _)| server.address()).unwrap_or_default()
    }

    pub fn mysql_user(&self) -> &'static str {
        stack::APP_USER
    }

    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    pub fn disk(&self) -> &Path {
        self.full_disk().path()
    }

    pub fn full_disk(&self) -> &Disk {
        self.disk.as_ref().expect("there is a disk for the lake")
    }

    /// Makes the topic of a sink's app with more partitions than it would, so that each worker has several; anew, if
    /// another sink's app had it.
    pub fn make_topic(&self, sink: Sink) {
        let config = ClientConfig::new().set("bootstrap.servers", self.kafka.address()).clone();
        let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin client");
        let policy = if sink.is_compacted() { "compact" } else { "delete" };
        let topic = NewTopic::new(sink.topic(), PARTITIONS as i32, TopicReplication::Fixed(1))
            .set("cleanup.policy", policy);
        let options = AdminOptions::new();
        stack::block_on(async {
            let gone = admin.delete_topics(&[sink.topic()], &options).await.expect("ask for it");
            drop(gone);
            let started = std::time::Instant::now();
            loop {
                let made = admin.create_topics([&topic], &options).await.expect("ask for a topic");
                // The one before may still be on its way out.
                match &made[0] {
                    Ok(_) => return,
                    Err(why) => assert!(started.elapsed().as_secs() < 30, "{why:?}"),
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        });
    }
}

fn wanted(sink: Sink) -> Option<stack::Wanted> {
    match sink {
        Sink::Disk => None,
        Sink::S3 => Some(stack::wanted_s3("s3")),
        Sink::Cassandra => Some(stack::wanted_cassandra("cassandra")),
        Sink::Mysql => Some(stack::wanted_mysql("mysql", "wordcount")),
        Sink::Search => Some(stack::wanted_opensearch("opensearch")),
    }
}

/// One broker with a second way in, by the wire, and a short patience with members that are silent.
async fn start_kafka(wire: &Wire) -> Server {
    let mut wanted = stack::wanted_kafka("kafka", 1, 1);
    wanted.ports.push(BY_WIRE);
    let ports = wanted.choose_ports();
    let listeners =
        format!("OUTSIDE://:{OUTSIDE},BYWIRE://:{BY_WIRE},INSIDE://:{INSIDE},CONTROLLER://:9093");
    let told = format!(
        "OUTSIDE://127.0.0.1:{},BYWIRE://127.0.0.1:{},INSIDE://localhost:{INSIDE}",
        ports[&OUTSIDE],
        wire.port()
    );
    let plain =
        ["OUTSIDE", "BYWIRE", "INSIDE", "CONTROLLER"].map(|name| format!("{name}:PLAINTEXT"));
    let session = SESSION_MS.to_string();
    let wanted = wanted
        .env("KAFKA_LISTENERS", &listeners)
        .env("KAFKA_ADVERTISED_LISTENERS", &told)
        .env("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", &plain.join(","))
        .env("KAFKA_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS", &session)
        .env("KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS", &session)
        .env("KAFKA_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS", "1000")
        .env("KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS", "1000");
    wanted.start_at(ports).await
}
