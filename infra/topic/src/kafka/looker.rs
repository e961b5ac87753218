use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::Client;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{FutureProducer, Producer};

use super::asker::Asker;
use super::brokers::Brokers;
use super::errors::{Doing, code, is_silence, told};
use super::quiet::Quiet;
use super::settings::Settings;
use super::topics::PATIENCE;
use super::trouble::Trouble;
use crate::TopicError;

/// How long a try may take: what librdkafka heard meanwhile may end the waiting.
const TRY: Duration = Duration::from_secs(2);

pub(super) type Asked = Client<rdkafka::producer::future_producer::FutureProducerContext<Quiet>>;

/// Asks the cluster about topics, groups and itself. It is a producer that sends nothing: an `AdminClient`
/// never hears why a connection fails.
pub(super) struct Looker {
    client: FutureProducer<Quiet>,
    brokers: Arc<Brokers>,
    asker: Arc<Asker>,
}

impl Looker {
    pub(super) fn new(settings: &Settings) -> Result<Self, TopicError> {
        let asker = settings.asker().clone();
        let quiet = Quiet::new(asker.clone());
        let brokers = quiet.brokers.clone();
        let client = FutureProducer::from_config_and_context(&settings.looker(), quiet)
            .map_err(|error| told("set up the admin client", error))?;
        Ok(Self { client, brokers, asker })
    }

    /// Whether it can't be used any more.
    pub(super) fn is_spent(&self) -> bool {
        self.brokers.are_lost()
    }

    pub(super) fn asker(&self) -> &Arc<Asker> {
        &self.asker
    }

    /// The client, for questions that bound their own time.
    pub(super) fn client(&self) -> &Asked {
        self.client.client()
    }

    /// Asks for at most [`PATIENCE`], but no longer than it takes to be sure that it is in vain. Blocks.
    pub(super) fn ask<T>(
        &self,
        doing: &Doing,
        question: impl Fn(&Asked, Duration) -> KafkaResult<T>,
    ) -> Result<T, TopicError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match question(self.client(), left.min(TRY)) {
                Ok(answer) => {
                    self.asker.fine();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if !code(&error).is_some_and(is_silence) {
                return Err(doing.failed(error));
            }
            let trouble = self.asker.trouble_looked_into();
            let certain = trouble.filter(Trouble::is_certain);
            if let Some(trouble) = certain {
                return Err(doing.stopped_by(&trouble, error));
            }
            if Instant::now() >= deadline {
                return Err(doing.failed(error));
            }
        }
    }

    /// As [`Looker::ask`], for questions of `described`, which answer with codes.
    pub(super) fn describe<T>(
        &self,
        doing: &Doing,
        question: impl Fn(&Asked, Duration) -> Result<T, rdkafka::error::RDKafkaErrorCode>,
    ) -> Result<T, TopicError> {
        self.ask(doing, |client, time| question(client, time).map_err(KafkaError::AdminOp))
    }
}
