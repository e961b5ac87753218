//! How new the brokers are. They don't tell their version but what they understand, and librdkafka keeps that to
//! itself but for its debug log, which is read here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::producer::{FutureProducer, Producer};

use super::settings::Settings;
use super::topics::PATIENCE;

/// Which request, in which version, came with which Kafka; the newest first.
const CAME: [(i16, i16, Version); 8] = [
    (0, 13, Version(4, 1)),
    (68, 1, Version(4, 0)),
    (1, 17, Version(3, 9)),
    (1, 16, Version(3, 7)),
    (1, 15, Version(3, 5)),
    (1, 13, Version(3, 1)),
    (60, 0, Version(2, 8)),
    (3, 9, Version(2, 4)),
];

/// A version of Apache Kafka that is reached at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u8, u8);

impl Version {
    /// Whether topics have no ids: a recreated one can't be told from the one before by its name.
    pub(super) fn is_old(self) -> bool {
        self < Self(3, 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kafka {}.{} or newer", self.0, self.1)
    }
}

/// Connects once more, listening. `None`: it isn't to be heard. Blocks.
pub(super) fn look(settings: &Settings) -> Option<Version> {
    let heard = Heard::default();
    let mut config = settings.looker();
    config.set("debug", "feature").set_log_level(RDKafkaLogLevel::Debug);
    let client = FutureProducer::from_config_and_context(&config, heard.clone()).ok();
    let client: FutureProducer<Heard> = client?;
    client.client().fetch_metadata(None, PATIENCE).ok()?;
    // The log is carried over by a thread of its own, which may be behind the answer.
    heard.wait(PATIENCE);
    heard.version()
}

/// What a broker's log has told.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<(Mutex<Told>, Condvar)>);

#[derive(Debug, Default)]
struct Told {
    /// Requests by number, and the newest version of each.
    newest: BTreeMap<i16, i16>,
    /// What follows from them was told, so all were.
    whole: bool,
}

impl Heard {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until all was told. Blocks.
    fn wait(&self, at_most: Duration) {
        let (_, changed) = &*self.0;
        // Whether it came in time is seen by what was told.
        let _ = changed.wait_timeout_while(self.told(), at_most, |told| !told.whole);
    }

    /// `…  ApiKey Produce (0) Versions 0..13`, a line a request, then `…  Enabling feature MsgVer1` and the like.
    fn hear(&self, line: &str) {
        if self.take(line).is_none() && line.contains("abling feature ") {
            self.told().whole = true;
            self.0.1.notify_all();
        }
    }

    fn take(&self, line: &str) -> Option<()> {
        let (_, rest) = line.split_once("ApiKey ")?;
        let (_, rest) = rest.split_once('(')?;
        let (request, rest) = rest.split_once(')')?;
        let (_, newest) = rest.rsplit_once("..")?;
        let (request, newest) = (request.parse().ok()?, newest.trim().parse().ok()?);
        self.told().newest.insert(request, newest);
        Some(())
    }

    fn version(&self) -> Option<Version> {
        let told = self.told();
        let knows = |(request, version, _): &&(i16, i16, Version)| {
            told.newest.get(request).is_some_and(|newest| newest >= version)
        };
        CAME.iter().find(knows).map(|(_, _, came)| *came)
    }
}

impl ClientContext for Heard {
    fn log(&self, _: RDKafkaLogLevel, _: &str, message: &str) {
        self.hear(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_request_decides() {
        let heard = Heard::default();
        assert_eq!(heard.version(), None);
        for line in [
            "[thrd:b:9/bootstrap]: b:9/bootstrap:   ApiKey Fetch (1) Versions 4..17",
            "b:9/1:   ApiKey Produce (0) Versions 0..12",
        ] {
            heard.hear(line);
        }
        assert!(!heard.told().whole);
        heard.hear("b:9/1:  Feature IdempotentProducer: InitProducerId (0..0) supported by broker");
        heard.hear("b:9/1: Enabling feature IdempotentProducer");
        assert!(heard.told().whole);
        assert_eq!(
            heard.version().map(|version| version.to_string()),
            Some("Kafka 3.9 or newer".to_owned())
        );
        heard.hear("b:9/1:   ApiKey ConsumerGroupHeartbeat (68) Versions 0..1");
        assert_eq!(heard.version(), Some(Version(4, 0)));
        assert!(Version(2, 8).is_old() && !Version(4, 0).is_old());
    }
}
