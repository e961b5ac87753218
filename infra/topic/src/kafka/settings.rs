use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::asker::{Asker, asker};
use super::errors;
use super::protocol::{Protocol, protocol};
use crate::TopicError;

/// The largest record that is sent, and that a topic made by us takes, in bytes with its headers.
pub(super) const LARGEST_RECORD: &str = "8388608";
/// Ours, not librdkafka's: how many replicas a topic is created with; -1: what the brokers say.
pub(super) const REPLICATION: &str = "replication.factor";
/// Ours too: how long, in milliseconds, a revocation waits for what is open to be finished; by default
/// half of the time after which the group would give a silent member up.
const REVOCATION: &str = "revocation.wait.ms";
/// `classic`, `consumer`, or, ours, `auto`.
pub(super) const PROTOCOL: &str = "group.protocol";
/// What a worker is called while it is away.
pub(super) const INSTANCE: &str = "group.instance.id";
pub(super) const MECHANISM: &str = "sasl.mechanism";
pub(super) const CERTIFICATE: &str = "ssl.certificate.location";
pub(super) const KEY: &str = "ssl.key.location";
/// By its statistics a client is known to have brokers still.
const STATISTICS: (&str, &str) = ("statistics.interval.ms", "5000");

/// What exactly-once rests on, and what is decided elsewhere: not for the user to set.
const OURS: [&str; 11] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "isolation.level",
    "auto.offset.reset",
];

/// How a cluster is reached and how its clients are tuned.
pub(super) struct Settings {
    servers: String,
    /// Passed through to librdkafka.
    given: BTreeMap<String, String>,
    replication: i32,
    patience: Duration,
    protocol: Protocol,
    /// The brokers turned out not to know the new protocol.
    old_brokers: AtomicBool,
    asker: Arc<Asker>,
}

impl Settings {
    /// Checks all settings, without contacting anybody.
    pub(super) fn new(
        servers: &str,
        mut given: BTreeMap<String, String>,
    ) -> Result<Self, TopicError> {
        check_servers(servers)?;
        if let Some(name) = OURS.iter().find(|name| given.contains_key(**name)) {
            return Err(refused(format!("{name} is decided by Millstream"), "remove it"));
        }
        let replication = number(REPLICATION, given.remove(REPLICATION))?.unwrap_or(-1);
        let wait = number(REVOCATION, given.remove(REVOCATION))?;
        let session = given.get("session.timeout.ms").and_then(|text| text.parse::<u64>().ok());
        let patience = Duration::from_millis(wait.unwrap_or(session.unwrap_or(45_000) / 2));
        let protocol = protocol(given.remove(PROTOCOL), &given)?;
        let asker = Arc::new(asker(servers, &given));
        let servers = servers.to_owned();
        let old_brokers = AtomicBool::new(false);
        let settings = Self { servers, given, replication, patience, protocol, old_brokers, asker };
        settings.check_values()?;
        Ok(settings)
    }

    /// Who asks, for messages.
    pub(super) fn asker(&self) -> &Arc<Asker> {
        &self.asker
    }

    /// What this worker is called in its groups; `None`: it is nobody once it has gone.
    pub(super) fn instance(&self) -> Option<&str> {
        self.given.get(INSTANCE).map(String::as_str)
    }

    /// Whether members join by the new protocol.
    pub(super) fn is_new_protocol(&self) -> bool {
        match self.protocol {
            Protocol::Classic => false,
            Protocol::Consumer => true,
            Protocol::Auto => !self.old_brokers.load(Ordering::Acquire),
        }
    }

    /// Takes note that the brokers don't know the new protocol; whether there is another one to try.
    pub(super) fn fall_back(&self) -> bool {
        self.old_brokers.store(true, Ordering::Release);
        self.protocol == Protocol::Auto
    }

    /// Replicas of a new topic; -1: the brokers' default.
    pub(super) fn replication(&self) -> i32 {
        self.replication
    }

    /// For looking topics up, and hearing why that doesn't work.
    pub(super) fn looker(&self) -> ClientConfig {
        let mut config = self.base();
        self.defaults(&mut config, &[STATISTICS]);
        config.set("allow.auto.create.topics", "false");
        // Why a broker closes a connection is said on this level only.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// For creating and describing.
    pub(super) fn admin(&self) -> ClientConfig {
        let mut config = self.base();
        config.set("allow.auto.create.topics", "false");
        // Nobody serves this client's log queue, so nothing may be put there.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        config
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        let defaults = [
            ("delivery.timeout.ms", "30000"),
            ("linger.ms", "5"),
            ("compression.type", "lz4"),
            ("partitioner", "murmur2_random"),
            ("message.max.bytes", LARGEST_RECORD),
            ("queue.buffering.max.kbytes", "65536"),
            // How long an unknown topic may turn out to be a new one; longer than the delivery time-out
            // by default, so that it wouldn't be named as the reason.
            ("topic.metadata.propagation.max.ms", "10000"),
            STATISTICS,
        ];
        self.defaults(&mut config, &defaults);
        config.set("enable.idempotence", "true").set("acks", "all");
        config.set("allow.auto.create.topics", "false");
        config
    }

    /// For a member of `group`.
    pub(super) fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.reading(group);
        if self.is_new_protocol() {
            config.set(PROTOCOL, "consumer");
        } else {
            // Cooperative: partitions that stay with a member are not interrupted by a rebalance.
            self.defaults(&mut config, &[("partition.assignment.strategy", "cooperative-sticky")]);
        }
        let defaults = [
            // Tell the end of a partition, too, which would be known by the last record only.
            STATISTICS,
            ("fetch.wait.max.ms", "250"),
        ];
        self.defaults(&mut config, &defaults);
        config
    }

    /// For reading a stretch of a partition. librdkafka wants a group's name for it, but nobody joins
    /// that group and nothing is committed there.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.reading("millstream.read");
        // Nobody's member has no name.
        config.remove(INSTANCE);
        self.defaults(&mut config, &[("fetch.wait.max.ms", "50")]);
        config
    }

    /// How long a revocation waits for what is open to be finished.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    fn reading(&self, group: &str) -> ClientConfig {
        let mut config = self.base();
        let defaults = [
            ("queued.max.messages.kbytes", "4096"),
            ("fetch.max.bytes", "4194304"),
            // One second by default: how long a partition rests when the queue above is full.
            ("fetch.queue.backoff.ms", "1"),
        ];
        self.defaults(&mut config, &defaults);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            // An offset that isn't there must be told, never silently replaced.
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false");
        config
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers).set("client.id", "millstream");
        // Five minutes by default; new partitions are to be found within 30 s, and a right that was granted
        // is noticed no sooner either.
        config.set("topic.metadata.refresh.interval.ms", "10000");
        for (name, value) in &self.given {
            config.set(name, value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    fn defaults(&self, config: &mut ClientConfig, defaults: &[(&str, &str)]) {
        for (name, value) in defaults {
            if !self.given.contains_key(*name) {
                config.set(*name, *value);
            }
        }
    }

    fn check_values(&self) -> Result<(), TopicError> {
        for (name, value) in &self.given {
            let mut alone = ClientConfig::new();
            let Err(error) = alone.set(name, value).create_native_config() else { continue };
            let why = match error {
                KafkaError::ClientConfig(_, why, ..) if !is_secret(name) => {
                    format!("{name}: {why}")
                }
                _ => format!("{name} has a value that librdkafka doesn't take"),
            };
            return Err(refused(
                why,
                "correct it (librdkafka's CONFIGURATION.md lists all settings)",
            ));
        }
        // Some settings are checked together only; a client that nobody starts does that.
        self.member("check")
            .create_native_config()
            .map_err(|error| errors::told("configure the Kafka clients", error))?;
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): (&String, &String)| {
            let value = if is_secret(name) { "***".to_owned() } else { value.clone() };
            (name.clone(), value)
        };
        let given: BTreeMap<_, _> = self.given.iter().map(shown).collect();
        f.debug_struct("Settings")
            .field("servers", &self.servers)
            .field("given", &given)
            .field("replication", &self.replication)
            .field("patience", &self.patience)
            .field("protocol", &self.protocol)
            .finish()
    }
}

fn number<T: FromStr>(name: &str, given: Option<String>) -> Result<Option<T>, TopicError> {
    let Some(text) = given else { return Ok(None) };
    let number = text.parse();
    number.map(Some).map_err(|_| refused(format!("{name} is {text:?}"), "give a number"))
}

fn is_secret(name: &str) -> bool {
    ["password", "secret", "pem", "token", "jaas", "oauthbearer.config", "private"]
        .iter()
        .any(|part| name.contains(part))
}

/// `host:port[,host:port…]`, each with a port, so that a forgotten one is found before a time-out is.
fn check_servers(servers: &str) -> Result<(), TopicError> {
    for server in servers.split(',') {
        let well_formed = server.rsplit_once(':').is_some_and(|(host, port)| {
            let named = !host.is_empty()
                && host.chars().all(|c| c.is_alphanumeric() || "._-[]:".contains(c));
            named && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !well_formed {
            let why = format!("{server:?} is not host:port");
            return Err(refused(why, "name the brokers as host:port[,host:port…]"));
        }
    }
    Ok(())
}

pub(super) fn refused(why: impl Into<String>, remedy: &str) -> TopicError {
    TopicError::refused("configure the Kafka cluster", why, remedy)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Settings;

    fn with(name: &str, value: &str) -> Result<Settings, crate::TopicError> {
        Settings::new("one:9092,two:9093", BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn brokers_are_host_and_port() {
        for good in ["localhost:9092", "10.0.0.1:1,b-1.x.example:65535", "[::1]:9092"] {
            assert!(Settings::new(good, BTreeMap::new()).is_ok(), "{good}");
        }
        for bad in ["", "localhost", "a:9092,", "a:0", "a:70000", ":9092", "a b:1", "a:1/x"] {
            let error = Settings::new(bad, BTreeMap::new()).expect_err(bad);
            assert!(!error.is_retryable() && error.to_string().contains("host:port"), "{error}");
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        for (name, value) in [
            ("session.timeout.ms", "soon"),
            ("sesion.timeout.ms", "1000"),
            ("acks", "1"),
            ("replication.factor", "three"),
        ] {
            let error = with(name, value).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
        assert_eq!(with("replication.factor", "3").expect("a factor").replication(), 3);
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = with("sasl.password", "hunter2").expect("a password");
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
        let settings = with("client.id", "me").expect("a client id");
        assert!(format!("{settings:?}").contains("me"));
    }
}
